/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small model of the code that calls mm/anon_vma_lazy.c, and the oracle: what
 * the page tables of the model say is what a walk must find.
 */
#ifndef UNIT_MODEL_H
#define UNIT_MODEL_H

#include "shim.h"

#define NR_MMS		8
#define NR_PAGES	64	/* Of an address space, */
#define FIRST_PAGE	128	/* which starts here: room for a delta below */

/*
 * One operation.  What makes no sense in the state it meets does nothing, so
 * that any sequence of bytes is a program.
 */
#define NR_ARGS	4
struct op {
	u8 code;
	u8 fail;		/* Number of the allocation to refuse, or 0 */
	u8 arg[NR_ARGS];
};

/*
 * One letter for each argument: p process, a page, l number of pages, f flags
 * of a mapping, o order, k small number, s seed of a schedule.
 */
struct op_type {
	const char *name;
	const char *args;
	void (*run)(const u8 *arg);
	const char *help;
	int weight;		/* In random sequences */
};
extern const struct op_type op_types[];
extern const int nr_op_types;

extern bool model_full;		/* Check all after each step */
extern bool model_trace;

void model_init(void);
void model_run(const struct op *op);
void model_check(void);
void model_end(void);		/* Exit all; nothing may be left */
void model_random_op(struct op *op);
u32 model_random(u32 below);
void model_test_early_end(void);
void model_test_bounded(void);
void model_test_off(void);
extern u64 model_seed;
extern unsigned long model_walks, model_visits;

int op_parse(const char *line, struct op *op);	/* 1, 0 for nothing, -1 */
void op_print(FILE *f, const struct op *op);
void op_clamp(struct op *op);			/* Any bytes: make it an operation */

/* ---- between model.c, oracle.c and program.c -------------------------------- */
#define NR_MIGRATIONS	4
#define VMA_END		((void *)1)	/* XA_ZERO_ENTRY of a failed fork */

struct proc {
	struct task_struct task;
	struct mm_struct *mm;
	bool failed;		/* A child whose fork failed: it can only exit */
};

extern struct proc procs[NR_MMS];
extern struct list_head folios;
extern struct kmem_cache *vma_cache, *mm_cache;
extern unsigned long mm_ids;
extern long model_reuses_before;
extern bool model_points;	/* Check inside of this operation */
extern const char *const expected[];

static inline unsigned long addr_of(unsigned int page)
{
	return (page + FIRST_PAGE + 0ul) << PAGE_SHIFT;
}

static inline unsigned int page_of(unsigned long addr)
{
	return (addr >> PAGE_SHIFT) - FIRST_PAGE;
}

static inline pte_t *pte_of(struct mm_struct *mm, unsigned long addr)
{
	check(page_of(addr) < NR_PAGES, "address %lx", addr);
	return &mm->pt[page_of(addr)];
}

static inline struct mm_struct *mm_of(unsigned int p)
{
	return procs[p].failed ? NULL : procs[p].mm;
}

struct anon_vma *folio_anon_vma(struct folio *folio);
void folio_set_anon_vma(struct folio *folio, struct anon_vma *anon_vma);
struct folio *folio_new(struct vm_area_struct *vma, unsigned long addr,
			unsigned int nr_pages);
struct folio *folio_new_part(struct folio *folio, unsigned int idx);
void folio_put(struct folio *folio);
void pte_set(struct mm_struct *mm, unsigned long addr, pte_t pte);
void pte_change(struct mm_struct *mm, unsigned long addr, enum pte_kind kind, bool excl);
void pte_clear(struct mm_struct *mm, unsigned long addr);
bool pte_exclusive(pte_t pte);

struct walk {
	int found, visits;
	bool dup;		/* VMAs may be found twice */
	bool background;	/* Entries change meanwhile */
	enum pte_kind from, to;	/* Change entries, if to is set */
};


int walk_folio(struct folio *folio, struct walk *w, bool locked);
bool walk_contended(struct folio *folio);
void walk_locked(struct folio *folio, struct rmap_walk_control *rwc);
void *own_lock(struct folio *folio, struct rmap_walk_control *rwc);
void check_folios(bool dup);
void check_structures(void);
long counter(const char *name);

void background_begin(struct folio *folio, u8 seed);
void step(void);
void __point(bool dup);
#define point()		__point(false)
#define point_dup()	__point(true)

struct vm_area_struct *vma_at(struct mm_struct *mm, unsigned long addr);
struct vm_area_struct *vma_find(struct mm_struct *mm, unsigned long addr);
struct mm_struct *mm_alloc(const struct mm_struct *parent);
void mm_free(struct mm_struct *mm);
void op_exec(const u8 *arg);
void op_exit(const u8 *arg);
void op_fork(const u8 *arg);
void op_finish(const u8 *arg);

#endif /* UNIT_MODEL_H */
