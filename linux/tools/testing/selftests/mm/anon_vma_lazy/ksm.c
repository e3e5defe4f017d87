// SPDX-License-Identifier: GPL-2.0-only
/*
 * KSM: pages of equal content become one, which is found by the addresses it
 * was merged at, in the processes that had it and in those forked since.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "rmap_util.h"

#define KSM "/sys/kernel/mm/ksm/"

FIXTURE(ksm) { struct ru_mem m; char run[16]; };
FIXTURE_SETUP(ksm)
{
	RU_START();
	RU_NEED(ru_numa_ready());
	RU_NEED(access(KSM "run", W_OK) ? ru_fail("no KSM") : 0);
	/* All nodes together, as fast as can be */
	RU_OK(ru_write_str(KSM "run", "2"));
	ru_write_str(KSM "merge_across_nodes", "1");
	RU_OK(ru_write_str(KSM "sleep_millisecs", "0"));
	RU_OK(ru_write_str(KSM "pages_to_scan", "2000"));
	ru_write_str(KSM "smart_scan", "0");
	RU_OK(ru_write_str(KSM "run", "1"));
}
FIXTURE_TEARDOWN(ksm)
{
	ru_stop();
	ru_write_str(KSM "run", "2");
	ru_write_str(KSM "run", "0");
}

/* Every page with the content of page 0 */
static void fill_same(struct ru_mem *m)
{
	size_t page;

	for (page = 0; page < m->nr; page++)
		ru_fill(ru_at(m, page), m->seed, 0, 1);
}

static int same_frame(const struct ru_view *v, int n)
{
	uint64_t pfn = ru_pfn(v[0].proc, v[0].addr);
	int i;

	if (!pfn)
		return 0;
	for (i = 1; i < n; i++)
		if (ru_pfn(v[i].proc, v[i].addr) != pfn)
			return 0;
	return 1;
}

/* Then KSM stops: it holds pages while it looks at them. */
static int merged(const struct ru_view *v, int n)
{
	int i;

	for (i = 0; i < 600; i++) {
		if (same_frame(v, n))
			return ru_write_str(KSM "run", "0");
		usleep(50000);
	}
	return ru_fail("not merged after 30 seconds");
}

/* One page, at @n places: moved in all */
static int migrate_one(struct ru_mem *m, const struct ru_view *v, int n)
{
	int i;

	if (ru_migrate(m, 0, 1, v, n))
		return -1;
	for (i = 0; i < n; i++)
		if (ru_check_in(v[i].proc, v[i].addr, m->seed, 0, 1))
			return -1;
	return 0;
}

TEST_F(ksm, fork_and_migrate)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;
	char *a, *b, *c;

	RU_OK(ru_map(m, RU_ANON, 3));
	fill_same(m);
	a = ru_at(m, 0);
	b = ru_at(m, 1);
	c = ru_at(m, 2);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_MERGEABLE));
	RU_OK(merged(RU_VIEWS({0, a}, {0, b}, {0, c})));
	RU_OK(migrate_one(m, RU_VIEWS({0, a}, {0, b}, {0, c})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(migrate_one(m, RU_VIEWS({0, a}, {0, b}, {0, c},
				      {child, a}, {child, b}, {child, c},
				      {grandchild, a}, {grandchild, b},
				      {grandchild, c})));
	/* The child writes to one of its three, the grandchild unmaps one. */
	RU_OK(ru_fill_in(child, b, m->seed + 1, 0, 1));
	RU_OK(ru_munmap_in(grandchild, c, ru_page));
	RU_OK(migrate_one(m, RU_VIEWS({grandchild, a}, {0, a}, {0, b}, {0, c},
				      {child, a}, {child, c}, {grandchild, b})));
	RU_OK(ru_audit());
	RU_OK(ru_check_in(child, b, m->seed + 1, 0, 1));
	/* The process that had it first goes on without it */
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_UNMERGEABLE));
	RU_OK(ru_check(a, m->seed, 0, 1));
	RU_OK(ru_check(c, m->seed, 0, 1));
	ASSERT_NE(ru_pfn(child, a), ru_pfn(0, a));
	ASSERT_NE(ru_pfn(0, a), ru_pfn(0, b));
	ASSERT_NE(ru_pfn(0, b), ru_pfn(0, c));
	RU_OK(migrate_one(m, RU_VIEWS({0, a})));
	RU_OK(ru_exit(child));
	RU_OK(ru_exit(grandchild));
}

static long make_same(long mem, long b, long c, long d)
{
	struct ru_mem *m = (struct ru_mem *)mem;

	ru_fill(m->addr, m->seed, 0, 1);
	return madvise(m->addr, ru_page, MADV_MERGEABLE) ? -errno : 0;
}

/* Processes that share no memory: one stable page in all of them */
TEST_F(ksm, across_processes)
{
	struct ru_mem *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ru_view v[6];
	int i;

	ASSERT_NE(MAP_FAILED, m);
	RU_OK(ru_map(m, RU_ANON, 1));
	for (i = 0; i < 5; i++) {
		v[i] = (struct ru_view){ ru_fork(0), m->addr };
		ASSERT_LT(0, v[i].proc) TH_LOG("%s", ru_error());
		ASSERT_EQ(0, ru_call(v[i].proc, make_same, (long)m, 0, 0, 0));
	}
	RU_OK(merged(v, 5));
	RU_OK(migrate_one(m, v, 5));
	v[5] = (struct ru_view){ ru_fork(v[2].proc), m->addr };
	ASSERT_LT(0, v[5].proc) TH_LOG("%s", ru_error());
	RU_OK(migrate_one(m, v, 6));
	/* The one that has a child ends; the child keeps the page. */
	RU_OK(ru_exit(v[2].proc));
	v[2] = v[5];
	RU_OK(ru_audit());
	RU_OK(migrate_one(m, v, 5));
	for (i = 0; i < 5; i++)
		RU_OK(ru_exit(v[i].proc));
}

/*
 * A VMA that was moved is merged where it is now; one that is moved afterwards
 * gets its pages unshared.
 */
TEST_F(ksm, moved)
{
	struct ru_mem *m = &self->m;
	char *to, *then;
	int child;

	RU_OK(ru_map(m, RU_ANON, 3));
	fill_same(m);
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	then = (char *)ru_reserve(m->len, ru_page) + ru_page;
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_madvise_in(0, to, m->len, MADV_MERGEABLE));
	RU_OK(merged(RU_VIEWS({0, to}, {0, to + ru_page}, {0, to + 2 * ru_page})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_audit());
	RU_OK(migrate_one(m, RU_VIEWS({0, to}, {0, to + ru_page},
				      {0, to + 2 * ru_page}, {child, to},
				      {child, to + ru_page},
				      {child, to + 2 * ru_page})));
	RU_OK(ru_mremap_in(child, to, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, then));
	RU_OK(ru_check_in(child, then, m->seed, 0, 1));
	RU_OK(ru_check_in(child, then + 2 * ru_page, m->seed, 0, 1));
	RU_OK(ru_exit(child));
	RU_OK(migrate_one(m, RU_VIEWS({0, to}, {0, to + ru_page},
				      {0, to + 2 * ru_page})));
}

/* Swapped out and in again */
TEST_F(ksm, swapped)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_NEED(ru_swap_ready());
	RU_OK(ru_map(m, RU_ANON, 2));
	fill_same(m);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_MERGEABLE));
	RU_OK(merged(RU_VIEWS({0, m->addr}, {0, ru_at(m, 1)})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_write_str(KSM "run", "0"));
	RU_OK(ru_swap_out(m, 0, 2, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_check_in(child, ru_at(m, 1), m->seed, 0, 1));
	RU_OK(ru_check(m->addr, m->seed, 0, 1));
	RU_OK(ru_check(ru_at(m, 1), m->seed, 0, 1));
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, 1));
	RU_OK(ru_exit(child));
	ru_swap_stop();
}

/* ksmd has seen everything, twice, and stops. */
static int scanned(void)
{
	long before, now;
	int i;

	if (ru_read_long(KSM "full_scans", &before) || ru_write_str(KSM "run", "1"))
		return -1;
	for (i = 0; i < 600; i++) {
		if (ru_read_long(KSM "full_scans", &now))
			return -1;
		if (now >= before + 3)
			return ru_write_str(KSM "run", "0");
		usleep(50000);
	}
	return ru_fail("ksmd did not come by within 30 seconds");
}

/*
 * A merged page that somebody holds while it is reclaimed stays in the swap cache
 * as what it is.  Mapped again from there where nothing is to be merged any more,
 * it has no reverse mapping, on any kernel: it stays where it is, and is right.
 */
TEST_F(ksm, swapped_unmergeable)
{
	struct ru_mem *m = &self->m, other;
	struct iovec held;
	int pipes[2], child;

	RU_NEED(ru_swap_ready());
	/* Something for ksmd to scan, in the end */
	RU_OK(ru_make(&other, RU_ANON, 1));
	RU_OK(ru_madvise_in(0, other.addr, other.len, MADV_MERGEABLE));
	RU_OK(ru_map(m, RU_ANON, 2));
	fill_same(m);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_MERGEABLE));
	RU_OK(merged(RU_VIEWS({0, m->addr}, {0, ru_at(m, 1)})));
	RU_OK(ru_munmap_in(0, ru_at(m, 1), ru_page));
	ASSERT_EQ(0, pipe(pipes));
	held = (struct iovec){ m->addr, ru_page };
	ASSERT_EQ((ssize_t)ru_page, vmsplice(pipes[1], &held, 1, 0));
	RU_OK(ru_madvise_in(0, m->addr, ru_page, MADV_PAGEOUT));
	ASSERT_NE(0, ru_pagemap(0, m->addr) & RU_PM_SWAP);
	RU_OK(ru_madvise_in(0, m->addr, ru_page, MADV_UNMERGEABLE));
	RU_OK(ru_check(m->addr, m->seed, 0, 1));
	ASSERT_EQ(0, ru_pagemap(0, m->addr) & RU_PM_SWAP);
	RU_OK(scanned());
	RU_OK(ru_audit_but(1));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_audit_but(1));
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, 1));
	RU_OK(ru_check(m->addr, m->seed, 0, 1));
	RU_OK(ru_exit(child));
	close(pipes[0]);
	close(pipes[1]);
	ru_swap_stop();
}

/*
 * A merged page that is in swap moves with its VMA to where, in another one, the
 * same page was merged before.  ksmd leaves what it has noted of that as it is, with
 * the other VMA's anon_vma: a regular process, on any kernel, has no reverse mapping
 * of the page then.  A lazy one has one anon_vma, and the page can move.
 */
TEST_F(ksm, swapped_moves)
{
	struct ru_mem *m = &self->m, other;
	struct iovec held;
	int pipes[2];

	RU_NEED(ru_swap_ready());
	RU_OK(ru_map(m, RU_ANON, 1));
	RU_OK(ru_map(&other, RU_ANON, 1));
	other.seed = m->seed;
	fill_same(m);
	fill_same(&other);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_MERGEABLE));
	RU_OK(ru_madvise_in(0, other.addr, other.len, MADV_MERGEABLE));
	RU_OK(merged(RU_VIEWS({0, m->addr}, {0, other.addr})));
	RU_OK(ru_munmap_in(0, m->addr, m->len));
	ASSERT_EQ(0, pipe(pipes));
	held = (struct iovec){ other.addr, ru_page };
	ASSERT_EQ((ssize_t)ru_page, vmsplice(pipes[1], &held, 1, 0));
	RU_OK(ru_madvise_in(0, other.addr, ru_page, MADV_PAGEOUT));
	ASSERT_NE(0, ru_pagemap(0, other.addr) & RU_PM_SWAP);
	RU_OK(ru_mremap_in(0, other.addr, other.len, other.len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, m->addr));
	RU_OK(ru_check(m->addr, m->seed, 0, 1));
	ASSERT_EQ(0, ru_pagemap(0, m->addr) & RU_PM_SWAP);
	ASSERT_NE(0, ru_kpageflags(ru_pfn(0, m->addr)) & 1ULL << RU_KPF_KSM);
	RU_OK(scanned());
	RU_OK(ru_audit_but(ru_lazy() ? 0 : 1));
	close(pipes[0]);
	close(pipes[1]);
	if (ru_lazy())
		RU_OK(migrate_one(m, RU_VIEWS({0, m->addr})));
	RU_OK(ru_check(m->addr, m->seed, 0, 1));
	/* What it writes is a page of its own, which everybody finds. */
	m->seed++;
	ru_fill(m->addr, m->seed, 0, 1);
	RU_OK(migrate_one(m, RU_VIEWS({0, m->addr})));
	ru_swap_stop();
}

RU_AUDIT

TEST_HARNESS_MAIN
