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
void model_test_off(void);
extern u64 model_seed;
extern unsigned long model_walks, model_visits;

int op_parse(const char *line, struct op *op);	/* 1, 0 for nothing, -1 */
void op_print(FILE *f, const struct op *op);
void op_clamp(struct op *op);			/* Any bytes: make it an operation */

#endif /* UNIT_MODEL_H */
