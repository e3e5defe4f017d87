// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may see and do what, and what pays for it: files of the feature are for
 * root, no kernel address gets out, and the limits on mappings, processes and
 * memory hold.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

#define COUNTERS "/sys/kernel/mm/anon_vma_lazy"
#define SYSCTL "/proc/sys/vm/anon_vma_lazy"
#define AUDIT "/sys/kernel/debug/anon_vma_lazy/audit"
#define CGROUP "/sys/fs/cgroup"
#define NOBODY 65534

FIXTURE(files) { char path[32][300]; mode_t mode[32]; int nr; };

static int add(char path[][300], mode_t *mode, int *nr, const char *name,
	       mode_t want)
{
	if (*nr == 32)
		return ru_fail("too many files");
	snprintf(path[*nr], 300, "%s", name);
	mode[(*nr)++] = want;
	return 0;
}

/* All files that the feature brings, and the modes that are documented */
FIXTURE_SETUP(files)
{
	struct dirent *entry;
	char name[300];
	DIR *dir;

	RU_START();
	RU_NEED(geteuid() ? ru_fail("needs root") : 0);
	dir = opendir(COUNTERS);
	if (!dir)
		SKIP(return, "no ANON_VMA_LAZY in this kernel");
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(name, sizeof(name), COUNTERS "/%s",
				 entry->d_name);
			RU_OK(add(self->path, self->mode, &self->nr, name, 0400));
		}
	closedir(dir);
	ASSERT_LT(4, self->nr);
	RU_OK(add(self->path, self->mode, &self->nr, SYSCTL, 0600));
	RU_OK(add(self->path, self->mode, &self->nr, "/proc/1/anon_rmap", 0400));
	if (!access(AUDIT, F_OK))
		RU_OK(add(self->path, self->mode, &self->nr, AUDIT, 0600));
}
FIXTURE_TEARDOWN(files) { ru_stop(); }

TEST_F(files, modes)
{
	struct stat st;
	int i;

	for (i = 0; i < self->nr; i++) {
		ASSERT_EQ(0, stat(self->path[i], &st)) TH_LOG("%s", self->path[i]);
		EXPECT_EQ(self->mode[i], st.st_mode & 07777)
			TH_LOG("%s", self->path[i]);
		EXPECT_EQ(0, st.st_uid) TH_LOG("%s", self->path[i]);
	}
	/* Not even root writes what is there to be read. */
	for (i = 0; i < self->nr; i++)
		if (!(self->mode[i] & 0200))
			EXPECT_NE(0, ru_write_str(self->path[i], "1"))
				TH_LOG("%s was written", self->path[i]);
}

static long become_nobody(long uid, long b, long c, long d)
{
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	/* Else /proc/self would belong to root until the next exec. */
	return prctl(PR_SET_DUMPABLE, 1) ? -errno : 0;
}

/* Root of a user namespace of one's own, which is nobody outside */
static long become_nobody_root(long uid, long b, long c, long d)
{
	long ret = become_nobody(uid, 0, 0, 0);
	char map[64];

	if (ret)
		return ret;
	if (unshare(CLONE_NEWUSER))
		return -errno;
	snprintf(map, sizeof(map), "0 %ld 1", uid);
	return ru_write_str("/proc/self/uid_map", map) || getuid() ? -EPERM : 0;
}

/* 0 if the file can neither be read nor written */
static long locked_out(long path, long b, long c, long d)
{
	static const int flags[] = { O_RDONLY, O_WRONLY, O_RDWR };
	int i, fd;

	for (i = 0; i < 3; i++) {
		fd = open((char *)path, flags[i]);
		if (fd >= 0) {
			close(fd);
			return ru_fail("%s opens with flags %d",
				       (char *)path, flags[i]);
		}
		if (errno != EACCES && errno != EPERM)
			return ru_fail("%s: %s", (char *)path, strerror(errno));
	}
	return 0;
}

/* Its own file may be read, and not written. */
static long own_file(long a, long b, long c, long d)
{
	int fd = open("/proc/self/anon_rmap", O_RDONLY);
	char text[64] = "";

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    strncmp(text, "mode: ", 6))
		return ru_fail("anon_rmap gives \"%s\": %s", text,
			       strerror(errno));
	close(fd);
	fd = open("/proc/self/anon_rmap", O_WRONLY);
	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return ru_fail("anon_rmap opens for writing");
	return 0;
}

/* Others see nothing but their own file in /proc. */
TEST_F(files, unprivileged)
{
	ru_fn become[] = { become_nobody, become_nobody_root };
	int i, j, p;

	for (j = 0; j < 2; j++) {
		p = ru_fork(0);
		ASSERT_LT(0, p) TH_LOG("%s", ru_error());
		ASSERT_EQ(0, ru_call(p, become[j], NOBODY, 0, 0, 0))
			TH_LOG("as %d: %s", j, ru_error());
		for (i = 0; i < self->nr; i++)
			EXPECT_EQ(0, ru_call(p, locked_out, (long)self->path[i],
					     0, 0, 0))
				TH_LOG("as %d: %s", j, ru_error());
		EXPECT_EQ(0, ru_call(p, own_file, 0, 0, 0, 0))
			TH_LOG("as %d: %s", j, ru_error());
		RU_OK(ru_exit(p));
	}
}

/* A word that looks like an address of the kernel, or NULL */
static const char *kernel_address(const char *text)
{
	const char *p = text, *q;

	while (*p) {
		if (!isxdigit(*p)) {
			p++;
			continue;
		}
		for (q = p; isxdigit(*q); q++)
			;
		if (q - p == 16 && !strncasecmp(p, "ffff", 4))
			return p;
		/* In decimal, unsigned or negative; "-" also stands in ranges */
		if (q - p >= 19 ||
		    (q - p >= 10 && p > text && p[-1] == '-' &&
		     (p == text + 1 || p[-2] == ' ')))
			return p;
		p = q;
	}
	return NULL;
}

TEST_F(files, no_addresses)
{
	static char log[1 << 20];
	char text[4096], *line, *next;
	const char *found;
	int i, fd, lines = 0;
	ssize_t len;

	/* The search finds one if there is one. */
	ASSERT_NE(NULL, kernel_address("at ffff888012345678."));
	ASSERT_NE(NULL, kernel_address("0xFFFFFFFF81000000"));
	ASSERT_NE(NULL, kernel_address("at -131391624642440"));
	ASSERT_EQ(NULL, kernel_address("ffffabcd, 7f12ffff3000-7f1234567890"));

	RU_OK(ru_audit());
	RU_OK(add(self->path, self->mode, &self->nr, "/proc/self/anon_rmap", 0));
	for (i = 0; i < self->nr; i++) {
		fd = open(self->path[i], O_RDONLY);
		ASSERT_LE(0, fd) TH_LOG("%s", self->path[i]);
		len = read(fd, text, sizeof(text) - 1);
		close(fd);
		/* A kernel thread's or a zombie's is empty. */
		ASSERT_LE(0, len) TH_LOG("%s", self->path[i]);
		text[len] = '\0';
		found = kernel_address(text);
		EXPECT_EQ(NULL, found) TH_LOG("%s: %.40s", self->path[i], found);
	}
	len = klogctl(3, log, sizeof(log) - 1);
	ASSERT_LT(0, len);
	log[len] = '\0';
	for (line = log; line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		/* Not the names of these tests */
		if (!strstr(line, "anon_vma_lazy: ") || strstr(line, "selftest"))
			continue;
		lines++;
		found = kernel_address(line);
		EXPECT_EQ(NULL, found) TH_LOG("kernel log: %s", line);
	}
	TH_LOG("%d lines of the feature in the kernel log", lines);
}

/*
 * Limits.
 */
FIXTURE(limits) { struct ru_mem m; char max[32]; };
FIXTURE_SETUP(limits)
{
	struct ru_counts c;

	RU_START();
	RU_NEED(ru_count(&c));
}
static char group[64];

/* A group of its own for the processes that are put there */
static int group_make(const char *controller)
{
	char path[128], enable[32];

	if (access(CGROUP "/cgroup.controllers", F_OK))
		return ru_fail("no cgroup v2 at " CGROUP);
	snprintf(enable, sizeof(enable), "+%s", controller);
	if (ru_write_str(CGROUP "/cgroup.subtree_control", enable))
		return -1;
	snprintf(group, sizeof(group), CGROUP "/rmap_security.%d", getpid());
	if (mkdir(group, 0755) && errno != EEXIST)
		return ru_fail("%s: %s", group, strerror(errno));
	snprintf(path, sizeof(path), "%s/%s.max", group, controller);
	if (access(path, F_OK))
		return ru_fail("no %s controller", controller);
	return 0;
}

static long group_enter(long a, long b, long c, long d)
{
	char path[128], pid[16];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", getpid());
	return ru_write_str(path, pid);
}

static void group_remove(void)
{
	int i;

	for (i = 0; group[0] && i < 50 && rmdir(group) && errno == EBUSY; i++)
		usleep(100000);
	group[0] = '\0';
}

FIXTURE_TEARDOWN(limits)
{
	ru_stop();
	group_remove();
	if (self->max[0])
		ru_write_str("/proc/sys/vm/max_map_count", self->max);
}

/* VMAs of this process; the last line may be the vsyscall page, which is none. */
static long map_count(long a, long b, long c, long d)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	long count = 0;

	while (f && fgets(line, sizeof(line), f))
		count += !strstr(line, "[vsyscall]");
	if (f)
		fclose(f);
	return count;
}

static long map_one(long a, long b, long c, long d)
{
	/* Neighbours of the same kind would merge. */
	void *p = mmap(NULL, ru_page, PROT_READ,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

/* vm.max_map_count: split, move and map fail at it, and not before. */
TEST_F(limits, max_map_count)
{
	struct ru_mem *m = &self->m;
	char value[24];
	long count, ret;
	size_t page;
	char *to;
	int p;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 200));
	to = (char *)ru_reserve(m->len, ru_page) + ru_page;
	p = ru_fork(0);
	ASSERT_LT(0, p) TH_LOG("%s", ru_error());
	count = ru_call(p, map_count, 0, 0, 0, 0);
	snprintf(value, sizeof(value), "%ld", count + 51);
	RU_OK(ru_switch("/proc/sys/vm/max_map_count", value, self->max,
			sizeof(self->max)));
	for (page = 1, ret = 0; page < m->nr && !ret; page += 2)
		ret = ru_mprotect_in(p, ru_at(m, page), ru_page, PROT_READ);
	ASSERT_NE(0, ret);
	ASSERT_EQ(count + 51, ru_call(p, map_count, 0, 0, 0, 0));
	EXPECT_NE(0, ru_mremap_in(p, ru_at(m, 150), ru_page, ru_page,
				  MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_NE(0, ru_munmap_in(p, ru_at(m, 150), ru_page));
	/* One too many is allowed to mmap(), as ever. */
	ret = ru_call(p, map_one, 0, 0, 0, 0);
	if (!ret)
		ret = ru_call(p, map_one, 0, 0, 0, 0);
	EXPECT_EQ(-ENOMEM, ret);
	/* What failed half way did no harm. */
	RU_OK(ru_check_in(p, m->addr, m->seed, 0, m->nr));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({p, m->addr}, {0, m->addr})));
	RU_OK(ru_munmap_in(p, m->addr, m->len));
	RU_OK(ru_migrate(m, 0, m->nr, RU_VIEWS({0, m->addr})));
	RU_OK(ru_exit(p));
}

static long fork_until(long max, long b, long c, long d)
{
	pid_t pid[256];
	long nr, i, error = 0;
	int status;

	for (nr = 0; nr < max && nr < 256; nr++) {
		pid[nr] = fork();
		if (!pid[nr]) {
			pause();
			_exit(1);
		}
		if (pid[nr] < 0) {
			error = errno;
			break;
		}
	}
	for (i = 0; i < nr; i++) {
		kill(pid[i], SIGKILL);
		if (waitpid(pid[i], &status, 0) != pid[i])
			return -ECHILD;
	}
	return error == EAGAIN ? nr : -error;
}

static long limit_nproc(long max, long b, long c, long d)
{
	struct rlimit lim = { max, max };

	return setrlimit(RLIMIT_NPROC, &lim) ? -errno : 0;
}

/* RLIMIT_NPROC, for a user that has no process yet */
TEST_F(limits, nproc)
{
	struct ru_mem *m = &self->m;
	struct ru_counts before;
	int p, i;

	RU_NEED(ru_numa_ready());
	RU_OK(ru_make(m, RU_ANON, 2));
	p = ru_fork(0);
	ASSERT_LT(0, p) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, ru_call(p, limit_nproc, 20, 0, 0, 0));
	ASSERT_EQ(0, ru_call(p, become_nobody, 54321, 0, 0, 0));
	ASSERT_EQ(19, ru_call(p, fork_until, 100, 0, 0, 0));
	RU_OK(ru_count(&before));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(19, ru_call(p, fork_until, 100, 0, 0, 0));
	RU_OK(ru_count_back(&before));
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({p, m->addr}, {0, m->addr})));
	RU_OK(ru_exit(p));
}

/* pids.max fails fork after the mappings were copied: all is taken back. */
TEST_F(limits, pids)
{
	struct ru_mem *m = &self->m;
	struct ru_counts before;
	int p, i;

	RU_NEED(ru_numa_ready());
	RU_NEED(group_make("pids"));
	RU_OK(ru_make(m, RU_ANON, 2));
	p = ru_fork(0);
	ASSERT_LT(0, p) TH_LOG("%s", ru_error());
	RU_OK(ru_call(p, group_enter, 0, 0, 0, 0));
	{
		char path[128];

		snprintf(path, sizeof(path), "%s/pids.max", group);
		RU_OK(ru_write_str(path, "5"));
	}
	ASSERT_EQ(4, ru_call(p, fork_until, 100, 0, 0, 0));
	RU_OK(ru_count(&before));
	for (i = 0; i < 100; i++)
		ASSERT_EQ(4, ru_call(p, fork_until, 100, 0, 0, 0));
	RU_OK(ru_count_back(&before));
	RU_OK(ru_migrate(m, 0, 2, RU_VIEWS({p, m->addr}, {0, m->addr})));
	RU_OK(ru_exit(p));
}

/*
 * Memory cgroup.  A group is charged for much more than objects of reverse
 * mapping; therefore two things are compared that differ in those alone.
 */
struct use {
	long slab;	/* what the group pays for, in bytes */
	long rmap;	/* what rmap takes in the whole system, in bytes */
};

static int use_now(struct use *use)
{
	struct ru_counts c;
	char path[128], key[64];
	long value;
	FILE *f;
	int i;

	/* Who exited before has left the group by then. */
	sleep(3);
	if (ru_count(&c) || ru_cgroup_flush(group))
		return -1;
	use->rmap = 0;
	for (i = 0; i < RU_MM; i++)
		use->rmap += c.nr[i] * c.size[i];
	snprintf(path, sizeof(path), "%s/memory.stat", group);
	f = fopen(path, "r");
	if (!f)
		return ru_fail("%s: %s", path, strerror(errno));
	use->slab = -1;
	while (fscanf(f, "%63s %ld", key, &value) == 2)
		if (!strcmp(key, "slab_unreclaimable"))
			use->slab = value;
	fclose(f);
	return use->slab < 0 ? ru_fail("no slab in %s", path) : 0;
}

/* mod_objcg_state(): each CPU keeps up to a page of bytes for later. */
static long not_yet(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) * (long)ru_page;
}

/* What @nr processes take, side by side or each a child of the one before */
static int use_of_tree(int nr, bool deep, struct use *use)
{
	int i, p[128], top = ru_fork(0);
	struct use before;

	if (top < 0 || ru_call(top, group_enter, 0, 0, 0, 0) ||
	    use_now(&before))
		return -1;
	for (i = 0; i < nr; i++) {
		p[i] = ru_fork(deep && i ? p[i - 1] : top);
		if (p[i] < 0)
			return -1;
	}
	if (use_now(use))
		return -1;
	use->slab -= before.slab;
	use->rmap -= before.rmap;
	for (i = nr - 1; i >= 0; i--)
		if (ru_exit(p[i]))
			return -1;
	return ru_exit(top);
}

TEST_F(limits, charged_tree)
{
	struct use flat, deep;
	int nr = 100;

	RU_NEED(group_make("memory"));
	RU_OK(use_of_tree(nr, false, &flat));
	RU_OK(use_of_tree(nr, true, &deep));
	TH_LOG("%d children: %ld bytes of slab, %ld of rmap", nr, flat.slab,
	       flat.rmap);
	TH_LOG("%d generations: %ld bytes of slab, %ld of rmap", nr, deep.slab,
	       deep.rmap);
	ASSERT_LT(200000, deep.rmap - flat.rmap);
	ASSERT_LT((deep.rmap - flat.rmap) / 10 * 8,
		  deep.slab - flat.slab + not_yet());
}

static struct ru_mem region;
static char *region_to;

/* Pages in reverse order, each a VMA that has moved; faulted or not */
static long shuffle(long faulted, long b, long c, long d)
{
	struct ru_mem *m = &region;
	size_t i;

	if (faulted)
		ru_fill(m->addr, m->seed, 0, m->nr);
	for (i = 0; i < m->nr; i++)
		if (mremap(ru_at(m, m->nr - 1 - i), ru_page, ru_page,
			   MREMAP_MAYMOVE | MREMAP_FIXED,
			   region_to + i * ru_page) == MAP_FAILED)
			return -errno;
	/* Moved but never touched, they would be one. */
	for (i = 1; i < m->nr; i += 2)
		if (madvise(region_to + i * ru_page, ru_page, MADV_DONTDUMP))
			return -errno;
	return map_count(0, 0, 0, 0);
}

static int use_of_vmas(bool faulted, struct use *use, long *count)
{
	struct use before;
	int p = ru_fork(0);

	if (p < 0 || ru_call(p, group_enter, 0, 0, 0, 0) || use_now(&before))
		return -1;
	*count = ru_call(p, shuffle, faulted, 0, 0, 0);
	if (*count < 0)
		return ru_fail("shuffle: %s", strerror(-*count));
	if (use_now(use))
		return -1;
	use->slab -= before.slab;
	use->rmap -= before.rmap;
	return ru_exit(p);
}

TEST_F(limits, charged_vmas)
{
	struct use plain, faulted;
	long nr = ru_slow() ? 1500 : 6000, count[2];

	RU_NEED(group_make("memory"));
	RU_OK(ru_map(&region, RU_ANON, nr));
	region_to = (char *)ru_reserve(region.len, ru_page) + ru_page;
	RU_OK(use_of_vmas(false, &plain, &count[0]));
	RU_OK(use_of_vmas(true, &faulted, &count[1]));
	TH_LOG("%ld VMAs: %ld bytes of slab, %ld of rmap", count[0], plain.slab,
	       plain.rmap);
	TH_LOG("%ld VMAs, faulted: %ld bytes of slab, %ld of rmap", count[1],
	       faulted.slab, faulted.rmap);
	ASSERT_EQ(count[0], count[1]);
	ASSERT_LT(nr * 60, faulted.rmap - plain.rmap);
	ASSERT_LT((faulted.rmap - plain.rmap) / 10 * 8,
		  faulted.slab - plain.slab + not_yet());
}

RU_AUDIT

TEST_HARNESS_MAIN
