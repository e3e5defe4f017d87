// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of fork, exec, mremap, split, merge, brk and the first fault
 * fails in turn: the caller sees an error, or nothing at all; the memory is what
 * it was or what was asked for; the same call works right after; and neither an
 * object nor a count is left behind.
 *
 * Needs a kernel with FAULT_INJECTION, FAILSLAB, FAIL_PAGE_ALLOC and their files
 * in debugfs.  /proc/self/fail-nth lets the Nth allocation of a task fail; what
 * remains of the number says whether there were that many.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define DEBUGFS "/sys/kernel/debug/"
#define SYSCTL "/proc/sys/vm/anon_vma_lazy"
#define MAX_NTH 5000

static int nth_fd = -1;
static char seed_file[] = "/tmp/fault_injection.XXXXXX";

static int ready(void)
{
	static const char *const settings[][2] = {
		{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
		{ DEBUGFS "failslab/verbose", "0" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUGFS "fail_page_alloc/min-order", "0" },
		{ DEBUGFS "fail_page_alloc/verbose", "0" },
	};
	size_t i;

	if (access("/proc/self/fail-nth", W_OK))
		return ru_fail("no /proc/self/fail-nth: the kernel has no FAULT_INJECTION, or this is not root");
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (ru_write_str(settings[i][0], settings[i][1]))
			return -1;
	return 0;
}

/* From here on, the @nth allocation of this task fails. */
static void arm(unsigned int nth)
{
	char text[16];
	int len;

	if (nth_fd < 0)
		nth_fd = open("/proc/self/fail-nth", O_RDWR);
	len = snprintf(text, sizeof(text), "%u", nth);
	if (pwrite(nth_fd, text, len, 0) != len)
		_exit(90);
}

/* Returns whether it did fail. */
static bool disarm(void)
{
	char text[16] = "";

	/* It may be this one's allocation that fails, once. */
	if (pread(nth_fd, text, sizeof(text) - 1, 0) <= 0 &&
	    pread(nth_fd, text, sizeof(text) - 1, 0) <= 0)
		_exit(91);
	if (pwrite(nth_fd, "0", 1, 0) != 1)
		_exit(92);
	return atoi(text) == 0;
}

/* A child has its own; the file of its parent would count for that. */
static void forget_parent(void)
{
	close(nth_fd);
	nth_fd = -1;
}

/*
 * The C library registers a place in each thread's memory, where the kernel
 * writes on the way back from a system call.  fork() makes that page one to be
 * copied, and the copy may be the allocation that fails: then the kernel kills
 * the thread.  So do without.
 */
static void without_rseq(void)
{
	if (__rseq_size &&
	    syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
		    sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG)) {
		perror("rseq");
		exit(KSFT_FAIL);
	}
}

/*
 * A place of its own for each attempt:
 *
 *   arena  |  before  |  memory, 8 units  |  between  |  destination  |  after |
 *
 * all PROT_NONE but the memory.
 */
enum kind { ANON, FILE_PRIVATE, HUGE };

struct work {
	enum kind kind;
	bool displaced;
	size_t unit, nr;		/* bytes, pages of a unit */
	char *arena, *at, *to;
	size_t arena_len;
	unsigned int seed;
};

#define UNITS 8UL

static int make(struct work *w)
{
	int flags = MAP_PRIVATE | MAP_FIXED, fd = -1;
	size_t page;
	char *first;

	w->unit = w->kind == HUGE ? RU_HUGE : ru_page;
	w->nr = w->unit / ru_page;
	w->seed = ru_random();
	w->arena_len = 40 * w->unit;
	w->arena = mmap(NULL, w->arena_len, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->arena == MAP_FAILED)
		return ru_fail("no room for the memory: %s", strerror(errno));
	w->at = (char *)(((uintptr_t)w->arena + w->unit - 1) & ~(w->unit - 1)) + w->unit;
	w->to = w->at + 14 * w->unit;
	first = w->displaced ? w->at + 27 * w->unit : w->at;
	if (w->kind == FILE_PRIVATE) {
		fd = open(seed_file, O_RDWR);
		if (fd < 0)
			return ru_fail("%s: %s", seed_file, strerror(errno));
	} else {
		flags |= MAP_ANONYMOUS;
	}
	if (mmap(first, UNITS * w->unit, PROT_READ | PROT_WRITE, flags, fd, 0) != first)
		return ru_fail("mmap: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (w->kind == HUGE)
		madvise(first, UNITS * w->unit, MADV_HUGEPAGE);
	/* A huge page each, the small pages of which all have a pattern */
	for (page = 0; page < UNITS * w->nr; page += w->kind == HUGE ? 64 : 1)
		ru_fill(first + page * ru_page, w->seed, page, 1);
	if (w->displaced &&
	    mremap(first, UNITS * w->unit, UNITS * w->unit,
		   MREMAP_MAYMOVE | MREMAP_FIXED, w->at) != w->at)
		return ru_fail("mremap: %s", strerror(errno));
	return 0;
}

/* Units @first to @first + @nr - 1 have their content, at @addr. */
static int holds(const struct work *w, char *addr, size_t first, size_t nr)
{
	size_t page;

	for (page = first * w->nr; page < (first + nr) * w->nr;
	     page += w->kind == HUGE ? 64 : 1)
		if (ru_check(addr + (page - first * w->nr) * ru_page, w->seed, page, 1))
			return -1;
	return 0;
}

static int unmake(struct work *w)
{
	return munmap(w->arena, w->arena_len) ?
	       ru_fail("munmap: %s", strerror(errno)) : 0;
}

/*
 * Operations.  run() returns 0 or a negative error; check() is told which, and
 * looks at the memory; after an error run() must do it once nothing fails.
 */
struct op {
	const char *name;
	int (*prepare)(struct work *w);
	long (*run)(struct work *w);
	int (*check)(struct work *w, bool done);
	bool once;		/* after an error it cannot be done again */
	bool free;		/* may need no memory at all */
};

static int checked_syscall(long ret)
{
	return ret == -1 ? -errno : 0;
}

static int whole(struct work *w, bool done)
{
	(void)done;
	return holds(w, w->at, 0, UNITS);
}

static long move_to(char *from, char *to, size_t len, int flags)
{
	return checked_syscall((long)mremap(from, len, len,
					    MREMAP_MAYMOVE | MREMAP_FIXED | flags, to));
}

static long run_move(struct work *w)
{
	return move_to(w->at, w->to, UNITS * w->unit, 0);
}

static int check_move(struct work *w, bool done)
{
	return holds(w, done ? w->to : w->at, 0, UNITS);
}

static long run_move_back(struct work *w)
{
	return move_to(w->to, w->at, UNITS * w->unit, 0);
}

static int check_move_back(struct work *w, bool done)
{
	return holds(w, done ? w->at : w->to, 0, UNITS);
}

static int prepare_move_back(struct work *w)
{
	return run_move(w) ? ru_fail("mremap: %s", strerror(errno)) : 0;
}

static long run_move_part(struct work *w)
{
	return move_to(w->at + 3 * w->unit, w->to + w->unit, 2 * w->unit, 0);
}

static int check_move_part(struct work *w, bool done)
{
	return holds(w, w->at, 0, 3) ||
	       holds(w, done ? w->to + w->unit : w->at + 3 * w->unit, 3, 2) ||
	       holds(w, w->at + 5 * w->unit, 5, 3) ? -1 : 0;
}

static long run_dontunmap(struct work *w)
{
	return move_to(w->at, w->to, UNITS * w->unit, MREMAP_DONTUNMAP);
}

static int check_dontunmap(struct work *w, bool done)
{
	if (holds(w, done ? w->to : w->at, 0, UNITS))
		return -1;
	if (!done || w->kind == FILE_PRIVATE)
		return 0;
	return ru_check_zero(w->at, UNITS);
}

static int prepare_grow(struct work *w)
{
	return munmap(w->at + UNITS * w->unit, 4 * w->unit) ?
	       ru_fail("munmap: %s", strerror(errno)) : 0;
}

static long run_grow(struct work *w)
{
	return checked_syscall((long)mremap(w->at, UNITS * w->unit,
					    (UNITS + 2) * w->unit, 0));
}

static long run_protect(struct work *w)
{
	return checked_syscall(mprotect(w->at + 3 * w->unit, 2 * w->unit, PROT_READ));
}

static int prepare_merge(struct work *w)
{
	return run_protect(w) ? ru_fail("mprotect: %s", strerror(errno)) : 0;
}

static long run_merge(struct work *w)
{
	return checked_syscall(mprotect(w->at, UNITS * w->unit, PROT_READ | PROT_WRITE));
}

static long run_advise(struct work *w)
{
	return checked_syscall(madvise(w->at + 2 * w->unit, 3 * w->unit, MADV_DONTDUMP));
}

static long run_unmap(struct work *w)
{
	return checked_syscall(munmap(w->at + 3 * w->unit, 2 * w->unit));
}

static int check_unmap(struct work *w, bool done)
{
	return holds(w, w->at, 0, 3) ||
	       (!done && holds(w, w->at + 3 * w->unit, 3, 2)) ||
	       holds(w, w->at + 5 * w->unit, 5, 3) ? -1 : 0;
}

/* If it fails, the middle may be gone already. */
static long run_map_over(struct work *w)
{
	return checked_syscall((long)mmap(w->at + 3 * w->unit, 2 * w->unit,
					  PROT_READ | PROT_WRITE, MAP_PRIVATE |
					  MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static int check_map_over(struct work *w, bool done)
{
	return holds(w, w->at, 0, 3) || holds(w, w->at + 5 * w->unit, 5, 3) ||
	       (done && ru_check_zero(w->at + 3 * w->unit, 2 * w->nr)) ? -1 : 0;
}

/* Writes to pages never touched: a fault that fails is tried again. */
static int prepare_touch(struct work *w)
{
	return mmap(w->to, 2 * w->unit, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != w->to ?
	       ru_fail("mmap: %s", strerror(errno)) : 0;
}

static long run_touch(struct work *w)
{
	ru_fill(w->to, w->seed, 0, 1);
	return 0;
}

static int check_touch(struct work *w, bool done)
{
	(void)done;
	return ru_check(w->to, w->seed, 0, 1) || holds(w, w->at, 0, UNITS) ? -1 : 0;
}

/* A child that shares every page ends, or there is none. */
static int fork_and_check(struct work *w)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (holds(w, w->at, 0, UNITS))
			_exit(1);
		ru_fill(w->at + w->unit, w->seed + 1, 0, 1);
		_exit(ru_check(w->at + w->unit, w->seed + 1, 0, 1) ? 2 : 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		return -EIO;	/* never an answer of fork() */
	return 0;
}

static long run_fork(struct work *w)
{
	return fork_and_check(w);
}

/* Copy on write, of a page that a child still has */
static long run_cow(struct work *w)
{
	ru_fill(w->at, w->seed, 0, 1);
	return 0;
}

static pid_t sharer;

static int prepare_cow(struct work *w)
{
	(void)w;
	sharer = fork();
	if (!sharer) {
		for (;;)
			pause();
	}
	return sharer < 0 ? ru_fail("fork: %s", strerror(errno)) : 0;
}

static int check_cow(struct work *w, bool done)
{
	(void)done;
	kill(sharer, SIGKILL);
	waitpid(sharer, NULL, 0);
	return holds(w, w->at, 0, UNITS);
}

static const struct op ops[] = {
	{ "mremap", NULL, run_move, check_move },
	{ "mremap back", prepare_move_back, run_move_back, check_move_back },
	{ "mremap of a part", NULL, run_move_part, check_move_part },
	{ "mremap, DONTUNMAP", NULL, run_dontunmap, check_dontunmap },
	{ "mremap that grows", prepare_grow, run_grow, whole, .free = true },
	{ "mprotect in the middle", NULL, run_protect, whole },
	{ "mprotect that merges", prepare_merge, run_merge, whole, .free = true },
	{ "madvise in the middle", NULL, run_advise, whole },
	{ "munmap in the middle", NULL, run_unmap, check_unmap },
	{ "mmap over the middle", NULL, run_map_over, check_map_over },
	{ "first fault", prepare_touch, run_touch, check_touch },
	{ "copy on write", prepare_cow, run_cow, check_cow, true },
	{ "fork", NULL, run_fork, whole },
};

/* Returns the number of allocations that failed in turn, or -1. */
static int sweep(const struct op *op, enum kind kind, bool displaced)
{
	struct work w = { .kind = kind, .displaced = displaced };
	unsigned int nth, errors = 0;
	bool failed = true;

	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		long ret;

		if (make(&w) || (op->prepare && op->prepare(&w)))
			return -1;
		arm(nth);
		ret = op->run(&w);
		failed = disarm();
		if (ret && ret != -ENOMEM && ret != -EAGAIN)
			return ru_fail("%s, allocation %u: %s", op->name, nth,
				       strerror(-ret));
		if (ret && !failed)
			return ru_fail("%s: %s, though nothing failed", op->name,
				       strerror(-ret));
		errors += !!ret;
		if (op->check(&w, !ret)) {
			printf("# %s, allocation %u, %s\n", op->name, nth,
			       ret ? strerror(-ret) : "success");
			return -1;
		}
		if (ret && !op->once) {
			ret = op->run(&w);
			if (ret)
				return ru_fail("%s after a failure of allocation %u: %s",
					       op->name, nth, strerror(-ret));
			if (op->check(&w, true))
				return -1;
		}
		if (unmake(&w))
			return -1;
	}
	if (failed)
		return ru_fail("%s: more than %u allocations", op->name, MAX_NTH);
	printf("# %s: %u allocations failed, %u of them with an error\n", op->name,
	       nth - 2, errors);
	fflush(stdout);
	return nth - 2;
}

FIXTURE(fail) { struct ru_counts before; };
FIXTURE_VARIANT(fail) { enum kind kind; bool displaced; };
FIXTURE_VARIANT_ADD(fail, anon) { .kind = ANON };
FIXTURE_VARIANT_ADD(fail, anon_moved) { .kind = ANON, .displaced = true };
FIXTURE_VARIANT_ADD(fail, private_file) { .kind = FILE_PRIVATE };
FIXTURE_VARIANT_ADD(fail, private_file_moved) {
	.kind = FILE_PRIVATE, .displaced = true
};
FIXTURE_VARIANT_ADD(fail, thp) { .kind = HUGE };
FIXTURE_VARIANT_ADD(fail, thp_moved) { .kind = HUGE, .displaced = true };

static int file_ready(void)
{
	int fd;

	strcpy(strrchr(seed_file, '.'), ".XXXXXX");
	fd = mkstemp(seed_file);
	if (fd < 0 || ftruncate(fd, UNITS * ru_page))
		return ru_fail("%s: %s", seed_file, strerror(errno));
	close(fd);
	return 0;
}

FIXTURE_SETUP(fail)
{
	RU_START();
	RU_NEED(ready());
	RU_OK(file_ready());
	RU_NEED(ru_count(&self->before));
}

FIXTURE_TEARDOWN(fail)
{
	unlink(seed_file);
	ru_stop();
}

TEST_F_TIMEOUT(fail, each, 1200)
{
	size_t i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		int nr;

		/* A debug kernel takes its time over huge pages. */
		if (variant->kind == HUGE && !ru_full() && ops[i].run == run_cow)
			continue;
		nr = sweep(&ops[i], variant->kind, variant->displaced);
		ASSERT_LT(ops[i].free ? -1 : 0, nr) TH_LOG("%s: %s", ops[i].name, ru_error());
	}
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

FIXTURE(family) { struct ru_counts before; };
FIXTURE_SETUP(family)
{
	RU_START();
	RU_NEED(ready());
	RU_OK(file_ready());
	RU_NEED(ru_count(&self->before));
}
FIXTURE_TEARDOWN(family)
{
	unlink(seed_file);
	ru_stop();
}

static int wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return ru_fail("fork or wait: %s", strerror(errno));
	return status ? ru_fail("the child ended with status %x: %s", status, ru_error()) : 0;
}

/*
 * fork in the last of several generations, some of whom are dead: a link to each
 * ancestor, and the anon_vma of one of the dead taken over.
 */
TEST_F_TIMEOUT(family, fork_deep, 1200)
{
	static const struct op forks = { "fork of a great-grandchild", NULL, run_fork, whole };
	struct work w = { .kind = ANON };
	int pipes[2], generation, status, answer;
	pid_t pid;

	ASSERT_EQ(0, make(&w)) TH_LOG("%s", ru_error());
	ASSERT_EQ(0, pipe(pipes));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		for (generation = 1; generation < 4; generation++) {
			pid = fork();
			if (pid < 0)
				_exit(3);
			if (pid && generation == 2)	/* dies before its child forks */
				_exit(0);
			if (pid)
				_exit(wait_for(pid) ? 4 : 0);
			ru_fill(w.at + generation * ru_page, w.seed, generation, 1);
		}
		/* The dead are to be dead by then */
		usleep(300000);
		forget_parent();
		answer = sweep(&forks, ANON, true);
		if (write(pipes[1], &answer, sizeof(answer)) != sizeof(answer))
			_exit(5);
		_exit(answer > 0 ? 0 : 6);
	}
	/* If it dies without an answer, there is an end of the file */
	close(pipes[1]);
	ASSERT_EQ(sizeof(answer), read(pipes[0], &answer, sizeof(answer)));
	EXPECT_LT(0, answer) TH_LOG("%s", ru_error());
	while ((pid = waitpid(-1, &status, 0)) > 0)
		ASSERT_EQ(0, status) TH_LOG("%s", ru_error());
	RU_OK(unmake(&w));
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

/*
 * exec: before the point of no return it is an error, after it the program is
 * killed.  What was started tells whether the allocation was reached.
 */
static int exec_sweep(void)
{
	unsigned int nth, errors = 0, killed = 0;

	for (nth = 1; nth < MAX_NTH; nth++) {
		char *const args[] = { "fault_injection", "--nothing", NULL };
		int status, fd;
		pid_t pid = fork();

		if (pid < 0)
			return ru_fail("fork: %s", strerror(errno));
		if (!pid) {
			/* By file: a look-up in /proc calls any failure ENOENT */
			fd = open("/proc/self/exe", O_RDONLY);
			forget_parent();
			arm(nth);
			syscall(SYS_execveat, fd, "", args, environ, AT_EMPTY_PATH);
			/*
			 * Only an allocation that failed stops it, which exec
			 * calls E2BIG, ENOEXEC, ELIBBAD or EFAULT as well.
			 */
			_exit(disarm() ? 50 : 100 + errno);
		}
		if (waitpid(pid, &status, 0) != pid)
			return ru_fail("wait: %s", strerror(errno));
		if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL ||
					    WTERMSIG(status) == SIGSEGV)) {
			killed++;
		} else if (WIFEXITED(status) && (WEXITSTATUS(status) == 50 ||
						 WEXITSTATUS(status) == 127)) {
			/* 127 is the dynamic loader's, for what it asks for */
			errors++;
		} else if (WIFEXITED(status) && WEXITSTATUS(status) == 60) {
			printf("# exec: %u allocations failed, %u with an error, %u killed the program\n",
			       nth - 1, errors, killed);
			fflush(stdout);
			return errors;
		} else if (status) {
			return ru_fail("allocation %u: status %x", nth, status);
		}
	}
	return ru_fail("more than %u allocations", MAX_NTH);
}

TEST_F_TIMEOUT(family, exec, 1200)
{
	char old[16];
	int i, nr;

	for (i = 1; i >= 0; i--) {
		if (!access(SYSCTL, W_OK))
			RU_OK(ru_switch(SYSCTL, i ? "1" : "0", i ? old : NULL, sizeof(old)));
		else if (!i)
			break;
		nr = exec_sweep();
		if (!access(SYSCTL, W_OK) && !i)
			RU_OK(ru_write_str(SYSCTL, old));
		ASSERT_LT(0, nr) TH_LOG("mode %d: %s", i, ru_error());
	}
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

/* brk grows and shrinks; the heap that was there holds. */
TEST_F_TIMEOUT(family, brk, 300)
{
	unsigned int nth, errors = 0;
	bool failed = true;
	char *start = sbrk(0), *heap;

	heap = sbrk(8 * ru_page);
	ASSERT_NE((void *)-1, heap);
	heap = (char *)(((uintptr_t)heap + ru_page - 1) & ~(ru_page - 1));
	ru_fill(heap, 7, 0, 4);
	for (nth = 1; failed && nth < MAX_NTH; nth++) {
		char *top = sbrk(0), *now;
		long ret;

		arm(nth);
		/* The system call itself says how far it got */
		now = (char *)syscall(SYS_brk, top + 16 * ru_page);
		ret = now != top + 16 * ru_page;
		if (!ret)
			ru_fill(top + ru_page, 7, 9, 2);
		failed = disarm();
		ASSERT_EQ(0, ru_check(heap, 7, 0, 4)) TH_LOG("%s", ru_error());
		if (ret) {
			ASSERT_TRUE(failed) TH_LOG("brk failed though nothing else did");
			ASSERT_EQ(top, now);
			errors++;
			continue;
		}
		ASSERT_EQ(0, ru_check(top + ru_page, 7, 9, 2)) TH_LOG("%s", ru_error());
		arm(nth);
		now = (char *)syscall(SYS_brk, top);
		failed |= disarm();
		if (now != top)
			ASSERT_EQ(top, (char *)syscall(SYS_brk, top));
		ASSERT_EQ(0, ru_check(heap, 7, 0, 4)) TH_LOG("%s", ru_error());
	}
	ASSERT_FALSE(failed);
	ASSERT_LT(2, nth);
	/* A regular process may have an anon_vma for it. */
	ASSERT_EQ(0, brk(start));
	TH_LOG("%u allocations failed, %u with an error", nth - 2, errors);
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

/* The stack of a child grows page by page. */
static void __attribute__((noinline)) deep(int depth)
{
	volatile char page[4096];

	page[0] = depth;
	if (depth)
		deep(depth - 1);
	if (page[0] != (char)depth)
		_exit(1);
}

TEST_F_TIMEOUT(family, stack, 300)
{
	unsigned int nth, killed = 0;
	int status = 0;

	for (nth = 1; nth < 300; nth++) {
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			forget_parent();
			arm(nth);
			deep(96);
			_exit(disarm() ? 0 : 60);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		if (WIFSIGNALED(status)) {
			ASSERT_EQ(SIGSEGV, WTERMSIG(status));
			killed++;
			continue;
		}
		if (WEXITSTATUS(status) == 60)
			break;
		ASSERT_EQ(0, status) TH_LOG("allocation %u", nth);
	}
	ASSERT_EQ(60, WEXITSTATUS(status));
	ASSERT_LT(1, nth);
	TH_LOG("%u allocations failed, %u killed the program", nth - 1, killed);
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

/* Some allocation fails all the time, in a process that is killed at some time. */
static void __attribute__((noreturn)) work_on(unsigned int seed)
{
	struct work w = { .kind = ANON };
	unsigned int round;

	forget_parent();
	setpgid(0, 0);
	srand(seed);
	for (round = 0;; round++) {
		const struct op *op = &ops[rand() % (sizeof(ops) / sizeof(ops[0]))];

		if (op->prepare == prepare_cow)
			continue;
		w.displaced = rand() & 1;
		if (make(&w) || (op->prepare && op->prepare(&w)))
			_exit(1);
		arm(1 + rand() % 40);
		op->run(&w);
		disarm();
		if (round % 4 == 3 && !fork()) {
			forget_parent();
			arm(1 + rand() % 60);
			op->run(&w);
			_exit(0);
		}
		unmake(&w);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

TEST_F_TIMEOUT(family, killed, 600)
{
	int round, status;

	for (round = 0; ru_race(round); round++) {
		unsigned int seed = ru_random();
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid)
			work_on(seed);
		setpgid(pid, pid);
		usleep(ru_random() % 200000);
		ASSERT_EQ(0, kill(-pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			TH_LOG("seed %u: status %x: %s", seed, status, ru_error());
		/* Its children are ours now, and dead as well */
		while (waitpid(-1, &status, 0) > 0)
			;
	}
	TH_LOG("%d processes were killed", round);
	RU_OK(ru_count_back(&self->before));
	RU_OK(ru_audit());
}

RU_AUDIT

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--nothing")) {
		nth_fd = open("/proc/self/fail-nth", O_RDWR);
		if (nth_fd < 0)
			nth_fd = open("/proc/self/fail-nth", O_RDWR);
		return disarm() ? 0 : 60;
	}
	without_rseq();
	return test_harness_run(argc, argv);
}
