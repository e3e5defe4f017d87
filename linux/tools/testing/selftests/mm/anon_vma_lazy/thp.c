// SPDX-License-Identifier: GPL-2.0-only
/*
 * Huge pages made of small ones and the other way round, while other processes
 * map them, in part, elsewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define SPLIT "/sys/kernel/debug/split_huge_pages"

FIXTURE(huge) { struct ru_mem m; };
FIXTURE_VARIANT(huge) { enum ru_kind kind; };
FIXTURE_SETUP(huge)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
	RU_NEED(ru_numa_ready());
}
FIXTURE_TEARDOWN(huge) { ru_stop(); }
RU_KIND(huge, thp, RU_THP);
RU_KIND(huge, mthp, RU_MTHP);

static int split(int proc, char *from, size_t len)
{
	char command[128];

	snprintf(command, sizeof(command), "%d,0x%lx,0x%lx,0", ru_pid(proc),
		 (long)from, (long)from + len);
	return ru_write_str(SPLIT, command);
}

/* Not compound any more, in all of them */
static int all_small(size_t nr, int proc, char *addr)
{
	size_t page;

	for (page = 0; page < nr; page++) {
		uint64_t flags = ru_kpageflags(ru_pfn(proc, addr + page * ru_page));

		if (flags & ((1 << RU_KPF_COMPOUND_HEAD) |
			     (1 << RU_KPF_COMPOUND_TAIL)))
			return ru_fail("page %zu is still part of a large folio",
				       page);
	}
	return 0;
}

/* The split freezes every mapping of the folio: none may be missed. */
TEST_F(huge, split_shared)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;
	char *to;

	if (access(SPLIT, W_OK))
		SKIP(return, "no " SPLIT);
	RU_OK(ru_make(m, variant->kind, 1));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	/* The child has it elsewhere, by an odd distance */
	to = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + 3 * ru_page;
	RU_OK(ru_mremap_in(child, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(split(0, m->addr, m->len));
	RU_OK(all_small(m->nr, 0, m->addr));
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, to},
					      {grandchild, m->addr})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, to},
						   {grandchild, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({grandchild, m->addr}, {child, to},
					       {0, m->addr})));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr},
					       {grandchild, m->addr})));
	RU_OK(ru_exit(grandchild));
}

/*
 * The split puts the zero page in the place of a part full of zeroes, so nothing
 * is left there that says whether the part was exclusive: in all who share it
 * the migration entry must go.
 */
TEST_F(huge, split_zeroes)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;
	size_t half;
	char *to;

	if (access(SPLIT, W_OK))
		SKIP(return, "no " SPLIT);
	RU_OK(ru_make(m, variant->kind, 1));
	half = m->nr / 2;
	memset(m->addr, 0, half * ru_page);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(split(0, m->addr, m->len));
	RU_OK(ru_check_zero_in(0, m->addr, half));
	RU_OK(ru_check_zero_in(child, m->addr, half));
	RU_OK(ru_check_zero_in(grandchild, m->addr, half));
	to = ru_at(m, half);
	RU_OK(ru_check_views(m, half, m->nr - half,
			     RU_VIEWS({0, to}, {child, to}, {grandchild, to})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));

	/* Of one process, which has a child that never mapped it */
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_make(m, variant->kind, 1));
	memset(m->addr, 0, half * ru_page);
	RU_OK(split(0, m->addr, m->len));
	RU_OK(all_small(m->nr - half, 0, ru_at(m, half)));
	RU_OK(ru_check_zero_in(0, m->addr, half));
	ru_fill(m->addr, m->seed, 0, half);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(child));
}

/* VMAs cut through the folio, parts unmapped or moved, then split */
TEST_F(huge, split_across_vmas)
{
	struct ru_mem *m = &self->m;
	int child;
	char *to;

	if (access(SPLIT, W_OK))
		SKIP(return, "no " SPLIT);
	RU_OK(ru_make(m, variant->kind, 1));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mprotect_in(0, ru_at(m, 2), 3 * ru_page, PROT_READ));
	RU_OK(ru_munmap_in(0, ru_at(m, 7), ru_page));
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	RU_OK(ru_mremap_in(0, ru_at(m, 8), 4 * ru_page, 4 * ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(split(child, m->addr, m->len));
	RU_OK(all_small(7, 0, m->addr));
	RU_OK(all_small(m->nr, child, m->addr));
	RU_OK(ru_mapped(m, 0, 7, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_mapped(m, 7, 1, RU_VIEWS({child, ru_at(m, 7)})));
	RU_OK(ru_migrate(m, 8, 4, RU_VIEWS({0, to}, {child, ru_at(m, 8)})));
	RU_OK(ru_migrate(m, 12, 4, RU_VIEWS({0, ru_at(m, 12)},
					    {child, ru_at(m, 12)})));
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
}

/*
 * A large folio in two places of one process, migrated as a whole: some pages
 * where they were, some moved, some with another protection.
 */
TEST_F(huge, migrate_parts)
{
	struct ru_mem *m = &self->m;
	struct ru_mem rest;
	char *to;

	RU_OK(ru_make(m, variant->kind, 1));
	to = (char *)ru_reserve(m->len, ru_page) + 5 * ru_page;
	RU_OK(ru_mremap_in(0, ru_at(m, 4), 5 * ru_page, 5 * ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_mprotect_in(0, ru_at(m, 9), 2 * ru_page, PROT_READ));
	rest = *m;
	RU_OK(ru_migrate(m, 4, 5, RU_VIEWS({0, to})));
	/* They went together. */
	RU_OK(ru_check(m->addr, m->seed, 0, 4));
	RU_OK(ru_mapped(m, 9, m->nr - 9, RU_VIEWS({0, ru_at(m, 9)})));
	RU_OK(ru_migrate(&rest, 9, m->nr - 9, RU_VIEWS({0, ru_at(m, 9)})));
	RU_OK(ru_check(to, m->seed, 4, 5));
}

FIXTURE(collapse) { struct ru_mem m; };
FIXTURE_SETUP(collapse)
{
	RU_START();
	RU_NEED(ru_kind_ready(RU_THP));
	RU_NEED(ru_numa_ready());
}
FIXTURE_TEARDOWN(collapse) { ru_stop(); }

/* Small pages in a range that could hold a huge one */
static int small_pages(struct ru_mem *m)
{
	if (ru_map(m, RU_THP, 1) || ru_madvise_in(0, m->addr, m->len, MADV_NOHUGEPAGE))
		return -1;
	ru_fill(m->addr, m->seed, 0, m->nr);
	if (ru_is_thp(0, m->addr))
		return ru_fail("a huge page where none was wanted");
	return ru_madvise_in(0, m->addr, m->len, MADV_HUGEPAGE);
}

TEST_F(collapse, own)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_OK(small_pages(m));
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_COLLAPSE));
	ASSERT_EQ(1, ru_is_thp(0, m->addr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

/* Shared pages are copied into the huge one; the other keeps the small ones. */
TEST_F(collapse, shared)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;

	RU_OK(small_pages(m));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	/* A range without a writable page is left alone. */
	RU_OK(ru_fill_in(child, ru_at(m, 9), m->seed, 9, 1));
	RU_OK(ru_madvise_in(child, m->addr, m->len, MADV_COLLAPSE));
	ASSERT_EQ(1, ru_is_thp(child, m->addr));
	ASSERT_EQ(0, ru_is_thp(0, m->addr));
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({grandchild, m->addr},
					       {child, m->addr})));
	ru_fill(m->addr, m->seed, 0, 1);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_COLLAPSE));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

/* In a VMA that was moved by an odd number of pages: its index is not aligned. */
TEST_F(collapse, moved)
{
	struct ru_mem *m = &self->m;
	char *to;
	int child;

	RU_OK(small_pages(m));
	to = ru_reserve(4 * ru_pmd, ru_pmd);
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + ru_page));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to + ru_page},
					       {child, to + ru_page})));
	/* To where a huge page fits again */
	RU_OK(ru_mremap_in(0, to + ru_page, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * ru_pmd));
	to += 2 * ru_pmd;
	ru_fill(to, m->seed, 0, 1);
	RU_OK(ru_madvise_in(0, to, m->len, MADV_COLLAPSE));
	ASSERT_EQ(1, ru_is_thp(0, to));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, to - 2 * ru_pmd + ru_page})));
	RU_OK(ru_exit(child));
}

/* Collapse and split all the time while the pages migrate */
TEST_F(collapse, while_migrating)
{
	struct ru_mem *m = &self->m;
	int child, mover, i, done = 0;

	RU_OK(small_pages(m));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr, m->nr,
			    ru_pid(child), ru_page));
	for (i = 0; ru_race(i); i++) {
		/* EAGAIN: pages are isolated for migration */
		if (!madvise(m->addr, m->len, MADV_COLLAPSE))
			done++;
		RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
		if (i & 1)
			RU_OK(ru_mprotect_in(0, ru_at(m, 3), ru_page, PROT_READ));
		else
			RU_OK(ru_mprotect_in(0, m->addr, m->len,
					     PROT_READ | PROT_WRITE));
		ru_fill(ru_at(m, 8), m->seed, 8, 8);
	}
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_kill(mover));
	TH_LOG("collapsed %d of %d times", done, i);
	RU_OK(ru_mprotect_in(0, m->addr, m->len, PROT_READ | PROT_WRITE));
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr})));
	RU_OK(ru_exit(child));
}

/* khugepaged does it by itself. */
TEST_F(collapse, khugepaged)
{
	static const char K[] = "/sys/kernel/mm/transparent_hugepage/khugepaged/";
	char path[128], scan[32], alloc[32], nr[32];
	struct ru_mem *m = &self->m;
	int child, i;

	RU_OK(small_pages(m));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	snprintf(path, sizeof(path), "%sscan_sleep_millisecs", K);
	RU_OK(ru_switch(path, "10", scan, sizeof(scan)));
	snprintf(path, sizeof(path), "%salloc_sleep_millisecs", K);
	RU_OK(ru_switch(path, "10", alloc, sizeof(alloc)));
	snprintf(path, sizeof(path), "%spages_to_scan", K);
	RU_OK(ru_switch(path, "65536", nr, sizeof(nr)));
	/*
	 * Start it anew: in the five minutes from boot until jiffies is 0, with
	 * 32 bits, it does not wake up when its time to sleep is changed.
	 */
	RU_OK(ru_write_str("/sys/kernel/mm/transparent_hugepage/enabled", "never"));
	RU_OK(ru_write_str("/sys/kernel/mm/transparent_hugepage/enabled", "madvise"));
	/* A write makes the parent's pages its own: shared ones are left alone. */
	ru_fill(m->addr, m->seed, 0, m->nr);
	for (i = 0; i < 300 && !ru_is_thp(0, m->addr); i++)
		usleep(100000);
	ru_write_str(path, nr);
	snprintf(path, sizeof(path), "%sscan_sleep_millisecs", K);
	ru_write_str(path, scan);
	snprintf(path, sizeof(path), "%salloc_sleep_millisecs", K);
	ru_write_str(path, alloc);
	ASSERT_EQ(1, ru_is_thp(0, m->addr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
