// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reverse walks. What is walked for is always 64 pages, and the value is the cost
 * of one. Where they are:
 *
 *   exclusive	a process without relatives, one VMA
 *   spread	the same, each page in a VMA of its own
 *   shared	mapped by SIZE children as well
 *   own-before	the parent's own, in a VMA from before the forks of SIZE children
 *		who live and have other pages there
 *   own-unused	the same, but the VMA was not used before the forks
 *   own-after	the parent's own, in a VMA mapped after the forks
 *   shared-late	in a VMA mapped after the forks of SIZE children who live, and
 *		mapped by one more child, forked later
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define NR 64
#define MPOL_MF_MOVE_ALL 4

enum where { EXCLUSIVE, SPREAD, SHARED, OWN_BEFORE, OWN_UNUSED, OWN_AFTER, SHARED_LATE };

static bool maps_after(enum where where) { return where == OWN_AFTER || where == SHARED_LATE; }

struct pages {
	enum where where;
	int nr;
	char *page[NR];
	uint64_t tag[NR];
	struct brood brood, late;
};

static void refill(struct pages *p, uint64_t tag)
{
	for (int i = 0; i < p->nr; i++) {
		p->tag[i] = tag + i;
		fill(p->page[i], p->tag[i]);
	}
}

static void check(struct pages *p)
{
	for (int i = 0; i < p->nr; i++)
		need(filled(p->page[i], p->tag[i]), "page %d of %d lost its content", i, p->nr);
}

/* Pages that are meant to be shared are, by all. */
static void check_shared(struct pages *p)
{
	uint64_t nr = 1 + p->brood.nr * (p->where == SHARED) + p->late.nr;

	if (p->where != SHARED && p->where != SHARED_LATE)
		return;
	for (int i = 0; i < p->nr; i += p->nr - 1)
		need(kpagecount(pfn_of(p->page[i])) == nr, "page %d is mapped by %llu, not %llu",
		     i, (unsigned long long)kpagecount(pfn_of(p->page[i])),
		     (unsigned long long)nr);
}

static void lay_out(struct pages *p, char *base, size_t step)
{
	p->nr = NR;
	for (int i = 0; i < NR; i++)
		p->page[i] = base + i * step;
}

static void set_up(struct pages *p, enum where where, long children)
{
	uint64_t old[NR];

	memset(p, 0, sizeof(*p));
	p->where = where;
	if (where == EXCLUSIVE || where == SPREAD)
		children = 0;
	if (where == SPREAD)
		lay_out(p, map_vmas(NR), 2 * PAGE);
	else if (!maps_after(where))
		lay_out(p, map_at(room(NR * PAGE), NR * PAGE), PAGE);

	if (!maps_after(where) && where != OWN_UNUSED)
		refill(p, 0x1000);
	memcpy(old, p->tag, sizeof(old));
	spawn(&p->brood, children, p->page, old,
	      where == SHARED || where == OWN_BEFORE ? NR : 0);
	if (maps_after(where))
		lay_out(p, map_at(room(NR * PAGE), NR * PAGE), PAGE);
	if (where >= OWN_BEFORE)
		refill(p, 0x2000);
	if (where == SHARED_LATE)
		spawn(&p->late, 1, p->page, p->tag, NR);
	check_shared(p);
}

static void tear_down(struct pages *p)
{
	check(p);
	/* The late one first: it holds the end of the pipe that the others wait at. */
	if (p->late.nr)
		reap(&p->late);
	reap(&p->brood);
}

/* ---- migration ---- */

static int node_of(char *page)
{
	void *addr = page;
	int status = -1;

	need(!syscall(SYS_move_pages, 0, 1UL, &addr, NULL, &status, 0) && status >= 0,
	     "where page %p is cannot be told: %s", page, strerror(status < 0 ? -status : errno));
	return status;
}

/* Of all pages to one node; @timed by @r, if there is one */
static void move_all(struct run *r, struct pages *p, int node)
{
	int to[NR], status[NR];
	void *addr[NR];
	long left;

	for (int i = 0; i < p->nr; i++) {
		addr[i] = p->page[i];
		to[i] = node;
		status[i] = -1;
	}
	if (r)
		begin(r);
	left = syscall(SYS_move_pages, 0, (unsigned long)p->nr, addr, to, status,
		       MPOL_MF_MOVE_ALL);
	if (r)
		end(r, p->nr);
	need(!left, "move_pages to node %d: %ld (%s)", node, left, strerror(errno));
	for (int i = 0; i < p->nr; i++)
		need(node_of(p->page[i]) == node, "page %d is on node %d, not %d", i,
		     node_of(p->page[i]), node);
}

static void move_loop(struct run *r, struct pages *p)
{
	int node;

	need(!access("/sys/devices/system/node/node1", F_OK), "the guest has one node");
	/* All on one node, on the LRU, and entries without accessed bits */
	move_all(NULL, p, 1);
	move_all(NULL, p, 0);
	for (node = 1; more(r); node = !node) {
		move_all(r, p, node);
		check(p);
		check_shared(p);
	}
}

static void walk_move(struct run *r, enum where where)
{
	struct pages p;

	set_up(&p, where, r->size);
	move_loop(r, &p);
	tear_down(&p);
}

static void move_exclusive(struct run *r) { walk_move(r, EXCLUSIVE); }
static void move_spread(struct run *r) { walk_move(r, SPREAD); }
static void move_shared(struct run *r) { walk_move(r, SHARED); }
static void move_own_before(struct run *r) { walk_move(r, OWN_BEFORE); }
static void move_own_unused(struct run *r) { walk_move(r, OWN_UNUSED); }
static void move_own_after(struct run *r) { walk_move(r, OWN_AFTER); }
static void move_shared_late(struct run *r) { walk_move(r, SHARED_LATE); }

/* A process with SIZE VMAs, all used; the pages are spread over them. */
static void set_up_many(struct pages *p, long vmas)
{
	char *base = map_vmas(vmas);

	memset(p, 0, sizeof(*p));
	for (long i = 0; i < vmas; i++)
		fill(vma_at(base, i), i);
	p->nr = vmas < NR ? vmas : NR;
	for (int i = 0; i < p->nr; i++) {
		long v = vmas * i / p->nr;

		p->page[i] = vma_at(base, v);
		p->tag[i] = v;
	}
}

static void move_many_vmas(struct run *r)
{
	struct pages p;

	set_up_many(&p, r->size);
	move_loop(r, &p);
}

/*
 * SIZE VMAs of LEN pages, all placed by mremap after they were used, as when a
 * process is restored from a checkpoint.
 */
static char *displaced(long nr, long len)
{
	size_t step = (len + 1) * PAGE;
	char *from = room(nr * step), *to;

	for (long i = 0; i < nr; i++) {
		map_at(from + i * step, len * PAGE);
		for (long j = 0; j < len; j++)
			fill(from + i * step + j * PAGE, i * len + j);
	}
	to = room(nr * step);
	for (long i = 0; i < nr; i++) {
		char *p = mremap(from + i * step, len * PAGE, len * PAGE,
				 MREMAP_MAYMOVE | MREMAP_FIXED, to + i * step);

		need(p == to + i * step, "mremap: %s", strerror(errno));
	}
	return to;
}

static void move_displaced(struct run *r)
{
	struct pages p = { .nr = NR < r->size ? NR : r->size };
	char *base = displaced(r->size, 1);

	for (int i = 0; i < p.nr; i++) {
		p.tag[i] = r->size * i / p.nr;
		p.page[i] = base + p.tag[i] * 2 * PAGE;
	}
	move_loop(r, &p);
}

/* The same, and all pages in one of the VMAs */
static void move_placed(struct run *r)
{
	struct pages p = { .nr = NR };
	char *base = displaced(r->size, NR);

	for (int i = 0; i < NR; i++) {
		p.tag[i] = r->size / 2 * NR + i;
		p.page[i] = base + r->size / 2 * (NR + 1) * PAGE + i * PAGE;
	}
	move_loop(r, &p);
}

/* A page in a VMA that never moved, in a process with SIZE displaced VMAs */
static void move_beside(struct run *r)
{
	struct pages p;

	displaced(r->size, 1);
	set_up(&p, EXCLUSIVE, 0);
	move_loop(r, &p);
	tear_down(&p);
}

/* ---- page_idle ---- */

static void settle(struct pages *p)
{
	/* Migrated pages are on the LRU, which is what page_idle looks for. */
	move_all(NULL, p, 1);
	move_all(NULL, p, 0);
}

/* A translation that the processor remembers sets no accessed bit: drop it. */
static void touch_all(struct pages *p)
{
	for (int i = 0; i < p->nr; i++) {
		need(!mprotect(p->page[i], PAGE, PROT_NONE) &&
		     !mprotect(p->page[i], PAGE, PROT_READ | PROT_WRITE),
		     "mprotect: %s", strerror(errno));
	}
	check(p);
}

/*
 * Which pages are idle. To read a word of the bitmap walks for each of its 64
 * pages that is idle, so each word is read once.
 */
static void check_idle(int fd, struct pages *p, const uint64_t *pfn, bool idle)
{
	uint64_t word = 0, at = UINT64_MAX;

	for (int i = 0; i < p->nr; i++) {
		if (pfn[i] / 64 != at)
			need(pread(fd, &word, 8, pfn[i] / 64 * 8) == 8, "page_idle: %s", strerror(errno));
		at = pfn[i] / 64;
		need((word >> (pfn[i] & 63) & 1) == idle, idle ? "page %d is not idle" :
		     "page %d was used and is idle", i);
	}
}

static void idle_loop(struct run *r, struct pages *p)
{
	uint64_t pfn[NR], word;
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);

	need(fd >= 0, "page_idle: %s", strerror(errno));
	settle(p);
	for (int i = 0; i < p->nr; i++)
		pfn[i] = pfn_of(p->page[i]);
	while (more(r)) {
		touch_all(p);
		begin(r);
		for (int i = 0; i < p->nr; i++) {
			word = 1ULL << (pfn[i] & 63);
			if (pwrite(fd, &word, 8, pfn[i] / 64 * 8) != 8)
				die("page_idle: %s", strerror(errno));
		}
		end(r, p->nr);
		check_idle(fd, p, pfn, true);
		touch_all(p);
		check_idle(fd, p, pfn, false);
		check_shared(p);
	}
}

static void walk_idle(struct run *r, enum where where)
{
	struct pages p;

	set_up(&p, where, r->size);
	idle_loop(r, &p);
	tear_down(&p);
}

static void idle_many_vmas(struct run *r)
{
	struct pages p;

	set_up_many(&p, r->size);
	idle_loop(r, &p);
}

static void idle_exclusive(struct run *r) { walk_idle(r, EXCLUSIVE); }
static void idle_spread(struct run *r) { walk_idle(r, SPREAD); }
static void idle_shared(struct run *r) { walk_idle(r, SHARED); }
static void idle_own_before(struct run *r) { walk_idle(r, OWN_BEFORE); }
static void idle_own_after(struct run *r) { walk_idle(r, OWN_AFTER); }
static void idle_shared_late(struct run *r) { walk_idle(r, SHARED_LATE); }

/* ---- unmapping: MADV_PAGEOUT to zram, and back ---- */

void swap_on(void)
{
	uint64_t header[PAGE / 8] = { };
	uint32_t *info = (uint32_t *)((char *)header + 1024);
	char buf[256] = "";
	int fd = open("/proc/swaps", O_RDONLY);

	need(fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0, "/proc/swaps: %s", strerror(errno));
	close(fd);
	if (strstr(buf, "/dev/"))
		return;
	write_file("/sys/block/zram0/disksize", "256M");
	info[0] = 1;
	info[1] = (256UL << 20) / PAGE - 1;
	memcpy((char *)header + PAGE - 10, "SWAPSPACE2", 10);
	fd = open("/dev/zram0", O_WRONLY | O_SYNC);
	need(fd >= 0 && write(fd, header, PAGE) == PAGE, "zram0: %s", strerror(errno));
	close(fd);
	need(!swapon("/dev/zram0", 0), "swapon: %s", strerror(errno));
	write_file("/proc/sys/vm/page-cluster", "0");
}

/* All words alike, so that zram keeps a word and not a compressed page */
static void refill_same(struct pages *p, uint64_t tag)
{
	for (int i = 0; i < p->nr; i++) {
		uint64_t *w = (uint64_t *)p->page[i];

		p->tag[i] = tag + i;
		for (unsigned int j = 0; j < PAGE / 8; j++)
			w[j] = p->tag[i];
	}
}

static void check_same(struct pages *p)
{
	for (int i = 0; i < p->nr; i++) {
		volatile uint64_t *w = (volatile uint64_t *)p->page[i];

		need(w[0] == p->tag[i] && w[PAGE / 8 - 1] == p->tag[i],
		     "page %d of %d lost its content", i, p->nr);
	}
}

static void walk_pageout(struct run *r, enum where where, bool in)
{
	struct pages p;

	swap_on();
	/* What was just faulted waits for the LRU in a list of the CPU; it looks in its own. */
	pin(sched_getcpu());
	set_up(&p, where, r->size);
	while (more(r)) {
		refill_same(&p, r->done);
		if (!in)
			begin(r);
		if (where == SPREAD) {
			for (int i = 0; i < p.nr; i++)
				if (madvise(p.page[i], PAGE, MADV_PAGEOUT))
					die("MADV_PAGEOUT: %s", strerror(errno));
		} else if (madvise(p.page[0], p.nr * PAGE, MADV_PAGEOUT)) {
			die("MADV_PAGEOUT: %s", strerror(errno));
		}
		if (!in)
			end(r, p.nr);
		for (int i = 0; i < p.nr; i++)
			need((pagemap(p.page[i]) & (PM_PRESENT | PM_SWAP)) == PM_SWAP,
			     "page %d of %d is not swapped out", i, p.nr);
		if (in)
			begin(r);
		check_same(&p);
		if (in)
			end(r, p.nr);
	}
	refill(&p, 0x3000);
	tear_down(&p);
}

static void pageout_exclusive(struct run *r) { walk_pageout(r, EXCLUSIVE, false); }
static void pageout_spread(struct run *r) { walk_pageout(r, SPREAD, false); }
static void pageout_own_before(struct run *r) { walk_pageout(r, OWN_BEFORE, false); }
static void pageout_own_after(struct run *r) { walk_pageout(r, OWN_AFTER, false); }
static void swapin_exclusive(struct run *r) { walk_pageout(r, EXCLUSIVE, true); }

/* ---- referenced and unmap: memory.reclaim of a group ---- */

static char cg_dir[64];

static void into_cgroup(void)
{
	char path[96];

	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	snprintf(cg_dir, sizeof(cg_dir), CGROUPS "/bench.%d", getpid());
	need(!mkdir(cg_dir, 0755), "%s: %s", cg_dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/cgroup.procs", cg_dir);
	write_file(path, "%d", getpid());
}

static void forget(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	write_file(path, "1");
}

/*
 * The pages are read as the children see them, which maps them there if they are
 * swapped out. (process_vm_readv() pins, and pinning would unshare them.)
 */
static void children_look(struct pages *p, struct brood *b)
{
	char path[32];
	uint64_t word;

	for (int c = 0; c < b->nr; c++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/mem", b->pid[c]);
		fd = open(path, O_RDONLY);
		for (int i = 0; i < p->nr; i++)
			need(pread(fd, &word, 8, (uintptr_t)p->page[i]) == 8 && word == p->tag[i],
			     "child %d: page %d does not hold what it did", c, i);
		close(fd);
	}
}

/*
 * What is charged to the group is the pages, and a little more of each process.
 * Asked for more than there is, reclaim goes over all of it, looks who referenced
 * each page, and unmaps it in the end.
 */
static void walk_reclaim(struct run *r, enum where where)
{
	uint64_t entry[NR], spent, t;
	char path[96], stat[8192];
	struct pages p;
	int fd, map, st, out;

	swap_on();
	into_cgroup();
	/* Only the pages are to go out, not what the program lives from */
	need(!mlockall(MCL_CURRENT), "mlockall: %s", strerror(errno));
	set_up(&p, where, r->size);
	snprintf(path, sizeof(path), "%s/memory.reclaim", cg_dir);
	fd = open(path, O_WRONLY);
	map = open("/proc/self/pagemap", O_RDONLY);
	snprintf(path, sizeof(path), "%s/memory.stat", cg_dir);
	st = open(path, O_RDONLY);
	need(fd >= 0 && map >= 0 && st >= 0, "%s: %s", path, strerror(errno));
	while (more(r)) {
		check(&p);		/* back in */
		if (where == SHARED)
			children_look(&p, &p.brood);
		if (where == SHARED_LATE)
			children_look(&p, &p.late);
		check_shared(&p);
		/* A page that was referenced gets another round, shared ones without end. */
		forget(getpid());
		for (int c = 0; c < p.brood.nr; c++)
			forget(p.brood.pid[c]);
		if (p.late.nr)
			forget(p.late.pid[0]);
		out = spent = 0;
		for (int round = 0; out < p.nr && round < 20; round++) {
			/* Reclaim goes by figures that are brought up to date by this. */
			need(pread(st, stat, sizeof(stat), 0) > 0, "memory.stat: %s", strerror(errno));
			t = now();
			if (write(fd, "1M swappiness=200", 17) < 0 && errno != EAGAIN)
				die("memory.reclaim: %s", strerror(errno));
			spent += now() - t;
			if (pread(map, entry, sizeof(entry), (uintptr_t)p.page[0] / PAGE * 8) !=
			    sizeof(entry))
				die("pagemap: %s", strerror(errno));
			out = 0;
			for (int i = 0; i < p.nr; i++)
				out += (entry[i] & (PM_PRESENT | PM_SWAP)) == PM_SWAP;
		}
		keep(r, spent / (double)p.nr);
		need(out == p.nr, "%d of %d pages are not swapped out", p.nr - out, p.nr);
	}
	tear_down(&p);
	write_file(CGROUPS "/cgroup.procs", "%d", getpid());
	rmdir(cg_dir);
}

static void reclaim_exclusive(struct run *r) { walk_reclaim(r, EXCLUSIVE); }
static void reclaim_shared(struct run *r) { walk_reclaim(r, SHARED); }
static void reclaim_own_before(struct run *r) { walk_reclaim(r, OWN_BEFORE); }
static void reclaim_own_after(struct run *r) { walk_reclaim(r, OWN_AFTER); }
static void reclaim_shared_late(struct run *r) { walk_reclaim(r, SHARED_LATE); }

/* ---- DAMON ---- */

static void pause_ns(long ns)
{
	struct timespec ts = { ns / 1000000000, ns % 1000000000 };

	nanosleep(&ts, NULL);
}

#define DM "/sys/kernel/mm/damon/admin/kdamonds"
#define CX DM "/0/contexts/0"
#define SAMPLE_US 100000
/* DAMON's own thread takes the lock of these two now and then; they do not wait for it. */
static pid_t damon_pid(void)
{
	int fd = open(DM "/0/pid", O_RDONLY);
	char buf[24] = "";

	for (int i = 0; pread(fd, buf, sizeof(buf) - 1, 0) < 0; i++) {
		need(errno == EBUSY && i < 5000, DM "/0/pid: %s", strerror(errno));
		pause_ns(1000000);
	}
	close(fd);
	return atoi(buf);
}

static void damon_off(void)
{
	int fd = open(DM "/0/state", O_WRONLY);

	for (int i = 0; write(fd, "off", 3) < 0; i++) {
		need(errno == EBUSY && i < 5000, DM "/0/state: %s", strerror(errno));
		pause_ns(1000000);
	}
	close(fd);
}

/* Wait until the thread has run NR times, which it does in long intervals. */
static void damon_rounds(struct pages *p, pid_t pid, int nr)
{
	uint64_t t, last = cpu_time(pid);

	for (int i = 0; nr > 0; i++) {
		need(i < 10000, "kdamond does not run");
		check(p);	/* a read: after a write it would not be shared */
		pause_ns(SAMPLE_US * 500L);
		t = cpu_time(pid);
		nr -= t != last;
		last = t;
	}
}

/*
 * The physical address monitor looks at one page of a region in each sampling
 * interval: it clears the accessed bits, and tests them an interval later.
 */
static void walk_damon(struct run *r, enum where where)
{
	/* With what it takes to wake up, which varies; in small it is waited for */
	int rounds = r->runs > 1 ? 40 : 5;
	struct pages p;
	uint64_t t;
	pid_t pid;

	set_up(&p, where, r->size);
	settle(&p);
	write_file(DM "/nr_kdamonds", "1");
	write_file(DM "/0/contexts/nr_contexts", "1");
	write_file(CX "/operations", "paddr");
	write_file(CX "/monitoring_attrs/intervals/sample_us", "%d", SAMPLE_US);
	write_file(CX "/monitoring_attrs/intervals/aggr_us", "%d", SAMPLE_US * 100);
	write_file(CX "/monitoring_attrs/intervals/update_us", "%d", SAMPLE_US * 10000);
	write_file(CX "/targets/nr_targets", "1");
	write_file(CX "/targets/0/regions/nr_regions", "1");
	write_file(CX "/targets/0/regions/0/start", "%llu",
		   (unsigned long long)pfn_of(p.page[0]) * PAGE);
	write_file(CX "/targets/0/regions/0/end", "%llu",
		   (unsigned long long)(pfn_of(p.page[0]) + 1) * PAGE);
	write_file(DM "/0/state", "on");
	pid = damon_pid();
	need(pid > 0, "no kdamond");
	while (more(r)) {
		damon_rounds(&p, pid, 1);
		t = cpu_time(pid);
		damon_rounds(&p, pid, rounds);
		keep(r, (cpu_time(pid) - t) / (double)rounds);
		check_shared(&p);
	}
	damon_off();
	write_file(DM "/nr_kdamonds", "0");
	tear_down(&p);
}

static void damon_exclusive(struct run *r) { walk_damon(r, EXCLUSIVE); }
static void damon_shared(struct run *r) { walk_damon(r, SHARED); }
static void damon_own_before(struct run *r) { walk_damon(r, OWN_BEFORE); }
static void damon_own_after(struct run *r) { walk_damon(r, OWN_AFTER); }
static void damon_shared_late(struct run *r) { walk_damon(r, SHARED_LATE); }

/* ---- huge pages: split ---- */

#define HUGE (2UL << 20)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define KPF_THP 22

static bool is_huge(char *addr)
{
	return kpageflags(pfn_of(addr)) >> KPF_THP & 1;
}

static char *map_huge(char *addr)
{
	char *p = map_at(addr, HUGE);

	need(!madvise(p, HUGE, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s", strerror(errno));
	return p;
}

static bool zeroes;	/* a part full of zeroes is replaced by the zero page */
static bool half_only;	/* its upper half is not mapped any more */

/* A new huge page; where one was split before, the page table is still there. */
static void make_huge(char *p, char **pages, const uint64_t *tag)
{
	size_t at;

	need(!madvise(p, HUGE, MADV_DONTNEED), "MADV_DONTNEED: %s", strerror(errno));
	for (at = PAGE / 2; at < HUGE && !zeroes; at += PAGE)
		p[at] = 1;
	fill(pages[0], tag[0]);
	fill(pages[1], tag[1]);
	if (!is_huge(p))
		need(!madvise(p, HUGE, MADV_COLLAPSE), "MADV_COLLAPSE: %s", strerror(errno));
	need(is_huge(p), "no huge page was made");
}

/*
 * What a split freed would pile up in the lists of the CPU, and every few splits
 * pay for bringing it back to the zone.
 */
static void use_freed_pages(void)
{
	void *p = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	need(p != MAP_FAILED, "mmap: %s", strerror(errno));
}

static void walk_split(struct run *r, enum where where)
{
	char *p = room(HUGE), *pages[2] = { p, p + HUGE - PAGE };
	uint64_t old[2] = { 1, 2 }, new[2] = { 3, 4 };
	int fd = open("/sys/kernel/debug/split_huge_pages", O_WRONLY);
	struct brood b = { .nr = 0 }, late;
	long scans = read_long(KHUGEPAGED "full_scans");
	char cmd[96];
	int n;

	need(fd >= 0, "split_huge_pages: %s", strerror(errno));
	snprintf(cmd, sizeof(cmd), "%d,0x%lx,0x%lx", getpid(), (unsigned long)p,
		 (unsigned long)p + PAGE);
	if (maps_after(where))
		spawn(&b, r->size, NULL, NULL, 0);
	map_huge(p);
	if (where == OWN_BEFORE) {
		make_huge(p, pages, old);
		spawn(&b, r->size, pages, old, 2);
	}
	while (more(r)) {
		make_huge(p, pages, new);
		if (where == SHARED)
			spawn(&b, r->size, pages, new, 2);
		if (where == SHARED_LATE)
			spawn(&late, 1, pages, new, 2);
		if (half_only)
			need(!madvise(p + HUGE / 2, HUGE / 2, MADV_DONTNEED), "MADV_DONTNEED: %s",
			     strerror(errno));
		begin(r);
		n = write(fd, cmd, strlen(cmd));
		end(r, 1);
		need(n > 0, "split: %s", strerror(errno));
		need(!is_huge(p) && (half_only || !is_huge(pages[1])), "the huge page was not split");
		need(filled(pages[0], new[0]) && (half_only || filled(pages[1], new[1])),
		     "the huge page lost its content");
		if (where == SHARED)
			reap(&b);
		if (where == SHARED_LATE)
			reap(&late);
		if (zeroes)
			use_freed_pages();
	}
	need(read_long(KHUGEPAGED "full_scans") == scans, "khugepaged looked for huge pages");
	if (where >= OWN_BEFORE)
		reap(&b);
}

static void split_exclusive(struct run *r) { walk_split(r, EXCLUSIVE); }
static void split_shared(struct run *r) { walk_split(r, SHARED); }
static void split_own_before(struct run *r) { walk_split(r, OWN_BEFORE); }
static void split_own_after(struct run *r) { walk_split(r, OWN_AFTER); }
static void split_shared_late(struct run *r) { walk_split(r, SHARED_LATE); }
static void split_half(struct run *r) { half_only = true; walk_split(r, OWN_AFTER); }
static void split_zeroes(struct run *r) { zeroes = true; walk_split(r, OWN_AFTER); }

/* ---- KSM ---- */

#define KSM "/sys/kernel/mm/ksm/"

static void ksm_scan(long scans)
{
	long begin = read_long(KSM "full_scans");

	write_file(KSM "run", "1");
	for (int i = 0; read_long(KSM "full_scans") < begin + scans; i++) {
		need(i < 30000, "ksmd does not scan");
		pause_ns(1000000);
	}
	write_file(KSM "run", "0");
}

static void ksm_ready(long pages)
{
	/* A round each 20 ms, so that it is known how many are counted */
	write_file(KSM "sleep_millisecs", "20");
	write_file(KSM "pages_to_scan", "%ld", pages);
	write_file(KSM "smart_scan", "0");
	write_file(KSM "merge_across_nodes", "1");
}

static pid_t ksmd(void)
{
	char path[64], comm[32];

	for (int pid = 2; pid < 400; pid++) {
		int fd, n;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		fd = open(path, O_RDONLY);
		if (fd < 0)
			continue;
		n = read(fd, comm, sizeof(comm));
		close(fd);
		if (n == 5 && !memcmp(comm, "ksmd", 4))
			return pid;
	}
	die("no ksmd");
}

/* SIZE pages, each with one alike: scanned and merged, and unmerged again */
static void ksm_merge(struct run *r)
{
	pid_t pid = ksmd();
	size_t half = r->size * PAGE;
	char *p = map_at(room(2 * half), 2 * half);
	uint64_t t;

	ksm_ready(2 * r->size);
	need(!madvise(p, 2 * half, MADV_MERGEABLE), "MADV_MERGEABLE: %s", strerror(errno));
	while (more(r)) {
		for (long i = 0; i < 2 * r->size; i++)
			fill(p + i * PAGE, 1 + i % r->size + (uint64_t)r->done * 100000);
		t = cpu_time(pid);
		ksm_scan(4);
		keep(r, (cpu_time(pid) - t) / (2.0 * r->size));
		for (long i = 0; i < r->size; i++)
			need(pfn_of(p + i * PAGE) == pfn_of(p + half + i * PAGE),
			     "page %ld was not merged", i);
		for (long i = 0; i < 2 * r->size; i++)
			need(filled(p + i * PAGE, 1 + i % r->size + (uint64_t)r->done * 100000),
			     "page %ld lost its content", i);
	}
	need(!madvise(p, 2 * half, MADV_UNMERGEABLE), "MADV_UNMERGEABLE: %s", strerror(errno));
}

/*
 * Merged pages migrate. @where says where one of each pair is; its twin is in a VMA
 * mapped before or after the forks likewise, and SHARED as it is. No flag says of a
 * merged page that one process has it alone.
 */
static void walk_ksm(struct run *r, enum where where)
{
	struct pages p;
	char *twin = NULL;

	if (!maps_after(where))
		twin = map_at(room(NR * PAGE), NR * PAGE);
	/* Children come after the merge where they share it */
	set_up(&p, where == SHARED ? EXCLUSIVE : where, r->size);
	if (maps_after(where))
		twin = map_at(room(NR * PAGE), NR * PAGE);
	for (int i = 0; i < NR; i++)
		fill(twin + i * PAGE, p.tag[i]);
	ksm_ready(2 * NR);
	need(!madvise(p.page[0], NR * PAGE, MADV_MERGEABLE) &&
	     !madvise(twin, NR * PAGE, MADV_MERGEABLE), "MADV_MERGEABLE: %s", strerror(errno));
	ksm_scan(4);
	for (int i = 0; i < NR; i++)
		need(pfn_of(p.page[i]) == pfn_of(twin + i * PAGE), "page %d was not merged", i);
	if (where == SHARED) {
		reap(&p.brood);
		spawn(&p.brood, r->size, p.page, p.tag, NR);
	}
	move_loop(r, &p);
	tear_down(&p);
	need(!madvise(p.page[0], NR * PAGE, MADV_UNMERGEABLE) &&
	     !madvise(twin, NR * PAGE, MADV_UNMERGEABLE), "MADV_UNMERGEABLE: %s", strerror(errno));
}

static void ksm_move(struct run *r) { walk_ksm(r, SHARED); }
static void ksm_own_before(struct run *r) { walk_ksm(r, OWN_BEFORE); }
static void ksm_own_after(struct run *r) { walk_ksm(r, OWN_AFTER); }

static const long none[] = { 0, 0 };
static const long children[] = { 1, 10, 100, 500, 0 }, small[] = { 10, 500, 0 };
static const long few[] = { 1, 10, 100, 0 }, few_small[] = { 10, 0 };
static const long vmas[] = { 100, 1000, 10000, 60000, 0 }, vmas_small[] = { 1000, 0 };
static const long merges[] = { 200, 0 };
static const long moved[] = { 10, 100, 1000, 0 };

#define I "instructions"
const struct bench_case walk_cases[] = {
	{ "walk.move.exclusive", move_exclusive, I, none, none },
	{ "walk.move.spread", move_spread, I, none, none },
	{ "walk.move.shared", move_shared, I, children, small },
	{ "walk.move.own-before", move_own_before, I, children, small },
	{ "walk.move.own-unused", move_own_unused, I, children, small },
	{ "walk.move.own-after", move_own_after, I, children, small },
	{ "walk.move.shared-late", move_shared_late, I, children, small },
	{ "walk.move.many-vmas", move_many_vmas, I, vmas, vmas_small },
	{ "walk.move.displaced", move_displaced, I, moved, vmas_small },
	{ "walk.move.beside-displaced", move_beside, I, moved, vmas_small },
	{ "walk.move.all-placed", move_placed, I, moved, vmas_small },
	{ "walk.idle.exclusive", idle_exclusive, I, none, none },
	{ "walk.idle.spread", idle_spread, I, none, none },
	{ "walk.idle.shared", idle_shared, I, children, small },
	{ "walk.idle.own-before", idle_own_before, I, children, small },
	{ "walk.idle.own-after", idle_own_after, I, children, small },
	{ "walk.idle.shared-late", idle_shared_late, I, children, small },
	{ "walk.idle.many-vmas", idle_many_vmas, I, vmas, vmas_small },
	{ "walk.unmap.exclusive", pageout_exclusive, I, none, none },
	{ "walk.unmap.spread", pageout_spread, I, none, none },
	{ "walk.unmap.own-before", pageout_own_before, I, children, small },
	{ "walk.unmap.own-after", pageout_own_after, I, children, small },
	{ "walk.swapin.exclusive", swapin_exclusive, I, none, none },
	{ "walk.reclaim.exclusive", reclaim_exclusive, I, none, none },
	{ "walk.reclaim.shared", reclaim_shared, I, children, small },
	{ "walk.reclaim.own-before", reclaim_own_before, I, children, small },
	{ "walk.reclaim.own-after", reclaim_own_after, I, children, small },
	{ "walk.reclaim.shared-late", reclaim_shared_late, I, children, small },
	{ "walk.damon.exclusive", damon_exclusive, I, none, none },
	{ "walk.damon.shared", damon_shared, I, children, small },
	{ "walk.damon.own-before", damon_own_before, I, children, small },
	{ "walk.damon.own-after", damon_own_after, I, children, small },
	{ "walk.damon.shared-late", damon_shared_late, I, children, small },
	{ "walk.split.exclusive", split_exclusive, I, none, none },
	{ "walk.split.shared", split_shared, I, few, few_small },
	{ "walk.split.own-before", split_own_before, I, children, small },
	{ "walk.split.own-after", split_own_after, I, children, small },
	{ "walk.split.shared-late", split_shared_late, I, children, small },
	{ "walk.split.zeroes", split_zeroes, I, children, small },
	{ "walk.split.half", split_half, I, children, small },
	{ "ksm.merge", ksm_merge, I, merges, merges },
	{ "ksm.move", ksm_move, I, children, few_small },
	{ "ksm.move.own-before", ksm_own_before, I, children, small },
	{ "ksm.move.own-after", ksm_own_after, I, children, small },
	{ }
};
