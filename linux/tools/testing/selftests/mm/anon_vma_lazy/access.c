// SPDX-License-Identifier: GPL-2.0-only
/*
 * Others look into a process: ptrace writes, uprobes, long-term pins, core
 * dumps.  They break sharing in ways of their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

RU_KIND_FIXTURE(poke);
RU_ALL_KINDS(poke);

/*
 * A debugger writes into a page of the child that is shared and read-only: the
 * child gets its own, and only the child.
 */
TEST_F(poke, ptrace)
{
	struct ru_mem *m = &self->m;
	int child, grandchild, fd, status;
	char path[64];
	size_t u;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, variant->kind, 2));
	u = m->unit_nr;
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_mprotect_in(child, m->addr, m->len, PROT_READ));
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, ru_pid(child), 0, 0));
	ASSERT_EQ(ru_pid(child), waitpid(ru_pid(child), &status, 0));
	snprintf(path, sizeof(path), "/proc/%d/mem", ru_pid(child));
	fd = open(path, O_RDWR);
	ASSERT_LE(0, fd);
	if (variant->kind == RU_HUGETLB) {
		/* Not written to without permission */
		EXPECT_EQ(-1, pwrite(fd, "x", 1, (uintptr_t)m->addr + 100));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, ru_pid(child), 0, 0));
		close(fd);
		RU_OK(ru_exit(grandchild));
		RU_OK(ru_exit(child));
		return;
	}
	ASSERT_EQ(8, pwrite(fd, "debugger", 8, (uintptr_t)m->addr + 100))
		TH_LOG("%s", strerror(errno));
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, ru_pid(child), 0, 0));
	close(fd);
	ASSERT_NE(ru_pfn(0, m->addr), ru_pfn(child, m->addr));
	RU_OK(ru_mapped(m, 0, 1, RU_VIEWS({0, m->addr}, {grandchild, m->addr})));
	RU_OK(ru_mapped(m, 0, 1, RU_VIEWS({child, m->addr})));
	ASSERT_EQ(0, memcmp(m->addr + 100, "\0\0\0\0\0\0\0\0", 8));
	RU_OK(ru_migrate(m, 0, 1, RU_VIEWS({child, m->addr})));
	if (u == 1)
		RU_OK(ru_migrate(m, 0, 1, RU_VIEWS({grandchild, m->addr},
						   {0, m->addr})));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({child, ru_at(m, u)}, {0, ru_at(m, u)},
					   {grandchild, ru_at(m, u)})));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

/*
 * A page pinned for DMA does not migrate, and is copied at fork, so that the
 * parent's stays where it is; released, it moves again.
 */
TEST_F(poke, pinned)
{
	struct ru_mem *m = &self->m;
	struct io_uring_params params = { };
	struct iovec iov;
	int ring, child;
	uint64_t pfn;
	size_t u;

	RU_NEED(ru_numa_ready());
	ring = syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0)
		SKIP(return, "no io_uring");
	RU_OK(ru_make(m, variant->kind, 2));
	u = m->unit_nr;
	iov = (struct iovec){ .iov_base = m->addr, .iov_len = m->unit };
	ASSERT_EQ(0, syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS,
			     &iov, 1)) TH_LOG("%s", strerror(errno));
	pfn = ru_pfn(0, m->addr);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(pfn, ru_pfn(0, m->addr));
	ASSERT_NE(pfn, ru_pfn(child, m->addr));
	ASSERT_NE(0, ru_migrate(m, 0, u, RU_VIEWS({0, m->addr})));
	ASSERT_EQ(pfn, ru_pfn(0, m->addr));
	RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, u, RU_VIEWS({child, m->addr})));
	RU_OK(ru_migrate(m, u, u, RU_VIEWS({0, ru_at(m, u)}, {child, ru_at(m, u)})));
	/* The owner moves it meanwhile */
	if (variant->kind != RU_HUGETLB) {
		char *to = (char *)ru_reserve(m->len + 2 * m->unit, ru_page) + ru_page;

		RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
				   MREMAP_MAYMOVE | MREMAP_FIXED, to));
		ASSERT_EQ(pfn, ru_pfn(0, to));
		ASSERT_EQ(0, syscall(SYS_io_uring_register, ring,
				     IORING_UNREGISTER_BUFFERS, NULL, 0));
		close(ring);
		RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, to})));
	} else {
		ASSERT_EQ(0, syscall(SYS_io_uring_register, ring,
				     IORING_UNREGISTER_BUFFERS, NULL, 0));
		close(ring);
		RU_OK(ru_migrate(m, 0, u, RU_VIEWS({0, m->addr})));
	}
	RU_OK(ru_exit(child));
}

FIXTURE(look) { struct ru_mem m; };
FIXTURE_SETUP(look) { RU_START(); }
FIXTURE_TEARDOWN(look) { ru_stop(); }

/* A core dump reads all of a process that shares, moved and unmapped. */
TEST_F(look, coredump)
{
	static const char pattern[] = "/proc/sys/kernel/core_pattern";
	struct ru_mem *m = &self->m;
	char old[128], name[] = "/tmp/rmap_core.%p", path[64];
	struct stat st;
	char *moved, *core = MAP_FAILED;
	uint64_t word;
	size_t at, found = 0;
	int child, status, fd;
	pid_t pid;

	RU_NEED(ru_numa_ready());
	RU_NEED(ru_switch(pattern, name, old, sizeof(old)));
	RU_OK(ru_make(m, RU_ANON, 16));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct rlimit rl = { RLIM_INFINITY, RLIM_INFINITY };

		moved = (char *)ru_reserve(m->len, ru_page) + ru_page;
		if (setrlimit(RLIMIT_CORE, &rl) ||
		    mremap(m->addr, m->len / 2, m->len / 2,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved) != moved)
			_exit(1);
		signal(SIGABRT, SIG_DFL);
		abort();
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ru_write_str(pattern, old);
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(SIGABRT, WTERMSIG(status));
	ASSERT_TRUE(WCOREDUMP(status));
	snprintf(path, sizeof(path), "/tmp/rmap_core.%d", pid);
	fd = open(path, O_RDONLY);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fstat(fd, &st));
	core = mmap(NULL, st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, core);
	/* Each page once, in whatever order */
	for (at = 0; at + ru_page <= (size_t)st.st_size; at += ru_page) {
		size_t page;

		memcpy(&word, core + at, sizeof(word));
		for (page = 0; page < m->nr; page++)
			found += word == ru_word(m->seed, page, 0);
	}
	munmap(core, st.st_size);
	close(fd);
	unlink(path);
	ASSERT_EQ(m->nr, found);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_exit(child));
}

/* Something to put a probe on, in a page of program text of its own */
__attribute__((noinline, aligned(4096))) int probed(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static long call_probed(long x, long b, long c, long d)
{
	return probed(x);
}

#define EVENTS "/sys/kernel/tracing/uprobe_events"
#define ENABLE "/sys/kernel/tracing/events/uprobes/rmap_probe/enable"

static long offset_in_file(void *addr, char *file, size_t size)
{
	char line[512];
	long found = -1;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long from, to, offset;
		char path[256] = "";

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255s", &from, &to, &offset,
			   path) >= 3 &&
		    (unsigned long)addr >= from && (unsigned long)addr < to) {
			found = (unsigned long)addr - from + offset;
			snprintf(file, size, "%s", path);
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* A uprobe replaces a page of text in every process that runs the program. */
TEST_F(look, uprobe)
{
	struct ru_mem text = { .kind = RU_ANON, .unit_nr = 1 };
	char *page = (char *)((uintptr_t)probed / ru_page * ru_page);
	char file[256], event[512];
	int child, grandchild, i;
	uint64_t before;
	long offset;

	RU_NEED(ru_numa_ready());
	RU_NEED(access(EVENTS, W_OK) ? ru_fail("no uprobe events") : 0);
	offset = offset_in_file(probed, file, sizeof(file));
	ASSERT_LT(0, offset);
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(42, probed(41));
	ASSERT_EQ(8, ru_call(child, call_probed, 7, 0, 0, 0));
	before = ru_pfn(0, page);
	snprintf(event, sizeof(event), "p:uprobes/rmap_probe %s:0x%lx", file, offset);
	RU_OK(ru_write_str(EVENTS, event));
	RU_OK(ru_write_str(ENABLE, "1"));
	ASSERT_EQ(42, probed(41));
	ASSERT_EQ(8, ru_call(child, call_probed, 7, 0, 0, 0));
	/* Now an anonymous page in each */
	ASSERT_NE(before, ru_pfn(0, page));
	ASSERT_NE(ru_pfn(child, page), ru_pfn(0, page));
	grandchild = ru_fork(child);
	ASSERT_LT(0, grandchild) TH_LOG("%s", ru_error());
	RU_OK(ru_mapped(&text, 0, 1, RU_VIEWS({0, page})));
	RU_OK(ru_mapped(&text, 0, 1, RU_VIEWS({child, page}, {grandchild, page})));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(8, ru_call(i & 1 ? child : grandchild, call_probed, 7, 0,
				     0, 0));
	RU_OK(ru_write_str(ENABLE, "0"));
	RU_OK(ru_write_str(EVENTS, "-:uprobes/rmap_probe"));
	ASSERT_EQ(42, probed(41));
	ASSERT_EQ(8, ru_call(grandchild, call_probed, 7, 0, 0, 0));
	RU_OK(ru_exit(grandchild));
	RU_OK(ru_exit(child));
}

/* Pages lent to a pipe and read by another process keep what they held. */
TEST_F(look, vmsplice)
{
	struct ru_mem *m = &self->m;
	int child, pipes[2];
	uint64_t word;
	char *buf;
	struct iovec iov;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 2));
	ASSERT_EQ(0, pipe(pipes));
	iov = (struct iovec){ .iov_base = m->addr, .iov_len = ru_page };
	ASSERT_EQ((ssize_t)ru_page, vmsplice(pipes[1], &iov, 1, 0));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_fill_in(child, m->addr, m->seed + 1, 0, 1));
	buf = malloc(ru_page);
	ASSERT_NE(NULL, buf);
	ASSERT_EQ((ssize_t)ru_page, read(pipes[0], buf, ru_page));
	memcpy(&word, buf, sizeof(word));
	ASSERT_EQ(ru_word(m->seed, 0, 0), word);
	RU_OK(ru_migrate(m, 1, 1, RU_VIEWS({0, ru_at(m, 1)}, {child, ru_at(m, 1)})));
	RU_OK(ru_exit(child));
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({0, m->addr})));
}

/* mm_take_all_locks() */
TEST_F(look, mmu_notifier)
{
	SKIP(return, "no user of MMU notifiers can be reached from user space here");
}

RU_AUDIT

TEST_HARNESS_MAIN
