// SPDX-License-Identifier: GPL-2.0-only
/*
 * Helpers of the anonymous reverse mapping tests, see rmap_util.h.
 */
#define RU_NO_HARNESS
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef MPOL_MF_MOVE_ALL
#define MPOL_MF_MOVE_ALL (1 << 2)
#endif

#define THP "/sys/kernel/mm/transparent_hugepage/"
#define MAX_SLOTS 1100
#define MAX_PMD (32UL << 20)	/* larger ones take too much of a guest's memory */

size_t ru_page, ru_pmd;
unsigned int ru_seed;
static unsigned int random_state;
/* Shared once ru_start() ran, so that a helper may fail in another process */
static char error_here[512], *error = error_here;

const char *ru_error(void)
{
	return error;
}

int ru_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, sizeof(error_here), fmt, ap);
	va_end(ap);
	return -1;
}

unsigned int ru_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state;
}

bool ru_full(void)
{
	const char *full = getenv("RU_FULL");

	return full && !strcmp(full, "1");
}

bool ru_race(int round)
{
	static time_t begin;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!round)
		begin = now.tv_sec;
	return round < 3 || now.tv_sec - begin < (ru_full() ? 30 : 3);
}

static ssize_t read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got;

	if (fd < 0)
		return -1;
	got = read(fd, buf, size - 1);
	close(fd);
	if (got >= 0)
		buf[got] = '\0';
	return got;
}

int ru_read_long(const char *path, long *value)
{
	char buf[128];

	if (read_file(path, buf, sizeof(buf)) <= 0)
		return ru_fail("%s could not be read", path);
	*value = strtol(buf, NULL, 0);
	return 0;
}

/* The number in a file, or -1. */
static long read_num(const char *path)
{
	FILE *f = fopen(path, "r");
	long num;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &num) != 1)
		num = -1;
	fclose(f);
	return num;
}

int ru_write_str(const char *path, const char *str)
{
	int fd = open(path, O_WRONLY);
	ssize_t len = strlen(str);

	if (fd < 0)
		return ru_fail("%s: %s", path, strerror(errno));
	if (write(fd, str, len) != len) {
		ru_fail("\"%s\" to %s: %s", str, path, strerror(errno));
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

int ru_switch(const char *path, const char *value, char *old, size_t size)
{
	char buf[256], *from, *to;

	if (read_file(path, buf, sizeof(buf)) <= 0)
		return ru_fail("%s could not be read", path);
	/* "always [madvise] never", or one word */
	from = strchr(buf, '[');
	if (from) {
		from++;
		to = strchr(from, ']');
	} else {
		from = buf;
		to = strchr(buf, '\n');
	}
	if (to)
		*to = '\0';
	if (old)
		snprintf(old, size, "%s", from);
	return ru_write_str(path, value);
}

/*
 * Processes.
 */
enum { FREE, IDLE, ASKED, DONE, GONE };

struct slot {
	int state;		/* futex */
	pid_t pid;
	pid_t parent;
	ru_fn fn;
	long a[4];
	long ret;
	bool background;
	struct ru_bus bus;
};

static struct slot *slots;
static int nr_slots, self;	/* self: our own slot */
static pid_t root_pid;

static sigjmp_buf bus_jmp;
static volatile sig_atomic_t bus_armed;

static void bus_handler(int sig, siginfo_t *info, void *context)
{
	struct ru_bus *bus = &slots[self].bus;

	bus->count++;
	bus->code = info->si_code;
	bus->addr = info->si_addr;
	/* "Action optional" comes out of nowhere and needs nothing. */
	if (info->si_code == BUS_MCEERR_AO)
		return;
	if (!bus_armed)
		_exit(99);
	siglongjmp(bus_jmp, 1);
}

struct ru_bus *ru_bus(int proc)
{
	return &slots[proc].bus;
}

long ru_touch(long addr, long write, long c, long d)
{
	volatile char *p = (char *)addr;

	if (sigsetjmp(bus_jmp, 1)) {
		bus_armed = 0;
		return RU_BUS;
	}
	bus_armed = 1;
	if (write)
		*p = *p;
	else
		(void)*p;
	bus_armed = 0;
	return 0;
}

/* madvise() that may bring a SIGBUS to its caller */
long ru_poison(long addr, long advice, long c, long d)
{
	long ret;

	if (sigsetjmp(bus_jmp, 1)) {
		bus_armed = 0;
		return 0;
	}
	bus_armed = 1;
	ret = madvise((void *)addr, ru_page, advice) ? -errno : 0;
	bus_armed = 0;
	return ret;
}

static void futex_wake(int *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static void futex_wait(int *word, int while_is, int seconds)
{
	struct timespec ts = { .tv_sec = seconds };

	syscall(SYS_futex, word, FUTEX_WAIT, while_is, &ts, NULL, 0);
}

static void set_state(struct slot *s, int state)
{
	__atomic_store_n(&s->state, state, __ATOMIC_SEQ_CST);
	futex_wake(&s->state);
}

static int get_state(struct slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_SEQ_CST);
}

static void __attribute__((noreturn)) serve(int me)
{
	struct slot *s = &slots[me];

	self = me;
	s->pid = getpid();
	set_state(s, IDLE);
	for (;;) {
		int state = get_state(s);

		if (state != ASKED) {
			futex_wait(&s->state, state, 2);
			/* Nobody is left to give us work. */
			if (kill(root_pid, 0) && errno == ESRCH)
				_exit(98);
			continue;
		}
		s->ret = s->fn(s->a[0], s->a[1], s->a[2], s->a[3]);
		set_state(s, DONE);
	}
}

static void abort_handler(int sig)
{
	ru_stop();
}

/*
 * khugepaged scans every ten seconds, and at once when there is a process that
 * may have huge pages and was none before. Be that process, let it go over its
 * list once, and then sleep for an hour.
 */
static void calm_khugepaged(void)
{
	static const char sleeping[] = THP "khugepaged/scan_sleep_millisecs";
	long scans = read_num(THP "khugepaged/full_scans");
	size_t len = 2 * ru_pmd;
	char *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	/* It is off on small machines, and would be started by the first test. */
	if (p == MAP_FAILED || ru_pmd > MAX_PMD || ru_write_str(THP "enabled", "madvise"))
		return;
	ru_write_str(sleeping, "3600000");
	madvise(p, len, MADV_HUGEPAGE);
	p[len / 2] = 1;
	for (i = 0; i < 120; i++) {
		usleep(100000);
		if (read_num(THP "khugepaged/full_scans") != scans)
			break;
		/* It wakes up from this too, if it looked before there was a process. */
		ru_write_str(sleeping, "3600000");
	}
	munmap(p, len);
}

/*
 * The harness may end a test by abort() without its teardown: the processes
 * must not live on into the next test.
 */
void ru_start(const char *fixture, const char *test)
{
	struct sigaction sa = {
		.sa_sigaction = bus_handler,
		.sa_flags = SA_SIGINFO,
	};
	const char *seed = getenv("RU_SEED");
	char line[256];
	long pmd;

	ru_page = sysconf(_SC_PAGESIZE);
	pmd = read_num(THP "hpage_pmd_size");
	ru_pmd = pmd > 0 ? pmd : RU_HUGE;
	ru_seed = seed ? strtoul(seed, NULL, 0) : (unsigned int)time(NULL);
	random_state = ru_seed * 2654435761u | 1;
	printf("# RU_SEED=%u\n", ru_seed);
	fflush(stdout);
	snprintf(line, sizeof(line), "rmap selftest: %s %s.%s RU_SEED=%u\n",
		 program_invocation_short_name, fixture, test, ru_seed);
	ru_write_str("/dev/kmsg", line);

	/*
	 * Nobody else is to isolate pages in the middle of a test: khugepaged
	 * would like those of split huge pages, NUMA balancing those that a
	 * process on another node reads.
	 */
	if (read_num(THP "khugepaged/scan_sleep_millisecs") != 3600000)
		calm_khugepaged();
	ru_write_str("/proc/sys/kernel/numa_balancing", "0");

	slots = mmap(NULL, MAX_SLOTS * sizeof(*slots) + sizeof(error_here),
		     PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (slots == MAP_FAILED)
		abort();
	error = (char *)(slots + MAX_SLOTS);
	root_pid = getpid();
	slots[0].pid = root_pid;
	nr_slots = 1;
	self = 0;
	sigaction(SIGBUS, &sa, NULL);
	signal(SIGABRT, abort_handler);
	/* Orphans come to us, so that no exit status is lost. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void ru_stop(void)
{
	int i;

	if (getpid() != root_pid)
		return;
	for (i = 1; i < nr_slots; i++)
		if (get_state(&slots[i]) != GONE && slots[i].pid > 0)
			kill(slots[i].pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	nr_slots = 1;
}

static long do_fork(long slot, long b, long c, long d)
{
	pid_t pid = fork();

	if (!pid)
		serve(slot);
	return pid < 0 ? -errno : pid;
}

pid_t ru_pid(int proc)
{
	return slots[proc].pid;
}

static int start(int proc, ru_fn fn, long a, long b, long c, long d)
{
	struct slot *s = &slots[proc];

	if (get_state(s) != IDLE)
		return ru_fail("process %d is busy or gone", proc);
	s->fn = fn;
	s->a[0] = a;
	s->a[1] = b;
	s->a[2] = c;
	s->a[3] = d;
	set_state(s, ASKED);
	return 0;
}

static bool died(struct slot *s)
{
	siginfo_t info = { };

	/* Still there as a zombie if its parent does not wait. */
	if (s->parent == root_pid || getpid() == root_pid)
		if (!waitid(P_PID, s->pid, &info, WEXITED | WNOHANG | WNOWAIT) &&
		    info.si_pid == s->pid)
			return true;
	return kill(s->pid, 0) && errno == ESRCH;
}

long ru_call(int proc, ru_fn fn, long a, long b, long c, long d)
{
	struct slot *s = &slots[proc];
	int waited = 0;

	if (!proc)
		return fn(a, b, c, d);
	if (start(proc, fn, a, b, c, d))
		return -ESRCH;
	while (get_state(s) != DONE) {
		futex_wait(&s->state, ASKED, 1);
		if (get_state(s) == DONE)
			break;
		if (died(s))
			return ru_fail("process %d (pid %d) died", proc, s->pid);
		if (++waited > 240)
			return ru_fail("process %d (pid %d) does not answer",
				       proc, s->pid);
	}
	set_state(s, IDLE);
	return s->ret;
}

/* The process is good for ru_kill() only, afterwards. */
int ru_background(int proc, ru_fn fn, long a, long b, long c, long d)
{
	slots[proc].background = true;
	return start(proc, fn, a, b, c, d);
}

int ru_try_fork(int parent)
{
	int slot = nr_slots, waited = 0;
	struct slot *s = &slots[slot];
	long pid;

	if (slot == MAX_SLOTS)
		return ru_fail("too many processes in one test");
	memset(s, 0, sizeof(*s));
	s->parent = slots[parent].pid;
	pid = ru_call(parent, do_fork, slot, 0, 0, 0);
	if (pid < 0)
		return ru_fail("process %d could not fork: %s", parent,
			       strerror(-pid));
	nr_slots++;
	while (get_state(s) == FREE) {
		futex_wait(&s->state, FREE, 1);
		if (++waited > 120)
			return ru_fail("the child of process %d does not start",
				       parent);
	}
	return slot;
}

int ru_fork(int parent)
{
	return ru_try_fork(parent);
}

int ru_wait_status(pid_t pid, int expected)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return ru_fail("no status of pid %d: %s", pid, strerror(errno));
	if (WIFSIGNALED(status))
		return ru_fail("pid %d ended by signal %d", pid, WTERMSIG(status));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
		return ru_fail("pid %d ended with status %d, not %d", pid,
			       WEXITSTATUS(status), expected);
	return 0;
}

static long do_exit_now(long a, long b, long c, long d)
{
	_exit(0);
}

static long do_wait(long pid, long b, long c, long d)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1000 - errno;
	return status;
}

/* Its parent collects it if it still lives, else it came to the test. */
static int reap(int proc, int *status)
{
	struct slot *s = &slots[proc];
	long ret;
	int i;

	for (i = 1; i < nr_slots; i++)
		if (slots[i].pid == s->parent && get_state(&slots[i]) == IDLE)
			break;
	ret = ru_call(i < nr_slots ? i : 0, do_wait, s->pid, 0, 0, 0);
	set_state(s, GONE);
	/* The last slots serve again. */
	while (nr_slots > 1 && get_state(&slots[nr_slots - 1]) == GONE)
		nr_slots--;
	if (ret < 0)
		return ru_fail("no exit status of process %d", proc);
	*status = ret;
	return 0;
}

int ru_exit(int proc)
{
	int status;

	if (start(proc, do_exit_now, 0, 0, 0, 0) || reap(proc, &status))
		return -1;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return ru_fail("process %d ended with status 0x%x", proc, status);
	return 0;
}

int ru_kill(int proc)
{
	int status;

	if (kill(slots[proc].pid, SIGKILL))
		return ru_fail("process %d could not be killed: %s", proc,
			       strerror(errno));
	if (reap(proc, &status))
		return -1;
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		return ru_fail("process %d ended with status 0x%x, not by SIGKILL",
			       proc, status);
	return 0;
}

/*
 * Memory.
 */
size_t ru_nodes(int nodes[2])
{
	char buf[256], *p = buf;
	size_t n = 0;

	if (read_file("/sys/devices/system/node/has_memory", buf, sizeof(buf)) <= 0)
		return 0;
	while (n < 2 && *p >= '0' && *p <= '9') {
		long from = strtol(p, &p, 10), to = from;

		if (*p == '-')
			to = strtol(p + 1, &p, 10);
		for (; from <= to && n < 2; from++)
			nodes[n++] = from;
		if (*p == ',')
			p++;
	}
	return n;
}

int ru_numa_ready(void)
{
	int nodes[2];

	if (geteuid())
		return ru_fail("needs root");
	if (ru_nodes(nodes) < 2)
		return ru_fail("needs two memory nodes to migrate between");
	return 0;
}

static int hugetlb_pool(void)
{
	int nodes[2];
	size_t i, n = ru_nodes(nodes);

	for (i = 0; i < n; i++) {
		char path[128];
		long nr = 0;

		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/hugepages-2048kB/nr_hugepages",
			 nodes[i]);
		if (ru_read_long(path, &nr))
			return -1;
		if (nr >= 16)
			continue;
		if (ru_write_str(path, "16") || ru_read_long(path, &nr))
			return -1;
		if (nr < 12)
			return ru_fail("only %ld huge pages on node %d", nr,
				       nodes[i]);
	}
	return n ? 0 : ru_fail("no memory nodes");
}

static size_t mthp_size(void)
{
	return ru_page == 4096 ? 64UL << 10 : 2UL << 20;
}

int ru_kind_ready(enum ru_kind kind)
{
	char path[128];

	if (geteuid())
		return ru_fail("needs root");
	switch (kind) {
	case RU_HUGETLB:
		if (sizeof(long) == 4)
			return ru_fail("hugetlb pages of 32 bits do not migrate");
		return hugetlb_pool();
	case RU_THP:
		if (ru_pmd > MAX_PMD)
			return ru_fail("PMDs of %zu MB", ru_pmd >> 20);
		return ru_switch(THP "enabled", "madvise", NULL, 0);
	case RU_MTHP:
		snprintf(path, sizeof(path), THP "hugepages-%zukB/enabled",
			 mthp_size() >> 10);
		return ru_switch(path, "madvise", NULL, 0);
	default:
		return 0;
	}
}

void *ru_reserve(size_t len, size_t align)
{
	size_t all = len + 2 * align + 2 * ru_page;
	char *p = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	uintptr_t at;

	if (p == MAP_FAILED)
		return NULL;
	at = ((uintptr_t)p + ru_page + align - 1) / align * align;
	return (void *)at;
}

static int plain_file(size_t len)
{
	static const char dir[] = "/tmp/rmap_selftest_ramfs";
	char path[64];
	int fd;

	/* tmpfs has folios of its own kind, so a file system that has not. */
	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/file.XXXXXX", dir);
	if (!access("/tmp/rmap_selftest_ramfs/mounted", F_OK) ||
	    !mount("ramfs", dir, "ramfs", 0, NULL)) {
		close(open("/tmp/rmap_selftest_ramfs/mounted", O_CREAT | O_RDWR, 0600));
		fd = mkstemp(path);
	} else {
		snprintf(path, sizeof(path), "/tmp/rmap_selftest.XXXXXX");
		fd = mkstemp(path);
	}
	if (fd < 0)
		return -1;
	unlink(path);
	if (ftruncate(fd, len)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Content of the file under a private mapping */
static int write_file(int fd, size_t skip, size_t nr)
{
	size_t page;

	for (page = 0; page < nr; page++) {
		uint64_t word = 0xf11e000000000000ull + page;

		if (pwrite(fd, &word, sizeof(word), (skip + page) * ru_page) !=
		    sizeof(word))
			return -1;
	}
	return 0;
}

int ru_map(struct ru_mem *m, enum ru_kind kind, size_t units)
{
	int flags = MAP_PRIVATE | MAP_FIXED, fd = -1;
	size_t align = ru_page, skip = 0;
	void *p;

	memset(m, 0, sizeof(*m));
	m->kind = kind;
	m->seed = ru_random();
	m->unit = ru_page;
	if (kind == RU_HUGETLB)
		align = m->unit = RU_HUGE;
	if (kind == RU_THP)
		align = m->unit = ru_pmd;
	if (kind == RU_MTHP)
		m->unit = mthp_size(), align = ru_pmd;
	m->len = units * m->unit;
	m->nr = m->len / ru_page;
	m->unit_nr = m->unit / ru_page;

	m->addr = ru_reserve(m->len + m->unit, align);
	if (!m->addr)
		return ru_fail("no address space");
	/* A range that starts off a PMD border gets no folio larger than that. */
	if (kind == RU_MTHP)
		m->addr += m->unit;

	switch (kind) {
	case RU_PFILE:
		skip = 7;
		fd = plain_file((m->nr + skip) * ru_page);
		break;
	case RU_SHMEM:
		skip = 5;
		fd = memfd_create("rmap", MFD_CLOEXEC);
		if (fd >= 0 && ftruncate(fd, (m->nr + skip) * ru_page))
			return ru_fail("ftruncate: %s", strerror(errno));
		break;
	case RU_ZERO:
		skip = 3;
		fd = open("/dev/zero", O_RDWR);
		break;
	case RU_HUGETLB:
		flags |= MAP_ANONYMOUS | RU_MAP_HUGE;
		break;
	default:
		flags |= MAP_ANONYMOUS;
	}
	if (fd < 0 && !(flags & MAP_ANONYMOUS))
		return ru_fail("no file to map: %s", strerror(errno));
	if ((kind == RU_PFILE || kind == RU_SHMEM) && write_file(fd, skip, m->nr))
		return ru_fail("file could not be written: %s", strerror(errno));
	p = mmap(m->addr, m->len, PROT_READ | PROT_WRITE, flags, fd,
		 skip * ru_page);
	if (p != m->addr)
		return ru_fail("mmap of kind %d: %s", kind, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (kind == RU_THP || kind == RU_MTHP) {
		if (madvise(p, m->len, MADV_HUGEPAGE))
			return ru_fail("MADV_HUGEPAGE: %s", strerror(errno));
	} else if (kind != RU_HUGETLB) {
		/* EINVAL: no huge pages in this kernel */
		madvise(p, m->len, MADV_NOHUGEPAGE);
	}
	return 0;
}

int ru_make(struct ru_mem *m, enum ru_kind kind, size_t units)
{
	size_t unit;

	if (ru_map(m, kind, units))
		return -1;
	ru_fill(m->addr, m->seed, 0, m->nr);
	if (kind != RU_THP && kind != RU_MTHP)
		return 0;
	for (unit = 0; unit < units; unit++)
		if (!ru_is_thp(self, m->addr + unit * m->unit))
			return ru_fail("no large folio at unit %zu", unit);
	return 0;
}

char *ru_at(const struct ru_mem *m, size_t page)
{
	return m->addr + page * ru_page;
}

/*
 * Content: a few words of every page, each unlike all others.
 */
uint64_t ru_word(unsigned int seed, size_t page, size_t offset)
{
	uint64_t x = ((uint64_t)seed << 32) ^ (page << 12) ^ offset;

	x *= 0x9e3779b97f4a7c15ull;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ull;
	return (x ^ (x >> 32)) | 1;
}

static const size_t word_at[] = { 0, 1368, 2728, 4088 };
#define NR_WORDS (sizeof(word_at) / sizeof(word_at[0]))

void ru_fill(char *addr, unsigned int seed, size_t first, size_t nr)
{
	size_t page, i;

	for (page = 0; page < nr; page++)
		for (i = 0; i < NR_WORDS; i++)
			*(volatile uint64_t *)(addr + page * ru_page + word_at[i]) =
				ru_word(seed, first + page, word_at[i]);
}

/* 0, or which page is wrong, counted from 1; RU_BUS after a SIGBUS */
static long check_words(const char *addr, unsigned int seed, size_t first,
			size_t nr)
{
	volatile size_t page = 0;
	size_t i;

	if (sigsetjmp(bus_jmp, 1)) {
		bus_armed = 0;
		return RU_BUS;
	}
	bus_armed = 1;
	for (; page < nr; page++)
		for (i = 0; i < NR_WORDS; i++)
			if (*(volatile uint64_t *)(addr + page * ru_page + word_at[i]) !=
			    ru_word(seed, first + page, word_at[i])) {
				bus_armed = 0;
				return page + 1;
			}
	bus_armed = 0;
	return 0;
}

static long do_check(long addr, long seed, long first, long nr)
{
	return check_words((char *)addr, seed, first, nr);
}

static long do_fill(long addr, long seed, long first, long nr)
{
	ru_fill((char *)addr, seed, first, nr);
	return 0;
}

static long do_check_zero(long addr, long nr, long c, long d)
{
	long page;
	size_t i;

	for (page = 0; page < nr; page++)
		for (i = 0; i < NR_WORDS; i++)
			if (*(volatile uint64_t *)(addr + page * ru_page + word_at[i]))
				return page + 1;
	return 0;
}

int ru_check_in(int proc, char *addr, unsigned int seed, size_t first, size_t nr)
{
	long ret = ru_call(proc, do_check, (long)addr, seed, first, nr);

	if (!ret)
		return 0;
	if (ret == RU_BUS)
		return ru_fail("SIGBUS in process %d reading %zu pages at %p", proc,
			       nr, addr);
	if (ret < 0)
		return -1;
	return ru_fail("wrong content in process %d: page %ld of %zu at %p",
		       proc, ret - 1, nr, addr);
}

int ru_fill_in(int proc, char *addr, unsigned int seed, size_t first, size_t nr)
{
	return ru_call(proc, do_fill, (long)addr, seed, first, nr);
}

int ru_check(const char *addr, unsigned int seed, size_t first, size_t nr)
{
	return ru_check_in(0, (char *)addr, seed, first, nr);
}

int ru_check_zero_in(int proc, char *addr, size_t nr)
{
	long ret = ru_call(proc, do_check_zero, (long)addr, nr, 0, 0);

	if (!ret)
		return 0;
	return ru_fail("page %ld of %zu at %p is not zero in process %d", ret - 1,
		       nr, addr, proc);
}

int ru_check_zero(const char *addr, size_t nr)
{
	return ru_check_zero_in(0, (char *)addr, nr);
}

int ru_check_file(const char *addr, size_t first, size_t nr)
{
	size_t page;

	for (page = 0; page < nr; page++)
		if (*(volatile uint64_t *)(addr + page * ru_page) !=
		    0xf11e000000000000ull + first + page)
			return ru_fail("page %zu of %zu is not the file's", page,
				       nr);
	return 0;
}

static long do_munmap(long addr, long len, long c, long d)
{
	return munmap((void *)addr, len) ? -errno : 0;
}

static long do_mprotect(long addr, long len, long prot, long d)
{
	return mprotect((void *)addr, len, prot) ? -errno : 0;
}

static long do_madvise(long addr, long len, long advice, long d)
{
	return madvise((void *)addr, len, advice) ? -errno : 0;
}

/* Five arguments: the flags travel in the low bits of the old address. */
static long do_mremap(long addr, long old, long new, long to)
{
	int flags = addr & (ru_page - 1);
	void *p;

	addr &= ~(ru_page - 1);
	p = mremap((void *)addr, old, new, flags, (void *)to);
	if (p == MAP_FAILED)
		return -errno;
	return (flags & MREMAP_FIXED) && p != (void *)to ? -EFAULT : 0;
}

static int did(int proc, const char *what, long ret)
{
	if (ret < 0)
		return ru_fail("%s in process %d: %s", what, proc, strerror(-ret));
	return 0;
}

int ru_munmap_in(int proc, void *addr, size_t len)
{
	return did(proc, "munmap", ru_call(proc, do_munmap, (long)addr, len, 0, 0));
}

int ru_mprotect_in(int proc, void *addr, size_t len, int prot)
{
	return did(proc, "mprotect",
		   ru_call(proc, do_mprotect, (long)addr, len, prot, 0));
}

int ru_madvise_in(int proc, void *addr, size_t len, int advice)
{
	return did(proc, "madvise",
		   ru_call(proc, do_madvise, (long)addr, len, advice, 0));
}

int ru_mremap_in(int proc, void *addr, size_t old, size_t new, int flags,
		 void *to)
{
	return did(proc, "mremap",
		   ru_call(proc, do_mremap, (long)addr | flags, old, new, (long)to));
}

/*
 * Page tables.
 */
static uint64_t read_u64(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY);
	uint64_t value = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &value, sizeof(value), index * sizeof(value)) !=
	    sizeof(value))
		value = 0;
	close(fd);
	return value;
}

static int pagemap_range(int proc, const void *addr, size_t nr, uint64_t *map)
{
	ssize_t len = nr * sizeof(*map);
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", slots[proc].pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return ru_fail("%s: %s", path, strerror(errno));
	if (pread(fd, map, len, (uintptr_t)addr / ru_page * sizeof(*map)) != len) {
		ru_fail("%s is short", path);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

uint64_t ru_pagemap(int proc, const void *addr)
{
	uint64_t value;

	return pagemap_range(proc, addr, 1, &value) ? 0 : value;
}

uint64_t ru_pfn(int proc, const void *addr)
{
	uint64_t value = ru_pagemap(proc, addr);

	return value & RU_PM_PRESENT ? value & RU_PM_PFN : 0;
}

uint64_t ru_kpagecount(uint64_t pfn)
{
	return read_u64("/proc/kpagecount", pfn);
}

uint64_t ru_kpageflags(uint64_t pfn)
{
	return read_u64("/proc/kpageflags", pfn);
}

int ru_is_thp(int proc, const void *addr)
{
	uint64_t pfn = ru_pfn(proc, addr);

	return pfn && ru_kpageflags(pfn) & (1 << RU_KPF_THP);
}

/*
 * Walks.
 */
static size_t step_of(const struct ru_mem *m)
{
	return m->kind == RU_HUGETLB ? m->unit_nr : 1;
}

static uint64_t *pfns_of(const struct ru_mem *m, size_t nr,
			 const struct ru_view *v)
{
	uint64_t *map = calloc(nr, sizeof(*map));
	size_t page;

	if (!map || pagemap_range(v->proc, v->addr, nr, map)) {
		free(map);
		return NULL;
	}
	for (page = 0; page < nr; page++) {
		if (!(map[page] & RU_PM_PRESENT)) {
			ru_fail("process %d maps nothing at %p (pagemap %llx)",
				v->proc, v->addr + page * ru_page,
				(unsigned long long)map[page]);
			free(map);
			return NULL;
		}
		map[page] &= RU_PM_PFN;
	}
	return map;
}

static int same_pages(const struct ru_mem *m, size_t nr,
		      const struct ru_view *views, int nr_views)
{
	uint64_t *base = pfns_of(m, nr, &views[0]), *map;
	int counts = open("/proc/kpagecount", O_RDONLY);
	int i, ret = 0;
	size_t page, run;

	if (!base || counts < 0)
		ret = base ? ru_fail("no /proc/kpagecount") : -1;
	for (i = 1; i < nr_views && !ret; i++) {
		map = pfns_of(m, nr, &views[i]);
		if (!map) {
			ret = -1;
			break;
		}
		for (page = 0; page < nr && !ret; page += step_of(m))
			if (map[page] != base[page])
				ret = ru_fail("page %zu of %zu: process %d maps %llx, process %d %llx",
					      page, nr, views[0].proc,
					      (unsigned long long)base[page],
					      views[i].proc,
					      (unsigned long long)map[page]);
		free(map);
	}
	for (page = 0; page < nr && !ret; page += run) {
		uint64_t count[64];
		ssize_t len;
		size_t j;

		/* Frames that follow each other are read in one go. */
		for (run = 1; run < 64 && page + run < nr &&
		     base[page + run] == base[page] + run; run++)
			;
		len = run * sizeof(count[0]);
		if (pread(counts, count, len, base[page] * sizeof(count[0])) != len)
			ret = ru_fail("kpagecount is short");
		for (j = 0; j < run && !ret; j++)
			if (count[j] != (uint64_t)nr_views)
				ret = ru_fail("page %zu of %zu: mapped %llu times, not %d",
					      page + j, nr,
					      (unsigned long long)count[j],
					      nr_views);
	}
	free(base);
	if (counts >= 0)
		close(counts);
	return ret;
}

int ru_mapped(const struct ru_mem *m, size_t first, size_t nr,
	      const struct ru_view *views, int nr_views)
{
	return same_pages(m, nr, views, nr_views);
}

int ru_check_views(const struct ru_mem *m, size_t first, size_t nr,
		   const struct ru_view *views, int nr_views)
{
	int i;

	for (i = 0; i < nr_views; i++)
		if (ru_check_in(views[i].proc, views[i].addr, m->seed, first, nr))
			return -1;
	return 0;
}

static long move_pages(pid_t pid, size_t nr, void **pages, int *nodes,
		       int *status)
{
	return syscall(SYS_move_pages, pid, nr, pages, nodes, status,
		       nodes ? MPOL_MF_MOVE_ALL : 0);
}

static int locate(int proc, char *addr, size_t nr, size_t step, void **pages,
		  int *status)
{
	size_t i, n = 0;

	for (i = 0; i < nr; i += step)
		pages[n++] = addr + i * ru_page;
	if (move_pages(slots[proc].pid, n, pages, NULL, status))
		return ru_fail("move_pages query in process %d: %s", proc,
			       strerror(errno));
	return 0;
}

int ru_migrate(const struct ru_mem *m, size_t first, size_t nr,
	       const struct ru_view *views, int nr_views)
{
	size_t step = step_of(m), n = (nr + step - 1) / step, i;
	void **pages = calloc(n, sizeof(*pages));
	int *status = calloc(n, sizeof(*status));
	int *target = calloc(n, sizeof(*target));
	uint64_t *old = NULL, *new = NULL;
	int node[2], v, ret = -1;
	long left;

	if (ru_nodes(node) < 2) {
		ru_fail("one memory node only");
		goto out;
	}
	old = pfns_of(m, nr, &views[0]);
	if (!old || same_pages(m, nr, views, nr_views) ||
	    locate(views[0].proc, views[0].addr, nr, step, pages, status))
		goto out;
	for (i = 0; i < n; i++) {
		if (status[i] < 0) {
			ru_fail("page %zu at %p before migration: %s", i, pages[i],
				strerror(-status[i]));
			goto out;
		}
		target[i] = status[i] == node[0] ? node[1] : node[0];
	}
	left = move_pages(slots[views[0].proc].pid, n, pages, target, status);
	if (left < 0) {
		ru_fail("move_pages: %s", strerror(errno));
		goto out;
	}
	/* What move_pages() says is not enough: ask where the pages are. */
	for (v = 0; v < nr_views; v++) {
		if (locate(views[v].proc, views[v].addr, nr, step, pages, status))
			goto out;
		for (i = 0; i < n; i++)
			if (status[i] != target[i]) {
				ru_fail("page %zu of %zu, process %d at %p: status %d, not node %d (%ld not moved)",
					i, n, views[v].proc, pages[i], status[i],
					target[i], left);
				goto out;
			}
	}
	new = pfns_of(m, nr, &views[0]);
	if (!new)
		goto out;
	for (i = 0; i < nr; i += step)
		if (new[i] == old[i]) {
			ru_fail("page %zu stayed in its frame", i);
			goto out;
		}
	if (same_pages(m, nr, views, nr_views))
		goto out;
	ret = ru_check_views(m, first, nr, views, nr_views);
out:
	free(pages);
	free(status);
	free(target);
	free(old);
	free(new);
	return ret;
}

long ru_migrate_loop(long addr, long nr, long pid, long stride)
{
	void **pages = calloc(nr, sizeof(*pages));
	int *target = calloc(nr, sizeof(*target));
	int *status = calloc(nr, sizeof(*status));
	int node[2], round;
	long i;

	/* It does not end by itself, so whoever kills it notices. */
	if (!pages || !target || !status || ru_nodes(node) < 2)
		_exit(97);
	for (round = 0; ; round++) {
		for (i = 0; i < nr; i++) {
			pages[i] = (void *)(addr + i * stride);
			target[i] = node[round & 1];
		}
		move_pages(pid, nr, pages, target, status);
		/* Nobody left to end this. */
		if (kill(root_pid, 0))
			_exit(98);
	}
}

/*
 * Swap.
 */
#define CGROUP "/sys/fs/cgroup"
static char zram_dev[64];
static char cgroup_dir[64];

static bool swap_is_on(void)
{
	char buf[1024], *line;

	if (read_file("/proc/swaps", buf, sizeof(buf)) <= 0)
		return false;
	line = strchr(buf, '\n');
	return line && line[1] == '/';
}

/* A zram disk as swap where there is none */
static int zram_on(void)
{
	char path[128], header[4096] = { };
	long nr, size = 96L << 20;
	uint32_t *info = (uint32_t *)(header + 1024);
	int fd;

	if (ru_read_long("/sys/class/zram-control/hot_add", &nr))
		return ru_fail("no swap device, and no zram to make one");
	snprintf(path, sizeof(path), "/sys/block/zram%ld/disksize", nr);
	if (ru_write_str(path, "96M"))
		return -1;
	snprintf(zram_dev, sizeof(zram_dev), "/dev/zram%ld", nr);
	info[0] = 1;			/* version */
	info[1] = size / ru_page - 1;	/* last page */
	memcpy(header + 4096 - 10, "SWAPSPACE2", 10);
	fd = open(zram_dev, O_WRONLY | O_SYNC);
	if (fd < 0)
		return ru_fail("%s: %s", zram_dev, strerror(errno));
	if (write(fd, header, sizeof(header)) != sizeof(header)) {
		close(fd);
		return ru_fail("%s: %s", zram_dev, strerror(errno));
	}
	close(fd);
	if (swapon(zram_dev, 0))
		return ru_fail("swapon %s: %s", zram_dev, strerror(errno));
	return 0;
}

/* From here on our memory, and our children's, is in a group of its own. */
int ru_swap_ready(void)
{
	char path[128], pid[32];

	if (geteuid())
		return ru_fail("needs root");
	if (!swap_is_on() && zram_on())
		return -1;
	if (access(CGROUP "/cgroup.controllers", F_OK))
		return ru_fail("no cgroup v2 at " CGROUP);
	if (ru_write_str(CGROUP "/cgroup.subtree_control", "+memory"))
		return -1;
	snprintf(cgroup_dir, sizeof(cgroup_dir), CGROUP "/rmap_selftest.%d",
		 getpid());
	if (mkdir(cgroup_dir, 0755) && errno != EEXIST)
		return ru_fail("%s: %s", cgroup_dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup_dir);
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (ru_write_str(path, pid))
		return -1;
	snprintf(path, sizeof(path), "%s/memory.reclaim", cgroup_dir);
	if (access(path, W_OK))
		return ru_fail("no memory.reclaim in the memory cgroup");
	return 0;
}

void ru_swap_stop(void)
{
	char pid[32];
	int nr;

	if (cgroup_dir[0]) {
		snprintf(pid, sizeof(pid), "%d", getpid());
		ru_write_str(CGROUP "/cgroup.procs", pid);
		rmdir(cgroup_dir);
		cgroup_dir[0] = '\0';
	}
	if (zram_dev[0] && sscanf(zram_dev, "/dev/zram%d", &nr) == 1) {
		char num[16];

		swapoff(zram_dev);
		snprintf(num, sizeof(num), "%d", nr);
		ru_write_str("/sys/class/zram-control/hot_remove", num);
		zram_dev[0] = '\0';
	}
}

/* How many of the pages are still present anywhere, -1 on error */
static long present(const struct ru_mem *m, size_t nr,
		    const struct ru_view *views, int nr_views, int *where)
{
	uint64_t *map = calloc(nr, sizeof(*map));
	long count = 0;
	size_t page;
	int v;

	for (v = 0; v < nr_views; v++) {
		if (pagemap_range(views[v].proc, views[v].addr, nr, map)) {
			count = -1;
			break;
		}
		for (page = 0; page < nr; page++) {
			if (map[page] & RU_PM_PRESENT) {
				count++;
				*where = v;
			} else if (!(map[page] & RU_PM_SWAP)) {
				count = ru_fail("page %zu is neither present nor swapped in process %d",
						page, views[v].proc);
				goto out;
			}
		}
	}
out:
	free(map);
	return count;
}

/* Who reads cpu.stat has all figures of the group brought up to date. */
int ru_cgroup_flush(const char *dir)
{
	char path[128], buf[1024];

	snprintf(path, sizeof(path), "%s/cpu.stat", dir);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return ru_fail("%s: no answer", path);
	return 0;
}

int ru_swap_out(const struct ru_mem *m, size_t first, size_t nr,
		const struct ru_view *views, int nr_views)
{
	char path[128];
	int round, v, where = 0;
	long left = 0;

	snprintf(path, sizeof(path), "%s/memory.reclaim", cgroup_dir);
	/*
	 * Reclaim is asked for more than there is, and its answer is of no
	 * interest.  It gives every page that was referenced another round.  It
	 * leaves the active list alone while the cgroup's counts of the last two
	 * seconds call the inactive one longer.
	 */
	for (round = 0; round < 12; round++) {
		char young[64];

		for (v = 0; v < nr_views; v++) {
			snprintf(young, sizeof(young), "/proc/%d/clear_refs",
				 slots[views[v].proc].pid);
			if (ru_write_str(young, "1"))
				return -1;
		}
		if (ru_cgroup_flush(cgroup_dir))
			return -1;
		ru_write_str(path, "64M");
		left = present(m, nr, views, nr_views, &where);
		if (left <= 0)
			return left;
	}
	return ru_fail("%ld of %zu entries are not swapped out, the last in process %d",
		       left, nr * nr_views, views[where].proc);
}

/*
 * ANON_VMA_LAZY
 */
long ru_rmap_field(pid_t pid, const char *field)
{
	char path[64], buf[1024], *p;
	size_t len = strlen(field);

	snprintf(path, sizeof(path), "/proc/%d/anon_rmap", pid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return -1;
	for (p = buf; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (!strncmp(p, field, len) && p[len] == ':')
			return strtol(p + len + 1, NULL, 10);
	}
	return -1;
}

bool ru_lazy(void)
{
	char buf[1024];

	return read_file("/proc/self/anon_rmap", buf, sizeof(buf)) > 0 &&
	       !strncmp(buf, "mode: lazy", 10);
}

static const char *const count_names[RU_NR_COUNTS] = {
	[RU_ANON_VMA]	= "anon_vma",
	[RU_AVC]	= "anon_vma_chain",
	[RU_LINK]	= "anon_vma_mm_link",
	[RU_MM]		= "mm_struct",
	[RU_MMS]	= "mms",
	[RU_ANON_VMAS]	= "anon_vmas",
	[RU_LINKS]	= "links",
	[RU_DISPLACED]	= "displaced",
};

/*
 * An idle processor keeps the mm_struct of the process that ran there last, also
 * of one that is long dead.  This one goes everywhere, and is counted anyway.
 */
static int visit_processors(void)
{
	cpu_set_t mine, one;
	int cpu;

	if (sched_getaffinity(0, sizeof(mine), &mine))
		return ru_fail("no affinity: %s", strerror(errno));
	for (cpu = 0; cpu < get_nprocs_conf(); cpu++) {
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		/* It may be offline. */
		sched_setaffinity(0, sizeof(one), &one);
	}
	if (sched_setaffinity(0, sizeof(mine), &mine))
		return ru_fail("the affinity is lost: %s", strerror(errno));
	return 0;
}

static int count_once(struct ru_counts *c)
{
	char line[512], path[128], name[64];
	long active, total, size;
	FILE *f;
	int i;

	memset(c, 0, sizeof(*c));
	if (visit_processors())
		return -1;
	for (i = 0; i < RU_MMS; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink",
			 count_names[i]);
		if (!access(path, F_OK) && ru_write_str(path, "1"))
			return -1;
	}
	f = fopen("/proc/slabinfo", "r");
	if (!f)
		return ru_fail("/proc/slabinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %ld %ld %ld", name, &active, &total,
			   &size) != 4)
			continue;
		for (i = 0; i < RU_MMS; i++)
			if (!strcmp(name, count_names[i])) {
				c->nr[i] = active;
				c->size[i] = size;
			}
	}
	fclose(f);
	/* Merged with other slabs, they have no figures of their own. */
	if (!c->size[RU_ANON_VMA] || !c->size[RU_AVC])
		return ru_fail("no anon_vma or anon_vma_chain in /proc/slabinfo (boot with slab_nomerge)");
	for (i = RU_MMS; i < RU_NR_COUNTS; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/mm/anon_vma_lazy/%s",
			 count_names[i]);
		if (!access(path, F_OK) && ru_read_long(path, &c->nr[i]))
			return -1;
	}
	return 0;
}

/* The first line of a file of process @pid; empty if there is none. */
static const char *line_of(const char *pid, const char *name, char *line, int len)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/%s", pid, name);
	f = fopen(path, "r");
	if (!f || !fgets(line, len, f))
		*line = 0;
	if (f)
		fclose(f);
	return line;
}

static unsigned long hash(unsigned long h, const char *text)
{
	while (*text)
		h = (h ^ (unsigned char)*text++) * 16777619;
	return h;
}

/*
 * Those that have memory: by name and mode, in no order, and in @pids which of
 * them they are.
 */
static unsigned long who_runs(unsigned long *pids)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned long who = 0;
	char line[256];

	*pids = 0;
	while (proc && (entry = readdir(proc))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
		    atol(line_of(entry->d_name, "statm", line, sizeof(line))) == 0)
			continue;
		*pids += hash(1, entry->d_name);
		who += hash(hash(1, line_of(entry->d_name, "comm", line, sizeof(line))),
			    line_of(entry->d_name, "anon_rmap", line, sizeof(line)));
	}
	if (proc)
		closedir(proc);
	return who;
}

/*
 * A look during which a process came or went is none: a program that ends and
 * the next that starts are fewer in between.
 */
static int count_quietly(struct ru_counts *c)
{
	unsigned long who, pids, pids_after;
	int tries;

	for (tries = 0; tries < 100; tries++) {
		if (tries)
			usleep(100000);
		who = who_runs(&pids);
		if (count_once(c))
			return -1;
		c->who = who_runs(&pids_after);
		if (c->who == who && pids_after == pids)
			return 0;
	}
	return ru_fail("programs come and go: no time to count in");
}

static void lower_of(struct ru_counts *c, const struct ru_counts *look)
{
	int i;

	for (i = 0; i < RU_NR_COUNTS; i++)
		if (look->nr[i] < c->nr[i])
			c->nr[i] = look->nr[i];
}

int ru_count(struct ru_counts *c)
{
	struct ru_counts look;
	int looks, tries;

	if (geteuid())
		return ru_fail("needs root");
	for (looks = tries = 0; looks < 5; tries++) {
		if (tries == 100)
			return ru_fail("never the same programs for half a second");
		if (tries)
			usleep(100000);
		if (count_quietly(&look))
			return -1;
		if (!looks || look.who != c->who) {
			*c = look;
			looks = 0;
		}
		lower_of(c, &look);
		looks++;
	}
	return 0;
}

int ru_count_back(const struct ru_counts *before)
{
	struct ru_counts now = {}, look;
	int i = 0, tries, looks = 0;

	/* Exits finish by themselves, and so do programs of others. */
	for (tries = 0; tries < 100; tries++) {
		if (tries)
			usleep(100000);
		if (count_quietly(&look))
			return -1;
		if (look.who != before->who)
			continue;
		if (!looks++)
			now = look;
		lower_of(&now, &look);
		for (i = 0; i < RU_NR_COUNTS; i++)
			if (now.nr[i] > before->nr[i])
				break;
		if (i == RU_NR_COUNTS)
			return 0;
	}
	/* Who has it? */
	if (system("cd /proc && grep -H . [0-9]*/comm [0-9]*/anon_rmap | sed 's/^/# /'"))
		fprintf(stderr, "# the processes cannot be listed\n");
	if (!looks)
		return ru_fail("never the same programs as before");
	return ru_fail("%s: %ld, %ld before", count_names[i], now.nr[i],
		       before->nr[i]);
}

bool ru_slow(void)
{
	return !access("/proc/lockdep", F_OK);
}

static const char path_audit[] = "/sys/kernel/debug/anon_vma_lazy/audit";

int ru_no_audit(void)
{
	return access(path_audit, F_OK) ? ru_fail("no %s: not a debug kernel", path_audit) : 0;
}

int ru_audit_but(long most)
{
	long folios, mismatches, structures, excused;
	char buf[4096];

	if (access(path_audit, F_OK))
		return 0;
	if (ru_write_str(path_audit, "1"))
		return -1;
	if (read_file(path_audit, buf, sizeof(buf)) <= 0)
		return ru_fail("the audit gives no answer");
	if (sscanf(buf, "folios=%ld mismatches=%ld structures=%ld excused=%ld",
		   &folios, &mismatches, &structures, &excused) != 4)
		return ru_fail("the audit's answer is not understood: %.60s", buf);
	if (mismatches || structures) {
		printf("# %s\n", buf);
		return ru_fail("audit: %ld of %ld folios do not match, %ld structures are wrong",
			       mismatches, folios, structures);
	}
	if (excused > most)
		return ru_fail("audit: %ld merged pages have entries that are not found",
			       excused);
	return folios > 0 ? 0 : ru_fail("the audit looked at no folio");
}

int ru_audit(void)
{
	return ru_audit_but(0);
}
