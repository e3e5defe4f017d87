// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private hugetlb mappings have reservations, move their entries in a way of
 * their own, and take no small pages.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "rmap_util.h"

FIXTURE(hugetlb) { struct ru_mem m; };
FIXTURE_SETUP(hugetlb)
{
	RU_START();
	RU_NEED(ru_kind_ready(RU_HUGETLB));
	RU_NEED(ru_numa_ready());
}
FIXTURE_TEARDOWN(hugetlb) { ru_stop(); }

/*
 * The child writes and gets a page of its own, the parent's stays; then the
 * parent writes to what is its alone again.
 */
TEST_F(hugetlb, write_after_fork)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_OK(ru_make(m, RU_HUGETLB, 2));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, m->unit_nr));
	RU_OK(ru_migrate(m, 0, m->unit_nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_check_in(child, m->addr, m->seed + 1, 0, m->unit_nr));
	RU_OK(ru_migrate(m, m->unit_nr, m->unit_nr,
			 RU_VIEWS({child, ru_at(m, m->unit_nr)},
				  {0, ru_at(m, m->unit_nr)})));
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, m->unit_nr, m->unit_nr,
			 RU_VIEWS({child, ru_at(m, m->unit_nr)})));
	RU_OK(ru_exit(child));
}

static long map_small(long addr, long len, long c, long d)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		       (void *)addr ? 0 : -errno;
}

static long map_huge(long addr, long len, long c, long d)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | RU_MAP_HUGE, -1, 0) ==
		       (void *)addr ? 0 : -errno;
}

/*
 * Small pages in the child where the parent has a huge one, and a huge one
 * where the parent has small ones: a walk for one must not look at the other.
 */
TEST_F(hugetlb, other_size_in_child)
{
	struct ru_mem *m = &self->m, small;
	int child, other;
	char *at;

	RU_OK(ru_make(m, RU_HUGETLB, 2));
	at = ru_reserve(RU_HUGE, RU_HUGE);
	ASSERT_EQ(0, map_small((long)at, RU_HUGE, 0, 0));
	ASSERT_EQ(0, madvise(at, RU_HUGE, MADV_NOHUGEPAGE));
	small = (struct ru_mem){ .kind = RU_ANON, .addr = at, .unit = ru_page,
				 .unit_nr = 1, .nr = 16, .seed = ru_random() };
	ru_fill(at, small.seed, 0, 16);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	other = ru_fork(0);
	ASSERT_LT(0, other) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, ru_call(child, map_small, (long)m->addr, m->len, 0, 0));
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, 40));
	ASSERT_EQ(0, ru_call(child, map_huge, (long)at, RU_HUGE, 0, 0));
	RU_OK(ru_fill_in(child, at, small.seed + 1, 0, 24));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {other, m->addr})));
	RU_OK(ru_migrate(&small, 0, 16, RU_VIEWS({other, at}, {0, at})));
	RU_OK(ru_check_in(child, m->addr, m->seed + 1, 0, 40));
	RU_OK(ru_check_in(child, at, small.seed + 1, 0, 24));
	RU_OK(ru_exit(other));
	RU_OK(ru_exit(child));
}

/* Moved up and down by one huge page, over itself in two steps */
TEST_F(hugetlb, slide)
{
	struct ru_mem *m = &self->m;
	char *to;
	int child;

	RU_OK(ru_make(m, RU_HUGETLB, 2));
	to = ru_reserve(4 * RU_HUGE, RU_HUGE);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + RU_HUGE));
	RU_OK(ru_mremap_in(0, to + RU_HUGE, RU_HUGE, RU_HUGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_mremap_in(0, to + 2 * RU_HUGE, RU_HUGE, RU_HUGE,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + RU_HUGE));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to}, {child, m->addr})));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to})));
}

RU_AUDIT

TEST_HARNESS_MAIN
