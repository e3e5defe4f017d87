// SPDX-License-Identifier: GPL-2.0-only
/*
 * soak [-s SECONDS] [-r SEED] [-a SECONDS BETWEEN AUDITS]
 *
 * Everything that walks or changes anonymous reverse mappings, at once, for as
 * long as wanted: trees of processes that fork, exec, map, write, move, split,
 * protect and throw away memory; huge pages, KSM, compaction, migration between
 * nodes, swap on zram under memory pressure, memory failure, kill -9.
 *
 * Every page has a tag, all of its words follow from it, and each process knows
 * the tag of each of its pages.  A page that is lost, swapped for another or
 * torn is found by whoever looks at it next.  From time to time the kernel
 * audits all anonymous folios; at the end everything it counted must be as it
 * was before.  A mechanism that did nothing during the run fails it as well.
 *
 * Runs as root, alone, in a guest with a memory cgroup, zram and two nodes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define WORDS		(PAGE / sizeof(uint64_t))
#define MAX_PROCS	20
#define MAX_DEPTH	7
#define ROOTS		4
#define MAX_REGIONS	14
#define MAX_PAGES	640
#define FILE_PAGES	256
#define LEDGER		(1 << 16)
#define LOST_PAGES	8000	/* of each kind, that the guest can do without */
#define SHARED_FD	200
#define FILE_FD		201
#define CGROUP		"/sys/fs/cgroup/soak"
#define MM		"/sys/kernel/mm/"
#define AUDIT		"/sys/kernel/debug/anon_vma_lazy/audit"
#define KSM_SLEEP	"100"
#define KSM_PAGES	"400"
#define SWITCH		"/proc/sys/vm/anon_vma_lazy"

#define COUNTERS							\
	C(ops) C(forks) C(execs) C(kills) C(checked_pages) C(moves)	\
	C(part_moves) C(dontunmaps) C(splits) C(poisoned)		\
	C(poison_failed) C(bus_errors) C(bus_after_failed_poison)	\
	C(soft_offlined) C(migrations) C(compactions) C(reclaims)	\
	C(huge_splits) C(stack_pages) C(heap_pages) C(mode_flips)	\
	C(audits) C(audits_repeated)
enum {
#define C(name) n_##name,
	COUNTERS
#undef C
	NR_COUNTERS
};
static const char *const counter_names[] = {
#define C(name) #name,
	COUNTERS
#undef C
};

/* Shared by all, over exec as well */
struct shared {
	volatile int stop;
	volatile int failed;
	volatile int pause;	/* those who act from outside */
	int pausing;		/* how many of them do */
	char error[512];
	uint64_t seed;
	uint64_t next_tag;
	uint64_t counters[NR_COUNTERS];
	struct {
		volatile pid_t pid;	/* 0: free, negative: its parent forks */
		volatile unsigned long addr, len;	/* of one region */
	} procs[MAX_PROCS];
	uint64_t ledger[LEDGER];	/* tags of poisoned pages, a hash table */
};

static struct shared *sh;

static void count(int which, uint64_t nr)
{
	__atomic_add_fetch(&sh->counters[which], nr, __ATOMIC_RELAXED);
}

/* The first one to fail says why; all processes end with status 1. */
static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *fmt, ...)
{
	int none = 0;
	va_list ap;

	if (__atomic_compare_exchange_n(&sh->failed, &none, 1, false,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
		int len = snprintf(sh->error, sizeof(sh->error), "[%d] ", getpid());

		va_start(ap, fmt);
		vsnprintf(sh->error + len, sizeof(sh->error) - len, fmt, ap);
		va_end(ap);
		__atomic_store_n(&sh->failed, 2, __ATOMIC_SEQ_CST);
	}
	sh->stop = 1;
	_exit(1);
}

static uint64_t rng;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9;
	x ^= x >> 27;
	x *= 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t rnd(uint64_t below)
{
	rng += 0x9e3779b97f4a7c15;
	return mix(rng) % below;
}

static int put(const char *path, const char *fmt, ...)
{
	char buf[128];
	va_list ap;
	int fd, len, ret = 0;

	va_start(ap, fmt);
	len = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -1;
	if (write(fd, buf, len) != len)
		ret = -1;
	close(fd);
	return ret;
}

static ssize_t get(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t got, all = 0;

	if (fd < 0)
		return -1;
	while (all < (ssize_t)size - 1 &&
	       (got = read(fd, buf + all, size - 1 - all)) > 0)
		all += got;
	close(fd);
	buf[all] = '\0';
	return all;
}

/* The number behind @name in a file of "name number" lines, or -1 */
static long field(const char *path, const char *name)
{
	static char buf[1 << 16];
	size_t len = strlen(name);
	char *p;

	if (get(path, buf, sizeof(buf)) < 0)
		return -1;
	for (p = buf; p; p = strchr(p, '\n')) {
		if (*p == '\n')
			p++;
		if (!strncmp(p, name, len) && strchr(": \t", p[len]))
			return strtol(p + len + 1, NULL, 10);
	}
	return -1;
}

static long number(const char *path)
{
	char buf[64];

	return get(path, buf, sizeof(buf)) > 0 ? strtol(buf, NULL, 10) : -1;
}

/*
 * Pages and regions.
 */
struct region {
	char *addr;
	unsigned int nr;	/* pages; 0: unused */
	int file;		/* page of the file that the first one maps, or -1 */
	bool small;		/* never part of a large folio: may be poisoned */
	bool wipe;		/* the child starts with zeros */
	uint64_t tag[MAX_PAGES];
};

static struct region regions[MAX_REGIONS];
static int my_slot = -1, my_depth;
static __thread sigjmp_buf bus_jmp;
static __thread volatile sig_atomic_t bus_armed;

#define FILE_TAG(page)	(0xf11e000000000000 + (page))
#define COMMON_TAG(nr)	(0xc000000000000000 + (nr))	/* for KSM */

static uint64_t word(uint64_t tag, unsigned int i)
{
	uint64_t x = tag * 0x9e3779b97f4a7c15 + i * 0xd6e8feb86659fd93;

	return tag ? x ^ x >> 32 : 0;
}

static uint64_t base_tag(const struct region *r, unsigned int page)
{
	return r->file < 0 ? 0 : FILE_TAG(r->file + page);
}

static void fill_page(char *addr, uint64_t tag)
{
	volatile uint64_t *p = (uint64_t *)addr;
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		p[i] = word(tag, i);
}

static void check_page(const char *addr, uint64_t tag)
{
	const volatile uint64_t *p = (const uint64_t *)addr;
	unsigned int i;

	for (i = 0; i < WORDS; i++) {
		uint64_t is = p[i];

		if (is != word(tag, i))
			fail("lost page: word %u at %p is %lx, want %lx of tag %lx; first words %lx %lx",
			     i, addr, is, word(tag, i), tag, p[0], p[1]);
	}
}

static void ledger_add(uint64_t tag)
{
	unsigned int i = mix(tag) % LEDGER;

	for (;;) {
		uint64_t none = 0;

		if (__atomic_compare_exchange_n(&sh->ledger[i], &none, tag, false,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) ||
		    none == tag)
			return;
		i = (i + 1) % LEDGER;
	}
}

static bool ledger_has(uint64_t tag)
{
	unsigned int i = mix(tag) % LEDGER;

	for (; sh->ledger[i]; i = (i + 1) % LEDGER)
		if (sh->ledger[i] == tag)
			return true;
	return false;
}

static void bus_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	/* "Action optional": the page is gone, nobody was using it. */
	if (info->si_code == BUS_MCEERR_AO)
		return;
	if (!bus_armed)
		fail("SIGBUS, code %d, at %p, outside of any page of ours",
		     info->si_code, info->si_addr);
	bus_armed = 0;
	siglongjmp(bus_jmp, 1);
}

/*
 * A page of ours is gone: it was poisoned, by a relative or by ourselves.  A
 * poisoning that failed leaves a page that is marked and still mapped; who
 * gets it later cannot be said.
 */
static void bus_page(struct region *r, unsigned int page)
{
	count(n_bus_errors, 1);
	if (!ledger_has(r->tag[page])) {
		if (!sh->counters[n_poison_failed])
			fail("SIGBUS at %p, tag %lx, which nobody poisoned",
			     r->addr + page * PAGE, r->tag[page]);
		count(n_bus_after_failed_poison, 1);
	}
	/* op_lock() checks what is locked. */
	if (madvise(r->addr + page * PAGE, PAGE, MADV_DONTNEED_LOCKED))
		fail("MADV_DONTNEED_LOCKED of a poisoned page: %s", strerror(errno));
	r->tag[page] = base_tag(r, page);
}

static void check_region(struct region *r, unsigned int first, unsigned int nr)
{
	volatile unsigned int i = first;

	if (sigsetjmp(bus_jmp, 0)) {
		bus_page(r, i);
		i++;
	}
	bus_armed = 1;
	for (; i < first + nr; i++)
		check_page(r->addr + i * PAGE, r->tag[i]);
	bus_armed = 0;
	count(n_checked_pages, nr);
}

static void write_region(struct region *r, unsigned int first, unsigned int nr)
{
	volatile unsigned int i = first;

	if (sigsetjmp(bus_jmp, 0))
		bus_page(r, i);		/* and once more */
	bus_armed = 1;
	for (; i < first + nr; i++) {
		uint64_t tag;

		if (rnd(3) == 0)
			tag = COMMON_TAG(rnd(4) + 1);
		else
			tag = __atomic_add_fetch(&sh->next_tag, 1, __ATOMIC_RELAXED);
		/* What is there is right, before it is replaced */
		check_page(r->addr + i * PAGE, r->tag[i]);
		fill_page(r->addr + i * PAGE, tag);
		r->tag[i] = tag;
	}
	bus_armed = 0;
}

static struct region *free_region(void)
{
	int i;

	for (i = 0; i < MAX_REGIONS; i++)
		if (!regions[i].nr)
			return &regions[i];
	return NULL;
}

static struct region *any_region(void)
{
	int i, start = rnd(MAX_REGIONS);

	for (i = 0; i < MAX_REGIONS; i++)
		if (regions[(start + i) % MAX_REGIONS].nr)
			return &regions[(start + i) % MAX_REGIONS];
	return NULL;
}

/* Address space for @nr pages, in a place or at an alignment of its own */
static char *reserve(unsigned int nr, bool huge)
{
	size_t len = nr * PAGE + HUGE;
	char *at = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);
	char *use;

	if (at == MAP_FAILED)
		fail("mmap of %zu bytes: %s", len, strerror(errno));
	if (huge)
		use = (char *)(((uintptr_t)at + HUGE - 1) & ~(HUGE - 1));
	else
		use = at + rnd(HUGE / PAGE) * PAGE;
	if (use > at)
		munmap(at, use - at);
	if (use + nr * PAGE < at + len)
		munmap(use + nr * PAGE, at + len - use - nr * PAGE);
	return use;
}

static void op_map(void)
{
	struct region *r = free_region();
	unsigned int i;
	int kind = rnd(4);

	if (!r)
		return;
	r->file = -1;
	r->small = r->wipe = false;
	r->nr = kind == 0 ? HUGE / PAGE + rnd(64) : 1 + rnd(96);
	if (kind == 1) {
		r->nr = 1 + rnd(64);
		r->file = rnd(FILE_PAGES - r->nr);
	}
	r->addr = reserve(r->nr, kind == 0);
	if (mmap(r->addr, r->nr * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_FIXED | (kind == 1 ? 0 : MAP_ANONYMOUS),
		 kind == 1 ? FILE_FD : -1, kind == 1 ? r->file * PAGE : 0) == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	for (i = 0; i < r->nr; i++)
		r->tag[i] = base_tag(r, i);
	if (kind == 2) {
		r->small = true;
		madvise(r->addr, r->nr * PAGE, MADV_NOHUGEPAGE);
	}
	if (rnd(2))
		madvise(r->addr, r->nr * PAGE, MADV_MERGEABLE);
	write_region(r, 0, rnd(4) ? r->nr : 1);
}

/* @first to @first + @nr - 1 of @r leave it; what follows becomes a region */
static bool cut(struct region *r, unsigned int first, unsigned int nr)
{
	unsigned int rest = r->nr - first - nr;
	struct region *s = NULL;

	if (first && rest) {
		s = free_region();
		if (!s)
			return false;
	} else if (rest) {
		s = r;
	}
	if (s) {
		s->addr = r->addr + (first + nr) * PAGE;
		s->file = r->file < 0 ? -1 : r->file + (int)(first + nr);
		s->small = r->small;
		s->wipe = r->wipe;
		memmove(s->tag, r->tag + first + nr, rest * sizeof(r->tag[0]));
		s->nr = rest;
	}
	if (s != r)
		r->nr = first;
	return true;
}

static void pick(const struct region *r, unsigned int *first, unsigned int *nr)
{
	*first = rnd(r->nr);
	*nr = 1 + rnd(r->nr - *first);
}

static void op_unmap(struct region *r)
{
	unsigned int first = 0, nr = r->nr;
	char *at;

	if (rnd(2))
		pick(r, &first, &nr);
	at = r->addr + first * PAGE;
	if (!cut(r, first, nr))
		return;
	if (munmap(at, nr * PAGE))
		fail("munmap: %s", strerror(errno));
}

/* A new mapping in the middle of an old one */
static void op_map_over(struct region *r)
{
	unsigned int first, nr, i;

	pick(r, &first, &nr);
	if (r->file >= 0)
		return;
	if (mmap(r->addr + first * PAGE, nr * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("mmap over a mapping: %s", strerror(errno));
	/* It may be merged by KSM or be huge now, but not be wiped at fork. */
	if (r->wipe)
		madvise(r->addr + first * PAGE, nr * PAGE, MADV_WIPEONFORK);
	if (r->small)
		madvise(r->addr + first * PAGE, nr * PAGE, MADV_NOHUGEPAGE);
	for (i = first; i < first + nr; i++)
		r->tag[i] = 0;
	write_region(r, first, nr);
}

/* In parts where there is more than one mapping, down to single pages */
static void move(char *from, char *to, unsigned int nr, int flags)
{
	if (mremap(from, nr * PAGE, nr * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | flags,
		   to) == to)
		return;
	if (errno == EFAULT && nr > 1) {
		move(from, to, nr / 2, flags);
		move(from + nr / 2 * PAGE, to + nr / 2 * PAGE, nr - nr / 2, flags);
		return;
	}
	fail("mremap of %u pages from %p to %p, flags %d: %s", nr, from, to, flags,
	     strerror(errno));
}

static void op_move(struct region *r)
{
	char *from = r->addr, *to = reserve(r->nr, r->nr >= HUGE / PAGE && rnd(2));

	count(n_moves, 1);
	move(from, to, r->nr, 0);
	r->addr = to;
	if (rnd(3) == 0) {
		write_region(r, 0, 1 + rnd(r->nr));
		move(to, from, r->nr, 0);
		r->addr = from;
	}
}

static void op_move_part(struct region *r)
{
	struct region *s = free_region();
	unsigned int first, nr;
	char *to;

	pick(r, &first, &nr);
	if (!s || nr == r->nr)
		return;
	to = reserve(nr, false);
	s->nr = nr;
	s->addr = to;
	s->file = r->file < 0 ? -1 : r->file + (int)first;
	s->small = r->small;
	s->wipe = r->wipe;
	memcpy(s->tag, r->tag + first, nr * sizeof(r->tag[0]));
	move(r->addr + first * PAGE, to, nr, 0);
	if (!cut(r, first, nr)) {
		/* No room to describe two halves: it goes back */
		move(to, r->addr + first * PAGE, nr, 0);
		s->nr = 0;
		return;
	}
	count(n_part_moves, 1);
}

/* The pages move, the mapping stays */
static void op_dontunmap(struct region *r)
{
	struct region *s = free_region();
	unsigned int i;
	char *to;

	if (!s)
		return;
	to = reserve(r->nr, false);
	move(r->addr, to, r->nr, MREMAP_DONTUNMAP);
	*s = *r;
	s->addr = to;
	for (i = 0; i < r->nr; i++)
		r->tag[i] = base_tag(r, i);
	count(n_dontunmaps, 1);
	if (rnd(2))
		write_region(r, 0, 1 + rnd(r->nr));
}

static void op_grow(struct region *r)
{
	unsigned int nr = r->nr + 1 + rnd(32), i;
	char *to;

	if (nr > MAX_PAGES || r->file >= 0)
		return;
	to = mremap(r->addr, r->nr * PAGE, nr * PAGE, MREMAP_MAYMOVE);
	if (to == MAP_FAILED) {
		/* EFAULT: MADV_WIPEONFORK and the like split its mapping */
		if (errno == EFAULT)
			return;
		fail("mremap from %u to %u pages: %s", r->nr, nr, strerror(errno));
	}
	r->addr = to;
	for (i = r->nr; i < nr; i++)
		r->tag[i] = 0;
	i = r->nr;
	r->nr = nr;
	write_region(r, i, nr - i);
}

static void op_protect(struct region *r)
{
	unsigned int first, nr;
	char *at;

	pick(r, &first, &nr);
	at = r->addr + first * PAGE;
	count(n_splits, 1);
	if (mprotect(at, nr * PAGE, PROT_READ))
		fail("mprotect: %s", strerror(errno));
	check_region(r, first, nr);
	if (rnd(2))
		madvise(at, nr * PAGE, MADV_PAGEOUT);
	if (mprotect(at, nr * PAGE, PROT_READ | PROT_WRITE))
		fail("mprotect: %s", strerror(errno));
}

static void op_advise(struct region *r)
{
	static const int advices[] = {
		MADV_PAGEOUT, MADV_COLD, MADV_COLLAPSE, MADV_MERGEABLE,
		MADV_UNMERGEABLE, MADV_WILLNEED, MADV_DONTNEED, MADV_HUGEPAGE,
		MADV_SOFT_OFFLINE, MADV_WIPEONFORK, MADV_KEEPONFORK,
	};
	int advice = advices[rnd(sizeof(advices) / sizeof(advices[0]))];
	unsigned int first, pages, i;
	volatile unsigned int nr;
	char *volatile at;
	int ret;

	pick(r, &first, &pages);
	nr = pages;
	at = r->addr + first * PAGE;
	switch (advice) {
	case MADV_HUGEPAGE:
	case MADV_COLLAPSE:
		if (r->small)
			return;
		break;
	case MADV_SOFT_OFFLINE:
		if (sh->counters[n_soft_offlined] > LOST_PAGES)
			return;
		nr = 1;
		break;
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		if (r->file >= 0)
			return;
		at = r->addr;
		nr = r->nr;
		break;
	}
	/* Some of these touch pages */
	if (sigsetjmp(bus_jmp, 0))
		return;
	bus_armed = 1;
	ret = madvise(at, nr * PAGE, advice);
	bus_armed = 0;
	switch (advice) {
	case MADV_DONTNEED:
		if (ret)
			fail("MADV_DONTNEED: %s", strerror(errno));
		for (i = first; i < first + nr; i++)
			r->tag[i] = base_tag(r, i);
		break;
	case MADV_SOFT_OFFLINE:
		count(n_soft_offlined, !ret);
		break;
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		if (ret)
			fail("MADV_WIPEONFORK: %s", strerror(errno));
		r->wipe = advice == MADV_WIPEONFORK;
		break;
	}
}

/* Memory failure of a small page, which relatives may map as well */
static void op_poison(struct region *r)
{
	unsigned int page = rnd(r->nr);
	uint64_t tag = r->tag[page];

	if (!r->small || tag == base_tag(r, page) || tag >= COMMON_TAG(0))
		return;
	/* The ledger is a table of fixed size, the guest's memory as well. */
	if (sh->counters[n_poisoned] + sh->counters[n_poison_failed] > LOST_PAGES)
		return;
	ledger_add(tag);
	if (sigsetjmp(bus_jmp, 0) == 0) {
		bus_armed = 1;
		if (madvise(r->addr + page * PAGE, PAGE, MADV_HWPOISON))
			count(n_poison_failed, 1);
		else
			count(n_poisoned, 1);
		bus_armed = 0;
	}
	check_region(r, page, 1);
}

static void op_lock(struct region *r)
{
	unsigned int first, nr;

	pick(r, &first, &nr);
	if (sigsetjmp(bus_jmp, 0) == 0) {
		bus_armed = 1;
		mlock(r->addr + first * PAGE, nr * PAGE);
		bus_armed = 0;
	}
	check_region(r, first, nr);
	munlock(r->addr + first * PAGE, nr * PAGE);
}

/* The stack grows, and is given back */
static void __attribute__((noinline)) op_stack(int depth)
{
	char page[PAGE] __attribute__((aligned(64)));
	uint64_t tag = COMMON_TAG(100 + depth);

	fill_page(page, tag);
	if (depth)
		op_stack(depth - 1);
	check_page(page, tag);
	count(n_stack_pages, 1);
}

static void op_heap(void)
{
	unsigned int nr = 1 + rnd(16), i;
	char *at = sbrk(nr * PAGE);

	if (at == (void *)-1)
		fail("sbrk: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		fill_page(at + i * PAGE, COMMON_TAG(i));
	for (i = 0; i < nr; i++)
		check_page(at + i * PAGE, COMMON_TAG(i));
	if (sbrk(-(long)(nr * PAGE)) == (void *)-1)
		fail("sbrk back: %s", strerror(errno));
	count(n_heap_pages, nr);
}

/*
 * A thread that faults all the time in memory of its own, while its process
 * forks and changes its mappings.  Children drop that memory.
 */
#define THREAD_PAGES 24
static char *thread_mem;
static volatile int thread_stop;
static pthread_t thread;

static void *touch_on(void *arg)
{
	unsigned int round = 0, i;

	(void)arg;
	while (!thread_stop && !sh->stop) {
		uint64_t tag = COMMON_TAG(1000 + round++ % 8);

		for (i = 0; i < THREAD_PAGES; i++)
			fill_page(thread_mem + i * PAGE, tag);
		for (i = 0; i < THREAD_PAGES; i++)
			check_page(thread_mem + i * PAGE, tag);
		madvise(thread_mem, THREAD_PAGES * PAGE,
			round % 2 ? MADV_DONTNEED : MADV_PAGEOUT);
	}
	return NULL;
}

static void start_thread(void)
{
	pthread_attr_t attr;

	thread_mem = mmap(NULL, THREAD_PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (thread_mem == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
	thread_stop = 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	errno = pthread_create(&thread, &attr, touch_on, NULL);
	if (errno)
		fail("pthread_create: %s", strerror(errno));
}

/*
 * Processes.
 */
static void reaped(pid_t pid, int status)
{
	int i;

	for (i = 0; i < MAX_PROCS; i++)
		/* Also one it was about to fork when it was killed */
		if (sh->procs[i].pid == pid || sh->procs[i].pid == -pid)
			sh->procs[i].pid = 0;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return;
	if (!sh->failed)
		fail("process %d ended with status %x", pid, status);
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		reaped(pid, status);
}

static int take_slot(void)
{
	int i;

	for (i = 0; i < MAX_PROCS; i++) {
		pid_t none = 0;

		if (__atomic_compare_exchange_n(&sh->procs[i].pid, &none, -getpid(),
						false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return i;
	}
	return -1;
}

static void __attribute__((noreturn)) live(void);

/* Returns in the parent only */
static pid_t spawn(void)
{
	int slot = take_slot(), i, j;
	pid_t pid;

	if (slot < 0)
		return 0;
	sh->procs[slot].len = 0;
	pid = fork();
	if (pid < 0) {
		sh->procs[slot].pid = 0;
		fail("fork: %s", strerror(errno));
	}
	if (pid) {
		sh->procs[slot].pid = pid;
		return pid;
	}
	sh->procs[slot].pid = getpid();
	my_slot = slot;
	my_depth++;
	rng = mix(rng + getpid());
	if (thread_mem && munmap(thread_mem, THREAD_PAGES * PAGE))
		fail("munmap: %s", strerror(errno));
	thread_mem = NULL;
	for (i = 0; i < MAX_REGIONS; i++)
		for (j = 0; regions[i].wipe && j < (int)regions[i].nr; j++)
			regions[i].tag[j] = 0;
	live();
}

static void op_fork(void)
{
	if (my_depth >= MAX_DEPTH)
		return;
	if (spawn() > 0)
		count(n_forks, 1);
}

/* A fresh program in place of this one; it may get the other mode */
static void op_exec(void)
{
	char slot[16], depth[16], seed[32];
	sigset_t bus;

	if (thread_mem)
		return;
	/* A signal that is on its way waits for the handler to come */
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	sigprocmask(SIG_BLOCK, &bus, NULL);
	snprintf(slot, sizeof(slot), "%d", my_slot);
	snprintf(depth, sizeof(depth), "%d", my_depth);
	snprintf(seed, sizeof(seed), "%lu", (unsigned long)rnd(1UL << 62));
	count(n_execs, 1);
	execl("/proc/self/exe", "soak", "--live", slot, depth, seed, NULL);
	fail("exec: %s", strerror(errno));
}

static void check_all(void)
{
	int i;

	for (i = 0; i < MAX_REGIONS; i++)
		if (regions[i].nr)
			check_region(&regions[i], 0, regions[i].nr);
}

static void live(void)
{
	unsigned int ops = 30 + rnd(my_depth > 1 ? 300 : 2000);
	/* mremap() unmerges KSM pages first, and a signal ends that */
	struct sigaction sa = {
		.sa_sigaction = bus_handler,
		.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART,
	};
	sigset_t bus;

	sigaction(SIGBUS, &sa, NULL);
	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	sigprocmask(SIG_UNBLOCK, &bus, NULL);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET,
	      rnd(2) ? PR_MCE_KILL_EARLY : PR_MCE_KILL_LATE, 0, 0);
	while (ops-- && !sh->stop) {
		struct region *r = any_region();
		int op = rnd(100);

		count(n_ops, 1);
		reap();
		if (!r || op < 8)
			op_map();
		else if (op < 18)
			op_fork();
		else if (op < 24)
			op_move(r);
		else if (op < 32)
			op_move_part(r);
		else if (op < 36)
			op_dontunmap(r);
		else if (op < 40)
			op_grow(r);
		else if (op < 46)
			op_unmap(r);
		else if (op < 50)
			op_map_over(r);
		else if (op < 57)
			op_protect(r);
		else if (op < 72)
			op_advise(r);
		else if (op < 74)
			op_poison(r);
		else if (op < 75)
			op_lock(r);
		else if (op < 77)
			op_stack(rnd(40));
		else if (op < 79)
			op_heap();
		else if (op < 80 && rnd(3) == 0)
			op_exec();
		else if (op < 82 && !thread_mem)
			start_thread();
		else if (op < 90)
			write_region(r, 0, 1 + rnd(r->nr));
		else
			check_region(r, 0, r->nr);
		r = any_region();
		if (r) {
			sh->procs[my_slot].len = r->nr * PAGE;
			sh->procs[my_slot].addr = (unsigned long)r->addr;
		}
	}
	if (thread_mem) {
		thread_stop = 1;
		pthread_join(thread, NULL);
	}
	check_all();
	reap();
	_exit(0);
}

/*
 * What happens to the processes from outside: one process for each.
 */
/*
 * For a time, and until the processes have done a number of operations: on a
 * slow machine they would be killed before they have done the first.
 */
static bool rest(unsigned int ms, unsigned int ops)
{
	uint64_t until = sh->counters[n_ops] + ops;

	while (!sh->stop && !sh->pause && (ms || sh->counters[n_ops] < until)) {
		unsigned int part = ms && ms < 200 ? ms : 200;

		usleep(part * 1000);
		ms = ms > part ? ms - part : 0;
	}
	if (sh->pause) {
		__atomic_add_fetch(&sh->pausing, 1, __ATOMIC_SEQ_CST);
		while (sh->pause && !sh->stop)
			usleep(50000);
		__atomic_sub_fetch(&sh->pausing, 1, __ATOMIC_SEQ_CST);
	}
	return !sh->stop;
}

static pid_t any_proc(int *slot)
{
	int i, start = rnd(MAX_PROCS);

	for (i = 0; i < MAX_PROCS; i++) {
		*slot = (start + i) % MAX_PROCS;
		if (sh->procs[*slot].pid > 0)
			return sh->procs[*slot].pid;
	}
	return 0;
}

static void killer(void)
{
	int slot, fd;
	pid_t pid;

	while (rest(100 + rnd(400), 40 + rnd(100))) {
		pid = any_proc(&slot);
		if (!pid)
			continue;
		fd = syscall(SYS_pidfd_open, pid, 0);
		/* Still the one that the table names? */
		if (fd >= 0 && sh->procs[slot].pid == pid &&
		    !syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0))
			count(n_kills, 1);
		if (fd >= 0)
			close(fd);
	}
}

static void migrator(void)
{
	unsigned long from, to;
	int slot, turn = 0;
	pid_t pid;

	while (rest(100 + rnd(300), 10)) {
		pid = any_proc(&slot);
		if (!pid)
			continue;
		from = 1UL << (turn & 1);
		to = 1UL << (~turn & 1);
		turn++;
		if (syscall(SYS_migrate_pages, pid, 64UL, &from, &to) >= 0)
			count(n_migrations, 1);
	}
}

static void compactor(void)
{
	while (rest(2000 + rnd(2000), 300))
		if (!put("/proc/sys/vm/compact_memory", "1"))
			count(n_compactions, 1);
}

static void reclaimer(void)
{
	while (rest(200 + rnd(600), 20)) {
		put(CGROUP "/memory.reclaim", "%dM", 1 + (int)rnd(6));
		count(n_reclaims, 1);
	}
}

/* Looks at processes as tools do, splits their huge pages */
static void looker(void)
{
	static char buf[1 << 16];
	char path[64];
	int slot;
	pid_t pid;

	while (rest(200 + rnd(500), 10)) {
		pid = any_proc(&slot);
		if (!pid)
			continue;
		switch (rnd(4)) {
		case 0:
			snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
			put(path, "1");
			break;
		case 1:
			snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
			get(path, buf, sizeof(buf));
			break;
		default:
			if (!put("/sys/kernel/debug/split_huge_pages",
				 "%d,0x%lx,0x%lx", pid, sh->procs[slot].addr,
				 sh->procs[slot].addr + sh->procs[slot].len))
				count(n_huge_splits, 1);
		}
	}
}

/* Programs that start while it is off are regular, beside lazy ones. */
static void switcher(void)
{
	while (access(SWITCH, F_OK))
		if (!rest(1000, 0))
			return;
	while (rest(3000 + rnd(3000), 100)) {
		put(SWITCH, "0");
		if (!rest(1000 + rnd(1000), 50))
			break;
		put(SWITCH, "1");
		count(n_mode_flips, 1);
	}
	put(SWITCH, "1");
}

#define NR_OUTSIDE (sizeof(outside) / sizeof(outside[0]))
static void (*const outside[])(void) = {
	killer, migrator, compactor, reclaimer, looker, switcher,
};

/*
 * The run.
 */
static const char *const slabs[] = {
	"anon_vma", "anon_vma_chain", "anon_vma_mm_link", "vm_area_struct",
	"mm_struct",
};
#define NR_SLABS (sizeof(slabs) / sizeof(slabs[0]))
static const char *const kept[] = { "mms", "anon_vmas", "links", "displaced" };
#define NR_KEPT (sizeof(kept) / sizeof(kept[0]))

struct figures {
	long slab[NR_SLABS], kept[NR_KEPT], anon_kb;
};

static void take(struct figures *f)
{
	char path[128];
	size_t i;

	for (i = 0; i < NR_SLABS; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", slabs[i]);
		put(path, "1");
	}
	/* What RCU still holds comes back, and is dropped as well */
	sleep(1);
	for (i = 0; i < NR_SLABS; i++) {
		snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", slabs[i]);
		put(path, "1");
		f->slab[i] = field("/proc/slabinfo", slabs[i]);
	}
	for (i = 0; i < NR_KEPT; i++) {
		snprintf(path, sizeof(path), MM "anon_vma_lazy/%s", kept[i]);
		f->kept[i] = number(path);
	}
	f->anon_kb = field("/proc/meminfo", "AnonPages");
}

static int differs(const struct figures *was, const struct figures *is)
{
	int bad = 0;
	size_t i;

	for (i = 0; i < NR_SLABS; i++) {
		/* A CPU's own slab counts whole: at most one for each CPU */
		bool wrong = is->slab[i] > was->slab[i] + 40;

		printf("%s: slab %s: %ld before, %ld after\n",
		       wrong ? "LEAK" : "back", slabs[i], was->slab[i], is->slab[i]);
		bad += wrong;
	}
	for (i = 0; i < NR_KEPT; i++) {
		bool wrong = is->kept[i] != was->kept[i];

		printf("%s: counter %s: %ld before, %ld after\n",
		       wrong ? "LEAK" : "back", kept[i], was->kept[i], is->kept[i]);
		bad += wrong;
	}
	printf("%s: AnonPages: %ld kB before, %ld kB after\n",
	       is->anon_kb > was->anon_kb + 1024 ? "LEAK" : "back", was->anon_kb,
	       is->anon_kb);
	bad += is->anon_kb > was->anon_kb + 1024;
	return bad;
}

/*
 * khugepaged and ksmd run at the lowest priority: beside this many processes
 * they would stand still in the middle of an RCU read section for minutes.
 */
static void raise_daemons(void)
{
	static const char *const names[] = { "khugepaged", "ksmd", "kcompactd0", "kcompactd1" };
	char path[64], comm[64];
	size_t i;
	int pid;

	for (pid = 2; pid < 300; pid++) {
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		if (get(path, comm, sizeof(comm)) <= 0)
			continue;
		comm[strcspn(comm, "\n")] = '\0';
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (!strcmp(comm, names[i]))
				setpriority(PRIO_PROCESS, pid, -5);
	}
}

static void set_up(void)
{
	unsigned int i;
	int fd;

	/* zram as the only swap */
	if (put("/sys/block/zram0/disksize", "512M") || system("mkswap /dev/zram0 >/dev/null") ||
	    swapon("/dev/zram0", 0))
		fail("no swap on zram: %s", strerror(errno));
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) || put(CGROUP "/memory.high", "128M"))
		fail("no memory cgroup at %s: %s", CGROUP, strerror(errno));
	put("/proc/sys/vm/swappiness", "100");
	put(MM "transparent_hugepage/enabled", "always");
	put(MM "transparent_hugepage/defrag", "always");
	/* A write to a read huge zero page would make small pages of it */
	put(MM "transparent_hugepage/use_zero_page", "0");
	put(MM "transparent_hugepage/hugepages-64kB/enabled", "always");
	put(MM "transparent_hugepage/khugepaged/scan_sleep_millisecs", "200");
	put(MM "transparent_hugepage/khugepaged/alloc_sleep_millisecs", "200");
	put(MM "ksm/sleep_millisecs", KSM_SLEEP);
	put(MM "ksm/pages_to_scan", KSM_PAGES);
	put(MM "ksm/run", "1");
	put("/proc/sys/kernel/numa_balancing", "1");
	/* On a loaded machine the guest's time runs while it does not. */
	put("/proc/sys/kernel/hung_task_timeout_secs", "600");
	raise_daemons();

	fd = memfd_create("soak", 0);
	if (fd < 0 || ftruncate(fd, FILE_PAGES * PAGE) || dup2(fd, FILE_FD) < 0)
		fail("memfd: %s", strerror(errno));
	close(fd);
	for (i = 0; i < FILE_PAGES; i++) {
		char page[PAGE];

		fill_page(page, FILE_TAG(i));
		if (pwrite(FILE_FD, page, PAGE, i * PAGE) != (ssize_t)PAGE)
			fail("memfd: %s", strerror(errno));
	}
}

static bool audit_wanted;

static char audit_said[8192] = "there is none";

static const char *audit(void)
{
	char *buf = audit_said;
	long folios, mismatches, structures;

	if (access(AUDIT, F_OK))
		return audit_wanted ? "there is none" : NULL;
	if (put(AUDIT, "1") || get(AUDIT, buf, sizeof(audit_said)) <= 0 ||
	    sscanf(buf, "folios=%ld mismatches=%ld structures=%ld", &folios,
		   &mismatches, &structures) != 3)
		return "no answer";
	count(n_audits, 1);
	return mismatches || structures || !folios ? buf : NULL;
}

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/*
 * The child of a process that had merged pages and is gone has no reverse mapping
 * of them, on any kernel, until ksmd has come by: let it see everybody.
 */
static void ksm_settle(void)
{
	long scans = number(MM "ksm/full_scans");
	int i;

	put(MM "ksm/pages_to_scan", "5000");
	put(MM "ksm/sleep_millisecs", "1");
	for (i = 0; number(MM "ksm/full_scans") < scans + 3; i++) {
		if (i == 3000)
			fail("ksmd did not come by within 5 minutes");
		usleep(100000);
	}
	put(MM "ksm/run", "0");
	put(MM "ksm/pages_to_scan", KSM_PAGES);
	put(MM "ksm/sleep_millisecs", KSM_SLEEP);
}

/* While all is running; what does not fit is looked at again, all standing. */
static void audit_busy(void)
{
	time_t begin = now();
	const char *found = audit();
	int i;

	printf("audit of the running system, %ld s: %.*s\n", now() - begin,
	       (int)strcspn(audit_said, "\n"), audit_said);
	fflush(stdout);
	if (!found)
		return;
	printf("%s\nonce more, with all processes stopped\n", found);
	count(n_audits_repeated, 1);
	put(MM "transparent_hugepage/enabled", "never");
	put(CGROUP "/cgroup.freeze", "1");
	sh->pause = 1;
	for (i = 0; sh->pausing < (int)NR_OUTSIDE ||
		    field(CGROUP "/cgroup.events", "frozen") != 1; i++) {
		if (i == 1200)
			fail("the processes did not stop within 2 minutes");
		usleep(100000);
	}
	ksm_settle();
	found = audit();
	if (found)
		fail("audit: %s", found);
	printf("%.*s\n", (int)strcspn(audit_said, "\n"), audit_said);
	sh->pause = 0;
	put(CGROUP "/cgroup.freeze", "0");
	put(MM "transparent_hugepage/enabled", "always");
	put(MM "ksm/run", "1");
}

static long vmstat(const char *name)
{
	return field("/proc/vmstat", name);
}

static const char *const watched[] = {
	"pswpout", "pswpin", "pgmigrate_success", "compact_success",
	"thp_fault_alloc", "thp_collapse_alloc", "thp_split_page",
	"numa_pages_migrated", "ksm_swpin_copy",
};
#define NR_WATCHED (sizeof(watched) / sizeof(watched[0]))
/* What must have happened, or the run says nothing */
static const char *const wanted_vmstat[] = {
	"pswpout", "pswpin", "pgmigrate_success", "thp_fault_alloc", "thp_split_page",
};
static const int wanted[] = {
	n_forks, n_execs, n_kills, n_moves, n_part_moves, n_dontunmaps, n_splits,
	n_poisoned, n_bus_errors, n_migrations, n_compactions, n_reclaims,
	n_stack_pages, n_heap_pages,
};

static long ksm_most;

static void report(long seconds)
{
	long sharing = number(MM "ksm/pages_sharing");
	size_t i;

	if (sharing > ksm_most)
		ksm_most = sharing;
	printf("%5ld s:", seconds);
	for (i = 0; i < NR_COUNTERS; i++)
		printf(" %s=%lu", counter_names[i], sh->counters[i]);
	for (i = 0; i < NR_WATCHED; i++)
		printf(" %s=%ld", watched[i], vmstat(watched[i]));
	printf(" ksm_sharing=%ld lazy=%ld swap_used_kb=%ld\n", sharing,
	       number(MM "anon_vma_lazy/mms"),
	       field("/proc/meminfo", "SwapTotal") - field("/proc/meminfo", "SwapFree"));
	fflush(stdout);
}

/* All processes end; nothing else may be left to wait for. */
static void drain(void)
{
	time_t begin = now();

	while (now() - begin < 900) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0)
			reaped(pid, status);
		else if (pid < 0)
			return;
		else
			usleep(50000);
	}
	fail("processes do not end, 15 minutes after they were told to");
}

static void __attribute__((noreturn)) supervise(long seconds, long interval)
{
	struct figures before, after;
	pid_t out[NR_OUTSIDE];
	time_t begin = now(), next_report = 60, next_audit = interval, moved = 0;
	uint64_t ops = 0;
	const char *found;
	size_t i;
	int bad;

	/* So that what the first process of a kind costs is in the figures */
	if (system("true"))
		fail("no shell");
	found = audit();
	if (found)
		fail("audit before the run: %s", found);
	take(&before);
	printf("the run begins\n");
	fflush(stdout);

	for (i = 0; i < NR_OUTSIDE; i++) {
		out[i] = fork();
		if (out[i] < 0)
			fail("fork: %s", strerror(errno));
		if (!out[i]) {
			rng = mix(rng + i);
			outside[i]();
			_exit(0);
		}
	}
	while (!sh->stop && now() - begin < seconds) {
		time_t t = now() - begin;
		int alive = 0;

		reap();
		for (i = 0; i < MAX_PROCS; i++)
			alive += sh->procs[i].pid != 0;
		if (alive < ROOTS) {
			pid_t pid = fork();

			if (!pid) {
				rng = mix(rng + getpid());
				if (put(CGROUP "/cgroup.procs", "0"))
					fail("cgroup: %s", strerror(errno));
				spawn();
				_exit(0);
			}
		}
		if (sh->counters[n_ops] != ops) {
			ops = sh->counters[n_ops];
			moved = t;
		}
		if (t - moved > 300)
			fail("no process has done anything for 5 minutes");
		if (t >= next_audit) {
			audit_busy();
			next_audit = now() - begin + interval;
		}
		if (t >= next_report) {
			report(t);
			next_report = t + 60;
		}
		usleep(200000);
	}
	report(now() - begin);
	sh->stop = 1;
	for (i = 0; i < NR_OUTSIDE; i++)
		waitpid(out[i], NULL, 0);
	drain();
	if (sh->failed)
		goto failed;

	printf("all processes have ended, %ld s after the beginning\n", now() - begin);
	bad = 0;
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (!sh->counters[wanted[i]]) {
			printf("IDLE: %s=0\n", counter_names[wanted[i]]);
			bad++;
		}
	for (i = 0; i < sizeof(wanted_vmstat) / sizeof(wanted_vmstat[0]); i++)
		if (vmstat(wanted_vmstat[i]) <= 0) {
			printf("IDLE: %s\n", wanted_vmstat[i]);
			bad++;
		}
	if (!ksm_most) {
		printf("IDLE: KSM merged nothing\n");
		bad++;
	}

	put(MM "ksm/run", "2");
	put(MM "ksm/run", "0");
	put("/proc/sys/vm/drop_caches", "3");
	if (swapoff("/dev/zram0"))
		fail("swapoff: %s", strerror(errno));
	rmdir(CGROUP);
	sleep(2);
	found = audit();
	if (found)
		fail("audit after the run: %s", found);
	take(&after);
	bad += differs(&before, &after);
	if (bad) {
		printf("soak: FAILED, %d of the above\n", bad);
		exit(1);
	}
	printf("soak: passed, %ld s, %lu operations, %lu pages checked, %lu audits\n",
	       now() - begin, sh->counters[n_ops], sh->counters[n_checked_pages],
	       sh->counters[n_audits]);
	exit(0);
failed:
	printf("soak: FAILED after %ld s: %s\n", now() - begin, sh->error);
	exit(1);
}

static void map_shared(void)
{
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);
	if (sh == MAP_FAILED) {
		perror("shared memory");
		exit(1);
	}
}

int main(int argc, char **argv)
{
	long seconds = 900, interval = 60, seed = time(NULL);
	int opt, fd, status;
	pid_t pid;

	if (argc == 5 && !strcmp(argv[1], "--live")) {
		map_shared();
		my_slot = atoi(argv[2]);
		my_depth = atoi(argv[3]);
		rng = strtoul(argv[4], NULL, 10);
		live();
	}
	while ((opt = getopt(argc, argv, "s:r:a:A")) != -1) {
		switch (opt) {
		case 's':
			seconds = atol(optarg);
			break;
		case 'r':
			seed = atol(optarg);
			break;
		case 'a':
			interval = atol(optarg);
			break;
		case 'A':
			audit_wanted = true;
			break;
		default:
			fprintf(stderr, "usage: soak [-s SECONDS] [-r SEED] [-a SECONDS] [-A]\n"
				"  -A: a kernel without audit is a failure\n");
			return 2;
		}
	}
	fd = memfd_create("soak-shared", 0);
	if (fd < 0 || ftruncate(fd, sizeof(*sh)) || dup2(fd, SHARED_FD) < 0) {
		perror("memfd");
		return 1;
	}
	close(fd);
	map_shared();
	sh->seed = rng = seed;
	printf("soak: %ld s, seed %ld, an audit every %ld s\n", seconds, seed, interval);
	fflush(stdout);

	/* Whoever fails, this process is left to say so. */
	pid = fork();
	if (!pid) {
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		set_up();
		supervise(seconds, interval);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (sh->failed)
		printf("soak: FAILED: %s\n", sh->error);
	printf("soak: status %x\n", status);
	return 1;
}
