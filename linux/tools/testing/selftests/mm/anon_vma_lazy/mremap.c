// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages move, in one process of several that map them: what was mapped at the
 * same address in all of them is not any more, and has to be found.
 */
#include <errno.h>
#include <sys/mman.h>

#include "rmap_util.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)

RU_KIND_FIXTURE(move);
RU_ALL_KINDS(move);

/* A free place; its distance from the old one is odd where the kind allows. */
static char *place(const struct ru_mem *m)
{
	size_t align = m->kind == RU_HUGETLB ? RU_HUGE : ru_page;
	char *p = ru_reserve(m->len + 4 * m->unit, align);

	return align == ru_page ? p + (2 * (ru_random() % 3) + 1) * ru_page : p;
}

static int move(int proc, const struct ru_mem *m, size_t first, size_t nr,
		char *from, char *to)
{
	return ru_mremap_in(proc, from, nr * ru_page, nr * ru_page, MOVE, to);
}

TEST_F(move, parent_and_back)
{
	struct ru_mem *m = &self->m;
	char *to, *old;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 4));
	old = m->addr;
	to = place(m);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(move(0, m, 0, m->nr, old, to));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to}, {child, old})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, old}, {0, to})));
	RU_OK(move(0, m, 0, m->nr, to, old));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, old}, {child, old})));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, old})));
}

/*
 * parent      at A
 * child       moves to B, forks
 * grandchild  has it at B, moves to C; its child moves back to A
 */
TEST_F(move, down_the_tree)
{
	struct ru_mem *m = &self->m;
	char *a, *b, *c;
	int p[4] = { };

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 3));
	a = m->addr;
	b = place(m);
	c = place(m);
	p[1] = ru_fork(0);
	ASSERT_LT(0, p[1]) TH_LOG("%s", ru_error());
	RU_OK(move(p[1], m, 0, m->nr, a, b));
	p[2] = ru_fork(p[1]);
	ASSERT_LT(0, p[2]) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr,
			 RU_VIEWS({0, a}, {p[1], b}, {p[2], b})));
	RU_OK(move(p[2], m, 0, m->nr, b, c));
	p[3] = ru_fork(p[2]);
	ASSERT_LT(0, p[3]) TH_LOG("%s", ru_error());
	RU_OK(move(p[3], m, 0, m->nr, c, a));
	RU_OK(ru_migrate(m, 0, m->nr,
			 RU_VIEWS({p[3], a}, {0, a}, {p[1], b}, {p[2], c})));
	RU_OK(ru_exit(p[1]));
	RU_OK(ru_migrate(m, 0, m->nr,
			 RU_VIEWS({p[2], c}, {0, a}, {p[3], a})));
	ru_fill(a, m->seed, 0, m->nr);
	RU_OK(ru_fill_in(p[2], c, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({p[2], c})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({p[3], a})));
	RU_OK(ru_exit(p[3]));
	RU_OK(ru_exit(p[2]));
}

/*
 *  | 0 | 1 | 2 | 3 |  ->  | 0 |   |   | 3 |   ...   | 1 | 2 |
 *  then pages that are new come into the hole
 */
TEST_F(move, middle_and_refill)
{
	struct ru_mem *m = &self->m, fresh;
	size_t u;
	char *to;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 4));
	u = m->unit_nr;
	to = place(m);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(move(0, m, u, 2 * u, ru_at(m, u), to));
	RU_OK(ru_migrate(m, u, 2 * u, RU_VIEWS({0, to}, {child, ru_at(m, u)})));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr}, {child, m->addr})));

	/* The hole's new pages have the index that the moved ones have. */
	RU_OK(ru_map(&fresh, variant->kind, 2));
	fresh.seed = m->seed + 1;
	ASSERT_EQ(ru_at(m, u), mremap(fresh.addr, fresh.len, fresh.len, MOVE,
				      ru_at(m, u)));
	ru_fill(ru_at(m, u), fresh.seed, 0, fresh.nr);
	RU_OK(ru_migrate(&fresh, 0, fresh.nr, RU_VIEWS({0, ru_at(m, u)})));
	RU_OK(ru_check(to, m->seed, u, 2 * u));
	RU_OK(ru_migrate(m, u, 2 * u, RU_VIEWS({child, ru_at(m, u)}, {0, to})));
	RU_OK(ru_check(ru_at(m, u), fresh.seed, 0, fresh.nr));
	RU_OK(ru_exit(child));
}

/* Two areas change places: each has the other's indexes. */
TEST_F(move, swap_places)
{
	struct ru_mem *a = &self->m, b;
	char *over;
	int child, grandchild;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(a, variant->kind, 2));
	RU_OK(ru_make(&b, variant->kind, 2));
	over = place(a);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(move(0, a, 0, a->nr, a->addr, over));
	RU_OK(move(0, &b, 0, b.nr, b.addr, a->addr));
	RU_OK(move(0, a, 0, a->nr, over, b.addr));
	RU_OK(ru_migrate(a, 0, a->nr, RU_VIEWS({0, b.addr}, {child, a->addr})));
	RU_OK(ru_migrate(&b, 0, b.nr, RU_VIEWS({0, a->addr}, {child, b.addr})));
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(a, 0, a->nr, RU_VIEWS({child, a->addr}, {0, b.addr},
					       {grandchild, a->addr})));
	RU_OK(ru_check(a->addr, b.seed, 0, b.nr));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

/* Moved unfaulted: its pages come at the new place. */
TEST_F(move, unfaulted)
{
	struct ru_mem *m = &self->m;
	char *to;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_map(m, variant->kind, 2));
	to = place(m);
	RU_OK(move(0, m, 0, m->nr, m->addr, to));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ru_fill(to, m->seed, 0, m->nr);
	RU_OK(ru_fill_in(child, to, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, to})));
	RU_OK(ru_exit(child));
}

/* Grow until it has to move; shrink again. */
TEST_F(move, grow_and_shrink)
{
	struct ru_mem *m = &self->m;
	size_t more;
	char *to;
	int child;

	RU_NEED(ru_numa_ready());
	if (variant->kind == RU_PFILE || variant->kind == RU_SHMEM)
		SKIP(return, "the file ends where the mapping does");
	RU_OK(ru_make(m, variant->kind, 2));
	to = place(m);
	more = m->nr + m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	if (variant->kind == RU_HUGETLB) {
		/* No growing there: the move alone, then shrink. */
		RU_OK(move(0, m, 0, m->nr, m->addr, to));
	} else {
		RU_OK(ru_mremap_in(0, m->addr, m->len, m->len + m->unit, MOVE, to));
		ru_fill(to + m->len, m->seed, m->nr, m->unit_nr);
		RU_OK(ru_migrate(m, m->nr, m->unit_nr, RU_VIEWS({0, to + m->len})));
		RU_OK(ru_mremap_in(0, to, more * ru_page, m->len, 0, NULL));
	}
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to}, {child, m->addr})));
	RU_OK(ru_mremap_in(0, to, m->len, m->unit, 0, NULL));
	RU_OK(ru_migrate(m, 0, m->unit_nr, RU_VIEWS({child, m->addr}, {0, to})));
	RU_OK(ru_migrate(m, m->unit_nr, m->unit_nr,
			 RU_VIEWS({child, ru_at(m, m->unit_nr)})));
	RU_OK(ru_exit(child));
}

/*
 * MREMAP_DONTUNMAP: the old place stays, empty, and fills again.
 */
TEST_F(move, dontunmap)
{
	struct ru_mem *m = &self->m, fresh;
	char *to;
	int child;

	RU_NEED(ru_numa_ready());
	if (variant->kind == RU_HUGETLB)
		SKIP(return, "MREMAP_DONTUNMAP does not know hugetlb");
	RU_OK(ru_make(m, variant->kind, 2));
	to = place(m);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len, MOVE | MREMAP_DONTUNMAP, to));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to}, {child, m->addr})));
	if (variant->kind == RU_PFILE || variant->kind == RU_SHMEM)
		RU_OK(ru_check_file(m->addr, 0, m->nr));
	else
		RU_OK(ru_check_zero(m->addr, m->nr));
	fresh = *m;
	fresh.seed++;
	ru_fill(m->addr, fresh.seed, 0, m->nr);
	RU_OK(ru_migrate(&fresh, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr}, {0, to})));
	RU_OK(ru_check(m->addr, fresh.seed, 0, m->nr));
	/* Part of a VMA, and then home over what is there */
	RU_OK(ru_mremap_in(0, to, m->unit, m->unit, MOVE | MREMAP_DONTUNMAP,
			   m->addr));
	RU_OK(ru_migrate(m, 0, m->unit_nr,
			 RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

/* Page by page, last first, to a place where the order is another one. */
FIXTURE(pieces) { struct ru_mem m; };
FIXTURE_VARIANT(pieces) { enum ru_kind kind; };
FIXTURE_SETUP(pieces)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(pieces) { ru_stop(); }
RU_SMALL_KINDS(pieces);
RU_KIND(pieces, mthp, RU_MTHP);

/*
 *  | 0 | 1 | 2 | 3 | ...   ->   | 3 | 0 | 1 | 2 | ...   and back
 */
TEST_F(pieces, rotate)
{
	struct ru_mem *m = &self->m;
	size_t page, shift = 3;
	int child;
	char *to;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_MTHP ? 1 : 9));
	to = place(m);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	for (page = m->nr; page-- > 0; ) {
		char *there = to + (page + shift) % m->nr * ru_page;

		RU_OK(move(0, m, page, 1, ru_at(m, page), there));
	}
	for (page = 0; page < m->nr; page++) {
		char *there = to + (page + shift) % m->nr * ru_page;

		RU_OK(ru_migrate(m, page, 1, RU_VIEWS({0, there},
						      {child, ru_at(m, page)})));
	}
	for (page = 0; page < m->nr; page++) {
		char *there = to + (page + shift) % m->nr * ru_page;

		RU_OK(move(0, m, page, 1, there, ru_at(m, page)));
	}
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

/* By one page into itself, piece by piece, last piece first */
TEST_F(pieces, onto_itself)
{
	struct ru_mem *m = &self->m;
	size_t page;
	int child;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_MTHP ? 1 : 9));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	for (page = m->nr; page-- > 0; )
		RU_OK(move(0, m, page, 1, ru_at(m, page), ru_at(m, page + 1)));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, ru_at(m, 1)},
					       {child, m->addr})));
	/* The child the same way again, and its child on top of that */
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	for (page = 0; page < m->nr; page++)
		RU_OK(move(child, m, page, 1, ru_at(m, page + 1), ru_at(m, page)));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr},
					       {0, ru_at(m, 1)},
					       {child - 1, m->addr})));
	RU_OK(ru_exit(child));
	RU_OK(ru_exit(child - 1));
}

/* Into the neighbourhood of another VMA, faulted or not, in front or behind */
TEST_F(pieces, neighbours)
{
	struct ru_mem *m = &self->m, n;
	int child, where;
	char *to;

	RU_NEED(ru_numa_ready());
	for (where = 0; where < 4; where++) {
		bool faulted = where & 1, before = where & 2;

		RU_OK(ru_make(m, variant->kind, 2));
		RU_OK(ru_map(&n, variant->kind, 6));
		RU_OK(ru_munmap_in(0, before ? n.addr : n.addr + 4 * n.unit,
				   2 * n.unit));
		if (before)
			n.addr += 2 * n.unit;
		n.nr -= 2 * n.unit_nr;
		to = before ? n.addr - m->len : n.addr + n.nr * ru_page;
		if (faulted)
			ru_fill(n.addr, n.seed, 0, n.nr);
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(move(0, m, 0, m->nr, m->addr, to));
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to},
						       {child, m->addr})));
		if (!faulted) {
			ru_fill(n.addr, n.seed, 0, n.nr);
			RU_OK(ru_migrate(&n, 0, n.nr, RU_VIEWS({0, n.addr})));
		} else {
			RU_OK(ru_migrate(&n, 0, n.nr, RU_VIEWS({0, n.addr},
							       {child, n.addr})));
		}
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr},
						       {0, to})));
		RU_OK(ru_exit(child));
	}
}

/* A mapping of which the second half is faulted, a VMA of its own by that */
static int half_faulted(struct ru_mem *m, enum ru_kind kind, size_t *half)
{
	if (ru_map(m, kind, 8))
		return -1;
	*half = m->nr / 2;
	if (ru_mprotect_in(0, m->addr, *half * ru_page, PROT_READ))
		return -1;
	ru_fill(ru_at(m, *half), m->seed, *half, *half);
	return 0;
}

/*
 * Of one mapping of a file, the unfaulted half moves, and the faulted half behind
 * it.  The offset goes on across the border, what is known of the pages does not:
 *
 *  | unfaulted | faulted |   ->   | unfaulted | faulted |
 */
TEST_F(pieces, beside_unfaulted)
{
	struct ru_mem *m = &self->m;
	size_t half;
	int child;
	char *to;

	RU_NEED(ru_numa_ready());
	RU_OK(half_faulted(m, variant->kind, &half));
	to = place(m);
	RU_OK(move(0, m, 0, half, m->addr, to));
	RU_OK(ru_mprotect_in(0, to, half * ru_page, PROT_READ | PROT_WRITE));
	RU_OK(move(0, m, half, half, ru_at(m, half), to + half * ru_page));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, half, half, RU_VIEWS({0, to + half * ru_page},
						 {child, to + half * ru_page})));
	ru_fill(to, m->seed, 0, half);
	RU_OK(ru_migrate(m, 0, half, RU_VIEWS({0, to})));
	RU_OK(ru_exit(child));
}

/*
 * The faulted half comes home, to a neighbour that is not faulted: if they merge,
 * that is faulted from then on.
 */
TEST_F(pieces, home_beside_unfaulted)
{
	struct ru_mem *m = &self->m;
	size_t half;
	int child;
	char *to;

	RU_NEED(ru_numa_ready());
	RU_OK(half_faulted(m, variant->kind, &half));
	to = place(m);
	RU_OK(move(0, m, half, half, ru_at(m, half), to));
	RU_OK(ru_mprotect_in(0, m->addr, half * ru_page, PROT_READ | PROT_WRITE));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(move(0, m, half, half, to, ru_at(m, half)));
	RU_OK(ru_migrate(m, half, half, RU_VIEWS({0, ru_at(m, half)},
						 {child, to})));
	ru_fill(m->addr, m->seed, 0, half);
	RU_OK(ru_migrate(m, 0, half, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(child));
}

FIXTURE(large) { struct ru_mem m; };
FIXTURE_VARIANT(large) { enum ru_kind kind; };
FIXTURE_SETUP(large)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(large) { ru_stop(); }
RU_KIND(large, thp, RU_THP);
RU_KIND(large, mthp, RU_MTHP);

/*
 * A part of a large folio moves, off by an odd number of pages:
 *   |.....MMMMM......|   ...   |MMMMM|
 */
TEST_F(large, part_moves)
{
	struct ru_mem *m = &self->m;
	size_t from = 5, nr = 6;
	int child, grandchild;
	char *to;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 1));
	to = (char *)ru_reserve(16 * ru_page, ru_page) + 3 * ru_page;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(move(0, m, from, nr, ru_at(m, from), to));
	grandchild = ru_fork(0);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, from, nr, RU_VIEWS({0, to}, {grandchild, to},
					       {child, ru_at(m, from)})));
	RU_OK(ru_mapped(m, 0, from, RU_VIEWS({0, m->addr}, {child, m->addr},
					     {grandchild, m->addr})));
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_check_in(grandchild, ru_at(m, from + nr), m->seed, from + nr,
			  m->nr - from - nr));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, from, RU_VIEWS({grandchild, m->addr},
					      {0, m->addr})));
	RU_OK(ru_exit(grandchild));
}

/*
 * Moves go on while pages migrate: the entries are always in one place or the
 * other, and no migration entry is left behind in either.
 */
FIXTURE(move_race) { struct ru_mem m; };
FIXTURE_VARIANT(move_race) { enum ru_kind kind; };
FIXTURE_SETUP(move_race)
{
	RU_START();
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(move_race) { ru_stop(); }
RU_KIND(move_race, anon, RU_ANON);
RU_KIND(move_race, private_file, RU_PFILE);
RU_KIND(move_race, hugetlb, RU_HUGETLB);
RU_KIND(move_race, thp, RU_THP);

TEST_F(move_race, migrate)
{
	struct ru_mem *m = &self->m;
	int mover, child, i;
	char *to, *at;
	size_t step;

	RU_NEED(ru_numa_ready());
	/*
	 * move_hugetlb_page_tables() looks for an entry without a lock against
	 * those who replace it; with lazy rmap there is one.
	 */
	if (variant->kind == RU_HUGETLB && !ru_lazy())
		SKIP(return, "mremap of hugetlb loses pages that migrate, if not lazy");
	RU_OK(ru_make(m, variant->kind, variant->kind == RU_HUGETLB ||
					variant->kind == RU_THP ? 2 : 24));
	step = variant->kind == RU_HUGETLB ? RU_HUGE : ru_page;
	to = place(m);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr,
			    m->len / step > 512 ? 512 : m->len / step,
			    ru_pid(child), step));
	for (i = 0, at = m->addr; ru_race(i); i++) {
		char *next = at == m->addr ? to : m->addr;

		RU_OK(move(0, m, 0, m->nr, at, next));
		at = next;
		RU_OK(ru_check(at, m->seed, 0, m->nr));
	}
	RU_OK(ru_check_in(child, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_kill(mover));
	if (variant->kind != RU_THP)
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, at},
						       {child, m->addr})));
	RU_OK(ru_exit(child));
}

RU_AUDIT

TEST_HARNESS_MAIN
