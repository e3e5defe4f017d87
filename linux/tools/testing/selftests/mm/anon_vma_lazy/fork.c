// SPDX-License-Identifier: GPL-2.0-only
/*
 * fork in all its forms: trees, deep and wide, copies that are left out or
 * wiped, faults at the same time, endless chains.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

RU_KIND_FIXTURE(tree);
RU_ALL_KINDS(tree);

/*
 * 0 - 1 - 2        everybody shares; then each writes a page of its own
 *   \ 3
 */
TEST_F(tree, share_and_write)
{
	struct ru_mem *m = &self->m;
	int i, j, p[4] = { };
	size_t u;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 5));
	u = m->unit_nr;
	p[1] = ru_fork(0);
	ASSERT_LT(0, p[1]) TH_LOG("%s", ru_error());
	p[2] = ru_fork(p[1]);
	ASSERT_LT(0, p[2]) TH_LOG("%s", ru_error());
	p[3] = ru_fork(0);
	ASSERT_LT(0, p[3]) TH_LOG("%s", ru_error());
	for (i = 0; i < 4; i++)
		RU_OK(ru_migrate(m, 0, m->nr,
				 RU_VIEWS({p[i], m->addr},
					  {p[(i + 1) % 4], m->addr},
					  {p[(i + 2) % 4], m->addr},
					  {p[(i + 3) % 4], m->addr})));
	for (i = 0; i < 4; i++)
		RU_OK(ru_fill_in(p[i], ru_at(m, i * u), m->seed, i * u, u));
	/* Page i: alone in process i, shared by the other three */
	for (i = 0; i < 4; i++) {
		char *at = ru_at(m, i * u);
		struct ru_view rest[3];
		int n = 0;

		for (j = 0; j < 4; j++)
			if (j != i)
				rest[n++] = (struct ru_view){ p[j], at };
		RU_OK(ru_migrate(m, i * u, u, RU_VIEWS({p[i], at})));
		RU_OK(ru_migrate(m, i * u, u, rest, 3));
	}
	RU_OK(ru_migrate(m, 4 * u, u,
			 RU_VIEWS({p[2], ru_at(m, 4 * u)}, {p[3], ru_at(m, 4 * u)},
				  {p[0], ru_at(m, 4 * u)}, {p[1], ru_at(m, 4 * u)})));
	RU_OK(ru_exit(p[2]));
	RU_OK(ru_exit(p[1]));
	RU_OK(ru_exit(p[3]));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

/*
 * Every generation writes one page, for 8 generations: page g is shared by
 * generation g and all below it, or owned by an ancestor's older copy.
 */
TEST_F(tree, depth8)
{
	struct ru_mem *m = &self->m;
	int g, i, p[9] = { };
	size_t u;

	RU_NEED(ru_numa_ready());
	if (variant->kind == RU_HUGETLB || variant->kind == RU_THP)
		SKIP(return, "takes too much memory");
	RU_OK(ru_map(m, variant->kind, 9));
	u = m->unit_nr;
	ru_fill(m->addr, m->seed, 0, u);
	for (g = 1; g < 9; g++) {
		p[g] = ru_fork(p[g - 1]);
		ASSERT_LT(0, p[g]) TH_LOG("%s", ru_error());
		RU_OK(ru_fill_in(p[g], ru_at(m, g * u), m->seed, g * u, u));
	}
	for (g = 0; g < 9; g++) {
		struct ru_view views[9];

		/* From the youngest to the oldest that has it */
		for (i = 8; i >= g; i--)
			views[8 - i] = (struct ru_view){ p[i], ru_at(m, g * u) };
		RU_OK(ru_migrate(m, g * u, u, views, 9 - g));
	}
	for (g = 4; g < 9; g += 2)
		RU_OK(ru_fill_in(p[g], m->addr, m->seed, 0, u));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr}, {p[1], m->addr},
					   {p[2], m->addr}, {p[3], m->addr},
					   {p[5], m->addr}, {p[7], m->addr})));
	for (g = 8; g > 0; g--)
		RU_OK(ru_exit(p[g]));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr})));
}

/* VM_DONTCOPY: the child has a hole there, and fills it with its own. */
TEST_F(tree, dontfork)
{
	struct ru_mem *m = &self->m, n;
	size_t u;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 3));
	u = m->unit_nr;
	RU_OK(ru_madvise_in(0, ru_at(m, u), m->unit, MADV_DONTFORK));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({0, ru_at(m, u)})));
	RU_OK(ru_migrate(m, 2 * u, u, RU_VIEWS({child, ru_at(m, 2 * u)},
					       {0, ru_at(m, 2 * u)})));
	/* The child's neighbour moves into the hole */
	RU_OK(ru_mremap_in(child, m->addr, m->unit, m->unit,
			   MREMAP_MAYMOVE | MREMAP_FIXED, ru_at(m, u)));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr}, {child, ru_at(m, u)})));
	n = *m;
	RU_OK(ru_migrate(&n, u, u, RU_VIEWS({0, ru_at(m, u)})));
	RU_OK(ru_check_in(child, ru_at(m, u), m->seed, 0, u));
	RU_OK(ru_exit(child));
}

/* VM_WIPEONFORK, of a VMA that was moved as well: the child starts with zeros. */
TEST_F(tree, wipeonfork)
{
	struct ru_mem *m = &self->m;
	int child, grandchild, moved;

	RU_NEED(ru_numa_ready());
	if (variant->kind != RU_ANON && variant->kind != RU_THP &&
	    variant->kind != RU_MTHP)
		SKIP(return, "MADV_WIPEONFORK is for anonymous mappings");
	for (moved = 0; moved < 2; moved++) {
		char *at;

		RU_OK(ru_make(m, variant->kind, 2));
		at = m->addr;
		if (moved) {
			at = (char *)ru_reserve(m->len + m->unit, m->unit) + ru_page;
			RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
					   MREMAP_MAYMOVE | MREMAP_FIXED, at));
		}
		RU_OK(ru_madvise_in(0, at, m->len, MADV_WIPEONFORK));
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(ru_check_zero_in(child, at, m->nr));
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, at})));
		RU_OK(ru_fill_in(child, at, m->seed, 0, m->nr));
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, at})));
		RU_OK(ru_madvise_in(child, at, m->len, MADV_KEEPONFORK));
		grandchild = ru_fork(child);
		ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, at},
						       {grandchild, at})));
		RU_OK(ru_exit(grandchild));
		RU_OK(ru_exit(child));
		RU_OK(ru_munmap_in(0, at, m->len));
	}
}

FIXTURE(fork) { struct ru_mem m; };
FIXTURE_SETUP(fork) { RU_START(); }
FIXTURE_TEARDOWN(fork) { ru_stop(); }

/* The child of vfork runs in our memory; it touches a new page and goes. */
TEST_F(fork, vfork)
{
	struct ru_mem *m = &self->m;
	int child;
	pid_t pid;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, RU_ANON, 4));
	ru_fill(m->addr, m->seed, 0, 2);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	pid = vfork();
	if (!pid) {
		ru_fill(ru_at(m, 2), m->seed, 2, 2);
		_exit(7);
	}
	RU_OK(ru_wait_status(pid, 7));
	pid = vfork();
	if (!pid) {
		execl("/proc/self/exe", "fork", "--nothing", NULL);
		_exit(8);
	}
	RU_OK(ru_wait_status(pid, 0));
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_migrate(m, 2, 2, RU_VIEWS({0, ru_at(m, 2)})));
	RU_OK(ru_exit(child));
}

/* One page, mapped by all of many children; then half of them */
TEST_F(fork, wide)
{
	static struct ru_view views[512];
	struct ru_mem *m = &self->m;
	int i, n = 0, nr = ru_full() ? 500 : 60;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 2));
	views[0] = (struct ru_view){ 0, m->addr };
	for (i = 1; i <= nr; i++) {
		views[i] = (struct ru_view){ ru_fork(0), m->addr };
		ASSERT_LT(0, views[i].proc) TH_LOG("%s", ru_error());
	}
	RU_OK(ru_migrate(m, 0, 2, views, nr + 1));
	for (i = 0; i <= nr; i++) {
		if (i % 3 == 2)
			RU_OK(ru_exit(views[i].proc));
		else
			views[n++] = views[i];
	}
	RU_OK(ru_migrate(m, 0, 2, views, n));
	/* The page of the last one alone, after a write */
	RU_OK(ru_fill_in(views[n - 1].proc, m->addr, m->seed, 0, 2));
	RU_OK(ru_migrate(m, 0, 2, &views[n - 1], 1));
	RU_OK(ru_migrate(m, 0, 2, views, n - 1));
}

struct writer {
	pthread_t thread;
	const struct ru_mem *m;
	unsigned int seed;
	int *stop;
	size_t from;
};

/* Pages of one thread: filled, thrown away, filled again, for ever */
static void *write_on(void *arg)
{
	struct writer *w = arg;
	unsigned int round = 0;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		char *at = ru_at(w->m, w->from + round % 8);

		if (round++ % 3 == 2)
			madvise(at, ru_page, MADV_DONTNEED);
		else
			ru_fill(at, w->seed, w->from, 1);
	}
	return NULL;
}

/* Threads fault while their process forks; the children see whole pages. */
TEST_F(fork, while_threads_fault)
{
	struct ru_mem *m = &self->m;
	struct writer w[2];
	int stop = 0, i, child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, RU_ANON, 32));
	ru_fill(ru_at(m, 16), m->seed, 16, 16);
	for (i = 0; i < 2; i++) {
		w[i] = (struct writer){ .m = m, .seed = m->seed, .stop = &stop,
					.from = i * 8 };
		ASSERT_EQ(0, pthread_create(&w[i].thread, NULL, write_on, &w[i]));
	}
	for (i = 0; ru_race(i); i++) {
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(ru_migrate(m, 16, 16, RU_VIEWS({0, ru_at(m, 16)},
						     {child, ru_at(m, 16)})));
		RU_OK(ru_fill_in(child, m->addr, m->seed, 0, 16));
		RU_OK(ru_migrate(m, 0, 16, RU_VIEWS({child, m->addr})));
		RU_OK(i & 1 ? ru_exit(child) : ru_kill(child));
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_join(w[i].thread, NULL));
	ru_fill(m->addr, m->seed, 0, 16);
	RU_OK(ru_migrate(m, 0, 32, RU_VIEWS({0, m->addr})));
}

/*
 * Pages migrate while their process forks: the copy gets each entry right.
 * Mappings that are left out make holes in the child's tree while walks look.
 */
TEST_F(fork, while_migrating)
{
	struct ru_mem *m = &self->m;
	int i, mover, child;

	RU_NEED(ru_numa_ready());
	for (i = 0; i < 32; i++) {
		char *p = mmap(NULL, 3 * ru_page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ASSERT_NE(MAP_FAILED, p);
		ASSERT_EQ(0, madvise(p + ru_page, ru_page, MADV_DONTFORK));
		p[0] = p[ru_page] = p[2 * ru_page] = 1;
	}
	RU_OK(ru_make(m, RU_ANON, 64));
	/* A VMA for each page: one lookup serves no other page */
	for (i = 0; i < 64; i += 2)
		ASSERT_EQ(0, mprotect(m->addr + i * ru_page, ru_page, PROT_READ));
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr, m->nr,
			    getpid(), ru_page));
	for (i = 0; ru_race(i); i++) {
		int grandchild;

		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		grandchild = ru_fork(child);
		ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
		RU_OK(ru_check_in(grandchild, m->addr, m->seed, 0, m->nr));
		RU_OK(ru_exit(grandchild));
		RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
		RU_OK(i & 1 ? ru_exit(child) : ru_kill(child));
	}
	RU_OK(ru_kill(mover));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

static const char *const slabs[] = {
	"anon_vma", "anon_vma_chain", "anon_vma_mm_link",
};

/* Objects in the slabs of anonymous rmap together, or -1 */
static long slab_objects(void)
{
	char line[512], path[128];
	long sum = 0;
	size_t i;
	FILE *f;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", slabs[i]);
		ru_write_str(path, "1");
	}
	f = fopen("/proc/slabinfo", "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		char name[64];
		long active;

		if (sscanf(line, "%63s %ld", name, &active) != 2)
			continue;
		for (i = 0; i < 3; i++)
			if (!strcmp(name, slabs[i]))
				sum += active;
	}
	fclose(f);
	return sum;
}

/*
 * A chain of processes: each forks one and ends.  Neither the memory used nor
 * the way to the first ancestor's page grows with the generations.
 */
TEST_F_TIMEOUT(fork, chain, 1200)
{
	struct ru_mem *m = &self->m;
	int pipes[2], generations = ru_full() ? 10000 : 1000, g, status;
	struct { int generation; long objects; } note, first = { }, last = { };
	pid_t pid;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 2));
	if (slab_objects() < 0)
		SKIP(return, "no /proc/slabinfo");
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (g = 1; g <= generations; g++) {
			pid = fork();
			if (pid < 0)
				_exit(1);
			if (pid)
				_exit(0);
			/* Every generation maps and writes a page of its own */
			*(volatile int *)m->addr = g;
			if (g == 10 || g == generations) {
				/* The ancestors' ends pass RCU */
				usleep(300000);
				note.generation = g;
				note.objects = slab_objects();
				if (ru_check(ru_at(m, 1), m->seed, 1, 1) ||
				    write(pipes[1], &note, sizeof(note)) !=
				    sizeof(note))
					_exit(2);
			}
		}
		_exit(0);
	}
	/* All of them end up with us, the subreaper. */
	for (g = 0; g <= generations; g++) {
		ASSERT_LT(0, waitpid(-1, &status, 0));
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(0, WEXITSTATUS(status));
	}
	ASSERT_EQ(sizeof(first), read(pipes[0], &first, sizeof(first)));
	ASSERT_EQ(sizeof(last), read(pipes[0], &last, sizeof(last)));
	TH_LOG("rmap objects: %ld after generation %d, %ld after generation %d",
	       first.objects, first.generation, last.objects, last.generation);
	/* Slabs are counted whole while a CPU owns them. */
	ASSERT_GE(first.objects + 300, last.objects);
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({0, m->addr})));
}

/* The last of a chain still shares a page with the first. */
TEST_F(fork, chain_shares)
{
	struct ru_mem *m = &self->m;
	int i, p = 0, next;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 3));
	for (i = 0; i < 12; i++) {
		next = ru_fork(p);
		ASSERT_LT(0, next) TH_LOG("%s", ru_error());
		RU_OK(ru_fill_in(next, ru_at(m, 2), m->seed, 2, 1));
		if (p)
			RU_OK(ru_exit(p));
		p = next;
		RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({0, m->addr}, {p, m->addr})));
		RU_OK(ru_migrate(m, 2, 1, RU_VIEWS({p, ru_at(m, 2)})));
		RU_OK(ru_migrate(m, 2, 1, RU_VIEWS({0, ru_at(m, 2)})));
	}
	RU_OK(ru_exit(p));
}

RU_AUDIT

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	return test_harness_run(argc, argv);
}
