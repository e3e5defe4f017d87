/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef RMAP_UTIL_H
#define RMAP_UTIL_H
/*
 * Helpers of the anonymous reverse mapping tests.
 *
 * A test makes memory of some kind in which every page holds a pattern, lets a
 * tree of processes map it, does one thing to it, and then has the kernel walk
 * the reverse mapping: by migrating the pages, by swapping them out, by
 * poisoning them.  The helpers that do so check the effect in every process
 * that is named as a mapper: where its page table entry points to now, how
 * often the page is mapped in all, and the content.  A walk that misses a
 * mapping makes one of them differ.
 *
 * Functions return 0, or -1 after storing a sentence in ru_error().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#ifndef RU_NO_HARNESS
#include "kselftest_harness.h"

/* An emulated debug kernel needs more than the harness's 30 seconds. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300
#endif

/* Also where a PMD maps more: arm64 has it as a block of contiguous entries. */
#define RU_HUGE		(2UL << 20)
#define RU_MAP_HUGE	(MAP_HUGETLB | 21 << MAP_HUGE_SHIFT)

enum ru_kind {
	RU_ANON,	/* small anonymous pages */
	RU_PFILE,	/* private mapping of a file of a plain file system */
	RU_SHMEM,	/* private mapping of a memfd */
	RU_ZERO,	/* /dev/zero, private, with an offset that fits nothing */
	RU_HUGETLB,	/* private hugetlb, 2M */
	RU_THP,		/* PMD-sized folios: 2M, or 32M with pages of 16K */
	RU_MTHP,	/* 64K folios, 2M with larger pages: what arm64 can map
			 * with a block of contiguous entries
			 */
};

/* Memory made by ru_map(), its pages numbered from 0 */
struct ru_mem {
	enum ru_kind kind;
	char *addr;
	size_t len;
	size_t unit;		/* size of its folios */
	size_t nr;		/* pages */
	size_t unit_nr;		/* pages of a folio */
	unsigned int seed;	/* of the pattern */
};

/* A process, and where it maps the first of the pages in question */
struct ru_view {
	int proc;
	char *addr;
};

#define RU_VIEWS(...)						\
	(const struct ru_view[]){ __VA_ARGS__ },		\
	(int)(sizeof((const struct ru_view[]){ __VA_ARGS__ }) /	\
	      sizeof(struct ru_view))

/* Fail the test unless the helper succeeded, and say what the helper said */
#define RU_OK(call)						\
	do {							\
		ASSERT_EQ(0, call)				\
			TH_LOG("%s", ru_error());		\
	} while (0)
/* For the answers of -1: no, 0: yes; end the test as skipped */
#define RU_NEED(call)						\
	do {							\
		if (call)					\
			SKIP(return, "%s", ru_error());		\
	} while (0)

extern size_t ru_page;		/* page size */
extern size_t ru_pmd;		/* what a PMD maps */
extern unsigned int ru_seed;	/* RU_SEED of the environment, or the time */

const char *ru_error(void);
int ru_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
unsigned int ru_random(void);
bool ru_full(void);		/* RU_FULL=1: the long form of a test */
/* Another round of a race?  At least 3, for 3 seconds, or 30 in the long form */
bool ru_race(int round);
int ru_read_long(const char *path, long *value);
int ru_write_str(const char *path, const char *str);
int ru_cgroup_flush(const char *dir);
/* Returns what was there in @old, to be restored */
int ru_switch(const char *path, const char *value, char *old, size_t size);

/* Setup and teardown of every fixture */
/* Says in the kernel log which test comes */
void ru_start(const char *fixture, const char *test);
#define RU_START() ru_start(_metadata->fixture->name, _metadata->name)
void ru_stop(void);

/*
 * Processes: 0 is the test itself, the others are slots.  ru_fork() lets a
 * process fork a child that waits for work; ru_call() runs a function in a
 * process and returns its result.  A process that dies unasked is an error.
 */
typedef long (*ru_fn)(long a, long b, long c, long d);

int ru_fork(int parent);	/* Returns the slot, or -1 */
int ru_try_fork(int parent);	/* The same, also where fork is to fail */
long ru_call(int proc, ru_fn fn, long a, long b, long c, long d);
pid_t ru_pid(int proc);
int ru_exit(int proc);		/* Ends with status 0, or it is an error */
int ru_kill(int proc);		/* SIGKILL */
int ru_wait_status(pid_t pid, int expected_exit);

/* Memory */
int ru_kind_ready(enum ru_kind kind);
int ru_map(struct ru_mem *m, enum ru_kind kind, size_t units);	/* not written */
int ru_make(struct ru_mem *m, enum ru_kind kind, size_t units);	/* written */
char *ru_at(const struct ru_mem *m, size_t page);
void *ru_reserve(size_t len, size_t align);	/* PROT_NONE, guards around */
size_t ru_nodes(int nodes[2]);
int ru_numa_ready(void);

/* Content; all of them may be run in another process */
uint64_t ru_word(unsigned int seed, size_t page, size_t offset);
void ru_fill(char *addr, unsigned int seed, size_t first, size_t nr);
int ru_check(const char *addr, unsigned int seed, size_t first, size_t nr);
int ru_check_zero(const char *addr, size_t nr);
int ru_check_file(const char *addr, size_t first, size_t nr);
int ru_fill_in(int proc, char *addr, unsigned int seed, size_t first, size_t nr);
int ru_check_in(int proc, char *addr, unsigned int seed, size_t first, size_t nr);
int ru_check_zero_in(int proc, char *addr, size_t nr);
int ru_munmap_in(int proc, void *addr, size_t len);
int ru_mprotect_in(int proc, void *addr, size_t len, int prot);
int ru_madvise_in(int proc, void *addr, size_t len, int advice);
int ru_mremap_in(int proc, void *addr, size_t old, size_t new, int flags,
		 void *to);

/* Page tables as root sees them */
#define RU_PM_PRESENT	(1ULL << 63)
#define RU_PM_SWAP	(1ULL << 62)
#define RU_PM_EXCLUSIVE	(1ULL << 56)
#define RU_PM_PFN	((1ULL << 55) - 1)
uint64_t ru_pagemap(int proc, const void *addr);
uint64_t ru_pfn(int proc, const void *addr);	/* 0: not present */
uint64_t ru_kpagecount(uint64_t pfn);
uint64_t ru_kpageflags(uint64_t pfn);
#define RU_KPF_LRU		5
#define RU_KPF_COMPOUND_HEAD	15
#define RU_KPF_COMPOUND_TAIL	16
#define RU_KPF_HWPOISON		19
#define RU_KPF_KSM		21
#define RU_KPF_THP		22
#define RU_KPF_IDLE		25
int ru_is_thp(int proc, const void *addr);

/*
 * Walks.  @views name every process that maps the pages @first to
 * @first + @nr - 1 of @m, and nobody else may.
 */
/* The entries agree, and nobody else maps the pages. */
int ru_mapped(const struct ru_mem *m, size_t first, size_t nr,
	      const struct ru_view *views, int nr_views);
/* Migrate to the other node, started from the first view */
int ru_migrate(const struct ru_mem *m, size_t first, size_t nr,
	       const struct ru_view *views, int nr_views);
/* Reclaim to swap; gone from all */
int ru_swap_out(const struct ru_mem *m, size_t first, size_t nr,
		const struct ru_view *views, int nr_views);
/* Content in all of them */
int ru_check_views(const struct ru_mem *m, size_t first, size_t nr,
		   const struct ru_view *views, int nr_views);
int ru_swap_ready(void);	/* a swap device is on, and a memory cgroup */
void ru_swap_stop(void);

/* Migrate back and forth, whatever the result, until the process is killed. */
long ru_migrate_loop(long addr, long nr, long pid, long stride);
int ru_background(int proc, ru_fn fn, long a, long b, long c, long d);

/* Memory failure: the signal a process got */
struct ru_bus {
	int count;
	int code;
	void *addr;
};
struct ru_bus *ru_bus(int proc);
#define RU_BUS	(-7)	/* of ru_touch() */
long ru_touch(long addr, long write, long c, long d);
long ru_poison(long addr, long advice, long c, long d);

/* ANON_VMA_LAZY itself */
bool ru_lazy(void);		/* this process is lazy */
long ru_rmap_field(pid_t pid, const char *field);	/* -1: none */
int ru_no_audit(void);		/* -1: it has one */
int ru_audit(void);		/* 0 also where the kernel has none */
/* With up to @most merged pages that the kernel may miss, lazy processes or not */
int ru_audit_but(long most);

/*
 * What anonymous rmap takes in the whole system: objects in its slabs, which are
 * shrunk before, and the counters of lazy processes.  Others start and end
 * programs there, so figures are compared only if they are of times at which
 * the same programs ran in the same modes: a regular process has other objects
 * than a lazy one.  Some looks are taken and the lowest figures count, because a
 * slab that a CPU works on counts whole.
 */
enum ru_count {
	RU_ANON_VMA, RU_AVC, RU_LINK, RU_MM, RU_MMS, RU_ANON_VMAS, RU_LINKS,
	RU_DISPLACED, RU_NR_COUNTS
};

struct ru_counts {
	long nr[RU_NR_COUNTS];		/* 0 where the kernel has none */
	long size[RU_MMS];		/* of an object of a slab, in bytes */
	unsigned long who;		/* a hash of the programs that ran */
};
int ru_count(struct ru_counts *c);
int ru_count_back(const struct ru_counts *before);	/* waits for a while */
bool ru_slow(void);		/* a debug kernel: smaller figures */

/* Last in every program: the audit of the debug kernel */
#define RU_AUDIT						\
	FIXTURE(audit) {};					\
	FIXTURE_SETUP(audit) {}					\
	FIXTURE_TEARDOWN(audit) {}				\
	TEST_F(audit, clean)					\
	{							\
		RU_NEED(ru_no_audit());				\
		RU_OK(ru_audit());				\
	}

/* Variants over the kinds of memory */
#define RU_KIND_FIXTURE(name)					\
	FIXTURE(name) { struct ru_mem m; };			\
	FIXTURE_VARIANT(name) { enum ru_kind kind; };		\
	FIXTURE_SETUP(name)					\
	{							\
		RU_START();					\
		RU_NEED(ru_kind_ready(variant->kind));		\
	}							\
	FIXTURE_TEARDOWN(name) { ru_stop(); }
#define RU_KIND(name, variant, k)				\
	FIXTURE_VARIANT_ADD(name, variant) { .kind = k }
#define RU_SMALL_KINDS(name)					\
	RU_KIND(name, anon, RU_ANON);				\
	RU_KIND(name, private_file, RU_PFILE);			\
	RU_KIND(name, shmem, RU_SHMEM);				\
	RU_KIND(name, dev_zero, RU_ZERO)
#define RU_ALL_KINDS(name)					\
	RU_SMALL_KINDS(name);					\
	RU_KIND(name, hugetlb, RU_HUGETLB);			\
	RU_KIND(name, thp, RU_THP);				\
	RU_KIND(name, mthp, RU_MTHP)

#endif /* RMAP_UTIL_H */
