// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench [--small|--quick|--size N] [--no-cgroup] [--locks] [--runs N] [--list]
 * [CASE...]: run the cases, or those whose name begins with CASE, and print a line of
 * JSON for each size. With --size it is that one size, and CASE is the whole name:
 *
 *   {"name":"fork.touched","size":1000,"unit":"instructions","runs":[4718,...]}
 *   {"name":"walk.idle.shared","size":10,"failed":"page 3 is not idle"}
 *
 * Status 0, or 1 if one failed. A case is this same program, started anew in
 * the memory cgroup "bench", or with --no-cgroup in the one that it is started in:
 * bench --case NAME SIZE RUNS OPTIONS. --locks: see locks.c. bench --boot
 * [NAME] tells what the boot cost so far, bench --cpu-time PID what a process has
 * run for.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static pid_t case_pid;		/* the process that reports */
static const char *case_name;
static long case_size;
static char *failed;		/* shared by all processes of a case */
static uint64_t overhead;	/* of begin() and end() themselves */
static bool no_cgroup, with_locks;

void die(const char *fmt, ...)
{
	va_list ap;
	char why[256];

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	for (char *p = why; *p; p++)
		if (*p == '"' || *p == '\\' || *p < ' ')
			*p = '\'';
	if (failed && !failed[0])
		strcpy(failed, why);
	if (!failed)
		fprintf(stderr, "bench: %s\n", why);
	if (getpid() == case_pid && failed)
		printf("{\"name\":\"%s\",\"size\":%ld,\"failed\":\"%s\"}\n",
		       case_name, case_size, failed), fflush(stdout);
	_exit(1);
}

void skip(struct run *r, const char *why)
{
	fprintf(stderr, "bench: %s %ld is not measured: %s\n", case_name, r->size, why);
	_exit(0);
}

/*
 * With --icount the processor's time stamp counts instructions, one by one. The
 * kernel's clock agrees with it, and serves where there is no such counter.
 */
uint64_t now(void)
{
#ifdef __x86_64__
	static int icount = -1;
	uint32_t low, high;

	if (icount < 0)
		icount = getenv("BENCH_ICOUNT") != NULL;
	if (icount) {
		asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
		return (uint64_t)high << 32 | low;
	}
#endif
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t id = ~(clockid_t)pid << 3 | 2;

	need(!clock_gettime(id, &ts), "clock of process %d: %s", pid, strerror(errno));
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

bool more(struct run *r)
{
	/* What the last round left to RCU is not for this one; waiting is free. */
	if (getenv("BENCH_ICOUNT"))
		usleep(50000);
	if (with_locks && r->done == r->warmup)
		locks_start();
	if (r->done++ < r->warmup + r->runs)
		return true;
	if (with_locks)
		locks_stop();
	return false;
}

void keep_both(struct run *r, double value, double beside)
{
	if (r->done <= r->warmup)
		return;
	need(r->kept < MAX_RUNS, "too many runs");
	r->beside[r->kept] = beside;
	r->value[r->kept++] = value;
}

void keep(struct run *r, double value)
{
	keep_both(r, value, 0);
}

/* Nothing, but that bench/insns.c counts from the first to the second */
#ifdef __x86_64__
#define MARK(reg) asm volatile("xchg %" reg ", %" reg : : : "memory")
#else
#define MARK(reg) do { } while (0)
#endif

void begin(struct run *r)
{
	if (r->done > r->warmup)
		MARK("%bx");
	r->t0 = now();
}

void end(struct run *r, double per)
{
	uint64_t t = now() - r->t0;

	MARK("%cx");
	if (getenv("BENCH_PER"))
		fprintf(stderr, "operations in a round: %.0f\n", per);
	keep(r, (t > overhead ? t - overhead : 0) / per);
}

/* ---- memory ---- */

/*
 * Addresses where nothing else is, the same in each process: how full page tables
 * and the tree of VMAs are would be chance otherwise, and make up to 7 % of some
 * cases. A VMA that stays keeps the tables above those of pages.
 */
#define AREA 0x100000000000UL

char *room(size_t len)
{
	static uintptr_t next = AREA;
	uintptr_t p;

	if (next == AREA)
		map_at((char *)AREA, PAGE);
	p = next + (2UL << 20);
	next = (p + len + (2UL << 20) - 1) & -(2UL << 20);
	return (char *)p;
}

char *map_at(char *addr, size_t len)
{
	char *p = mmap(addr, len, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	need(p == addr, "mmap of %zu at %p: %s", len, addr, strerror(errno));
	return p;
}

char *vma_at(char *base, long i)
{
	return base + 2 * i * PAGE;
}

char *map_vmas(long nr)
{
	char *base = room(2 * nr * PAGE);

	for (long i = 0; i < nr; i++)
		map_at(vma_at(base, i), PAGE);
	return base;
}

/* First and last word: a page that was moved half is noticed, and cheaply. */
void fill(char *page, uint64_t tag)
{
	volatile uint64_t *w = (volatile uint64_t *)page;

	w[0] = tag;
	w[PAGE / 8 - 1] = ~tag;
}

bool filled(const char *page, uint64_t tag)
{
	const volatile uint64_t *w = (const volatile uint64_t *)page;

	return w[0] == tag && w[PAGE / 8 - 1] == ~tag;
}

/* ---- processes ---- */

pid_t fork_checked(void)
{
	pid_t pid = fork();

	need(pid >= 0, "fork: %s", strerror(errno));
	return pid;
}

void wait_ok(pid_t pid)
{
	int status;

	need(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	need(!status, "a child ended with status %#x%s%s", status,
	     failed[0] ? ": " : "", failed);
}

void spawn(struct brood *b, int nr, char **page, const uint64_t *tag, int nr_pages)
{
	char c = 0;

	b->nr = nr;
	b->pid = calloc(nr + 1, sizeof(*b->pid));
	need(b->pid && !pipe(b->alive) && !pipe(b->go), "pipe: %s", strerror(errno));
	for (int i = 0; i < nr; i++) {
		b->pid[i] = fork_checked();
		if (b->pid[i]) {
			need(read(b->alive[0], &c, 1) == 1, "a child did not start");
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int p = 0; p < nr_pages; p++)
			need(filled(page[p], tag[p]), "child %d: wrong at the start", i);
		if (write(b->alive[1], &c, 1) != 1 || close(b->go[1]) ||
		    read(b->go[0], &c, 1) != 0)
			_exit(2);
		for (int p = 0; p < nr_pages; p++)
			need(filled(page[p], tag[p]),
			     "child %d: page %d of %d does not hold what it did", i, p, nr_pages);
		_exit(0);
	}
}

void reap(struct brood *b)
{
	close(b->go[1]);
	for (int i = 0; i < b->nr; i++)
		wait_ok(b->pid[i]);
	close(b->go[0]);
	close(b->alive[0]);
	close(b->alive[1]);
	free(b->pid);
}

/* ---- files ---- */

void write_file(const char *path, const char *fmt, ...)
{
	char buf[256];
	va_list ap;
	int fd, n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY);
	need(fd >= 0, "%s: %s", path, strerror(errno));
	need(write(fd, buf, n) == n, "%s <- %s: %s", path, buf, strerror(errno));
	close(fd);
}

long read_long(const char *path)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY);

	need(fd >= 0, "%s: %s", path, strerror(errno));
	need(read(fd, buf, sizeof(buf) - 1) > 0, "%s: %s", path, strerror(errno));
	close(fd);
	return strtol(buf, NULL, 0);
}

static uint64_t read_word(const char *path, uint64_t index)
{
	uint64_t word;
	int fd = open(path, O_RDONLY);

	need(fd >= 0, "%s: %s", path, strerror(errno));
	need(pread(fd, &word, 8, index * 8) == 8, "%s: %s", path, strerror(errno));
	close(fd);
	return word;
}

uint64_t pagemap(const void *addr)
{
	return read_word("/proc/self/pagemap", (uintptr_t)addr / PAGE);
}

uint64_t pfn_of(const void *addr)
{
	uint64_t e = pagemap(addr);

	need(e & PM_PRESENT, "page %p is not present", addr);
	return e & PM_PFN;
}

uint64_t kpageflags(uint64_t pfn)
{
	return read_word("/proc/kpageflags", pfn);
}

uint64_t kpagecount(uint64_t pfn)
{
	return read_word("/proc/kpagecount", pfn);
}

/* ---- running ---- */

static const struct bench_case *const groups[] = { vma_cases, walk_cases, cpu_cases, app_cases };
#define NR_GROUPS ((int)(sizeof(groups) / sizeof(groups[0])))

static const struct bench_case *find_case(const char *name)
{
	for (int g = 0; g < NR_GROUPS; g++)
		for (const struct bench_case *c = groups[g]; c->name; c++)
			if (!strcmp(c->name, name))
				return c;
	return NULL;
}

static void calibrate(void)
{
	uint64_t t, best = UINT64_MAX;

	for (int i = 0; i < 32; i++) {
		t = now();
		t = now() - t;
		if (t < best)
			best = t;
	}
	overhead = best;
}

static void report(const char *name, const char *unit, struct run *r, const double *value)
{
	printf("{\"name\":\"%s\",\"size\":%ld,\"unit\":\"%s\",\"runs\":[", name, r->size, unit);
	for (int i = 0; i < r->kept; i++)
		printf("%s%.10g", i ? "," : "", value[i]);
	printf("]}\n");
}

/* ---- cgroups ---- */

/* The cgroup, as /proc/self/cgroup has it, that a case must run in; NULL: any */
static const char *cgroup_of(const char *name)
{
	if (no_cgroup)
		return NULL;
	return strncmp(name, "root.", 5) ? "/bench" : "/";
}

/* Between vfork and exec: nothing but system calls */
static void enter_cgroup(const char *group)
{
	int fd = open(strcmp(group, "/") ? CGROUPS "/bench/cgroup.procs" : CGROUPS "/cgroup.procs",
		      O_WRONLY);

	if (fd < 0 || write(fd, "0", 1) != 1 || close(fd))
		_exit(126);
}

static void check_cgroup(const char *group)
{
	char line[64] = "";
	FILE *f;

	if (!group)
		return;
	f = fopen("/proc/self/cgroup", "r");
	need(f && fscanf(f, "0::%63s", line) == 1 && !strcmp(line, group),
	     "in cgroup '%s', not '%s'", line, group);
	fclose(f);
}

static int run_case(const char *name, long size, int runs)
{
	const struct bench_case *c = find_case(name);
	struct run *r;

	r = mmap(NULL, sizeof(*r) + PAGE, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(c && r != MAP_FAILED, "no case %s", name);
	failed = (char *)(r + 1);
	case_pid = getpid();
	case_name = name;
	case_size = size;
	r->size = size;
	r->warmup = 2;
	r->runs = runs;
	check_cgroup(cgroup_of(name));
	calibrate();
	c->fn(r);
	need(r->kept > 0, "nothing was measured");
	if (with_locks) {
		locks_report(c->name, r->ops);
		return 0;
	}
	report(c->name, c->unit, r, r->value);
	if (c->other)
		report(c->other, c->unit, r, r->beside);
	return 0;
}

/*
 * It would make huge pages of those that were split: every ten seconds, and at
 * once when there is a process that may have some and was none before. Be that
 * process, and let it go over its list once.
 */
static void calm_khugepaged(void)
{
	static const char sleeping[] = KHUGEPAGED "scan_sleep_millisecs";
	size_t len = 4UL << 20;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long scans = read_long(KHUGEPAGED "full_scans");

	write_file(sleeping, "1000000000");
	need(p != MAP_FAILED && !madvise(p, len, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s",
	     strerror(errno));
	p[len / 2] = 1;
	for (int i = 1; usleep(100000), read_long(KHUGEPAGED "full_scans") == scans; i++) {
		need(i < 300, "khugepaged does not run");
		/* It wakes up from this too, if it looked before there was a process. */
		write_file(sleeping, "1000000000");
	}
	munmap(p, len);
}

/* Everything a case needs of the system, whatever the defaults are */
static void prepare_system(void)
{
	write_file("/proc/sys/vm/max_map_count", "1000000");
	write_file("/proc/sys/kernel/pid_max", "32768");
	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	calm_khugepaged();
	if (!access("/proc/sys/kernel/numa_balancing", W_OK))
		write_file("/proc/sys/kernel/numa_balancing", "0");
	write_file("/proc/sys/vm/overcommit_memory", "1");
	if (!no_cgroup) {
		write_file(CGROUPS "/cgroup.subtree_control", "+memory");
		need(!mkdir(CGROUPS "/bench", 0755) || errno == EEXIST, CGROUPS "/bench: %s",
		     strerror(errno));
	}
}

/*
 * What the guest has run since it was started; waiting is not counted, which
 * /proc/stat has in hundredths of a second, that is ten million instructions.
 */
static void report_boot(const char *name)
{
	double idle = -1, iowait = -1;
	FILE *f = fopen("/proc/timer_list", "r");
	uint64_t t = now();
	char line[256];

	MARK("%cx");
	need(f, "/proc/timer_list: %s", strerror(errno));
	while (fgets(line, sizeof(line), f) && (idle < 0 || iowait < 0)) {
		sscanf(line, " .idle_sleeptime : %lf", &idle);
		sscanf(line, " .iowait_sleeptime : %lf", &iowait);
	}
	fclose(f);
	need(idle >= 0 && iowait >= 0, "/proc/timer_list does not say for how long it was idle");
	printf("{\"name\":\"%s\",\"size\":0,\"unit\":\"instructions\",\"runs\":[%.10g]}\n",
	       name, t - (idle + iowait));
}

static bool wanted(const char *name, char **list, bool whole)
{
	if (!strncmp(name, "app.", 4) && !apps_there())
		return false;
	/* Two processors are not there where instructions are counted. */
	if (!*list)
		return strncmp(name, "two.", 4) || !getenv("BENCH_ICOUNT");
	for (; *list; list++)
		if (!strncmp(name, *list, strlen(*list) + whole))
			return true;
	return false;
}

/*
 * What forks and exits: how many page tables hold stack and program would be
 * chance, and is a good part of the whole where there are few VMAs.  exec moves
 * the stack only if that is at random.
 */
static bool at_fixed_addresses(const char *name)
{
	if (!strncmp(name, "root.", 5))
		name += 5;
	return !strncmp(name, "fork.", 5) || !strcmp(name, "exit");
}

static int start_case(const struct bench_case *c, long size, int runs)
{
	char s[24], n[24];
	int status;
	pid_t pid;
	uint64_t t = now();
	const char *group = cgroup_of(c->name);

	snprintf(s, sizeof(s), "%ld", size);
	snprintf(n, sizeof(n), "%d", runs);
	fflush(stdout);
	pid = vfork();
	if (!pid) {
		if (group)
			enter_cgroup(group);
		if (at_fixed_addresses(c->name))
			personality(ADDR_NO_RANDOMIZE);
		execl("/proc/self/exe", "bench", "--case", c->name, s, n, no_cgroup ? "no-cgroup" : "",
		      with_locks ? "locks" : "", NULL);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "bench: %s %ld: status %#x\n", c->name, size, status);
		if (WIFSIGNALED(status) || WEXITSTATUS(status) != 1)
			printf("{\"name\":\"%s\",\"size\":%ld,\"failed\":\"status %#x\"}\n",
			       c->name, size, status);
		return 1;
	}
	fprintf(stderr, "bench: %-32s %6ld %8.2f s\n", c->name, size, (now() - t) / 1e9);
	return 0;
}

int main(int argc, char **argv)
{
	bool small = false, quick = false, list = false;
	long one[] = { -1, 0 };
	int bad = 0, runs = 11;

	if (argc == 7 && !strcmp(argv[1], "--case")) {
		no_cgroup = *argv[5];
		with_locks = *argv[6];
		return run_case(argv[2], atol(argv[3]), atoi(argv[4]));
	}
	if (argc >= 4 && !strcmp(argv[1], "--exec"))
		return vma_exec_again(argc, argv);
	if (argc >= 2 && !strcmp(argv[1], "--boot")) {
		report_boot(argc > 2 ? argv[2] : "boot");
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--cpu-time")) {
		printf("%llu\n", (unsigned long long)cpu_time(atoi(argv[2])));
		return 0;
	}
	for (argv++; *argv && **argv == '-'; argv++) {
		if (!strcmp(*argv, "--small")) {
			small = true;
			runs = 1;
		} else if (!strcmp(*argv, "--quick")) {
			quick = true;
			runs = 9;
		} else if (!strcmp(*argv, "--size") && argv[1]) {
			one[0] = atol(*++argv);
		} else if (!strcmp(*argv, "--list")) {
			list = true;
		} else if (!strcmp(*argv, "--no-cgroup")) {
			no_cgroup = true;
		} else if (!strcmp(*argv, "--locks")) {
			with_locks = true;
		} else if (!strcmp(*argv, "--runs") && argv[1]) {
			runs = atoi(*++argv);
		} else {
			fprintf(stderr, "usage: bench [--small|--quick|--size N] [--no-cgroup] [--locks] [--runs N] [--list] [CASE...]\n");
			return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!list)
		prepare_system();
	for (int g = 0; g < NR_GROUPS; g++) {
		for (const struct bench_case *c = groups[g]; c->name; c++) {
			const long *s = one[0] >= 0 ? one : small || quick ? c->small : c->sizes;

			if (!wanted(c->name, argv, one[0] >= 0))
				continue;
			do {
				/*
				 * Where stack and program are differs from process
				 * to process, which shows where VMAs change: a third
				 * of the runs each in three of them
				 */
				if (!list && groups[g] == vma_cases && runs >= 9)
					for (int i = 0; i < 3; i++)
						bad |= start_case(c, *s, (runs + 2) / 3);
				else if (!list)
					bad |= start_case(c, *s, runs);
				else if (c->other)
					printf("%s %ld\n%s %ld\n", c->name, *s, c->other, *s);
				else
					printf("%s %ld\n", c->name, *s);
				/* In small: each once, the smallest */
			} while (*s && *++s && !small);
		}
	}
	return bad;
}
