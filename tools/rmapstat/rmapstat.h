/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rmapstat - what anonymous reverse mapping costs on this machine, and what
 * ANON_VMA_LAZY would save, or on a kernel that has it, does save.
 *
 * Two sources, never mixed up in the output:
 *
 *  counted    /proc/slabinfo (root) and, on a patched kernel, the counters of
 *             /sys/kernel/mm/anon_vma_lazy and /proc/PID/anon_rmap (kernel.c)
 *  estimated  a model over the VMAs of each readable process (procs.c)
 */
#ifndef RMAPSTAT_H
#define RMAPSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUMMARY_MSEC		1200	/* after that a summary extrapolates */
#define MM_GROWTH		128	/* of mm_struct on a patched kernel */
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* A VMA with anonymous pages; the others are only counted. */
struct vma {
	uint64_t start, end, off;
	uint64_t file;			/* device and inode, 0: anonymous */
	char *name;			/* kept for the process of `pid` only */
	unsigned int chain;		/* AVCs on its chain */
	bool own;			/* not sharing its neighbour's anon_vma */
	bool fixed;			/* file, heap, stack, .bss: as old as exec */
	char perms[5];
};

/* What is known of a process in numbers, and in sum of all; see field_table. */
enum field {
	F_PID, F_PPID, F_GENERATION,	/* not summed */
	F_VMAS, F_ANON,
	F_ANON_VMAS, F_CHAINS,		/* regular mode: model */
	F_LAZY_ANON_VMAS, F_LAZY_LINKS, F_LAZY_DISPLACED,	/* lazy: model */
	F_REAL_ANON_VMAS, F_REAL_LINKS, F_REAL_DISPLACED,	/* lazy: kernel */
	F_REGULAR, F_LAZY, F_SAVES,	/* bytes */
	NR_FIELDS
};

enum state { P_NEW, P_READ, P_DENIED, P_GONE, P_NOMM };

struct proc {
	int64_t f[NR_FIELDS];
	unsigned int flags;		/* of the task, PF_* */
	enum state state;
	bool candidate, modelled;
	bool orphan;			/* its parent at fork is gone */
	bool lazy;			/* mode */
	char comm[64];
	uint64_t stack_end;		/* differs for every exec'd image */
	unsigned int nr_vmas;		/* of those kept in vma[] */
	struct vma *vma;		/* by address */
};

struct slab {
	const char *name;
	uint64_t size;			/* of 6.12 on x86_64 until read */
	bool known;
	uint64_t active, bytes;
	uint64_t at_most;		/* merged: active objects of all caches */
	char why[256];			/* not known: the reason */
};

enum { ANON_VMA, CHAIN, LINK, NR_SLABS };
enum { C_MMS, C_ANON_VMAS, C_LINKS, C_DISPLACED, C_REUSES, NR_COUNTERS };

enum method { M_AUTO, M_PAGEMAP, M_SMAPS };

/* kernel.c */
extern const char *proc_dir, *sys_dir;
extern struct slab slabs[NR_SLABS];
extern const char *const counter_name[NR_COUNTERS];
extern uint64_t counter[NR_COUNTERS];
extern bool counters_known, patched;
extern long switch_value;		/* vm.anon_vma_lazy, -1: not readable */
extern char release[80], machine[80];

void read_kernel(void);
void read_slabs(void);
void read_anon_rmap(struct proc *p);
int64_t bytes_of(int64_t anon_vmas, int64_t chains, int64_t links, int64_t mms);
char *slurp(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *next_line(char **p);
bool number(const char *s, uint64_t *val);
void *grow(void *p, size_t n, size_t size);
void die(int code, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 2, 3)));

/* procs.c */
extern enum method method;
extern struct proc *procs;
extern size_t nr_procs;

/* What was found; the tallies are scaled if not all processes were read. */
extern struct sum {
	uint64_t visited, candidates, read, denied, vanished;
	double scale;
	struct tally {
		int64_t processes, f[NR_FIELDS];
	} regular, lazy;
	bool partial;			/* lower bound */
	bool counted;			/* `now` is from the slabs alone */
	int64_t now, need;		/* bytes of the regular processes */
	int64_t real;			/* bytes of the lazy ones */
} sum;

long msec_now(void);
void choose_method(void);
void read_procs(void);
struct proc *find_proc(int64_t pid);
bool model(struct proc *p, bool names, long deadline);
void scan(uint64_t most, long deadline);
void totals(void);

#endif
