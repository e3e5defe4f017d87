// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes end: in every order, killed while they fork, while their memory is
 * taken from them, for want of memory.
 */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448
#endif

RU_KIND_FIXTURE(order);
RU_ALL_KINDS(order);

static long make_mem(long where, long kind, long units, long d)
{
	struct ru_mem *m = (struct ru_mem *)where;

	return ru_make(m, kind, units);
}

/*
 * a - b - c     a made the memory; they end in each of the six orders, and who
 *   \ d         is left shares it still; d comes after the first has gone
 */
TEST_F(order, all)
{
	static const char order[6][3] = {
		{ 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
		{ 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
	};
	struct ru_mem *m = mmap(NULL, sizeof(*m), PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int i, j, k;

	ASSERT_NE(MAP_FAILED, m);
	RU_NEED(ru_numa_ready());
	for (i = 0; i < 6; i++) {
		int p[4], alive[4] = { 1, 1, 1, 0 };

		p[0] = ru_fork(0);
		ASSERT_LT(0, p[0]) TH_LOG("%s", ru_error());
		RU_OK(ru_call(p[0], make_mem, (long)m, variant->kind, 2, 0));
		p[1] = ru_fork(p[0]);
		ASSERT_LT(0, p[1]) TH_LOG("%s", ru_error());
		p[2] = ru_fork(p[1]);
		ASSERT_LT(0, p[2]) TH_LOG("%s", ru_error());
		for (j = 0; j < 3; j++) {
			struct ru_view views[4];
			int n = 0;

			RU_OK(ru_exit(p[(int)order[i][j]]));
			alive[(int)order[i][j]] = 0;
			for (k = 3; k >= 0; k--)
				if (alive[k])
					views[n++] = (struct ru_view){ p[k], m->addr };
			if (j == 0) {
				/* d: child of one that is left */
				p[3] = ru_fork(views[0].proc);
				ASSERT_LT(0, p[3]) TH_LOG("%s", ru_error());
				alive[3] = 1;
				views[n++] = (struct ru_view){ p[3], m->addr };
			}
			RU_OK(ru_migrate(m, 0, m->nr, views, n));
		}
		RU_OK(ru_fill_in(p[3], m->addr, m->seed, 0, m->nr));
		RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({p[3], m->addr})));
		RU_OK(ru_exit(p[3]));
	}
}

FIXTURE(ends) { struct ru_mem m; };
FIXTURE_SETUP(ends) { RU_START(); }
FIXTURE_TEARDOWN(ends)
{
	ru_swap_stop();
	ru_stop();
}

static long fork_on(long addr, long nr, long c, long d)
{
	for (;;) {
		pid_t pid = fork();

		if (pid < 0)
			_exit(1);
		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
	}
}

/* Killed at any point of fork, with many VMAs: what it shared is unharmed. */
TEST_F(ends, kill_during_fork)
{
	struct ru_mem *m = &self->m;
	int i, child;
	size_t page;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 200));
	for (page = 0; page < m->nr; page += 2)
		RU_OK(ru_mprotect_in(0, ru_at(m, page), ru_page, PROT_READ));
	for (i = 0; ru_race(i); i++) {
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(ru_background(child, fork_on, 0, 0, 0, 0));
		usleep(1000 + ru_random() % 40000);
		RU_OK(ru_kill(child));
		/* A grandchild that was just born comes to us. */
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

/* Children end at all times while the pages they share migrate. */
TEST_F(ends, while_migrating)
{
	struct ru_mem *m = &self->m;
	int i, j, mover, p[6];

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 64));
	mover = ru_fork(0);
	ASSERT_LT(0, mover) TH_LOG("%s", ru_error());
	RU_OK(ru_background(mover, ru_migrate_loop, (long)m->addr, m->nr,
			    getpid(), ru_page));
	for (i = 0; ru_race(i); i++) {
		for (j = 0; j < 6; j++) {
			p[j] = ru_fork(j && ru_random() & 1 ? p[j - 1] : 0);
			ASSERT_LT(0, p[j]) TH_LOG("%s", ru_error());
		}
		for (j = 0; j < 6; j++)
			RU_OK(ru_random() & 1 ? ru_exit(p[j]) : ru_kill(p[j]));
	}
	RU_OK(ru_kill(mover));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

/* process_mrelease(): the memory of a dying process is taken by another one. */
TEST_F(ends, process_mrelease)
{
	struct ru_mem *m = &self->m;
	int i, fd, child, released = 0;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 128));
	for (i = 0; ru_race(i); i++) {
		long ret;

		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		RU_OK(ru_fill_in(child, ru_at(m, 64), m->seed, 64, 64));
		fd = syscall(SYS_pidfd_open, ru_pid(child), 0);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, kill(ru_pid(child), SIGKILL));
		ret = syscall(SYS_process_mrelease, fd, 0);
		if (ret && errno == ENOSYS)
			SKIP(return, "no process_mrelease()");
		/* ESRCH: it was faster. */
		if (ret) {
			ASSERT_EQ(ESRCH, errno);
		} else {
			released++;
		}
		close(fd);
		RU_OK(ru_kill(child));
		RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	}
	TH_LOG("released %d of %d", released, i);
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

static long eat(long shared, long nr, long c, long d)
{
	size_t len = 4UL << 20;

	for (;;) {
		char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		size_t i;

		if (p == MAP_FAILED)
			_exit(1);
		for (i = 0; i < len; i += 4096)
			p[i] = 1;
	}
}

/* Killed for want of memory in a cgroup: the OOM reaper walks its VMAs. */
TEST_F(ends, oom)
{
	struct ru_mem *m = &self->m;
	int i, child, rounds = 2;
	char procs[] = "/sys/fs/cgroup/rmap_oom/cgroup.procs", pid[16];

	RU_NEED(ru_numa_ready());
	RU_NEED(ru_write_str("/sys/fs/cgroup/cgroup.subtree_control", "+memory"));
	RU_OK(ru_make(m, RU_ANON, 64));
	ASSERT_TRUE(!mkdir("/sys/fs/cgroup/rmap_oom", 0755) || errno == EEXIST);
	RU_OK(ru_write_str("/sys/fs/cgroup/rmap_oom/memory.max", "24M"));
	ru_write_str("/sys/fs/cgroup/rmap_oom/memory.swap.max", "0");
	for (i = 0; i < rounds; i++) {
		child = ru_fork(0);
		ASSERT_LT(0, child) TH_LOG("%s", ru_error());
		snprintf(pid, sizeof(pid), "%d", ru_pid(child));
		RU_OK(ru_write_str(procs, pid));
		RU_OK(ru_background(child, eat, 0, 0, 0, 0));
		/* ru_kill() expects SIGKILL, and that is what it got. */
		while (ru_pfn(child, m->addr))
			usleep(50000);
		RU_OK(ru_kill(child));
		RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	}
	rmdir("/sys/fs/cgroup/rmap_oom");
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

RU_AUDIT

TEST_HARNESS_MAIN
