// SPDX-License-Identifier: GPL-2.0-only
/* fork, exec, exit, first touch, and what changes VMAs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

/* ---- fork, exit, wait: the cost for each of SIZE VMAs ---- */

enum use { UNTOUCHED, ZAPPED, TOUCHED };

static long batch_for(long vmas)
{
	return vmas < 100 ? 20 : vmas < 1000 ? 10 : vmas < 10000 ? 3 : 1;
}

static void use_vmas(char *base, long nr, enum use use)
{
	if (use == UNTOUCHED)
		return;
	for (long i = 0; i < nr; i++)
		fill(vma_at(base, i), i);
	for (long i = 0; use == ZAPPED && i < nr; i++)
		need(!madvise(vma_at(base, i), PAGE, MADV_DONTNEED), "MADV_DONTNEED: %s",
		     strerror(errno));
}

/* The child has a look at one page, the parent at all. */
static void fork_loop(struct run *r, char *base, long nr, enum use use, double per)
{
	long batch = batch_for(nr);

	while (more(r)) {
		begin(r);
		for (long b = 0; b < batch; b++) {
			pid_t pid = fork_checked();

			if (!pid)
				_exit(use == TOUCHED && !filled(vma_at(base, nr / 2), nr / 2));
			wait_ok(pid);
		}
		end(r, batch * per);
		for (long i = 0; use == TOUCHED && i < nr; i++)
			need(filled(vma_at(base, i), i), "page %ld lost its content", i);
	}
}

static void fork_use(struct run *r, enum use use)
{
	char *base = map_vmas(r->size);

	use_vmas(base, r->size, use);
	fork_loop(r, base, r->size, use, r->size);
}

static void fork_untouched(struct run *r) { fork_use(r, UNTOUCHED); }
static void fork_zapped(struct run *r) { fork_use(r, ZAPPED); }
static void fork_touched(struct run *r) { fork_use(r, TOUCHED); }

/* Written private mappings of a file */
static void fork_file(struct run *r)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *base = room(2 * r->size * PAGE);

	for (long i = 0; i < r->size; i++)
		need(mmap(vma_at(base, i), PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, i % 16 * PAGE) ==
		     vma_at(base, i), "mmap of a file: %s", strerror(errno));
	use_vmas(base, r->size, TOUCHED);
	fork_loop(r, base, r->size, TOUCHED, r->size);
}

/* All of SIZE VMAs were moved after they were touched. */
static void fork_moved(struct run *r)
{
	char *from = map_vmas(r->size), *to = room(2 * r->size * PAGE);

	use_vmas(from, r->size, TOUCHED);
	for (long i = 0; i < r->size; i++)
		need(mremap(vma_at(from, i), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			    vma_at(to, i)) == vma_at(to, i), "mremap: %s", strerror(errno));
	fork_loop(r, to, r->size, TOUCHED, r->size);
}

/* 1,000 VMAs, in a process whose SIZE - 1 ancestors live and have them too */
static void fork_depth(struct run *r)
{
	char *base = map_vmas(1000);

	use_vmas(base, 1000, TOUCHED);
	for (long d = 1; d < r->size; d++) {
		pid_t pid = fork_checked();

		if (pid) {
			wait_ok(pid);
			if (d > 1)
				_exit(0);
			return;
		}
	}
	fork_loop(r, base, 1000, TOUCHED, 1000);
	if (r->size > 1)
		_exit(0);
}

/* 100 VMAs, with SIZE children alive */
static void fork_alive(struct run *r)
{
	char *base = map_vmas(100), *page = vma_at(base, 7);
	uint64_t tag = 7;
	struct brood b;

	use_vmas(base, 100, TOUCHED);
	spawn(&b, r->size, &page, &tag, 1);
	fork_loop(r, base, 100, TOUCHED, 100);
	reap(&b);
}

/* ---- programs ---- */

/* bench --exec COUNT FD: start again COUNT times, then tell FD it arrived */
int vma_exec_again(int argc, char **argv)
{
	long count = atol(argv[2]);
	char n[24], arrived = 42;

	(void)argc;
	if (!count)
		return write(atoi(argv[3]), &arrived, 1) == 1 ? 0 : 3;
	snprintf(n, sizeof(n), "%ld", count - 1);
	execl("/proc/self/exe", "bench", "--exec", n, argv[3], NULL);
	return 4;
}

static void arrived(int *fd)
{
	char c = 0;

	need(read(fd[0], &c, 1) == 1 && c == 42, "the program did not arrive");
}

/* A program that starts itself 50 times in a row */
static void exec_chain(struct run *r)
{
	int fd[2];
	char n[24];

	need(!pipe(fd), "pipe: %s", strerror(errno));
	snprintf(n, sizeof(n), "%d", fd[1]);
	while (more(r)) {
		pid_t pid;

		begin(r);
		pid = fork_checked();
		if (!pid) {
			execl("/proc/self/exe", "bench", "--exec", "50", n, NULL);
			_exit(5);
		}
		wait_ok(pid);
		end(r, 51);
		arrived(fd);
	}
}

static void start_program(struct run *r, bool spawn_it)
{
	char *base = map_vmas(r->size), n[24];
	char *args[] = { "bench", "--exec", "0", n, NULL };
	int fd[2];

	use_vmas(base, r->size, TOUCHED);
	need(!pipe(fd), "pipe: %s", strerror(errno));
	snprintf(n, sizeof(n), "%d", fd[1]);
	while (more(r)) {
		pid_t pid;

		begin(r);
		for (int i = 0; i < 4; i++) {
			if (spawn_it) {
				need(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, args, environ),
				     "posix_spawn");
			} else {
				pid = fork_checked();
				if (!pid) {
					execv("/proc/self/exe", args);
					_exit(5);
				}
			}
			wait_ok(pid);
		}
		end(r, 4);
		for (int i = 0; i < 4; i++)
			arrived(fd);
	}
}

static void fork_exec(struct run *r) { start_program(r, false); }
static void program_spawn(struct run *r) { start_program(r, true); }

/* A shell script that starts SIZE programs */
static void shell_script(struct run *r)
{
	char script[160], *args[] = { "sh", "-c", script, NULL };

	snprintf(script, sizeof(script),
		 "n=0; while [ $n -lt %ld ]; do /bin/true || exit 1; n=$((n + 1)); done; [ $n = %ld ]",
		 r->size, r->size);
	while (more(r)) {
		pid_t pid;

		begin(r);
		need(!posix_spawn(&pid, "/bin/sh", NULL, NULL, args, environ), "no /bin/sh");
		wait_ok(pid);
		end(r, r->size);
	}
}

/* A process that touched SIZE VMAs itself, and exits */
static void exit_vmas(struct run *r)
{
	char *base = room(2 * r->size * PAGE);

	while (more(r)) {
		int go[2], ready[2];
		pid_t pid;
		char c;

		need(!pipe(go) && !pipe(ready), "pipe: %s", strerror(errno));
		pid = fork_checked();
		if (!pid) {
			for (long i = 0; i < r->size; i++)
				fill(map_at(vma_at(base, i), PAGE), i);
			if (write(ready[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
				_exit(2);
			_exit(!filled(vma_at(base, r->size - 1), r->size - 1));
		}
		need(read(ready[0], &c, 1) == 1, "the child did not start");
		begin(r);
		if (write(go[1], "", 1) != 1)
			die("pipe: %s", strerror(errno));
		wait_ok(pid);
		end(r, r->size);
		close(go[0]), close(go[1]), close(ready[0]), close(ready[1]);
	}
}

/* ---- first touch ---- */

#define TOUCHES 500

static void first_touch(struct run *r, bool file, bool map_too)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	int flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE | (file ? 0 : MAP_ANONYMOUS);
	char *base = room(2 * TOUCHES * PAGE);

	need(fd >= 0, "/proc/self/exe: %s", strerror(errno));
	while (more(r)) {
		if (map_too)
			begin(r);
		for (long i = 0; i < TOUCHES; i++)
			if (mmap(vma_at(base, i), PAGE, PROT_READ | PROT_WRITE, flags,
				 file ? fd : -1, 0) != vma_at(base, i))
				die("mmap: %s", strerror(errno));
		if (!map_too)
			begin(r);
		for (long i = 0; i < TOUCHES; i++)
			*(volatile uint64_t *)vma_at(base, i) = i + 1;
		end(r, TOUCHES);
		for (long i = 0; i < TOUCHES; i++) {
			need(*(uint64_t *)vma_at(base, i) == (uint64_t)i + 1,
			     "page %ld does not hold what was written", i);
			need(!munmap(vma_at(base, i), PAGE), "munmap: %s", strerror(errno));
		}
	}
}

static void touch_anon(struct run *r) { first_touch(r, false, false); }
static void touch_file(struct run *r) { first_touch(r, true, false); }
static void map_touch_anon(struct run *r) { first_touch(r, false, true); }
static void map_touch_file(struct run *r) { first_touch(r, true, true); }

/* The same, and no VMA is new: what all else in the fault costs */
static void touch_again(struct run *r)
{
	char *base = map_vmas(TOUCHES);

	while (more(r)) {
		use_vmas(base, TOUCHES, ZAPPED);
		begin(r);
		for (long i = 0; i < TOUCHES; i++)
			*(volatile uint64_t *)vma_at(base, i) = i + 1;
		end(r, TOUCHES);
		for (long i = 0; i < TOUCHES; i++)
			need(*(uint64_t *)vma_at(base, i) == (uint64_t)i + 1,
			     "page %ld does not hold what was written", i);
	}
}

/* ---- changing VMAs ---- */

static void unmap_vmas(struct run *r, enum use use)
{
	char *base = room(2 * TOUCHES * PAGE);
	unsigned char vec;

	while (more(r)) {
		for (long i = 0; i < TOUCHES; i++)
			map_at(vma_at(base, i), PAGE);
		use_vmas(base, TOUCHES, use);
		begin(r);
		for (long i = 0; i < TOUCHES; i++)
			if (munmap(vma_at(base, i), PAGE))
				die("munmap: %s", strerror(errno));
		end(r, TOUCHES);
		for (long i = 0; i < TOUCHES; i++)
			need(mincore(vma_at(base, i), PAGE, &vec) && errno == ENOMEM,
			     "VMA %ld is still there", i);
	}
}

static void unmap_touched(struct run *r) { unmap_vmas(r, TOUCHED); }
static void unmap_untouched(struct run *r) { unmap_vmas(r, UNTOUCHED); }

/* All SIZE of them at once; what of the last time is freed meanwhile differs, so five */
static void unmap_range(struct run *r)
{
	char *base = room(2 * r->size * PAGE);
	unsigned char vec;

	while (more(r)) {
		uint64_t spent = 0, t;

		for (int n = 0; n < 5; n++) {
			for (long i = 0; i < r->size; i++)
				fill(map_at(vma_at(base, i), PAGE), i);
			t = now();
			if (munmap(base, 2 * r->size * PAGE))
				die("munmap: %s", strerror(errno));
			spent += now() - t;
			for (long i = 0; i < r->size; i++)
				need(mincore(vma_at(base, i), PAGE, &vec) && errno == ENOMEM,
				     "VMA %ld is still there", i);
		}
		keep(r, spent / 5.0 / r->size);
	}
}

static long count_maps(void *from, void *to)
{
	unsigned long start, end;
	char line[512];
	long n = 0;
	FILE *f = fopen("/proc/self/maps", "r");

	need(f, "maps: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2 &&
		    start < (uintptr_t)to && end > (uintptr_t)from)
			n++;
	fclose(f);
	return n;
}

/* Three touched pages: the middle one read-only, which splits, and back */
static void protect_split(struct run *r)
{
	char *p = map_at(room(4 * PAGE), 3 * PAGE);

	for (int i = 0; i < 3; i++)
		fill(p + i * PAGE, i);
	while (more(r)) {
		begin(r);
		for (int i = 0; i < 50; i++)
			if (mprotect(p + PAGE, PAGE, PROT_READ) ||
			    mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE))
				die("mprotect: %s", strerror(errno));
		end(r, 50);
		need(count_maps(p, p + 3 * PAGE) == 1, "not merged again");
		need(!mprotect(p + PAGE, PAGE, PROT_READ) &&
		     count_maps(p, p + 3 * PAGE) == 3, "mprotect does not split");
		need(!mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE), "mprotect");
		for (int i = 0; i < 3; i++)
			need(filled(p + i * PAGE, i), "page %d lost its content", i);
	}
}

/* A touched VMA of SIZE pages moved away and back */
static void move_and_back(struct run *r)
{
	size_t len = r->size * PAGE;
	char *p = map_at(room(len), len), *q = room(len);

	for (long i = 0; i < r->size; i++)
		fill(p + i * PAGE, i);
	while (more(r)) {
		begin(r);
		for (int i = 0; i < 10; i++)
			if (mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, q) != q ||
			    mremap(q, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, p) != p)
				die("mremap: %s", strerror(errno));
		end(r, 10);
		for (long i = 0; i < r->size; i++)
			need(filled(p + i * PAGE, i), "page %ld lost its content", i);
	}
}

/* A child's heap grows by a page at a time, which is touched. */
static void heap_cost(struct run *r)
{
	char *begins = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE), *from;
	pid_t pid;
	int i;

	need(!brk(begins + PAGE), "brk: %s", strerror(errno));
	fill(begins, 1);
	while (more(r)) {
		pid = fork_checked();
		if (pid) {
			wait_ok(pid);
			continue;
		}
		from = sbrk(0);
		begin(r);
		for (i = 0; i < 100; i++) {
			char *p = sbrk(PAGE);

			if (p == (void *)-1)
				die("brk: %s", strerror(errno));
			*(volatile uint64_t *)p = i + 1;
		}
		end(r, 100);
		for (i = 0; i < 100; i++)
			need(*(uint64_t *)(from + i * PAGE) == (uint64_t)i + 1,
			     "page %d of the heap does not hold what was written", i);
		need(filled(begins, 1), "the heap lost its content");
		_exit(0);
	}
}

/*
 * VMAs of the heap after SIZE generations, each a child of the one before, that
 * grew it by a page
 */
static void heap_vmas(struct run *r)
{
	char *begins = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);

	need(!brk(begins + PAGE), "brk: %s", strerror(errno));
	fill(begins, 0);
	while (more(r)) {
		pid_t pid = fork_checked();

		if (pid) {
			wait_ok(pid);
			continue;
		}
		for (long g = 1; g <= r->size; g++) {
			need(sbrk(PAGE) != (void *)-1, "brk: %s", strerror(errno));
			fill(begins + g * PAGE, g);
			pid = g < r->size ? fork_checked() : 0;
			if (pid) {
				wait_ok(pid);
				_exit(0);
			}
		}
		for (long g = 0; g <= r->size; g++)
			need(filled(begins + g * PAGE, g), "page %ld of the heap lost its content", g);
		keep(r, count_maps(begins, begins + r->size * PAGE + 1));
		_exit(0);
	}
}

/* ---- one VMA of SIZE KB, touched whole ---- */

enum part { FORK, EXIT, MOVE };

static void one_vma(struct run *r, enum part part)
{
	size_t len = r->size * 1024;
	size_t have = sysconf(_SC_PHYS_PAGES) * PAGE;
	char *p = map_at(room(len), len), *q = room(len), c;

	/* The VMA, page tables of two processes, and the rest of the guest */
	if (have < len + len / 64 + (256UL << 20))
		skip(r, "the guest has not enough memory");
	for (size_t i = 0; i < len; i += PAGE)
		*(volatile uint64_t *)(p + i) = i + 1;
	while (more(r)) {
		int go[2];
		pid_t pid;

		if (part == MOVE) {
			char *t = p;

			begin(r);
			if (mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, q) != q)
				die("mremap: %s", strerror(errno));
			end(r, 1);
			p = q;
			q = t;
		} else {
			need(!pipe(go), "pipe: %s", strerror(errno));
			if (part == FORK)
				begin(r);
			pid = fork_checked();
			if (!pid) {
				if (read(go[0], &c, 1) != 1)
					_exit(2);
				_exit(*(uint64_t *)(p + len - PAGE) != len - PAGE + 1);
			}
			if (part == FORK)
				end(r, 1);
			else
				begin(r);
			if (write(go[1], "", 1) != 1)
				die("pipe: %s", strerror(errno));
			wait_ok(pid);
			if (part == EXIT)
				end(r, 1);
			close(go[0]), close(go[1]);
		}
		for (size_t i = 0; i < len; i += PAGE)
			need(*(uint64_t *)(p + i) == i + 1, "page %zu lost its content", i / PAGE);
	}
}

static void one_fork(struct run *r) { one_vma(r, FORK); }
static void one_exit(struct run *r) { one_vma(r, EXIT); }
static void one_move(struct run *r) { one_vma(r, MOVE); }

static const long none[] = { 0, 0 };
static const long vmas[] = { 10, 100, 1000, 10000, 60000, 0 };
static const long some[] = { 10, 100, 1000, 10000, 0 };
static const long thousand[] = { 1000, 0 }, flat[] = { 1000, 60000, 0 };
static const long depths[] = { 1, 2, 4, 8, 0 }, deep[] = { 1, 8, 0 };
static const long alive[] = { 1, 10, 100, 500, 0 }, alive_small[] = { 100, 0 };
static const long prog[] = { 1, 100, 1000, 0 }, prog_small[] = { 100, 0 };
static const long moves[] = { 1, 16, 256, 4096, 0 }, moves_small[] = { 16, 0 };
static const long scripts[] = { 2000, 0 }, scripts_small[] = { 100, 0 };
static const long gens[] = { 2, 4, 8, 0 }, gens_small[] = { 8, 0 };
static const long kb[] = { 4, 64, 1024, 16384, 262144, 1048576, 4194304, 0 }, kb_small[] = { 1024, 0 };

#define I "instructions"
const struct bench_case vma_cases[] = {
	{ "fork.untouched", fork_untouched, I, vmas, thousand },
	{ "fork.zapped", fork_zapped, I, vmas, thousand },
	{ "fork.touched", fork_touched, I, vmas, flat },
	{ "fork.file", fork_file, I, vmas, thousand },
	{ "fork.moved", fork_moved, I, vmas, thousand },
	{ "root.fork.touched", fork_touched, I, thousand, thousand },
	{ "fork.depth", fork_depth, I, depths, deep },
	{ "fork.alive", fork_alive, I, alive, alive_small },
	{ "fork-exec", fork_exec, I, prog, prog_small },
	{ "posix-spawn", program_spawn, I, prog, prog_small },
	{ "exec", exec_chain, I, none, none },
	{ "shell-script", shell_script, I, scripts, scripts_small },
	{ "exit", exit_vmas, I, some, thousand },
	{ "touch.anon", touch_anon, I, none, none },
	{ "root.touch.anon", touch_anon, I, none, none },
	{ "touch.file", touch_file, I, none, none },
	{ "touch.again", touch_again, I, none, none },
	{ "map-touch.anon", map_touch_anon, I, none, none },
	{ "map-touch.file", map_touch_file, I, none, none },
	{ "munmap.touched", unmap_touched, I, none, none },
	{ "root.munmap.touched", unmap_touched, I, none, none },
	{ "munmap.untouched", unmap_untouched, I, none, none },
	{ "munmap.range", unmap_range, I, some, thousand },
	{ "mprotect.split-merge", protect_split, I, none, none },
	{ "mremap.and-back", move_and_back, I, moves, moves_small },
	{ "brk", heap_cost, I, none, none },
	{ "brk.vmas", heap_vmas, "VMAs", gens, gens_small },
	{ "one-vma.fork", one_fork, I, kb, kb_small },
	{ "one-vma.exit", one_exit, I, kb, kb_small },
	{ "one-vma.move", one_move, I, kb, kb_small },
	{ }
};

