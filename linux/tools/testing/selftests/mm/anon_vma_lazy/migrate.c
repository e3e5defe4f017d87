// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that migrates pages: move_pages() is in every test; here are
 * mbind, migrate_pages, compaction, NUMA hinting.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "rmap_util.h"

RU_KIND_FIXTURE(migrate);
RU_ALL_KINDS(migrate);

static int node_of(int proc, char *addr)
{
	void *page = addr;
	int status = -1;

	if (syscall(SYS_move_pages, ru_pid(proc), 1, &page, NULL, &status, 0))
		return -1;
	return status;
}

/* On that node in all of them */
static int all_on(const struct ru_mem *m, int node, const struct ru_view *v, int n)
{
	size_t page;
	int i;

	for (i = 0; i < n; i++)
		for (page = 0; page < m->nr; page += m->kind == RU_HUGETLB ?
						      m->unit_nr : 1) {
			int got = node_of(v[i].proc, v[i].addr + page * ru_page);

			if (got != node)
				return ru_fail("page %zu of process %d: node %d, not %d",
					       page, v[i].proc, got, node);
		}
	return ru_mapped(m, 0, m->nr, v, n) || ru_check_views(m, 0, m->nr, v, n);
}

TEST_F(migrate, mbind)
{
	struct ru_mem *m = &self->m;
	unsigned long mask;
	int child, node[2], to;

	RU_NEED(ru_numa_ready());
	ru_nodes(node);
	RU_OK(ru_make(m, variant->kind, 2));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	to = node_of(0, m->addr) == node[0] ? node[1] : node[0];
	mask = 1UL << to;
	ASSERT_EQ(0, syscall(SYS_mbind, m->addr, m->len, MPOL_BIND, &mask,
			     8 * sizeof(mask), MPOL_MF_MOVE_ALL | MPOL_MF_STRICT))
		TH_LOG("mbind: %s", strerror(errno));
	RU_OK(all_on(m, to, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

static long write_it(long addr, long nr, long seed, long d)
{
	ru_fill((char *)addr, seed, 0, nr);
	return 0;
}

TEST_F(migrate, migrate_pages)
{
	struct ru_mem *m = &self->m;
	unsigned long from, to;
	int child, node[2], is;
	char *moved;

	RU_NEED(ru_numa_ready());
	ru_nodes(node);
	RU_OK(ru_make(m, variant->kind, 2));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	/* In the child at another place, and its own page in front of that */
	moved = ru_reserve(m->len + 2 * m->unit, m->unit);
	RU_OK(ru_mremap_in(child, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	is = node_of(0, m->addr);
	from = 1UL << is;
	is = is == node[0] ? node[1] : node[0];
	to = 1UL << is;
	ASSERT_LE(0, syscall(SYS_migrate_pages, ru_pid(child), 8 * sizeof(to),
			     &from, &to))
		TH_LOG("migrate_pages: %s", strerror(errno));
	RU_OK(all_on(m, is, RU_VIEWS({child, moved}, {0, m->addr})));
	ASSERT_EQ(0, ru_call(child, write_it, (long)moved, m->nr, m->seed, 0));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(child));
}

/* The first CPU of a node, or -1 */
static int cpu_of(int node)
{
	char path[64], buf[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist",
		 node);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (!fgets(buf, sizeof(buf), f) || buf[0] < '0' || buf[0] > '9')
		buf[0] = '\0';
	fclose(f);
	return buf[0] ? atoi(buf) : -1;
}

#define NUMAB "/sys/kernel/debug/sched/numa_balancing/"

/* NUMA balancing: pages follow the process that uses them. */
TEST_F(migrate, numa_balancing)
{
	int node[2], from, to, i, round;
	struct ru_mem *m = &self->m;
	size_t page, moved = 0;
	char period[16] = "";
	cpu_set_t set;
	time_t begin;

	RU_NEED(ru_numa_ready());
	if (variant->kind != RU_ANON && variant->kind != RU_THP &&
	    variant->kind != RU_PFILE)
		SKIP(return, "three kinds are enough");
	ru_nodes(node);
	if (cpu_of(node[0]) < 0 || cpu_of(node[1]) < 0)
		SKIP(return, "needs a CPU on each node");
	RU_NEED(access("/proc/sys/kernel/numa_balancing", W_OK) ?
		ru_fail("no NUMA balancing") : 0);
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_THP ? 2 : 32));
	RU_OK(ru_exit(ru_fork(0)));
	ru_fill(m->addr, m->seed, 0, m->nr);
	from = node_of(0, m->addr);
	to = from == node[0] ? node[1] : node[0];
	/* Faster where the scheduler has its debug files */
	ru_switch(NUMAB "scan_period_min_ms", "50", period, sizeof(period));
	ru_write_str(NUMAB "scan_delay_ms", "0");
	RU_OK(ru_write_str("/proc/sys/kernel/numa_balancing", "1"));
	CPU_ZERO(&set);
	CPU_SET(cpu_of(to), &set);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
	for (i = 0, begin = time(NULL); !moved && time(NULL) - begin < 60; i++) {
		for (round = 0; round < 50; round++)
			RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
		for (page = 0; page < m->nr; page += m->unit_nr)
			moved += node_of(0, ru_at(m, page)) == to;
	}
	ru_write_str("/proc/sys/kernel/numa_balancing", "0");
	if (period[0])
		ru_write_str(NUMAB "scan_period_min_ms", period);
	TH_LOG("%zu pages moved after %d looks", moved, i);
	ASSERT_LT(0, moved);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

static long vmstat(const char *name)
{
	char line[128], key[64];
	long value, found = -1;
	FILE *f = fopen("/proc/vmstat", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %ld", key, &value) == 2 && !strcmp(key, name))
			found = value;
	if (f)
		fclose(f);
	return found;
}

/*
 * Compaction moves what it finds: scattered pages, shared by children, moved in
 * one of them.  It says how many it moved; all must be right.
 */
TEST_F(migrate, compaction)
{
	struct ru_mem m[24];
	size_t i, nr = 24, moved = 0, page;
	uint64_t before[24];
	int child, grandchild;
	long count;

	if (variant->kind == RU_HUGETLB || variant->kind == RU_THP)
		SKIP(return, "nothing to compact");
	RU_NEED(access("/proc/sys/vm/compact_memory", W_OK) ?
		ru_fail("no compaction") : 0);
	for (i = 0; i < nr; i++) {
		RU_OK(ru_make(&m[i], variant->kind, variant->kind == RU_MTHP ? 2 : 40));
		/* Every other page goes: holes */
		if (variant->kind == RU_ANON)
			for (page = 1; page < m[i].nr; page += 2)
				RU_OK(ru_madvise_in(0, ru_at(&m[i], page), ru_page,
						    MADV_DONTNEED));
	}
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	for (i = 0; i < nr; i++)
		before[i] = ru_pfn(0, m[i].addr);
	count = vmstat("compact_migrate_scanned");
	for (i = 0; i < 3; i++)
		RU_OK(ru_write_str("/proc/sys/vm/compact_memory", "1"));
	for (i = 0; i < nr; i++) {
		size_t step = variant->kind == RU_ANON ? 2 : 1;

		moved += ru_pfn(0, m[i].addr) != before[i];
		for (page = 0; page < m[i].nr; page += step * 4) {
			char *at = ru_at(&m[i], page);

			RU_OK(ru_mapped(&m[i], page, 1,
					RU_VIEWS({0, at}, {child, at},
						 {grandchild, at})));
			RU_OK(ru_check(at, m[i].seed, page, 1));
		}
		RU_OK(ru_check_in(grandchild, m[i].addr, m[i].seed, 0, 1));
	}
	TH_LOG("%zu of %zu first pages moved, %ld scanned", moved, nr,
	       vmstat("compact_migrate_scanned") - count);
	ASSERT_LT(count, vmstat("compact_migrate_scanned"));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
