// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory failure: everyone who maps the poisoned page gets SIGBUS, and nobody
 * else.  Each run costs the machine a few pages, unless they can be unpoisoned.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

static int handled(void)
{
	return access("/proc/sys/vm/memory_failure_early_kill", F_OK) ?
	       ru_fail("no memory failure handling") : 0;
}

FIXTURE(failure) {
	struct ru_mem m;
	uint64_t pfn[8];
	int nr_pfn;
};
FIXTURE_VARIANT(failure) { enum ru_kind kind; };
FIXTURE_SETUP(failure)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
	RU_NEED(handled());
	/* Every process that maps the page is told, also without touching it. */
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}
FIXTURE_TEARDOWN(failure)
{
	char pfn[32];
	int i;

	ru_stop();
	munmap(self->m.addr, self->m.len);
	for (i = 0; i < self->nr_pfn; i++) {
		snprintf(pfn, sizeof(pfn), "%llu", (unsigned long long)self->pfn[i]);
		ru_write_str("/sys/kernel/debug/hwpoison/unpoison-pfn", pfn);
	}
}
RU_KIND(failure, anon, RU_ANON);
RU_KIND(failure, private_file, RU_PFILE);
RU_KIND(failure, shmem, RU_SHMEM);
RU_KIND(failure, hugetlb, RU_HUGETLB);
RU_KIND(failure, thp, RU_THP);
RU_KIND(failure, mthp, RU_MTHP);

/* The policy is per process and not inherited by all kernels */
static long tell_me(long a, long b, long c, long d)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}

static int new_proc(int parent)
{
	int p = ru_fork(parent);

	if (p > 0 && ru_call(p, tell_me, 0, 0, 0, 0))
		return ru_fail("PR_MCE_KILL");
	return p;
}

/* SIGBUS on touch, and so it stays */
static int poisoned(int proc, char *addr)
{
	if (ru_call(proc, ru_touch, (long)addr, 0, 0, 0) != RU_BUS)
		return ru_fail("process %d reads the poisoned page at %p", proc,
			       addr);
	if (ru_call(proc, ru_touch, (long)addr, 1, 0, 0) != RU_BUS)
		return ru_fail("process %d writes the poisoned page at %p", proc,
			       addr);
	return 0;
}

/*
 *  0  maps the page           1  child: maps it
 *  2  grandchild: moved it    3  child: has written, so has a copy
 *  4  child: unmapped it      5  child of 2: has another page there
 */
TEST_F(failure, shared)
{
	struct ru_mem *m = &self->m;
	int i, p[6] = { };
	char *moved, *bad;
	size_t u, at;
	bool huge = variant->kind == RU_HUGETLB;

	RU_OK(ru_make(m, variant->kind, 3));
	u = m->unit_nr;
	at = huge ? u : u + (u > 2 ? 2 : 0);
	bad = ru_at(m, at);
	for (i = 1; i < 5; i++) {
		p[i] = new_proc(i == 2 ? p[1] : 0);
		ASSERT_LT(0, p[i]) TH_LOG("%s", ru_error());
	}
	moved = (char *)ru_reserve(m->len + 2 * m->unit, huge ? RU_HUGE : ru_page);
	if (!huge)
		moved += ru_page;
	RU_OK(ru_mremap_in(p[2], m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	p[5] = new_proc(p[2]);
	ASSERT_LT(0, p[5]) TH_LOG("%s", ru_error());
	RU_OK(ru_fill_in(p[3], ru_at(m, u), m->seed, u, u));
	RU_OK(ru_munmap_in(p[4], ru_at(m, u), m->unit));
	RU_OK(ru_fill_in(p[5], moved + u * ru_page, m->seed, u, u));

	self->pfn[self->nr_pfn++] = ru_pfn(0, bad);
	for (i = 0; i < 6; i++)
		*ru_bus(p[i]) = (struct ru_bus){ };
	ASSERT_EQ(0, ru_call(p[1], ru_poison, (long)bad, MADV_HWPOISON, 0, 0));
	/* A signal that was sent is handled before the next call. */
	for (i = 1; i < 6; i++)
		ASSERT_EQ(0, ru_call(p[i], tell_me, 0, 0, 0, 0));

	/*
	 * Told at once: those that map it.  A large folio is split first, and
	 * that may leave them to find out when they touch it.
	 */
	if (huge || u == 1) {
		ASSERT_EQ(1, ru_bus(0)->count);
		ASSERT_EQ(1, ru_bus(p[2])->count);
	}
	ASSERT_EQ(0, ru_bus(p[3])->count);
	ASSERT_EQ(0, ru_bus(p[4])->count);
	ASSERT_EQ(0, ru_bus(p[5])->count);
	RU_OK(poisoned(0, bad));
	RU_OK(poisoned(p[1], bad));
	RU_OK(poisoned(p[2], moved + at * ru_page));
	/* The others have what they had. */
	RU_OK(ru_check_in(p[3], m->addr, m->seed, 0, m->nr));
	RU_OK(ru_check_in(p[4], m->addr, m->seed, 0, u));
	RU_OK(ru_check_in(p[5], moved, m->seed, 0, m->nr));
	/* As has everyone the pages around */
	RU_OK(ru_check_in(p[2], moved + 2 * u * ru_page, m->seed, 2 * u, u));
	RU_OK(ru_check(m->addr, m->seed, 0, u));
	if (!huge && u > 1) {
		RU_OK(ru_check(ru_at(m, at + 1), m->seed, at + 1, u - 3));
		RU_OK(ru_check_in(p[1], ru_at(m, at + 1), m->seed, at + 1, u - 3));
	}
	for (i = 5; i > 0; i--)
		RU_OK(ru_exit(p[i]));
}

/* A page of one process, with relatives that never had it */
TEST_F(failure, exclusive)
{
	struct ru_mem *m = &self->m;
	int child, other;

	RU_OK(ru_map(m, variant->kind, 2));
	child = new_proc(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	other = new_proc(0);
	ASSERT_LT(0, other) TH_LOG("%s", ru_error());
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_fill_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_fill_in(other, m->addr, m->seed, 0, m->nr));
	self->pfn[self->nr_pfn++] = ru_pfn(child, m->addr);
	*ru_bus(0) = *ru_bus(child) = *ru_bus(other) = (struct ru_bus){ };
	ASSERT_EQ(0, ru_call(child, ru_poison, (long)m->addr, MADV_HWPOISON, 0, 0));
	ASSERT_EQ(0, ru_call(other, tell_me, 0, 0, 0, 0));
	RU_OK(poisoned(child, m->addr));
	ASSERT_EQ(0, ru_bus(0)->count);
	ASSERT_EQ(0, ru_bus(other)->count);
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	RU_OK(ru_check_in(other, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
	RU_OK(ru_exit(other));
}

/* Soft: the page goes, its content moves, nobody notices. */
TEST_F(failure, soft_offline)
{
	struct ru_mem *m = &self->m;
	int i, p[3] = { };
	char *moved;
	uint64_t pfn;
	size_t u;

	RU_OK(ru_make(m, variant->kind, 2));
	u = m->unit_nr;
	for (i = 1; i < 3; i++) {
		p[i] = new_proc(p[i - 1]);
		ASSERT_LT(0, p[i]) TH_LOG("%s", ru_error());
	}
	moved = (char *)ru_reserve(m->len + 2 * m->unit,
				   variant->kind == RU_HUGETLB ? RU_HUGE : ru_page);
	RU_OK(ru_mremap_in(p[1], m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	pfn = ru_pfn(0, m->addr);
	self->pfn[self->nr_pfn++] = pfn;
	RU_OK(ru_madvise_in(0, m->addr, ru_page, MADV_SOFT_OFFLINE));
	ASSERT_NE(pfn, ru_pfn(0, m->addr));
	ASSERT_NE(0, ru_kpageflags(pfn) & (1 << RU_KPF_HWPOISON));
	RU_OK(ru_mapped(m, 0, u, RU_VIEWS({0, m->addr}, {p[1], moved},
					  {p[2], m->addr})));
	RU_OK(ru_check_views(m, 0, m->nr, RU_VIEWS({0, m->addr}, {p[1], moved},
						   {p[2], m->addr})));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, ru_bus(p[i])->count);
	RU_OK(ru_exit(p[2]));
	RU_OK(ru_exit(p[1]));
}

#define KSM "/sys/kernel/mm/ksm/"

FIXTURE(ksm_failure) { struct ru_mem m; uint64_t pfn; };
FIXTURE_SETUP(ksm_failure)
{
	RU_START();
	RU_NEED(geteuid() ? ru_fail("needs root") : 0);
	RU_NEED(access(KSM "run", W_OK) ? ru_fail("no KSM") : 0);
	RU_NEED(handled());
	RU_OK(ru_write_str(KSM "run", "2"));
	ru_write_str(KSM "merge_across_nodes", "1");
	RU_OK(ru_write_str(KSM "sleep_millisecs", "0"));
	RU_OK(ru_write_str(KSM "pages_to_scan", "2000"));
	ru_write_str(KSM "smart_scan", "0");
	RU_OK(ru_write_str(KSM "run", "1"));
}
FIXTURE_TEARDOWN(ksm_failure)
{
	char pfn[32];

	ru_stop();
	munmap(self->m.addr, self->m.len);
	ru_write_str(KSM "run", "2");
	ru_write_str(KSM "run", "0");
	snprintf(pfn, sizeof(pfn), "%llu", (unsigned long long)self->pfn);
	ru_write_str("/sys/kernel/debug/hwpoison/unpoison-pfn", pfn);
}

static long map_shared(long addr, long len, long c, long d)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		       (void *)addr ? 0 : -errno;
}

/*
 * The merged page fails: who maps it loses it.  A relative that has nothing at
 * that address any more is not harmed.
 */
TEST_F(ksm_failure, bystanders)
{
	struct ru_mem *m = &self->m;
	int child, gone, i;

	tell_me(0, 0, 0, 0);
	RU_OK(ru_map(m, RU_ANON, 2));
	ru_fill(m->addr, m->seed, 0, 1);
	ru_fill(ru_at(m, 1), m->seed, 0, 1);
	RU_OK(ru_madvise_in(0, m->addr, m->len, MADV_MERGEABLE));
	for (i = 0; i < 600; i++) {
		self->pfn = ru_pfn(0, m->addr);
		if (self->pfn == ru_pfn(0, ru_at(m, 1)))
			break;
		usleep(50000);
	}
	ASSERT_LT(i, 600);
	child = new_proc(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	gone = new_proc(0);
	ASSERT_LT(0, gone) TH_LOG("%s", ru_error());
	RU_OK(ru_munmap_in(gone, m->addr, m->len));
	*ru_bus(0) = *ru_bus(child) = *ru_bus(gone) = (struct ru_bus){ };
	ASSERT_EQ(0, ru_call(child, ru_poison, (long)m->addr, MADV_HWPOISON, 0, 0));
	RU_OK(poisoned(0, m->addr));
	RU_OK(poisoned(0, ru_at(m, 1)));
	RU_OK(poisoned(child, m->addr));
	ASSERT_EQ(0, ru_call(gone, tell_me, 0, 0, 0, 0));
	EXPECT_EQ(0, ru_bus(gone)->count);
	ASSERT_EQ(0, ru_call(gone, map_shared, (long)m->addr, m->len, 0, 0));
	RU_OK(ru_fill_in(gone, m->addr, m->seed, 0, 2));
	RU_OK(ru_exit(gone));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
