// SPDX-License-Identifier: GPL-2.0-only
/*
 * UFFDIO_MOVE: a page gets another address, and so another index, the only
 * operation that changes the index of a folio.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef UFFDIO_MOVE
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};
#define UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct uffdio_move)
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

FIXTURE(uffd) { struct ru_mem m; int fd; };
FIXTURE_VARIANT(uffd) { enum ru_kind kind; };
FIXTURE_SETUP(uffd)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE };

	RU_START();
	RU_NEED(ru_numa_ready());
	RU_NEED(ru_kind_ready(variant->kind));
	self->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	RU_NEED(self->fd < 0 ? ru_fail("no userfaultfd") : 0);
	RU_NEED(ioctl(self->fd, UFFDIO_API, &api) ? ru_fail("no UFFDIO_MOVE") : 0);
}
FIXTURE_TEARDOWN(uffd)
{
	ru_stop();
	close(self->fd);
	ru_swap_stop();
}
RU_KIND(uffd, anon, RU_ANON);
RU_KIND(uffd, thp, RU_THP);

static int move(int fd, char *to, char *from, size_t len)
{
	struct uffdio_move mv = {
		.dst = (uintptr_t)to, .src = (uintptr_t)from, .len = len,
	};

	/*
	 * EAGAIN: somebody else holds the page; the kernel says try again.
	 * ENOENT is what mainline says of a huge page in migration, too: there
	 * is nothing only if pagemap agrees.
	 */
	while (ioctl(fd, UFFDIO_MOVE, &mv)) {
		if (errno != EAGAIN &&
		    !(errno == ENOENT && ru_pagemap(0, (void *)(uintptr_t)mv.src) &
					 (RU_PM_PRESENT | RU_PM_SWAP)))
			return ru_fail("UFFDIO_MOVE: %s (moved %lld)",
				       strerror(errno), (long long)mv.move);
		if (mv.move > 0) {
			mv.dst += mv.move;
			mv.src += mv.move;
			mv.len -= mv.move;
		}
		mv.move = 0;
	}
	return 0;
}

static int watch(int fd, char *addr, size_t len)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = len },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	return ioctl(fd, UFFDIO_REGISTER, &reg) ?
		ru_fail("UFFDIO_REGISTER: %s", strerror(errno)) : 0;
}

static int unwatch(int fd, char *addr, size_t len)
{
	struct uffdio_range range = { .start = (uintptr_t)addr, .len = len };

	return ioctl(fd, UFFDIO_UNREGISTER, &range) ?
		ru_fail("UFFDIO_UNREGISTER: %s", strerror(errno)) : 0;
}

/* Pages moved to a fresh mapping, then forked: found at the new address */
TEST_F(uffd, move_then_fork)
{
	struct ru_mem *m = &self->m, d;
	int child, grandchild;

	RU_OK(ru_make(m, variant->kind, 3));
	RU_OK(ru_map(&d, variant->kind, 3));
	RU_OK(watch(self->fd, d.addr, d.len));
	RU_OK(move(self->fd, d.addr, m->addr, m->len));
	RU_OK(unwatch(self->fd, d.addr, d.len));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, d.addr})));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, d.addr}, {0, d.addr},
					       {grandchild, d.addr})));
	/* The old place fills again */
	ru_fill(m->addr, m->seed + 1, 0, m->nr);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({grandchild, d.addr}, {0, d.addr},
					       {child, d.addr})));
	RU_OK(ru_check(m->addr, m->seed + 1, 0, m->nr));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

/*
 * In a child, whose pages belonged to the parent once, between VMAs that were
 * moved; a part of a huge page too.
 */
TEST_F(uffd, in_moved_vmas)
{
	struct ru_mem *m = &self->m, d;
	char *src, *dst;
	size_t nr;

	RU_OK(ru_make(m, variant->kind, 2));
	RU_OK(ru_make(&d, variant->kind, 2));
	src = (char *)ru_reserve(m->len + 2 * m->unit, m->unit) + ru_page;
	dst = (char *)ru_reserve(d.len + 2 * d.unit, d.unit) + 2 * ru_page;
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, src));
	RU_OK(ru_mremap_in(0, d.addr, d.len, d.len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, dst));
	RU_OK(ru_madvise_in(0, dst, d.len, MADV_DONTNEED));
	RU_OK(watch(self->fd, dst, d.len));
	nr = m->nr > 8 ? 8 : m->nr;
	RU_OK(move(self->fd, dst, src, nr * ru_page));
	RU_OK(unwatch(self->fd, dst, d.len));
	RU_OK(ru_migrate(m, 0, nr, RU_VIEWS({0, dst})));
	RU_OK(ru_exit(ru_fork(0)));
	RU_OK(ru_migrate(m, 0, nr, RU_VIEWS({0, dst})));
	if (m->nr > nr)
		RU_OK(ru_check(src + nr * ru_page, m->seed, nr, m->nr - nr));
}

/* A page that came by fork and is exclusive again: parent has gone its way */
TEST_F(uffd, of_an_ancestor)
{
	struct ru_mem *m = &self->m, d;
	int child;

	RU_OK(ru_make(m, variant->kind, 2));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_fill_in(child, m->addr, m->seed, 0, m->nr));
	/* Reuse: the parent's write makes the page its own again. */
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(ru_map(&d, variant->kind, 2));
	RU_OK(watch(self->fd, d.addr, d.len));
	RU_OK(move(self->fd, d.addr, m->addr, m->len));
	RU_OK(unwatch(self->fd, d.addr, d.len));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, d.addr})));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({child, m->addr})));
	RU_OK(ru_exit(child));
}

/* What is swapped out moves as a swap entry. */
TEST_F(uffd, swapped)
{
	struct ru_mem *m = &self->m, d;

	RU_NEED(ru_swap_ready());
	RU_OK(ru_make(m, variant->kind, 1));
	RU_OK(ru_map(&d, variant->kind, 1));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(watch(self->fd, d.addr, d.len));
	RU_OK(move(self->fd, d.addr, m->addr, m->len));
	RU_OK(unwatch(self->fd, d.addr, d.len));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, d.addr})));
	RU_OK(ru_check(d.addr, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, d.addr})));
	RU_OK(ru_swap_out(m, 0, m->nr, RU_VIEWS({0, d.addr})));
	RU_OK(ru_check(d.addr, m->seed, 0, m->nr));
}

/* There and back while others migrate the pages */
TEST_F(uffd, while_migrating)
{
	struct ru_mem *m = &self->m, d;
	int mover, i;
	char *from, *to = m->addr;

	/*
	 * To wait for a migration, move_pages_huge_pmd() gives away the address
	 * of a variable where the page table's is wanted. The lock of that is
	 * another's, or where locks are allocated a null pointer, lazy or not.
	 */
	if (variant->kind == RU_THP && !access("/proc/lockdep", F_OK))
		SKIP(return, "UFFDIO_MOVE of a migrating huge page may oops with lockdep");
	RU_OK(ru_map(m, variant->kind, variant->kind == RU_THP ? 1 : 32));
	RU_OK(ru_map(&d, variant->kind, variant->kind == RU_THP ? 1 : 32));
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	ru_fill(m->addr, m->seed, 0, m->nr);
	RU_OK(watch(self->fd, d.addr, d.len));
	RU_OK(watch(self->fd, m->addr, m->len));
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr, m->nr, getpid(),
			    ru_page));
	for (i = 0; ru_race(i); i++) {
		from = i & 1 ? d.addr : m->addr;
		to = i & 1 ? m->addr : d.addr;
		RU_OK(move(self->fd, to, from, m->len));
		RU_OK(ru_check(to, m->seed, 0, m->nr));
	}
	RU_OK(ru_kill(mover));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, to})));
	RU_OK(unwatch(self->fd, d.addr, d.len));
	RU_OK(unwatch(self->fd, m->addr, m->len));
}

RU_AUDIT

TEST_HARNESS_MAIN
