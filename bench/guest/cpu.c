// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two processors: one side walks, the other changes address spaces. The walking
 * side migrates or reclaims pages of a family of processes. Wall-clock time; what
 * is kept is the operations that each side completed in a second, while both ran.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define ROUND_NS 400000000ULL
#define VMAS 2000
#define TREE 100	/* children */
#define MPOL_MF_MOVE_ALL 4

struct shared {
	volatile long ops[2];
	volatile int stop;
	volatile int ready;
	pid_t parent;
	char *vmas;		/* of it */
};

static struct shared *shared;
static char *vmas;

void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	need(!sched_setaffinity(0, sizeof(set), &set), "the guest has no processor %d", cpu);
}

static void *mapped(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	need(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

static void one_op(void) { shared->ops[1]++; }

/* ---- side 1: changes ---- */

static void fork_once(void)
{
	pid_t pid = fork_checked();

	if (!pid)
		_exit(0);
	wait_ok(pid);
	one_op();
}

static void protect_once(void)
{
	static long i;

	if (mprotect(vma_at(vmas, i), PAGE, PROT_READ) ||
	    mprotect(vma_at(vmas, i), PAGE, PROT_READ | PROT_WRITE))
		die("mprotect: %s", strerror(errno));
	i = (i + 1) % VMAS;
	one_op();
}

/* Two splits and two merges of a VMA of its own */
static void split_once(void)
{
	static char *place;

	if (!place) {
		place = map_at(room(4 * PAGE), 4 * PAGE);
		for (int i = 0; i < 4; i++)
			fill(place + i * PAGE, i);
	}
	if (mprotect(place + PAGE, 2 * PAGE, PROT_READ) ||
	    mprotect(place + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE))
		die("mprotect: %s", strerror(errno));
	one_op();
}

static void map_once(void)
{
	static char *place;
	pid_t pid;

	if (!place)
		place = room(64 * PAGE);
	for (int i = 0; i < 16; i++)
		fill(map_at(vma_at(place, i), PAGE), i);
	pid = fork_checked();
	if (!pid)
		_exit(!filled(vma_at(place, 7), 7));
	wait_ok(pid);
	for (int i = 0; i < 16; i++)
		need(filled(vma_at(place, i), i) && !munmap(vma_at(place, i), PAGE),
		     "page %d lost its content", i);
	one_op();
}

/* ---- side 0: reclaim, of the group that the family is in ---- */

static char reclaim_path[96];

static void reclaim_once(int fd)
{
	if (write(fd, "256K swappiness=200", 19) < 0 && errno != EAGAIN)
		die("memory.reclaim: %s", strerror(errno));
	shared->ops[0]++;
}

/* ---- or: migration of pages of the parent, which waits where reclaim gives up ---- */

static bool migrates;

static void migrate_once(void)
{
	static int node = 1;
	static long first;
	void *page[16];
	int to[16], status[16];

	for (int i = 0; i < 16; i++) {
		page[i] = vma_at(shared->vmas, first + i);
		to[i] = node;
	}
	/* A page that fork has just now is left where it is: no failure */
	need(syscall(SYS_move_pages, shared->parent, 16UL, page, to, status, MPOL_MF_MOVE_ALL) >= 0,
	     "move_pages: %s", strerror(errno));
	/* 64 pages to one node, then back */
	first = (first + 16) % 64;
	if (!first)
		node = !node;
	shared->ops[0]++;
}

static void reclaim_loop(void)
{
	int fd = open(reclaim_path, O_WRONLY);

	need(fd >= 0, "%s: %s", reclaim_path, strerror(errno));
	pin(1);
	while (!shared->stop) {
		if (migrates)
			migrate_once();
		else
			reclaim_once(fd);
	}
}

static void *reclaim_thread(void *arg)
{
	reclaim_loop();
	return arg;
}

enum { RECLAIMS, CHANGES };

/*
 * The family: a parent with 2,000 touched VMAs and 100 children, and what the
 * two sides do. @inside: the walking side is a thread of the same process.
 */
static void against(struct run *r, void (*change)(void), int tree, bool inside)
{
	static const char cg[] = "/sys/fs/cgroup/bench-two";
	struct brood b = { .nr = 0 };
	pthread_t thread;
	pid_t pid = 0;
	char path[96];

	need(!migrates || !access("/sys/devices/system/node/node1", F_OK), "the guest has one node");
	swap_on();
	shared = mapped(sizeof(*shared));
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	need(!mkdir(cg, 0755) || errno == EEXIST, "%s: %s", cg, strerror(errno));
	snprintf(reclaim_path, sizeof(reclaim_path), "%s/memory.reclaim", cg);
	if (!inside) {
		/* A relative without any of the VMAs, outside of the group */
		pid = fork_checked();
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (!shared->ready)
				usleep(1000);
			reclaim_loop();
			_exit(0);
		}
	}
	snprintf(path, sizeof(path), "%s/cgroup.procs", cg);
	write_file(path, "%d", getpid());
	vmas = map_vmas(VMAS);
	for (long i = 0; i < VMAS; i++)
		fill(vma_at(vmas, i), i);
	spawn(&b, tree, NULL, NULL, 0);
	shared->parent = getpid();
	shared->vmas = vmas;
	pin(0);
	if (inside)
		need(!pthread_create(&thread, NULL, reclaim_thread, NULL), "no thread");
	shared->ready = 1;

	while (more(r)) {
		uint64_t t0 = now(), t;
		long ops[2] = { shared->ops[0], shared->ops[1] };

		while ((t = now()) - t0 < ROUND_NS)
			change();
		keep_both(r, (shared->ops[CHANGES] - ops[CHANGES]) * 1e9 / (t - t0),
			  (shared->ops[RECLAIMS] - ops[RECLAIMS]) * 1e9 / (t - t0));
	}
	shared->stop = 1;
	if (inside)
		pthread_join(thread, NULL);
	else
		wait_ok(pid);
	need(shared->ops[0] > 0 && shared->ops[1] > 0, "one side did nothing");
	for (long i = 0; i < VMAS; i++)
		need(filled(vma_at(vmas, i), i), "page %ld lost its content", i);
	reap(&b);
	write_file("/sys/fs/cgroup/cgroup.procs", "%d", getpid());
	rmdir(cg);
}

static void fork_against(struct run *r) { against(r, fork_once, TREE, false); }
static void protect_against(struct run *r) { against(r, protect_once, 0, true); }
static void tree_against(struct run *r) { against(r, map_once, 10, false); }

static void fork_against_migration(struct run *r)
{
	migrates = true;
	against(r, fork_once, TREE, false);
}

static void protect_against_migration(struct run *r)
{
	migrates = true;
	against(r, protect_once, 0, true);
}

static void split_against_migration(struct run *r)
{
	migrates = true;
	against(r, split_once, 0, true);
}

/* First touches by SIZE threads at once, all of one process */
static void *toucher(void *arg)
{
	char *base = arg;

	for (long i = 0; i < VMAS; i++)
		*(volatile uint64_t *)vma_at(base, i) = i + 1;
	return NULL;
}

static void touch_threads(struct run *r)
{
	pthread_t thread[16];
	char *base = room(2 * VMAS * PAGE * r->size);

	while (more(r)) {
		for (long i = 0; i < VMAS * r->size; i++)
			map_at(vma_at(base, i), PAGE);
		begin(r);
		for (long t = 0; t < r->size; t++)
			if (pthread_create(&thread[t], NULL, toucher, vma_at(base, t * VMAS)))
				die("no thread");
		for (long t = 0; t < r->size; t++)
			pthread_join(thread[t], NULL);
		end(r, VMAS * r->size);
		if (r->kept)
			r->ops += VMAS * r->size;
		for (long i = 0; i < VMAS * r->size; i++)
			need(*(uint64_t *)vma_at(base, i) == (uint64_t)(i % VMAS) + 1,
			     "page %ld does not hold what was written", i);
		need(!munmap(base, 2 * VMAS * PAGE * r->size), "munmap: %s", strerror(errno));
	}
}

static const long none[] = { 0, 0 }, threads[] = { 1, 4, 0 }, four[] = { 4, 0 };

const struct bench_case cpu_cases[] = {
	{ "two.touch", touch_threads, "ns", threads, four },
	{ "two.fork-against-reclaim.forks", fork_against, "per second", none, none,
	  "two.fork-against-reclaim.reclaims" },
	{ "two.mprotect-against-reclaim.mprotects", protect_against, "per second", none, none,
	  "two.mprotect-against-reclaim.reclaims" },
	{ "two.tree-against-reclaim.rounds", tree_against, "per second", none, none,
	  "two.tree-against-reclaim.reclaims" },
	{ "two.fork-against-migration.forks", fork_against_migration, "per second", none, none,
	  "two.fork-against-migration.migrations" },
	{ "two.mprotect-against-migration.mprotects", protect_against_migration, "per second", none, none,
	  "two.mprotect-against-migration.migrations" },
	{ "two.split-against-migration.splits", split_against_migration, "per second", none, none,
	  "two.split-against-migration.migrations" },
	{ }
};
