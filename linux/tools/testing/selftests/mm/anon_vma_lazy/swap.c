// SPDX-License-Identifier: GPL-2.0-only
/*
 * Swap: out of all processes that map a page, back into some, fork at every
 * point in between.  A memory cgroup of the test's own keeps it from harm to
 * others; without a swap device a zram disk is made.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>

#include "rmap_util.h"

#define LRU_GEN "/sys/kernel/mm/lru_gen/enabled"

FIXTURE(swap) { struct ru_mem m; char lru_gen[16]; };
FIXTURE_VARIANT(swap) { enum ru_kind kind; };
FIXTURE_SETUP(swap)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
	RU_NEED(ru_swap_ready());
}
FIXTURE_TEARDOWN(swap)
{
	if (self->lru_gen[0])
		ru_write_str(LRU_GEN, self->lru_gen);
	ru_stop();
	ru_swap_stop();
}
RU_SMALL_KINDS(swap);
RU_KIND(swap, thp, RU_THP);
RU_KIND(swap, mthp, RU_MTHP);

/* A few units: a PMD-sized folio is enough of that kind. */
static size_t units(enum ru_kind kind)
{
	return kind == RU_THP ? 1 : kind == RU_MTHP ? 2 : 8;
}

TEST_F(swap, shared)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;

	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr},
						{grandchild, m->addr})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({grandchild, m->addr},
						   {child, m->addr},
						   {0, m->addr})));
	/* Once more, now from pages that came from swap */
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr},
						{grandchild, m->addr})));
	RU_OK(ru_exit(child));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({0, m->addr},
						   {grandchild, m->addr})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
}

/* The generations of MGLRU, of which reclaim and page tables are walked, too */
TEST_F(swap, lru_gen)
{
	struct ru_mem *m = &self->m;
	int child;
	char *at;

	RU_NEED(access(LRU_GEN, W_OK) ? ru_fail("no MGLRU") : 0);
	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	RU_OK(ru_switch(LRU_GEN, "y", self->lru_gen, sizeof(self->lru_gen)));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	at = ru_reserve(m->len, m->unit);
	RU_OK(ru_mremap_in(child, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, at));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, at})));
	RU_OK(ru_check_in(child, at, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
}

/*
 * Out, fork, and the child reads first: the folio in the swap cache belongs to
 * the parent's anon_vma and is mapped by the child alone.  Then it has to be
 * found there again.
 */
TEST_F(swap, fork_between)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, m->addr})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({child, m->addr},
						   {0, m->addr})));
	/* Both read it, from one swap slot; now write in both */
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, m->nr));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	RU_OK(ru_check_in(child, m->addr, m->seed + 1, 0, m->nr));
	if (!ru_numa_ready())
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(child));
}

/* Migration of what was swapped in by one process and mapped by another */
TEST_F(swap, in_and_migrate)
{
	struct ru_mem *m = &self->m;
	int child, page;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	for (page = 0; page < 4; page++) {
		char *at = ru_at(m, page);
		bool one = ru_pfn(0, at) == ru_pfn(child, at);

		/* Two copies if the swap slot was dropped in between */
		if (one) {
			RU_OK(ru_migrate(m, page, 1, RU_VIEWS({0, at}, {child, at})));
		} else {
			RU_OK(ru_migrate(m, page, 1, RU_VIEWS({0, at})));
			RU_OK(ru_migrate(m, page, 1, RU_VIEWS({child, at})));
		}
	}
	RU_OK(ru_exit(child));
}

/* Moved VMAs: the entry is found by its delta, present or swapped. */
TEST_F(swap, moved)
{
	struct ru_mem *m = &self->m;
	char *to, *again;
	int child;

	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	to = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + ru_page;
	again = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + 2 * ru_page;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, to}, {child, m->addr})));
	/* Swap entries move too */
	RU_OK(ru_mremap_in(0, to, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, again));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({0, again}, {child, m->addr})));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, again})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, again})));
	RU_OK(ru_exit(child));
}

/* swapoff looks for every process that has the entry. */
TEST_F(swap, swapoff)
{
	struct ru_mem *m = &self->m;
	char line[256], dev[128] = "";
	int child, grandchild;
	char *to;
	FILE *f;

	RU_OK(ru_make(m, variant->kind, units(variant->kind)));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	to = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + ru_page;
	RU_OK(ru_mremap_in(child, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, to})));
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());

	f = fopen("/proc/swaps", "r");
	ASSERT_NE(NULL, f);
	while (fgets(line, sizeof(line), f))
		if (line[0] == '/' && !dev[0])
			sscanf(line, "%127s", dev);
	fclose(f);
	ASSERT_EQ(0, swapoff(dev)) TH_LOG("swapoff %s: %s", dev, strerror(errno));
	EXPECT_EQ(0, ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, to},
						     {grandchild, to})))
		TH_LOG("%s", ru_error());
	ASSERT_EQ(0, swapon(dev, 0)) TH_LOG("swapon %s: %s", dev, strerror(errno));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, to},
						   {grandchild, to})));
	if (!ru_numa_ready() && variant->kind != RU_THP)
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({grandchild, to},
						       {0, m->addr}, {child, to})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
