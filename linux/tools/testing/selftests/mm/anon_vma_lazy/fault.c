// SPDX-License-Identifier: GPL-2.0-only
/*
 * First faults: a page that nobody touched before becomes findable, whoever
 * touches it, how, and whatever happens to its VMA at the same time.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "rmap_util.h"

RU_KIND_FIXTURE(fault);
RU_ALL_KINDS(fault);

static long peek(long addr, long b, long c, long d)
{
	return *(volatile char *)addr & 0;
}

/*
 * Parent:  read, fork, write      own page
 * Child:         |     write      own page
 */
TEST_F(fault, read_then_write)
{
	struct ru_mem *m = &self->m;
	struct ru_mem theirs;
	size_t page;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, variant->kind, 3));
	for (page = 0; page < m->nr; page += m->unit_nr)
		peek((long)ru_at(m, page), 0, 0, 0);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, m->nr));

	theirs = *m;
	theirs.seed++;
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(&theirs, 0, m->nr, RU_VIEWS({child, m->addr})));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

/* What was only read before fork is still the file, or zero, in the child. */
TEST_F(fault, untouched_half)
{
	struct ru_mem *m = &self->m;
	size_t half;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, variant->kind, 4));
	half = m->nr / 2;
	ru_fill(m->addr, m->seed, 0, half);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, half,
			 RU_VIEWS({0, m->addr}, {child, m->addr})));
	if (variant->kind == RU_PFILE || variant->kind == RU_SHMEM) {
		RU_OK(ru_check_file(ru_at(m, half), half, half));
	} else {
		RU_OK(ru_check_zero(ru_at(m, half), half));
		RU_OK(ru_check_zero_in(child, ru_at(m, half), half));
	}
	/* The child's first write, then the parent's */
	RU_OK(ru_fill_in(child, ru_at(m, half), m->seed, half, half));
	RU_OK(ru_migrate(m, half, half, RU_VIEWS({child, ru_at(m, half)})));
	ru_fill(ru_at(m, half), m->seed, half, half);
	RU_OK(ru_migrate(m, half, half, RU_VIEWS({0, ru_at(m, half)})));
	RU_OK(ru_exit(child));
}

/* First fault in the child only, then in the grandchild */
TEST_F(fault, below)
{
	struct ru_mem *m = &self->m;
	int child, grandchild;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, variant->kind, 3));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_fill_in(child, m->addr, m->seed, 0, m->nr));
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr,
			 RU_VIEWS({child, m->addr}, {grandchild, m->addr})));
	RU_OK(ru_fill_in(grandchild, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({grandchild, m->addr})));
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

FIXTURE(fault_race) { struct ru_mem m; };
FIXTURE_SETUP(fault_race) { RU_START(); }
FIXTURE_TEARDOWN(fault_race) { ru_stop(); }

struct toucher {
	pthread_t thread;
	const struct ru_mem *m;
	size_t from, step;
	int *go;
};

static void *touch(void *arg)
{
	struct toucher *t = arg;
	size_t page;

	while (!__atomic_load_n(t->go, __ATOMIC_ACQUIRE))
		;
	for (page = t->from; page < t->m->nr; page += t->step)
		ru_fill(ru_at(t->m, page), t->m->seed, page, 1);
	return NULL;
}

/*
 * Threads make first faults, without mmap_lock where the kernel can, while the
 * VMAs they fault in are split by mprotect:
 *
 *   |wwwwwwwwwwwwwwwwwwwwwwww|      one VMA, unfaulted
 *   |www|NNNN|www|NNNN|www|NNNN|    MADV_NOHUGEPAGE/DONTDUMP split and merge it
 */
TEST_F(fault_race, split)
{
	struct toucher t[3];
	struct ru_mem *m = &self->m;
	int round, i;

	RU_NEED(ru_numa_ready());
	for (round = 0; ru_race(round); round++) {
		int go = 0;

		RU_OK(ru_map(m, RU_ANON, 96));
		for (i = 0; i < 3; i++) {
			t[i] = (struct toucher){ .m = m, .from = i, .step = 3,
						 .go = &go };
			ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, touch,
						    &t[i]));
		}
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		for (i = 0; i < 24; i++) {
			size_t page = ru_random() % (m->nr - 8);

			ASSERT_EQ(0, madvise(ru_at(m, page), 8 * ru_page,
					     i % 3 ? MADV_DONTDUMP : MADV_DODUMP));
		}
		for (i = 0; i < 3; i++)
			ASSERT_EQ(0, pthread_join(t[i].thread, NULL));
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
		ASSERT_EQ(0, munmap(m->addr, m->len));
	}
}

static bool same_frame(int proc, const char *at)
{
	return ru_pfn(0, at) == ru_pfn(proc, at);
}

/* The same with fork in between: what the child got, it has for itself. */
TEST_F(fault_race, fork)
{
	struct toucher t[2];
	struct ru_mem *m = &self->m;
	int round, i;

	RU_NEED(ru_numa_ready());
	for (round = 0; ru_race(round); round++) {
		int go = 0, child;
		size_t page, run, shared = 0;

		RU_OK(ru_map(m, RU_ANON, 64));
		for (i = 0; i < 2; i++) {
			t[i] = (struct toucher){ .m = m, .from = i, .step = 2,
						 .go = &go };
			ASSERT_EQ(0, pthread_create(&t[i].thread, NULL, touch,
						    &t[i]));
		}
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		for (i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_join(t[i].thread, NULL));
		/* Runs of pages that are shared, or not */
		for (page = 0; page < m->nr; page += run) {
			char *at = ru_at(m, page);
			bool both = same_frame(child, at);

			for (run = 1; page + run < m->nr; run++)
				if (same_frame(child, ru_at(m, page + run)) != both)
					break;
			if (both) {
				shared += run;
				RU_OK(ru_migrate(m, page, run,
						 RU_VIEWS({0, at}, {child, at})));
			} else {
				RU_OK(ru_migrate(m, page, run, RU_VIEWS({0, at})));
			}
		}
		TH_LOG("round %d: %zu of %zu pages shared", round, shared, m->nr);
		RU_OK(ru_exit(child));
		ASSERT_EQ(0, munmap(m->addr, m->len));
	}
}

RU_AUDIT

TEST_HARNESS_MAIN
