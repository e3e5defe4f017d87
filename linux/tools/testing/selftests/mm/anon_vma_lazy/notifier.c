// SPDX-License-Identifier: GPL-2.0-only
/*
 * MMU notifiers and memory of devices, by the kernel's test driver
 * (CONFIG_TEST_HMM).  The first open of /dev/hmm_dmirror0 in a process registers
 * a notifier, for which mm_take_all_locks() shuts out all walks of its reverse
 * mapping.  The driver then moves pages into memory that no CPU can read, and
 * takes them for itself: both replace every entry that maps the page.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rmap_util.h"

#define DEVICE "/dev/hmm_dmirror0"

/* What we need of lib/test_hmm_uapi.h, which is not installed anywhere */
struct dmirror_cmd {
	__u64 addr;
	__u64 ptr;
	__u64 npages;
	__u64 cpages;
	__u64 faults;
};
#define DMIRROR_TO_DEV		_IOWR('H', 2, struct dmirror_cmd)
#define DMIRROR_TO_SYS		_IOWR('H', 3, struct dmirror_cmd)
#define DMIRROR_SNAPSHOT	_IOWR('H', 4, struct dmirror_cmd)
#define DMIRROR_EXCLUSIVE	_IOWR('H', 5, struct dmirror_cmd)
#define DMIRROR_CHECK_EXCLUSIVE	_IOWR('H', 6, struct dmirror_cmd)
#define DMIRROR_LOCAL		0x20	/* in this device's memory */

static int need_device(void)
{
	if (geteuid())
		return ru_fail("needs root");
	if (access(DEVICE, F_OK))
		return ru_fail("no " DEVICE " (CONFIG_TEST_HMM)");
	return 0;
}

#define DEVICE_FIXTURE(name)					\
	FIXTURE(name) { struct ru_mem m; };			\
	FIXTURE_VARIANT(name) { enum ru_kind kind; };		\
	FIXTURE_SETUP(name)					\
	{							\
		RU_START();					\
		RU_NEED(need_device());				\
		RU_NEED(ru_numa_ready());			\
		RU_NEED(ru_kind_ready(variant->kind));		\
	}							\
	FIXTURE_TEARDOWN(name) { ru_stop(); }

/* The device of a process; not shared by its children, who have their own. */
static int device = -1;

static long dev_open(long a, long b, long c, long d)
{
	device = open(DEVICE, O_RDWR | O_CLOEXEC);
	return device < 0 ? -errno : 0;
}

static long dev_close(long a, long b, long c, long d)
{
	return close(device) ? -errno : 0;
}

static char mirror[64 * 4096];

/* Number of pages done, or an error; what they hold is in the mirror then. */
static long dev_do(long command, long addr, long nr, long d)
{
	struct dmirror_cmd cmd = {
		.addr = addr,
		.ptr = (unsigned long)mirror,
		.npages = nr,
	};

	if (nr * ru_page > sizeof(mirror))
		return -EINVAL;
	memset(mirror, 0, sizeof(mirror));
	return ioctl(device, command, &cmd) ? -errno : (long)cmd.cpages;
}

/* Is the mirror's page @page what was there? */
static long dev_saw(long seed, long first, long nr, long d)
{
	return ru_check(mirror, seed, first, nr);
}

/* All of the pages in the device, as it says itself */
static long dev_has(long addr, long nr, long c, long d)
{
	long i, ret = dev_do(DMIRROR_SNAPSHOT, addr, nr, 0);

	if (ret != nr)
		return ru_fail("snapshot: %ld of %ld", ret, nr);
	for (i = 0; i < nr; i++)
		if ((mirror[i] & 0x30) != DMIRROR_LOCAL)
			return ru_fail("page %ld is not in the device (0x%x)", i,
				       mirror[i] & 0xff);
	return 0;
}

static int dev(int proc, long command, char *addr, long nr)
{
	long ret = ru_call(proc, dev_do, command, (long)addr, nr, 0);

	if (ret == nr)
		return 0;
	return ru_fail("device command %ld: %ld of %ld pages of process %d",
		       command & 0xff, ret, nr, proc);
}

/* Into the device, from everywhere: nobody maps them any more */
static int to_device(struct ru_mem *m, size_t first, size_t nr, int proc,
		     const struct ru_view *v, int n)
{
	char *addr = NULL;
	size_t page;
	int i;

	for (i = 0; i < n; i++)
		if (v[i].proc == proc)
			addr = v[i].addr;
	if (ru_mapped(m, first, nr, v, n) ||
	    dev(proc, DMIRROR_TO_DEV, addr, nr))
		return -1;
	for (i = 0; i < n; i++)
		for (page = 0; page < nr; page++) {
			uint64_t map = ru_pagemap(v[i].proc,
						  v[i].addr + page * ru_page);

			if (map & RU_PM_PRESENT || !(map & RU_PM_SWAP))
				return ru_fail("page %zu is still in process %d: %llx",
					       page, v[i].proc,
					       (unsigned long long)map);
		}
	if (ru_call(proc, dev_saw, m->seed, first, nr, 0))
		return -1;
	return ru_call(proc, dev_has, (long)addr, nr, 0, 0);
}

/* And there again, one page that everybody has */
static int all_back(struct ru_mem *m, size_t first, size_t nr,
		    const struct ru_view *v, int n)
{
	return ru_check_views(m, first, nr, v, n) ||
	       ru_mapped(m, first, nr, v, n) ||
	       ru_migrate(m, first, nr, v, n);
}

DEVICE_FIXTURE(device);
RU_KIND(device, anon, RU_ANON);
RU_KIND(device, private_file, RU_PFILE);
RU_KIND(device, shmem, RU_SHMEM);
RU_KIND(device, thp, RU_THP);

/*
 * 0 - 1 - 2, the last of which has moved the pages; 1 has the device.  There
 * and back by each way there is.
 */
TEST_F(device, shared_pages)
{
	struct ru_mem *m = &self->m;
	int i, p1, p2, p3;
	size_t nr = 16;
	char *moved;

	/* The driver splits a huge page. */
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_THP ? 1 : nr));
	p1 = ru_fork(0);
	ASSERT_LT(0, p1) TH_LOG("%s", ru_error());
	p2 = ru_fork(p1);
	ASSERT_LT(0, p2) TH_LOG("%s", ru_error());
	moved = (char *)ru_reserve(m->len + RU_HUGE, RU_HUGE) + 3 * ru_page;
	RU_OK(ru_mremap_in(p2, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	ASSERT_EQ(0, ru_call(p1, dev_open, 0, 0, 0, 0));

	for (i = 0; i < 3; i++) {
		struct ru_view v[] = { { p2, moved }, { 0, m->addr },
				       { p1, m->addr } };

		RU_OK(to_device(m, 0, nr, p1, v, 3));
		/* By the driver, by a fault here, by a fault there */
		if (i == 0)
			RU_OK(dev(p1, DMIRROR_TO_SYS, m->addr, nr));
		else if (i == 1)
			RU_OK(ru_check(m->addr, m->seed, 0, nr));
		else
			RU_OK(ru_check_in(p2, moved, m->seed, 0, nr));
		RU_OK(all_back(m, 0, nr, v, 3));
	}

	/* A write there, by one who forked in the meantime, and a move */
	{
		struct ru_view v[] = { { 0, m->addr }, { p1, m->addr },
				       { p2, moved } };

		RU_OK(to_device(m, 0, nr, p1, v, 3));
	}
	p3 = ru_fork(p2);
	ASSERT_LT(0, p3) TH_LOG("%s", ru_error());
	RU_OK(ru_mremap_in(p3, moved, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, m->addr));
	RU_OK(ru_fill_in(p3, m->addr, ~m->seed, 0, 2));
	RU_OK(ru_check_in(p3, m->addr, ~m->seed, 0, 2));
	RU_OK(all_back(m, 2, nr - 2,
		       RU_VIEWS({p3, ru_at(m, 2)}, {0, ru_at(m, 2)},
				{p2, moved + 2 * ru_page}, {p1, ru_at(m, 2)})));
	RU_OK(all_back(m, 0, 2,
		       RU_VIEWS({0, m->addr}, {p2, moved}, {p1, m->addr})));
	RU_OK(ru_exit(p3));

	/* Some leave while the pages are away; closing the device brings them. */
	{
		struct ru_view v[] = { { 0, m->addr }, { p1, m->addr },
				       { p2, moved } };

		RU_OK(to_device(m, 0, nr, p1, v, 3));
	}
	RU_OK(ru_munmap_in(0, m->addr, 4 * ru_page));
	RU_OK(ru_exit(p2));
	ASSERT_EQ(0, ru_call(p1, dev_close, 0, 0, 0, 0));
	for (i = 0; i < (int)nr; i++)
		ASSERT_NE(0, ru_pfn(p1, ru_at(m, i))) TH_LOG("page %d", i);
	RU_OK(all_back(m, 0, 4, RU_VIEWS({p1, m->addr})));
	RU_OK(all_back(m, 4, nr - 4,
		       RU_VIEWS({p1, ru_at(m, 4)}, {0, ru_at(m, 4)})));
	RU_OK(ru_exit(p1));
	RU_OK(ru_migrate(m, 4, nr - 4, RU_VIEWS({0, ru_at(m, 4)})));
}

/* Taken by the device: its own pages, in place and moved, and nobody else's */
TEST_F(device, exclusive)
{
	struct ru_mem *m = &self->m;
	int moved, p1, p2;
	size_t nr = 8;
	char *to;

	if (variant->kind == RU_THP)
		SKIP(return, "small pages are enough");
	RU_OK(ru_make(m, variant->kind, nr));
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	p1 = ru_fork(0);
	ASSERT_LT(0, p1) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, ru_call(p1, dev_open, 0, 0, 0, 0));
	for (moved = 0; moved < 2; moved++) {
		char *at = moved ? to : m->addr;

		if (moved)
			RU_OK(ru_mremap_in(p1, m->addr, m->len, m->len,
					   MREMAP_MAYMOVE | MREMAP_FIXED, at));
		/* Shared pages are copied for it. */
		RU_OK(dev(p1, DMIRROR_EXCLUSIVE, at, nr));
		ASSERT_EQ(0, ru_call(p1, dev_saw, m->seed, 0, nr, 0))
			TH_LOG("%s", ru_error());
		ASSERT_EQ(0, ru_pfn(p1, at));
		ASSERT_EQ(-EPERM, ru_call(p1, dev_do, DMIRROR_CHECK_EXCLUSIVE,
					  (long)at, nr, 0));
		RU_OK(all_back(m, 0, nr, RU_VIEWS({0, m->addr})));
		/* The CPU wants them again; half of them by way of a fork. */
		RU_OK(ru_check_in(p1, at, m->seed, 0, nr / 2));
		ASSERT_EQ(0, ru_call(p1, dev_do, DMIRROR_CHECK_EXCLUSIVE,
				     (long)at, nr / 2, 0));
		p2 = ru_fork(p1);
		ASSERT_LT(0, p2) TH_LOG("%s", ru_error());
		RU_OK(ru_check_in(p2, at, m->seed, 0, nr));
		RU_OK(all_back(m, 0, nr, RU_VIEWS({p1, at}, {p2, at})));
		RU_OK(ru_exit(p2));
	}
	ASSERT_EQ(0, ru_call(p1, dev_close, 0, 0, 0, 0));
	RU_OK(all_back(m, 0, nr, RU_VIEWS({p1, to})));
	RU_OK(ru_exit(p1));
}

DEVICE_FIXTURE(notifier);
RU_KIND(notifier, all_kinds, RU_HUGETLB);

/* Memory of every kind, some of it moved */
#define NR_MEMS 6

static int make_all(struct ru_mem *m)
{
	static const enum ru_kind kinds[NR_MEMS] = {
		RU_ANON, RU_ANON, RU_PFILE, RU_SHMEM, RU_HUGETLB, RU_THP,
	};
	int i;

	for (i = 0; i < NR_MEMS; i++) {
		bool big = kinds[i] == RU_HUGETLB || kinds[i] == RU_THP;

		if (ru_kind_ready(kinds[i]) ||
		    ru_make(&m[i], kinds[i], big ? 1 : 16))
			return -1;
		if (i % 2) {
			char *to = (char *)ru_reserve(m[i].len, m[i].unit) +
				   m[i].unit;

			if (ru_mremap_in(0, m[i].addr, m[i].len, m[i].len,
					 MREMAP_MAYMOVE | MREMAP_FIXED, to))
				return -1;
			m[i].addr = to;
		}
	}
	return 0;
}

static int check_all(const struct ru_mem *m, int proc)
{
	int i;

	for (i = 0; i < NR_MEMS; i++)
		if (ru_check_in(proc, m[i].addr, m[i].seed, 0, m[i].nr))
			return -1;
	return 0;
}

static struct ru_mem mem[NR_MEMS];
static int stop;

/* Forks and ends; what the child sees is right. */
static void *forker(void *arg)
{
	long *wrong = arg;
	int status;
	pid_t pid;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pid = fork();
		if (!pid)
			_exit(ru_check(mem[0].addr, mem[0].seed, 0, 16) ||
			      ru_check(mem[1].addr, mem[1].seed, 0, 16));
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			++*wrong;
	}
	return NULL;
}

/* A VMA that comes, is faulted, moved and goes */
static void *mapper(void *arg)
{
	long *wrong = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		char *p = mmap(NULL, 8 * ru_page, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *q;

		if (p == MAP_FAILED) {
			++*wrong;
			continue;
		}
		ru_fill(p, 5, 0, 8);
		q = mremap(p, 8 * ru_page, 16 * ru_page, MREMAP_MAYMOVE);
		if (q == MAP_FAILED || ru_check(q, 5, 0, 8) ||
		    munmap(q, 16 * ru_page))
			++*wrong;
	}
	return NULL;
}

/* Register while other threads of this process fork and map */
static long open_busy(long a, long b, long c, long d)
{
	long wrong[2] = { }, ret;
	pthread_t thread[2];

	stop = 0;
	if (pthread_create(&thread[0], NULL, forker, &wrong[0]) ||
	    pthread_create(&thread[1], NULL, mapper, &wrong[1]))
		return -EAGAIN;
	usleep(ru_random() % 10000);
	ret = dev_open(0, 0, 0, 0);
	usleep(ru_random() % 10000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	if (wrong[0] || wrong[1])
		return ru_fail("wrong while the notifier came: fork %ld, map %ld",
			       wrong[0], wrong[1]);
	return ret;
}

/* Pages migrate for ever, which walks all of the family. */
static int movers(int *mover)
{
	int i;

	for (i = 0; i < 2; i++) {
		mover[i] = ru_fork(0);
		if (mover[i] < 0 ||
		    ru_background(mover[i], ru_migrate_loop, (long)mem[i].addr,
				  16, getpid(), ru_page))
			return -1;
	}
	return 0;
}

/* Notifiers come and go in a family that forks, maps and migrates. */
TEST_F(notifier, while_busy)
{
	int i, child, mover[2];

	RU_OK(make_all(mem));
	RU_OK(movers(mover));
	for (i = 0; ru_race(i); i++) {
		long ret;

		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		ret = ru_call(child, open_busy, 0, 0, 0, 0);
		ASSERT_EQ(0, ret) TH_LOG("%s", ru_error());
		RU_OK(check_all(mem, child));
		/* The next opens need no locks; the fork's child has no notifier. */
		ASSERT_EQ(0, ru_call(child, dev_close, 0, 0, 0, 0));
		ASSERT_EQ(0, ru_call(child, dev_open, 0, 0, 0, 0));
		RU_OK(ru_fill_in(child, mem[0].addr, mem[0].seed, 0, 16));
		if (i % 2)
			ASSERT_EQ(0, ru_call(child, dev_close, 0, 0, 0, 0));
		RU_OK(i % 3 ? ru_exit(child) : ru_kill(child));
	}
	TH_LOG("%d notifiers", i);
	for (i = 0; i < 2; i++)
		RU_OK(ru_kill(mover[i]));
	for (i = 0; i < NR_MEMS; i++)
		RU_OK(ru_migrate(&mem[i], 0, mem[i].nr,
				 RU_VIEWS({0, mem[i].addr})));
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Microseconds that the first open takes in this process */
static long open_time(long a, long b, long c, long d)
{
	double begin = seconds();

	if (dev_open(0, 0, 0, 0))
		return -errno;
	return (seconds() - begin) * 1e6;
}

/*
 * The first open, interrupted, until it is not.  After each failure this process
 * changes its mappings, which takes the locks that must be free.  Returns how
 * often.
 */
static long open_interrupted(long time, long random, long c, long d)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	long interrupted = 0, round;
	char *spare;

	sigaction(SIGALRM, &sa, NULL);
	for (round = 0; round < 30; round++) {
		struct itimerval none = { }, once = {
			.it_value.tv_usec = 1 + (random + round * 7919) % time,
		};
		long ret;

		if (round == 29)
			once = none;
		setitimer(ITIMER_REAL, &once, NULL);
		ret = dev_open(0, 0, 0, 0);
		setitimer(ITIMER_REAL, &none, NULL);
		if (!ret)
			return interrupted;
		if (ret != -EINTR)
			return ret;
		interrupted++;
		spare = mmap(NULL, 4 * ru_page, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (spare == MAP_FAILED)
			return -errno;
		ru_fill(spare, 5, 0, 4);
		spare = mremap(spare, 4 * ru_page, 8 * ru_page, MREMAP_MAYMOVE);
		if (spare == MAP_FAILED || ru_check(spare, 5, 0, 4) ||
		    munmap(spare, 8 * ru_page))
			return ru_fail("mapping after an interrupted open: %s",
				       strerror(errno));
	}
	return -ETIME;
}

/* A signal ends mm_take_all_locks() half way. */
TEST_F(notifier, interrupted)
{
	long time, count, interrupted = 0, nr = ru_slow() ? 1500 : 6000;
	int i, child, mover[2];
	struct ru_mem many;
	size_t page;

	RU_OK(make_all(mem));
	/* VMAs, for it to take a while */
	RU_OK(ru_map(&many, RU_ANON, nr));
	for (page = 0; page < many.nr; page += 2) {
		ru_fill(ru_at(&many, page), many.seed, page, 1);
		RU_OK(ru_madvise_in(0, ru_at(&many, page), ru_page,
				    MADV_DONTDUMP));
	}
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	time = ru_call(child, open_time, 0, 0, 0, 0);
	ASSERT_LT(0, time);
	RU_OK(ru_exit(child));

	RU_OK(movers(mover));
	for (i = 0; ru_race(i) || (i < 60 && interrupted < 3); i++) {
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		count = ru_call(child, open_interrupted, time,
				ru_random() >> 1, 0, 0);
		ASSERT_LE(0, count) TH_LOG("%s", ru_error());
		interrupted += count;
		RU_OK(check_all(mem, child));
		RU_OK(ru_fill_in(child, mem[0].addr, mem[0].seed, 0, 16));
		RU_OK(ru_migrate(&mem[0], 0, 16,
				 RU_VIEWS({child, mem[0].addr})));
		RU_OK(ru_exit(child));
	}
	TH_LOG("%ld of %ld us, interrupted %ld times in %d processes", time,
	       time, interrupted, i);
	ASSERT_LT(0, interrupted);
	for (i = 0; i < 2; i++)
		RU_OK(ru_kill(mover[i]));
	for (i = 0; i < NR_MEMS; i++)
		RU_OK(ru_migrate(&mem[i], 0, mem[i].nr,
				 RU_VIEWS({0, mem[i].addr})));
}

RU_AUDIT

TEST_HARNESS_MAIN
