// SPDX-License-Identifier: GPL-2.0-only
/*
 * exec builds the stack of the new program, moves it to its place, and the
 * program goes on to use it: with arguments of all sizes, deep, forked.
 *
 * The program runs itself: "exec_stack --look ..." is the new program, and its
 * exit status says what it found.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rmap_util.h"

static uint64_t sum_of(char **argv, int argc)
{
	uint64_t sum = 0;
	int i;
	char *p;

	for (i = 0; i < argc; i++)
		for (p = argv[i]; *p; p++)
			sum = sum * 31 + *p;
	return sum;
}

/* Deep in the stack, so that it grows */
static __attribute__((noinline)) int deep(size_t pages)
{
	volatile char here[4096];

	here[0] = pages;
	return pages ? deep(pages - 1) + here[0] : here[0];
}

static int migrate_range(char *from, size_t nr, struct ru_view *views, int n)
{
	struct ru_mem m = { .kind = RU_ANON, .unit_nr = 1 };
	uint64_t old[64], pfn;
	void *pages[64];
	int target[64], status[64], node[2], v;
	size_t i;

	if (ru_nodes(node) < 2 || nr > 64)
		return ru_fail("no nodes, or too much");
	for (i = 0; i < nr; i++) {
		pages[i] = from + i * ru_page;
		old[i] = ru_pfn(0, pages[i]);
	}
	if (ru_mapped(&m, 0, nr, views, n))
		return -1;
	if (syscall(SYS_move_pages, 0, nr, pages, NULL, status, 0))
		return ru_fail("query: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		target[i] = status[i] == node[0] ? node[1] : node[0];
	syscall(SYS_move_pages, 0, nr, pages, target, status, 4 /* MPOL_MF_MOVE_ALL */);
	for (v = 0; v < n; v++)
		for (i = 0; i < nr; i++) {
			pfn = ru_pfn(views[v].proc, pages[i]);
			if (!pfn || pfn == old[i])
				return ru_fail("page %zu of the stack did not move", i);
		}
	return ru_mapped(&m, 0, nr, views, n);
}

/* In the new program: argv[2] is the sum of what follows. */
static int look(int argc, char **argv)
{
	uint64_t sum = strtoull(argv[2], NULL, 16);
	struct ru_view views[3];
	char *first, *last;
	size_t nr;
	int child, grandchild;

	ru_start("exec", "look");
	if (sum_of(argv + 3, argc - 3) != sum) {
		printf("# arguments differ\n");
		return 10;
	}
	if (ru_numa_ready())
		return 4;
	child = ru_fork(0);
	if (child < 0)
		return 11;
	grandchild = ru_fork(child);
	if (grandchild < 0)
		return 12;
	/* Nobody writes to the pages of the strings any more. */
	first = (char *)(((uintptr_t)argv[3] + ru_page - 1) / ru_page * ru_page);
	last = (char *)((uintptr_t)(argv[argc - 1] + strlen(argv[argc - 1])) /
			ru_page * ru_page);
	nr = last > first ? (last - first) / ru_page : 0;
	if (nr > 64)
		nr = 64;
	if (nr) {
		views[0] = (struct ru_view){ 0, first };
		views[1] = (struct ru_view){ child, first };
		views[2] = (struct ru_view){ grandchild, first };
		if (migrate_range(first, nr, views, 3)) {
			printf("# %s\n", ru_error());
			return 13;
		}
	}
	if (sum_of(argv + 3, argc - 3) != sum)
		return 14;
	deep(40);
	if (ru_exit(grandchild) || ru_exit(child))
		return 15;
	/* And once more, from what was a child: exec in a chain */
	if (atoi(argv[1] + strlen("--look")) > 0) {
		char again[32];

		snprintf(again, sizeof(again), "--look%d",
			 atoi(argv[1] + strlen("--look")) - 1);
		argv[1] = again;
		execv("/proc/self/exe", argv);
		return 16;
	}
	return 0;
}

FIXTURE(exec) { char **argv; };
FIXTURE_VARIANT(exec) {
	int strings;
	size_t length;
	int again;
	long limit;
};
FIXTURE_VARIANT_ADD(exec, small) { .strings = 1, .length = 10 };
FIXTURE_VARIANT_ADD(exec, pages) { .strings = 20, .length = 4000, .again = 1 };
FIXTURE_VARIANT_ADD(exec, big) { .strings = 15, .length = 120000, .again = 2 };
FIXTURE_VARIANT_ADD(exec, small_stack) {
	.strings = 10, .length = 20000, .again = 1, .limit = 1 << 20
};
FIXTURE_VARIANT_ADD(exec, no_limit) {
	.strings = 10, .length = 20000, .again = 1, .limit = -1
};
FIXTURE_SETUP(exec) { RU_START(); }
FIXTURE_TEARDOWN(exec) { ru_stop(); }

TEST_F(exec, arguments)
{
	char **argv = calloc(variant->strings + 4, sizeof(*argv));
	char sum[32], mode[16];
	struct rlimit rl;
	pid_t pid;
	int i;

	RU_NEED(ru_numa_ready());
	snprintf(mode, sizeof(mode), "--look%d", variant->again);
	argv[0] = "exec_stack";
	argv[1] = mode;
	for (i = 0; i < variant->strings; i++) {
		size_t at;

		argv[3 + i] = calloc(1, variant->length + 1);
		for (at = 0; at < variant->length; at++)
			argv[3 + i][at] = 'a' + ru_random() % 26;
	}
	snprintf(sum, sizeof(sum), "%llx",
		 (unsigned long long)sum_of(argv + 3, variant->strings));
	argv[2] = sum;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (variant->limit) {
			getrlimit(RLIMIT_STACK, &rl);
			rl.rlim_cur = variant->limit < 0 ? RLIM_INFINITY :
							   variant->limit;
			if (variant->limit < 0)
				rl.rlim_max = RLIM_INFINITY;
			if (setrlimit(RLIMIT_STACK, &rl))
				_exit(20);
		}
		execv("/proc/self/exe", argv);
		_exit(21);
	}
	RU_OK(ru_wait_status(pid, 0));
}

/* exec that fails after the arguments are copied, and one that is killed */
TEST_F(exec, fails)
{
	char *argv[] = { "none", calloc(1, 100001), NULL };
	struct ru_mem m;
	int fd, i;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(&m, RU_ANON, 4));
	memset(argv[1], 'x', 100000);
	fd = memfd_create("not a program", 0);
	ASSERT_EQ(8, write(fd, "\177ELFjunk", 8));
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(-1, fexecve(fd, argv, argv));
		ASSERT_EQ(ENOEXEC, errno);
	}
	RU_OK(ru_migrate(&m, 0, m.nr, RU_VIEWS({0, m.addr})));
}

RU_AUDIT

int main(int argc, char **argv)
{
	if (argc > 3 && !strncmp(argv[1], "--look", 6))
		return look(argc, argv);
	return test_harness_run(argc, argv);
}
