// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMAs change their range: split, merge, mprotect, munmap of parts, MAP_FIXED,
 * brk, a growing stack.  The pages stay findable in every process.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rmap_util.h"

RU_KIND_FIXTURE(split);
RU_ALL_KINDS(split);

/*
 *           0    1    2    3    4    5
 * parent  | rw | rw | ro | ro | rw | rw |   and back
 * child   | rw | ro | rw | rw | ro | rw |
 */
TEST_F(split, mprotect)
{
	struct ru_mem *m = &self->m;
	size_t u;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 6));
	u = m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mprotect_in(0, ru_at(m, 2 * u), 2 * m->unit, PROT_READ));
	RU_OK(ru_mprotect_in(child, ru_at(m, u), m->unit, PROT_READ));
	RU_OK(ru_mprotect_in(child, ru_at(m, 4 * u), m->unit, PROT_READ));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_mprotect_in(0, m->addr, m->len, PROT_READ | PROT_WRITE));
	RU_OK(ru_mprotect_in(child, m->addr, m->len, PROT_READ | PROT_WRITE));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, m->addr})));
	/* Both write: each has its own now */
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr})));
	RU_OK(ru_exit(child));
}

/*
 * parent  | 0 |   | 2 |   | 4 | 5 |
 * child   |   | 1 | 2 |   | 4 |   |
 */
TEST_F(split, munmap)
{
	struct ru_mem *m = &self->m;
	size_t u;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 6));
	u = m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_munmap_in(0, ru_at(m, u), m->unit));
	RU_OK(ru_munmap_in(0, ru_at(m, 3 * u), m->unit));
	RU_OK(ru_munmap_in(child, ru_at(m, 0), m->unit));
	RU_OK(ru_munmap_in(child, ru_at(m, 3 * u), m->unit));
	RU_OK(ru_munmap_in(child, ru_at(m, 5 * u), m->unit));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({child, ru_at(m, u)})));
	RU_OK(ru_migrate(m, 2 * u, u, RU_VIEWS({0, ru_at(m, 2 * u)},
					       {child, ru_at(m, 2 * u)})));
	RU_OK(ru_migrate(m, 4 * u, u, RU_VIEWS({child, ru_at(m, 4 * u)},
					       {0, ru_at(m, 4 * u)})));
	RU_OK(ru_migrate(m, 5 * u, u, RU_VIEWS({0, ru_at(m, 5 * u)})));
	/* All of it, over the holes */
	RU_OK(ru_munmap_in(0, m->addr, m->len));
	RU_OK(ru_migrate(m, u, 2 * u, RU_VIEWS({child, ru_at(m, u)})));
	RU_OK(ru_exit(child));
}

/*
 * parent  | 0 | new | 2 |     the child keeps the old page in the middle
 */
TEST_F(split, map_fixed)
{
	struct ru_mem *m = &self->m, fresh;
	size_t u;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 3));
	u = m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	fresh = *m;
	fresh.seed++;
	fresh.kind = RU_ANON;
	ASSERT_EQ(ru_at(m, u),
		  mmap(ru_at(m, u), m->unit, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	ru_fill(ru_at(m, u), fresh.seed, u, u);
	RU_OK(ru_migrate(&fresh, u, u, RU_VIEWS({0, ru_at(m, u)})));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({child, ru_at(m, u)})));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_migrate(m, 2 * u, u, RU_VIEWS({0, ru_at(m, 2 * u)},
					       {child, ru_at(m, 2 * u)})));
	RU_OK(ru_check(ru_at(m, u), fresh.seed, u, u));
	RU_OK(ru_exit(child));
}

static long map_over(long addr, long len, long flags, long d)
{
	return mmap((void *)addr, len, PROT_READ | PROT_WRITE, MAP_FIXED | flags,
		    -1, 0) == (void *)addr ? 0 : -errno;
}

/*
 * The child has a mapping of quite another kind where its parent maps the
 * pages that are walked for.
 */
TEST_F(split, child_of_another_kind)
{
	struct ru_mem *m = &self->m;
	int other[4] = {
		MAP_SHARED | MAP_ANONYMOUS,
		MAP_PRIVATE | MAP_ANONYMOUS,
		MAP_PRIVATE | MAP_ANONYMOUS | RU_MAP_HUGE,
		MAP_SHARED | MAP_ANONYMOUS | RU_MAP_HUGE,
	};
	int i, child[4], nr = 2;
	size_t len;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 2));
	/* The huge ones need room: what is around belongs to the test too. */
	len = (m->len + RU_HUGE - 1) / RU_HUGE * RU_HUGE;
	/* The pool has at least 12 on each of two nodes */
	if (!((uintptr_t)m->addr % RU_HUGE) && 2 * len <= 24 * RU_HUGE &&
	    !ru_kind_ready(RU_HUGETLB))
		nr = 4;
	for (i = 0; i < nr; i++) {
		child[i] = ru_fork(0);
		ASSERT_LT(0, child[i]) TH_LOG("%s", ru_error());
		ASSERT_EQ(0, ru_call(child[i], map_over, (long)m->addr,
				     other[i] & MAP_HUGETLB ? len : m->len,
				     other[i], 0));
		RU_OK(ru_fill_in(child[i], m->addr, m->seed + 1, 0, m->nr));
	}
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	for (i = 0; i < nr; i++) {
		RU_OK(ru_check_in(child[i], m->addr, m->seed + 1, 0, m->nr));
		RU_OK(ru_exit(child[i]));
	}
}

/* MADV_DONTNEED in the middle: gone here, kept there, and new pages come. */
TEST_F(split, dontneed)
{
	struct ru_mem *m = &self->m, fresh;
	size_t u;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 3));
	u = m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_madvise_in(0, ru_at(m, u), m->unit, MADV_DONTNEED));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({child, ru_at(m, u)})));
	fresh = *m;
	fresh.seed++;
	ru_fill(ru_at(m, u), fresh.seed, u, u);
	RU_OK(ru_migrate(&fresh, u, u, RU_VIEWS({0, ru_at(m, u)})));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({child, m->addr}, {0, m->addr})));
	RU_OK(ru_exit(child));
}

FIXTURE(merge) { struct ru_mem m; };
FIXTURE_SETUP(merge) { RU_START(); }
FIXTURE_TEARDOWN(merge) { ru_stop(); }

/*
 *  | A faulted |    hole    | B faulted |      map the hole: one VMA, or three;
 *  | A         | C unfaulted| B         |      C's pages come by fault later
 */
TEST_F(merge, hole_filled)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, RU_ANON, 12));
	ASSERT_EQ(0, munmap(ru_at(m, 4), 4 * ru_page));
	ru_fill(ru_at(m, 0), m->seed, 0, 4);
	ru_fill(ru_at(m, 8), m->seed, 8, 4);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, map_over((long)ru_at(m, 4), 4 * ru_page,
			      MAP_PRIVATE | MAP_ANONYMOUS, 0));
	madvise(ru_at(m, 4), 4 * ru_page, MADV_NOHUGEPAGE);
	ru_fill(ru_at(m, 4), m->seed, 4, 4);
	RU_OK(ru_migrate(m, 0, 4, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_migrate(m, 4, 4, RU_VIEWS({0, ru_at(m, 4)})));
	RU_OK(ru_migrate(m, 8, 4, RU_VIEWS({0, ru_at(m, 8)},
					   {child, ru_at(m, 8)})));
	/* Cut it elsewhere */
	RU_OK(ru_mprotect_in(0, ru_at(m, 2), 8 * ru_page, PROT_READ));
	RU_OK(ru_migrate(m, 4, 4, RU_VIEWS({0, ru_at(m, 4)})));
	RU_OK(ru_migrate(m, 0, 4, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

/*
 *  | faulted rw | unfaulted ro |  -> mprotect the right or the left half: the
 *  border moves, pages of the faulted part change their VMA
 */
TEST_F(merge, border_moves)
{
	struct ru_mem *m = &self->m;
	int child, right;

	RU_NEED(ru_numa_ready());
	for (right = 0; right < 2; right++) {
		size_t faulted = right ? 4 : 0, mid = right ? 2 : 4;

		RU_OK(ru_map(m, RU_ANON, 8));
		RU_OK(ru_mprotect_in(0, ru_at(m, right ? 0 : 4), 4 * ru_page,
				     PROT_READ));
		ru_fill(ru_at(m, faulted), m->seed, faulted, 4);
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		/* A part of the unfaulted half joins the faulted one */
		RU_OK(ru_mprotect_in(0, ru_at(m, mid), 2 * ru_page,
				     PROT_READ | PROT_WRITE));
		RU_OK(ru_migrate(m, faulted, 4, RU_VIEWS({0, ru_at(m, faulted)},
							 {child, ru_at(m, faulted)})));
		ru_fill(ru_at(m, mid), m->seed, mid, 2);
		RU_OK(ru_migrate(m, mid, 2, RU_VIEWS({0, ru_at(m, mid)})));
		/* and a part of the faulted half joins the unfaulted one */
		mid = right ? 4 : 2;
		RU_OK(ru_mprotect_in(0, ru_at(m, right ? 2 : 2), 4 * ru_page,
				     PROT_READ));
		RU_OK(ru_migrate(m, faulted, 4, RU_VIEWS({child, ru_at(m, faulted)},
							 {0, ru_at(m, faulted)})));
		RU_OK(ru_exit(child));
	}
}

static long do_brk(long to, long b, long c, long d)
{
	return brk((void *)to) ? -errno : 0;
}

/* The heap grows after fork in both; then shrinks. */
TEST_F(merge, brk)
{
	struct ru_mem *m = &self->m;
	char *base;
	int child;

	RU_NEED(ru_numa_ready());
	base = (char *)(((uintptr_t)sbrk(0) + ru_page - 1) / ru_page * ru_page);
	ASSERT_EQ(0, do_brk((long)base + 4 * ru_page, 0, 0, 0));
	*m = (struct ru_mem){ .kind = RU_ANON, .addr = base, .unit = ru_page,
			      .unit_nr = 1, .nr = 12, .seed = ru_random() };
	ru_fill(base, m->seed, 0, 4);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, do_brk((long)base + 12 * ru_page, 0, 0, 0));
	ASSERT_EQ(0, ru_call(child, do_brk, (long)base + 8 * ru_page, 0, 0, 0));
	ru_fill(ru_at(m, 4), m->seed, 4, 8);
	RU_OK(ru_fill_in(child, ru_at(m, 4), m->seed, 4, 4));
	RU_OK(ru_migrate(m, 0, 4, RU_VIEWS({0, base}, {child, base})));
	RU_OK(ru_migrate(m, 4, 8, RU_VIEWS({0, ru_at(m, 4)})));
	RU_OK(ru_migrate(m, 4, 4, RU_VIEWS({child, ru_at(m, 4)})));
	ASSERT_EQ(0, do_brk((long)base + 2 * ru_page, 0, 0, 0));
	RU_OK(ru_migrate(m, 2, 6, RU_VIEWS({child, ru_at(m, 2)})));
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({0, base}, {child, base})));
	ASSERT_EQ(0, do_brk((long)base, 0, 0, 0));
	RU_OK(ru_exit(child));
}

/* A stack grows downwards page by page, in the parent and in the child. */
TEST_F(merge, growsdown)
{
	struct ru_mem *m = &self->m;
	char *space = ru_reserve(1024 * ru_page, ru_page), *top;
	int child;

	RU_NEED(ru_numa_ready());
	/* Room below it, beyond the guard gap */
	ASSERT_EQ(0, munmap(space, 1024 * ru_page));
	top = space + 1020 * ru_page;
	ASSERT_EQ(top, mmap(top, 4 * ru_page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
			    -1, 0));
	*m = (struct ru_mem){ .kind = RU_ANON, .addr = top - 20 * ru_page,
			      .unit = ru_page, .unit_nr = 1, .nr = 24,
			      .seed = ru_random() };
	ru_fill(ru_at(m, 20), m->seed, 20, 4);
	ru_fill(ru_at(m, 15), m->seed, 15, 5);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ru_fill(ru_at(m, 5), m->seed, 5, 10);
	RU_OK(ru_fill_in(child, ru_at(m, 10), m->seed, 10, 5));
	RU_OK(ru_migrate(m, 15, 9, RU_VIEWS({0, ru_at(m, 15)},
					    {child, ru_at(m, 15)})));
	RU_OK(ru_migrate(m, 5, 10, RU_VIEWS({0, ru_at(m, 5)})));
	RU_OK(ru_migrate(m, 10, 5, RU_VIEWS({child, ru_at(m, 10)})));
	RU_OK(ru_exit(child));
	ASSERT_EQ(0, munmap(ru_at(m, 5), 19 * ru_page));
}

/* A write of the kernel's, which fails where one of the program's would kill it */
static long try_write(long addr, long b, long c, long d)
{
	int fds[2], ret;

	if (pipe(fds) || write(fds[1], "", 1) != 1)
		return -errno;
	ret = read(fds[0], (void *)addr, 1) == 1 ? 0 : -errno;
	close(fds[0]);
	close(fds[1]);
	return ret;
}

/*
 * A stack near address 0, wiped at fork and moved up by the child, has a file
 * offset that says nothing about the index of its pages, which is small: either
 * it does not grow beyond index 0, or its pages are found all the same.
 */
TEST_F(merge, growsdown_wiped)
{
	struct ru_mem *m = &self->m;
	char *space = ru_reserve(2048 * ru_page, ru_page), *top, *low, *to;
	int child, grown;

	RU_NEED(ru_numa_ready());
	ASSERT_EQ(0, munmap(space, 2048 * ru_page));
	top = space + 1000 * ru_page;
	to = space + 2040 * ru_page;
	low = (char *)(16 * ru_page);
	ASSERT_EQ(top, mmap(top, 4 * ru_page, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN,
			    -1, 0));
	ru_fill(top, 1, 0, 4);
	RU_OK(ru_mremap_in(0, top, 4 * ru_page, 4 * ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, low));
	RU_OK(ru_madvise_in(0, low, 4 * ru_page, MADV_WIPEONFORK));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());

	*m = (struct ru_mem){ .kind = RU_ANON, .addr = to - 20 * ru_page,
			      .unit = ru_page, .unit_nr = 1, .nr = 24,
			      .seed = ru_random() };
	RU_OK(ru_fill_in(child, low, m->seed, 20, 4));
	RU_OK(ru_mremap_in(child, low, 4 * ru_page, 4 * ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_fill_in(child, ru_at(m, 10), m->seed, 10, 10));
	grown = !ru_call(child, try_write, (long)ru_at(m, 0), 0, 0, 0);
	TH_LOG("grown beyond index 0: %d", grown);
	if (grown)
		RU_OK(ru_fill_in(child, ru_at(m, 0), m->seed, 0, 10));
	RU_OK(ru_migrate(m, 10, 14, RU_VIEWS({child, ru_at(m, 10)})));
	if (grown)
		RU_OK(ru_migrate(m, 0, 10, RU_VIEWS({child, ru_at(m, 0)})));
	RU_OK(ru_exit(child));
	ASSERT_EQ(0, munmap(low, 4 * ru_page));
}

/* A large folio with its VMA cut in the middle of it, here and there */
FIXTURE(cut) { struct ru_mem m; };
FIXTURE_VARIANT(cut) { enum ru_kind kind; };
FIXTURE_VARIANT_ADD(cut, thp) { .kind = RU_THP };
FIXTURE_VARIANT_ADD(cut, mthp) { .kind = RU_MTHP };
FIXTURE_SETUP(cut)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(cut) { ru_stop(); }

TEST_F(cut, mprotect_inside)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 2));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mprotect_in(0, ru_at(m, 3), 5 * ru_page, PROT_READ));
	RU_OK(ru_mprotect_in(0, ru_at(m, m->unit_nr - 1), 2 * ru_page, PROT_READ));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_mprotect_in(child, ru_at(m, 7), ru_page, PROT_NONE));
	RU_OK(ru_mprotect_in(child, ru_at(m, 7), ru_page, PROT_READ));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, m->addr})));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

TEST_F(cut, unmap_inside)
{
	struct ru_mem *m = &self->m;
	size_t end;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 1));
	end = m->nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_munmap_in(0, ru_at(m, 3), 2 * ru_page));
	RU_OK(ru_madvise_in(child, ru_at(m, 9), ru_page, MADV_DONTNEED));
	/* Pages 3, 4 are the child's alone, page 9 the parent's */
	RU_OK(ru_migrate(m, 0, 3, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_mapped(m, 3, 2, RU_VIEWS({child, ru_at(m, 3)})));
	RU_OK(ru_mapped(m, 9, 1, RU_VIEWS({0, ru_at(m, 9)})));
	RU_OK(ru_migrate(m, 10, end - 10, RU_VIEWS({child, ru_at(m, 10)},
						   {0, ru_at(m, 10)})));
	RU_OK(ru_check(ru_at(m, 5), m->seed, 5, end - 5));
	RU_OK(ru_check_in(child, ru_at(m, 3), m->seed, 3, 6));
	RU_OK(ru_exit(child));
}

/*
 * Migration never stops while VMAs of the pages come and go: split, unmap,
 * MAP_FIXED over them.  What is left holds its content.
 */
FIXTURE(unmap_race) { struct ru_mem m; };
FIXTURE_VARIANT(unmap_race) { enum ru_kind kind; };
FIXTURE_VARIANT_ADD(unmap_race, anon) { .kind = RU_ANON };
FIXTURE_VARIANT_ADD(unmap_race, private_file) { .kind = RU_PFILE };
FIXTURE_VARIANT_ADD(unmap_race, mthp) { .kind = RU_MTHP };
FIXTURE_SETUP(unmap_race)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(unmap_race) { ru_stop(); }

TEST_F(unmap_race, migrate)
{
	struct ru_mem *m = &self->m;
	int mover, child, i;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_MTHP ? 4 : 48));
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	/* The parent's pages are moved; only the children unmap them. */
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr, m->nr,
			    getpid(), ru_page));
	for (i = 0; ru_race(i); i++) {
		size_t page = ru_random() % (m->nr - 6);

		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(ru_mprotect_in(child, ru_at(m, page), 3 * ru_page, PROT_READ));
		RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
		RU_OK(ru_munmap_in(child, ru_at(m, page + 1), 4 * ru_page));
		ASSERT_EQ(0, ru_call(child, map_over, (long)ru_at(m, page),
				     2 * ru_page, MAP_PRIVATE | MAP_ANONYMOUS, 0));
		RU_OK(ru_check_zero_in(child, ru_at(m, page), 2));
		RU_OK(ru_munmap_in(child, m->addr, m->len));
		RU_OK(i & 1 ? ru_exit(child) : ru_kill(child));
	}
	RU_OK(ru_kill(mover));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

RU_AUDIT

TEST_HARNESS_MAIN
