// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sizes: an endless chain of processes, a thousand children, 60,000 VMAs.  All
 * of it works, and when it is gone nothing is left.  A debug kernel gets smaller
 * figures, for it looks at a process's whole tree whenever that changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

static long figure(long full, long slow_full, long slow)
{
	if (!ru_slow())
		return full;
	return ru_full() ? slow_full : slow;
}

FIXTURE(scale) { struct ru_mem m; };
FIXTURE_SETUP(scale)
{
	struct ru_counts c;

	RU_START();
	RU_NEED(ru_count(&c));
}
FIXTURE_TEARDOWN(scale)
{
	ru_stop();
	ru_swap_stop();
}

static uint64_t pfn_of(pid_t pid, const char *addr)
{
	uint64_t entry = 0;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), (uintptr_t)addr / ru_page *
		  sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry & RU_PM_PRESENT ? entry & RU_PM_PFN : 0;
}

/* A generation that stays until it is told to go on */
struct note {
	int generation;
	pid_t pid;
};

static int stay(int generation, const int *up, const int *down)
{
	struct note note = { generation, getpid() };
	char go;

	return write(up[1], &note, sizeof(note)) != sizeof(note) ||
	       read(down[0], &go, 1) != 1;
}

static void __attribute__((__noreturn__))
chain(const struct ru_mem *m, int generations, const int *up, const int *down)
{
	pid_t top = getppid();
	int g;

	/* So that the death of @top is the end of a file */
	close(up[0]);
	close(down[1]);
	for (g = 1; ; g++) {
		pid_t pid;

		/* An anon_vma is taken over from the dead, so let the parent die */
		while (getppid() != top)
			sched_yield();
		/* A page of its own, one shared with its parent, one with all */
		ru_fill(ru_at(m, g % 2), m->seed + g, 0, 1);
		if ((g == 10 || g == generations) && stay(g, up, down))
			_exit(2);
		if (g == generations)
			_exit(ru_check(ru_at(m, 2), m->seed, 2, 1) ? 3 : 0);
		pid = fork();
		if (pid < 0)
			_exit(1);
		if (pid)
			_exit(0);
	}
}

/* The youngest lives, all before it are gone: what is in use, and is all well? */
static int look(const struct ru_mem *m, int generation, const int *up,
		int *reaped, struct ru_counts *c, long *links)
{
	void *page = ru_at(m, 2);
	int status, node[2], to;
	struct note note;

	for (; *reaped < generation - 1; ++*reaped)
		if (wait(&status) < 0 || status)
			return ru_fail("after %d generations: status 0x%x",
				       *reaped, status);
	if (read(up[0], &note, sizeof(note)) != sizeof(note) ||
	    note.generation != generation)
		return ru_fail("the chain broke");
	if (ru_count(c))
		return -1;
	*links = ru_rmap_field(note.pid, "links");

	/* The page that all of them have had moves in both that are left. */
	ru_nodes(node);
	if (syscall(SYS_move_pages, 0, 1, &page, NULL, &status, 0) || status < 0)
		return ru_fail("where is the shared page? (%d)", status);
	to = status == node[0] ? node[1] : node[0];
	if (syscall(SYS_move_pages, 0, 1, &page, &to, &status, 1 << 2) ||
	    status != to)
		return ru_fail("generation %d: the shared page does not move (%d)",
			       note.generation, status);
	if (!pfn_of(getpid(), page) ||
	    pfn_of(getpid(), page) != pfn_of(note.pid, page))
		return ru_fail("generation %d maps another page",
			       note.generation);
	return ru_check(page, m->seed, 2, 1);
}

/*
 * 0 - 1 - ... - 10,000, of which only the first and the last live: the last uses
 * no more than the 10th did.
 */
TEST_F_TIMEOUT(scale, chain, 3600)
{
	int generations = figure(10000, 10000, 300), reaped = 0, status;
	struct ru_counts before, first, last;
	struct ru_mem *m = &self->m;
	int up[2], down[2];
	long links[2];
	pid_t pid;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 3));
	ASSERT_EQ(0, pipe(up));
	ASSERT_EQ(0, pipe(down));
	RU_OK(ru_exit(ru_fork(0)));
	RU_OK(ru_count(&before));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		chain(m, generations, up, down);
	RU_OK(look(m, 10, up, &reaped, &first, &links[0]));
	ASSERT_EQ(1, write(down[1], "", 1));
	RU_OK(look(m, generations, up, &reaped, &last,
		   &links[1]));
	TH_LOG("generation 10: %ld + %ld + %ld objects, %ld links",
	       first.nr[0], first.nr[1], first.nr[2], links[0]);
	TH_LOG("generation %d: %ld + %ld + %ld objects, %ld links", generations,
	       last.nr[0], last.nr[1], last.nr[2], links[1]);
	ASSERT_LE(links[1], links[0]);
	RU_OK(ru_count_back(&first));
	ASSERT_EQ(1, write(down[1], "", 1));
	ASSERT_LT(0, wait(&status));
	ASSERT_EQ(0, status);
	RU_OK(ru_count_back(&before));
	RU_OK(ru_migrate(m, 2, 1, RU_VIEWS({0, ru_at(m, 2)})));
}

/* Pages that this process has for itself go to swap, and come back. */
static int page_out(const struct ru_mem *m, size_t first, size_t nr)
{
	char *addr = ru_at(m, first);
	size_t i;

	if (ru_madvise_in(0, addr, nr * ru_page, MADV_PAGEOUT))
		return -1;
	for (i = 0; i < nr; i++)
		if (!(ru_pagemap(0, addr + i * ru_page) & RU_PM_SWAP))
			return ru_fail("page %zu is not in swap", first + i);
	return ru_check(addr, m->seed, first, nr);
}

static struct ru_view views[1024];

/* All of the children: touch, migrate, reclaim, and end in two parts */
static int children(struct ru_mem *m, int nr)
{
	int i, n = 0;

	views[0] = (struct ru_view){ 0, m->addr };
	for (i = 1; i <= nr; i++) {
		int child = ru_fork(0);

		if (child < 0 || ru_fill_in(child, ru_at(m, 4), m->seed, 4, 1))
			return -1;
		views[i] = (struct ru_view){ child, m->addr };
	}
	if (ru_migrate(m, 0, 4, views, nr + 1))
		return -1;
	/* The last child's own, which has 1,000 relatives */
	if (ru_migrate(m, 4, 1, RU_VIEWS({views[nr].proc, ru_at(m, 4)})))
		return -1;
	if (page_out(m, 4, 1) || ru_migrate(m, 4, 1, RU_VIEWS({0, ru_at(m, 4)})))
		return -1;
	for (i = 1; i <= nr; i++)
		if (ru_munmap_in(views[i].proc, ru_at(m, 0), 2 * ru_page))
			return -1;
	for (i = 1, n = 1; i <= nr; i++) {
		if (!(i % 2) && ru_exit(views[i].proc))
			return -1;
		if (i % 2)
			views[n++] = (struct ru_view){ views[i].proc,
						       ru_at(m, 2) };
	}
	views[0].addr = ru_at(m, 2);
	if (ru_migrate(m, 2, 2, views, n))
		return -1;
	for (i = n - 1; i > 0; i--)
		if (ru_exit(views[i].proc))
			return -1;
	return ru_migrate(m, 0, 5, RU_VIEWS({0, m->addr}));
}

/* One parent, 1,000 children */
TEST_F_TIMEOUT(scale, wide, 1800)
{
	struct ru_mem *m = &self->m;
	struct ru_counts before;

	RU_NEED(ru_numa_ready());
	RU_NEED(ru_swap_ready());
	RU_OK(ru_make(m, RU_ANON, 5));
	/* Once in small: whatever this process faults first, it has then. */
	RU_OK(children(m, 2));
	RU_OK(ru_count(&before));
	RU_OK(children(m, figure(1000, 1000, 60)));
	RU_OK(ru_count_back(&before));
}

static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) || usleep(50000) ? -1 : 0;
}

/* The counts themselves: a dead child is not found on an idle processor */
TEST_F(scale, counts)
{
	struct ru_counts before, after;
	int round, status = -1;
	pid_t pid;

	for (round = 0; round < 5; round++) {
		if (run_on(1))
			SKIP(return, "needs a second processor");
		ASSERT_EQ(0, run_on(0));
		RU_OK(ru_count(&before));
		pid = fork();
		if (!pid)
			_exit(run_on(1) ? 1 : 0);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(0, status);
		/* At once, before another program happens to run there */
		RU_OK(ru_count(&after));
		if (after.who == before.who)
			ASSERT_GE(before.nr[RU_MM], after.nr[RU_MM]);
	}
}

FIXTURE(vmas) { struct ru_mem m; };
FIXTURE_VARIANT(vmas) { bool displaced; };
FIXTURE_VARIANT_ADD(vmas, natural) { .displaced = false };
FIXTURE_VARIANT_ADD(vmas, displaced) { .displaced = true };
FIXTURE_SETUP(vmas)
{
	struct ru_counts c;

	RU_START();
	RU_NEED(ru_count(&c));
}
FIXTURE_TEARDOWN(vmas)
{
	ru_stop();
	ru_swap_stop();
}

/* VMAs that lie in the range */
static long nr_vmas(const char *addr, size_t len)
{
	unsigned long from, to;
	char line[512];
	long count = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 &&
		    from >= (unsigned long)addr &&
		    to <= (unsigned long)addr + len)
			count++;
	if (f)
		fclose(f);
	return count;
}

/* One page each: every other one differs in a flag, the odd ones faulted before */
static int split_up(struct ru_mem *m)
{
	size_t i;

	for (i = 1; i < m->nr; i += 2)
		ru_fill(ru_at(m, i), m->seed, i, 1);
	for (i = 1; i < m->nr; i += 2)
		if (madvise(ru_at(m, i), ru_page, MADV_DONTDUMP))
			return ru_fail("page %zu: %s", i, strerror(errno));
	for (i = 0; i < m->nr; i += 2)
		ru_fill(ru_at(m, i), m->seed, i, 1);
	return 0;
}

/* One page each, in reverse order, so that no two are neighbours as before */
static int turn_round(struct ru_mem *m)
{
	char *to = (char *)ru_reserve(m->len, ru_page);
	size_t i;

	if (!to)
		return ru_fail("no address space");
	ru_fill(m->addr, m->seed, 0, m->nr);
	for (i = 0; i < m->nr; i++) {
		char *dst = to + i * ru_page;

		if (mremap(ru_at(m, m->nr - 1 - i), ru_page, ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, dst) != dst)
			return ru_fail("page %zu: %s", i, strerror(errno));
		if (ru_check(dst, m->seed, m->nr - 1 - i, 1))
			return -1;
		ru_fill(dst, m->seed, i, 1);
	}
	m->addr = to;
	return 0;
}

static int many(struct ru_mem *m, size_t nr, bool displaced)
{
	size_t part = nr / 3, at[3] = { 0, nr / 2 - 8, nr - 16 }, i;
	long base = ru_rmap_field(getpid(), "displaced"), count;
	char *a;
	int child;

	if (ru_map(m, RU_ANON, nr) || (displaced ? turn_round(m) : split_up(m)))
		return -1;
	count = nr_vmas(m->addr, m->len);
	if (count != (long)nr)
		return ru_fail("%ld VMAs, not %zu", count, nr);
	count = ru_rmap_field(getpid(), "displaced");
	if (ru_lazy() && count != base + (displaced ? (long)nr : 0))
		return ru_fail("%ld displaced VMAs, %ld before", count, base);

	child = ru_fork(0);
	if (child < 0 || ru_check_in(child, m->addr, m->seed, 0, nr))
		return -1;
	for (i = 0; i < 3; i++) {
		a = ru_at(m, at[i]);
		if (ru_migrate(m, at[i], 16, RU_VIEWS({0, a}, {child, a})) ||
		    ru_migrate(m, at[i], 16, RU_VIEWS({child, a}, {0, a})))
			return -1;
		/* Then each has its own; the parent's go to swap. */
		if (ru_fill_in(child, a, m->seed, at[i], 16) ||
		    page_out(m, at[i], 16) ||
		    ru_mapped(m, at[i], 16, RU_VIEWS({child, a})))
			return -1;
	}
	/* A third out of the middle of the child */
	a = ru_at(m, part);
	if (ru_munmap_in(child, a, part * ru_page) ||
	    ru_migrate(m, part, 16, RU_VIEWS({0, a})))
		return -1;
	a = ru_at(m, part - 4);
	if (ru_migrate(m, part - 4, 4, RU_VIEWS({0, a}, {child, a})))
		return -1;
	/* The rest out of the parent: the last third is the child's alone. */
	if (ru_munmap_in(0, ru_at(m, part), 2 * part * ru_page))
		return -1;
	a = ru_at(m, 2 * part);
	if (ru_migrate(m, 2 * part, 16, RU_VIEWS({child, a})) ||
	    ru_exit(child))
		return -1;
	if (ru_check(m->addr, m->seed, 0, part))
		return -1;
	return ru_munmap_in(0, m->addr, m->len);
}

/* One process, 60,000 VMAs */
TEST_F_TIMEOUT(vmas, many, 1800)
{
	struct ru_mem *m = &self->m;
	struct ru_counts before;
	long max, nr = figure(60000, 3000, 600);

	RU_NEED(ru_numa_ready());
	RU_NEED(ru_swap_ready());
	RU_OK(ru_read_long("/proc/sys/vm/max_map_count", &max));
	if (max < nr + 1000)
		SKIP(return, "vm.max_map_count is %ld", max);
	RU_OK(many(m, 60, variant->displaced));
	RU_OK(ru_count(&before));
	RU_OK(many(m, nr, variant->displaced));
	RU_OK(ru_count_back(&before));
}

RU_AUDIT

TEST_HARNESS_MAIN
