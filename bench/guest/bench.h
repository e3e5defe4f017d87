/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_H
#define BENCH_H
/*
 * A case is a function that prepares something of r->size, and then measures
 * an operation again and again:
 *
 *	while (more(r)) {
 *		...				not measured
 *		begin(r);
 *		...				the operation, n times
 *		end(r, n);
 *		...				its effect is checked: need(...)
 *	}
 *
 * The first rounds are warm-up and not kept. Each case runs in a program of its
 * own, started by exec, so that it has no ancestors and inherits no mappings, and
 * in a memory cgroup, as everything on a machine with systemd: the kernel charges
 * VMAs, anon_vmas and their links there, which costs something. A case whose name
 * begins with "root." is the same in the root cgroup, where nothing is charged.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PAGE	4096UL
#define MAX_RUNS 64

struct run {
	long size;
	int warmup, runs;	/* wanted */
	int done;		/* rounds begun */
	int kept;
	double ops;		/* done in rounds that are kept, if the case counts them */
	uint64_t t0;
	double value[MAX_RUNS];
	double beside[MAX_RUNS];	/* what the other side did meanwhile */
};

struct bench_case {
	const char *name;
	void (*fn)(struct run *r);
	const char *unit;
	const long *sizes, *small;	/* 0-terminated; 0 alone: no size */
	const char *other;	/* name for what keep_both() keeps of the other side */
};

extern const struct bench_case vma_cases[], walk_cases[], cpu_cases[], app_cases[];

bool apps_there(void);		/* the compiler is in this guest */

/* bench --exec COUNT ...: a program that starts itself again, see vma.c */
int vma_exec_again(int argc, char **argv);

/* Ends the case: it failed, and this is why. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* The program's own conditions, and the effect of what was measured */
#define need(cond, ...) do { if (!(cond)) die(__VA_ARGS__); } while (0)

uint64_t now(void);		/* instructions with --icount, else nanoseconds */
uint64_t cpu_time(pid_t pid);	/* what a process or kernel thread has run for */
bool more(struct run *r);
void begin(struct run *r);
void end(struct run *r, double per);
void swap_on(void);		/* zram, where nothing else is */
void keep(struct run *r, double value);	/* a value that is not a time */
void skip(struct run *r, const char *why) __attribute__((noreturn));	/* no result */
void keep_both(struct run *r, double value, double beside);

/* Lock statistics, see locks.c */
void locks_start(void);
void locks_stop(void);
void locks_report(const char *name, double ops);

/* Memory: a range where nothing is mapped, aligned to 2 MB, a hole after it */
char *room(size_t len);
char *map_at(char *addr, size_t len);
char *map_vmas(long nr);	/* nr VMAs of one page, a hole between them */
char *vma_at(char *base, long i);
void fill(char *page, uint64_t tag);
bool filled(const char *page, uint64_t tag);

/* Processes */
pid_t fork_checked(void);
void wait_ok(pid_t pid);

/*
 * Children that live until reap(): they then look at the pages named here, whose
 * content at the fork they must still see, and exit.
 */
struct brood {
	int nr, alive[2], go[2];
	pid_t *pid;
};
void spawn(struct brood *b, int nr, char **page, const uint64_t *tag, int nr_pages);
void reap(struct brood *b);
void pin(int cpu);

/* Where memory cgroups are; the cases that need one of their own make it there. */
#define CGROUPS "/sys/fs/cgroup"

/* Files */
void write_file(const char *path, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
long read_long(const char *path);
#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"
uint64_t pagemap(const void *addr);
#define PM_PRESENT	(1ULL << 63)
#define PM_SWAP		(1ULL << 62)
#define PM_PFN		((1ULL << 55) - 1)
uint64_t pfn_of(const void *addr);
uint64_t kpageflags(uint64_t pfn);
uint64_t kpagecount(uint64_t pfn);	/* by how many entries it is mapped */

#endif
