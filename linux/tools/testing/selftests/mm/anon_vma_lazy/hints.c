// SPDX-License-Identifier: GPL-2.0-only
/*
 * Advice, locks and idle tracking: MADV_PAGEOUT, MADV_COLD, MADV_FREE, mlock,
 * page_idle, DAMON.  All of them look at the entries of a page.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

FIXTURE(hints) { struct ru_mem m; char *moved; };
FIXTURE_VARIANT(hints) { enum ru_kind kind; };
FIXTURE_SETUP(hints)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
	RU_NEED(ru_swap_ready());
}
FIXTURE_TEARDOWN(hints)
{
	ru_stop();
	ru_swap_stop();
}
RU_SMALL_KINDS(hints);
RU_KIND(hints, thp, RU_THP);
RU_KIND(hints, mthp, RU_MTHP);

static size_t units(enum ru_kind kind)
{
	return kind == RU_THP || kind == RU_MTHP ? 1 : 8;
}

/*
 * Pages that were just faulted wait for the LRU in a list of the CPU, and are left
 * alone until then.  Advice looks in the list of its own CPU.
 */
static int stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* Written and moved */
static int moved_mem(struct ru_mem *m, enum ru_kind kind, char **to)
{
	if (ru_make(m, kind, units(kind)))
		return -1;
	*to = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + 3 * ru_page;
	return ru_mremap_in(0, m->addr, m->len, m->len,
			    MREMAP_MAYMOVE | MREMAP_FIXED, *to);
}

/* Pages of one process only: in its place, and moved */
TEST_F(hints, pageout)
{
	struct ru_mem *m = &self->m;
	size_t page;
	char *at;
	int i;

	ASSERT_EQ(0, stay_here());
	for (i = 0; i < 2; i++) {
		if (i) {
			RU_OK(moved_mem(m, variant->kind, &at));
		} else {
			RU_OK(ru_make(m, variant->kind, units(variant->kind)));
			at = m->addr;
		}
		RU_OK(ru_madvise_in(0, at, m->len, MADV_PAGEOUT));
		for (page = 0; page < m->nr; page++)
			ASSERT_EQ(0, ru_pfn(0, at + page * ru_page)) TH_LOG("page %zu", page);
		RU_OK(ru_check(at, m->seed, 0, m->nr));
	}
}

/* Cold pages go first; they are as good as others when they come back. */
TEST_F(hints, cold)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_COLD));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_madvise_in(child, m->addr, m->len, MADV_COLD));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({child, m->addr},
						   {0, m->addr})));
	RU_OK(ru_exit(child));
}

/*
 * MADV_FREE: reclaim drops what is still clean, in the process that gave it
 * up; what was written since stays.
 */
TEST_F(hints, free)
{
	struct ru_mem *m = &self->m;
	char *at, path[128];
	size_t page, dropped = 0;
	int round;

	if (variant->kind == RU_PFILE || variant->kind == RU_SHMEM ||
	    variant->kind == RU_ZERO)
		SKIP(return, "MADV_FREE is for anonymous mappings");
	ASSERT_EQ(0, stay_here());
	RU_OK(moved_mem(m, variant->kind, &at));
	RU_OK(ru_madvise_in(0, at, m->len, MADV_FREE));
	/* The first page is wanted again; of a large folio that would be all. */
	if (m->unit_nr == 1)
		ru_fill(at, m->seed, 0, 1);
	snprintf(path, sizeof(path), "/sys/fs/cgroup/rmap_selftest.%d/memory.reclaim",
		 getpid());
	for (round = 0; round < 12 && !dropped; round++) {
		ru_write_str("/proc/self/clear_refs", "1");
		ru_write_str(path, "64M");
		for (page = 1; page < m->nr; page++)
			dropped += !(ru_pagemap(0, at + page * ru_page) &
				     (RU_PM_PRESENT | RU_PM_SWAP));
	}
	ASSERT_LT(0, dropped);
	if (m->unit_nr == 1)
		RU_OK(ru_check(at, m->seed, 0, 1));
	for (page = 1; page < m->nr; page++)
		if (ru_check(at + page * ru_page, m->seed, page, 1))
			RU_OK(ru_check_zero(at + page * ru_page, 1));
}

static long lock(long addr, long len, long c, long d)
{
	return mlock((void *)addr, len) ? -errno : 0;
}

static long unlock(long addr, long len, long c, long d)
{
	return munlock((void *)addr, len) ? -errno : 0;
}

/*
 * A page that one of several processes has locked is not reclaimed from any;
 * unlocked, it is.
 */
TEST_F(hints, mlock)
{
	struct ru_mem *m = &self->m;
	int child;
	char *at;

	RU_OK(moved_mem(m, variant->kind, &at));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, ru_call(child, lock, (long)at, m->len, 0, 0));
	if (variant->kind == RU_ANON)
		ASSERT_EQ(-1, ru_swap_out(m, 0, m->nr,
					  RU_VIEWS({child, at})));
	RU_OK(ru_check_in(child, at, m->seed, 0, m->nr));
	/* One by one, so that the lock is partial on the way */
	ASSERT_EQ(0, ru_call(child, unlock, (long)at, m->len / 2, 0, 0));
	ASSERT_EQ(0, ru_call(child, unlock, (long)at, m->len, 0, 0));
	RU_OK(ru_check(at, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, at})));
	RU_OK(ru_check(at, m->seed, 0, m->nr));
}

/*
 * page_idle asks every mapping whether the page was used: mark it, use it in one
 * process, and it is not idle.
 */
TEST_F(hints, page_idle)
{
	static const char bitmap[] = "/sys/kernel/mm/page_idle/bitmap";
	struct ru_mem *m = &self->m;
	int fd, child, users, i;
	uint64_t pfn, bits;
	char *at;

	fd = open(bitmap, O_RDWR);
	if (fd < 0)
		SKIP(return, "no idle page tracking");
	if (variant->kind == RU_THP || variant->kind == RU_MTHP)
		SKIP(return, "one bit a folio");
	RU_OK(moved_mem(m, variant->kind, &at));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mremap_in(child, at, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, m->addr));
	/* 0: nobody uses it, 1: the parent does, 2: the child */
	for (users = 0; users < 3; users++) {
		int idle = 0, other = 0;

		/* The page has to be on the LRU, and not in a CPU's batch */
		for (i = 0; i < 50 && !other; i++) {
			pfn = ru_pfn(0, at);
			other = !!(ru_kpageflags(pfn) & (1 << RU_KPF_LRU));
			if (!other) {
				ru_write_str("/proc/sys/vm/compact_memory", "1");
				usleep(10000);
			}
		}
		bits = 1ULL << (pfn % 64);
		ASSERT_EQ(8, pwrite(fd, &bits, 8, pfn / 64 * 8));
		if (users == 1)
			RU_OK(ru_check(at, m->seed, 0, 1));
		if (users == 2)
			RU_OK(ru_check_in(child, m->addr, m->seed, 0, 1));
		ASSERT_EQ(8, pread(fd, &bits, 8, pfn / 64 * 8));
		idle = !!(bits & (1ULL << (pfn % 64)));
		ASSERT_EQ(!users, idle) TH_LOG("used by %d of 1 parent, 2 child",
					       users);
	}
	close(fd);
	RU_OK(ru_exit(child));
}

#define DAMON "/sys/kernel/mm/damon/admin/kdamonds/"
#define D0 DAMON "0/contexts/0/"

/*
 * DAMON on physical addresses walks the mappings of sampled pages.  What is
 * seen is left to its own tests: here it runs over shared, moved pages.
 */
TEST_F(hints, damon)
{
	struct ru_mem *m = &self->m;
	int child, i;
	char *at;

	if (variant->kind != RU_ANON && variant->kind != RU_THP)
		SKIP(return, "two kinds are enough");
	RU_NEED(access(DAMON "nr_kdamonds", W_OK) ? ru_fail("no DAMON") : 0);
	RU_OK(ru_write_str(DAMON "nr_kdamonds", "1"));
	RU_OK(ru_write_str(DAMON "0/contexts/nr_contexts", "1"));
	RU_OK(ru_write_str(D0 "operations", "paddr"));
	RU_OK(ru_write_str(D0 "targets/nr_targets", "1"));
	RU_OK(ru_write_str(D0 "monitoring_attrs/intervals/sample_us", "1000"));
	RU_OK(ru_write_str(D0 "monitoring_attrs/intervals/aggr_us", "20000"));
	RU_OK(ru_write_str(D0 "targets/0/regions/nr_regions", "1"));
	RU_OK(moved_mem(m, variant->kind, &at));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	{
		char from[32], to[32];
		unsigned long pa = ru_pfn(0, at) * ru_page;

		snprintf(from, sizeof(from), "%lu", pa / RU_HUGE * RU_HUGE);
		snprintf(to, sizeof(to), "%lu", (pa / RU_HUGE + 1) * RU_HUGE);
		RU_OK(ru_write_str(D0 "targets/0/regions/0/start", from));
		RU_OK(ru_write_str(D0 "targets/0/regions/0/end", to));
	}
	RU_OK(ru_write_str(DAMON "0/state", "on"));
	for (i = 0; i < 20; i++) {
		RU_OK(ru_check_in(child, at, m->seed, 0, m->nr));
		RU_OK(ru_mremap_in(child, at, m->len, m->len,
				   MREMAP_MAYMOVE | MREMAP_FIXED, m->addr));
		usleep(20000);
		RU_OK(ru_mremap_in(child, m->addr, m->len, m->len,
				   MREMAP_MAYMOVE | MREMAP_FIXED, at));
	}
	/* DAMON's own thread takes the lock of these files now and then. */
	for (i = 0; ru_write_str(DAMON "0/state", "off"); i++) {
		ASSERT_EQ(EBUSY, errno) TH_LOG("%s", ru_error());
		ASSERT_LT(i, 5000) TH_LOG("%s", ru_error());
		usleep(1000);
	}
	RU_OK(ru_write_str(DAMON "nr_kdamonds", "0"));
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, at}, {child, at})));
	RU_OK(ru_check(at, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
