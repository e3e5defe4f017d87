// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only ANON_VMA_LAZY does: its switches and counters, the objects it does
 * without, the merges it allows.  Skipped where the process is not lazy.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

#define COUNTERS "/sys/kernel/mm/anon_vma_lazy/"
#define SYSCTL "/proc/sys/vm/anon_vma_lazy"

FIXTURE(lazy) { struct ru_mem m; };
FIXTURE_SETUP(lazy)
{
	RU_START();
	RU_NEED(geteuid() ? ru_fail("needs root") : 0);
	RU_NEED(!ru_lazy() ? ru_fail("this process is not lazy") : 0);
}
FIXTURE_TEARDOWN(lazy) { ru_stop(); }

static long displaced(int proc)
{
	return ru_rmap_field(ru_pid(proc), "displaced");
}

/* VMAs that touch the range */
static int vmas(const char *addr, size_t len)
{
	char line[512];
	int count = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx", &from, &to) == 2 &&
		    from < (unsigned long)addr + len && to > (unsigned long)addr)
			count++;
	}
	if (f)
		fclose(f);
	return count;
}

/* An AVC exists for what was moved, and only as long. */
TEST_F(lazy, displaced_count)
{
	struct ru_mem *m = &self->m;
	long base = displaced(0);
	int child;
	char *to;

	ASSERT_LE(0, base);
	RU_OK(ru_make(m, RU_ANON, 6));
	ASSERT_EQ(base, displaced(0));
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(base + 1, displaced(0));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	ASSERT_EQ(base + 1, displaced(child));
	/* Split: one each; merged again: one */
	RU_OK(ru_mprotect_in(0, to + 2 * ru_page, 2 * ru_page, PROT_READ));
	ASSERT_EQ(base + 3, displaced(0));
	RU_OK(ru_mprotect_in(0, to, m->len, PROT_READ | PROT_WRITE));
	ASSERT_EQ(base + 1, displaced(0));
	/* Home */
	RU_OK(ru_mremap_in(0, to, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, m->addr));
	ASSERT_EQ(base, displaced(0));
	ASSERT_EQ(base + 1, displaced(child));
	RU_OK(ru_munmap_in(child, to, m->len));
	ASSERT_EQ(base, displaced(child));
	RU_OK(ru_exit(child));
	/* An unfaulted one has nothing to move. */
	RU_OK(ru_map(m, RU_ANON, 4));
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	ASSERT_EQ(base, displaced(0));
	ru_fill(to, m->seed, 0, 4);
	ASSERT_EQ(base, displaced(0));
}

/* DONTUNMAP leaves nothing behind that could still be found. */
TEST_F(lazy, dontunmap_unfaulted)
{
	struct ru_mem *m = &self->m;
	long base = displaced(0);
	char *to;

	RU_OK(ru_make(m, RU_ANON, 2));
	to = (char *)ru_reserve(64 * ru_page + m->len, ru_page) + ru_page;
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED | 4, to));
	ASSERT_EQ(base + 1, displaced(0));
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + 64 * ru_page) ?
	      0 : 0);
	ASSERT_EQ(base + 1, displaced(0));
}

/* exec leaves one: the stack. */
TEST_F(lazy, exec_stack_only)
{
	ASSERT_GE(1, displaced(0));
}

/* VMAs that were faulted apart, or by different processes, merge. */
TEST_F(lazy, merges)
{
	struct ru_mem *m = &self->m;
	int child;

	RU_OK(ru_map(m, RU_ANON, 12));
	RU_OK(ru_mprotect_in(0, ru_at(m, 4), 4 * ru_page, PROT_READ));
	ASSERT_EQ(3, vmas(m->addr, m->len));
	/* Each faulted by itself */
	ru_fill(ru_at(m, 0), m->seed, 0, 4);
	ru_fill(ru_at(m, 8), m->seed, 8, 4);
	RU_OK(ru_mprotect_in(0, ru_at(m, 4), 4 * ru_page, PROT_READ | PROT_WRITE));
	ASSERT_EQ(1, vmas(m->addr, m->len));
	/* After fork too */
	RU_OK(ru_mprotect_in(0, ru_at(m, 4), 4 * ru_page, PROT_READ));
	child = ru_fork(0);
	ASSERT_LT(0, child) TH_LOG("%s", ru_error());
	RU_OK(ru_mprotect_in(0, ru_at(m, 4), 4 * ru_page, PROT_READ | PROT_WRITE));
	ASSERT_EQ(1, vmas(m->addr, m->len));
	ru_fill(ru_at(m, 4), m->seed, 4, 4);
	RU_NEED(ru_numa_ready());
	RU_OK(ru_migrate(m, 0, 4, RU_VIEWS({0, m->addr}, {child, m->addr})));
	RU_OK(ru_migrate(m, 4, 4, RU_VIEWS({0, ru_at(m, 4)})));
	RU_OK(ru_exit(child));
}

/* VMAs whose indexes do not go on across the border stay apart. */
TEST_F(lazy, no_merge)
{
	struct ru_mem *m = &self->m, n;
	char *to;

	RU_OK(ru_make(m, RU_ANON, 4));
	RU_OK(ru_make(&n, RU_ANON, 4));
	to = (char *)ru_reserve(m->len + n.len, ru_page) + ru_page;
	RU_OK(ru_mremap_in(0, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	RU_OK(ru_mremap_in(0, n.addr, n.len, n.len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, to + m->len));
	ASSERT_EQ(2, vmas(to, m->len + n.len));
	RU_NEED(ru_numa_ready());
	RU_OK(ru_migrate(m, 0, 4, RU_VIEWS({0, to})));
	RU_OK(ru_migrate(&n, 0, 4, RU_VIEWS({0, to + m->len})));
}

/* Links: the ancestors that live, or share something, and no more */
TEST_F(lazy, links)
{
	long base = ru_rmap_field(getpid(), "links"), links;
	int p = 0, next, i;

	ASSERT_LT(0, base);
	for (i = 0; i < 5; i++) {
		next = ru_fork(p);
		ASSERT_LT(0, next) TH_LOG("%s", ru_error());
		links = ru_rmap_field(ru_pid(next), "links");
		ASSERT_EQ(base + i + 1, links);
		p = next;
	}
}

/* A chain whose members die reuses what they leave. */
TEST_F(lazy, links_bounded)
{
	long base = ru_rmap_field(getpid(), "links"), links;
	long reuses, then;
	int p = 0, next, i;

	RU_OK(ru_read_long(COUNTERS "reuses", &reuses));
	for (i = 0; i < 30; i++) {
		next = ru_fork(p);
		ASSERT_LT(0, next) TH_LOG("%s", ru_error());
		if (p)
			RU_OK(ru_exit(p));
		p = next;
		links = ru_rmap_field(ru_pid(p), "links");
		ASSERT_GE(base + 3, links);
	}
	RU_OK(ru_read_long(COUNTERS "reuses", &then));
	ASSERT_LT(reuses, then);
	RU_OK(ru_exit(p));
}

static int mode_after_exec(const char *expected)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/proc/self/exe", "lazy", "--mode", expected, NULL);
		_exit(9);
	}
	return ru_wait_status(pid, 0);
}

/* The switch works at exec; children keep the mode of their parent. */
TEST_F(lazy, sysctl)
{
	struct ru_mem *m = &self->m;
	struct { const char *value; int error; } bad[] = {
		{ "2", EINVAL }, { "-1", EINVAL }, { "on", EINVAL },
	};
	char old[16];
	size_t i;
	int child;

	RU_OK(ru_switch(SYSCTL, "0", old, sizeof(old)));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = open(SYSCTL, O_WRONLY);

		EXPECT_EQ(-1, write(fd, bad[i].value, strlen(bad[i].value)));
		EXPECT_EQ(bad[i].error, errno);
		close(fd);
	}
	EXPECT_TRUE(ru_lazy());
	child = ru_fork(0);
	EXPECT_LT(0, child);
	EXPECT_LE(0, displaced(child));
	EXPECT_EQ(0, mode_after_exec("regular")) TH_LOG("%s", ru_error());
	EXPECT_EQ(0, ru_write_str(SYSCTL, "1"));
	EXPECT_EQ(0, mode_after_exec("lazy")) TH_LOG("%s", ru_error());
	RU_OK(ru_write_str(SYSCTL, old));
	/* Walks from one mode to another: nothing shared, nothing harmed */
	RU_OK(ru_make(m, RU_ANON, 2));
	RU_OK(ru_exit(child));
}

enum { MMS, ANON_VMAS, LINKS, DISPLACED, NR_COUNTERS };

static int read_counters(long *counters)
{
	static const char names[NR_COUNTERS][16] = {
		"mms", "anon_vmas", "links", "displaced",
	};
	char path[128];
	int i;

	for (i = 0; i < NR_COUNTERS; i++) {
		snprintf(path, sizeof(path), COUNTERS "%s", names[i]);
		if (ru_read_long(path, &counters[i]))
			return -1;
	}
	return 0;
}

/* The same from /proc/PID/anon_rmap; anon_vmas cannot be counted there. */
static int count_processes(long *sum)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	long links, displaced;
	char path[300];
	FILE *f;

	memset(sum, 0, NR_COUNTERS * sizeof(*sum));
	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/anon_rmap", entry->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "mode: lazy\nlinks: %ld\ndisplaced: %ld", &links,
			   &displaced) == 2) {
			sum[MMS]++;
			sum[LINKS] += links - 1;	/* its own is embedded */
			sum[DISPLACED] += displaced;
		}
		fclose(f);
	}
	return proc ? closedir(proc) : -1;
}

/*
 * The counters of a moment in which they are what the processes add up to.
 * Others come and go, and an exit goes on after the process has left /proc.
 */
static int counters_add_up(long *counters)
{
	long sum[NR_COUNTERS];
	int i;

	for (i = 0; i < 100; i++) {
		if (read_counters(counters) || count_processes(sum))
			return -1;
		sum[ANON_VMAS] = counters[ANON_VMAS];
		if (!memcmp(counters, sum, sizeof(sum)))
			return 0;
		usleep(50000);
	}
	fprintf(stderr, "# counters: %ld mms, %ld links, %ld displaced; processes: %ld, %ld, %ld\n",
		counters[MMS], counters[LINKS], counters[DISPLACED],
		sum[MMS], sum[LINKS], sum[DISPLACED]);
	return -1;
}

/* Counters add up, and no anon_vma stays behind. */
TEST_F(lazy, counters)
{
	long before[NR_COUNTERS], during[NR_COUNTERS], after[NR_COUNTERS];
	struct ru_mem *m = &self->m;
	int p[8], i;
	char *to;

	RU_OK(ru_make(m, RU_ANON, 2));
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	ASSERT_EQ(0, counters_add_up(before));
	for (i = 0; i < 8; i++) {
		p[i] = ru_fork(i & 1 ? p[i - 1] : 0);
		ASSERT_LT(0, p[i]) TH_LOG("%s", ru_error());
		if (!(i & 1))
			RU_OK(ru_mremap_in(p[i], m->addr, m->len, m->len,
					   MREMAP_MAYMOVE | MREMAP_FIXED, to));
	}
	ASSERT_EQ(0, counters_add_up(during));
	EXPECT_LE(before[LINKS] + 8, during[LINKS]);
	EXPECT_LE(before[DISPLACED] + 8, during[DISPLACED]);
	/*
	 * Nobody is dead yet: each has an anon_vma of its own, so the number of
	 * those without a process stays. Strangers' may go meanwhile; where none
	 * did, the last look shows it.
	 */
	EXPECT_LE(during[MMS], during[ANON_VMAS]);
	EXPECT_GE(before[ANON_VMAS] - before[MMS],
		  during[ANON_VMAS] - during[MMS]);
	for (i = 7; i >= 0; i--)
		RU_OK(ru_exit(p[i]));
	ASSERT_EQ(0, counters_add_up(after));
	EXPECT_GE(during[ANON_VMAS] - during[MMS], after[ANON_VMAS] - after[MMS]);
}

RU_AUDIT

int main(int argc, char **argv)
{
	char buf[64] = "";
	int fd;

	if (argc != 3 || strcmp(argv[1], "--mode"))
		return test_harness_run(argc, argv);
	/* After exec: are we what we should be, and is our child? */
	fd = open("/proc/self/anon_rmap", O_RDONLY);
	if (fd < 0 || read(fd, buf, sizeof(buf) - 1) <= 0 ||
	    strncmp(buf, "mode: ", 6) || strncmp(buf + 6, argv[2], strlen(argv[2])))
		return 1;
	close(fd);
	if (!fork()) {
		char theirs[64] = "";

		fd = open("/proc/self/anon_rmap", O_RDONLY);
		if (fd < 0 || read(fd, theirs, sizeof(theirs) - 1) <= 0 ||
		    strncmp(theirs, buf, 10))
			_exit(1);
		_exit(0);
	}
	return wait(&fd) < 0 || fd ? 2 : 0;
}
