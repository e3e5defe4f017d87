// SPDX-License-Identifier: GPL-2.0-only
/* Programs of operations: read, print, make up, run. */
#include <stdarg.h>

#include "model.h"

bool model_full, model_trace;
long model_reuses_before;
static unsigned long steps;

/* ---- programs ------------------------------------------------------------------- */
void op_print(FILE *f, const struct op *op)
{
	const struct op_type *t = &op_types[op->code];
	int i;

	if (op->fail)
		fprintf(f, "fail %d: ", op->fail);
	fprintf(f, "%s", t->name);
	for (i = 0; t->args[i]; i++)
		if (t->args[i] == 'e')
			fprintf(f, " %s", expected[op->arg[i]]);
		else
			fprintf(f, " %d", op->arg[i]);
	fprintf(f, "\n");
}

int op_parse(const char *line, struct op *op)
{
	char buf[128], *word, *save;
	int i = 0, n;
	unsigned int e;

	*op = (struct op){ 0 };
	snprintf(buf, sizeof(buf), "%s", line);
	buf[strcspn(buf, "#\n")] = '\0';
	if (sscanf(buf, "fail %d:%n", &n, &i) == 1 && i) {
		op->fail = n;
		memset(buf, ' ', i);
	}
	word = strtok_r(buf, " \t", &save);
	if (!word)
		return 0;
	for (i = 0; i < nr_op_types && strcmp(op_types[i].name, word); i++)
		;
	if (i == nr_op_types)
		return -1;
	op->code = i;
	for (i = 0; op_types[op->code].args[i]; i++) {
		word = strtok_r(NULL, " \t", &save);
		if (!word)
			return -1;
		if (op_types[op->code].args[i] == 'e') {
			for (e = 0; expected[e]; e++)
				if (!strcmp(expected[e], word))
					break;
			if (!expected[e])
				return -1;
			op->arg[i] = e;
		} else if (sscanf(word, "%hhu", &op->arg[i]) != 1) {
			return -1;
		}
	}
	return strtok_r(NULL, " \t", &save) ? -1 : 1;
}

void op_clamp(struct op *op)
{
	static int random_types;
	const char *args;
	int i;

	while (random_types < nr_op_types && op_types[random_types].weight)
		random_types++;
	op->code %= random_types;
	args = op_types[op->code].args;
	op->fail = op->fail < 240 ? 0 : op->fail - 239;
	for (i = 0; i < NR_ARGS; i++)
		switch (i < (int)strlen(args) ? args[i] : 0) {
		case 'p':
			op->arg[i] %= NR_MMS;
			break;
		case 'a':
			op->arg[i] %= NR_PAGES;
			break;
		case 'l':
			op->arg[i] = 1 + op->arg[i] % 16;
			break;
		case 'f':
			op->arg[i] %= 128;
			break;
		case 'o':
			op->arg[i] = 1 + op->arg[i] % 3;
			break;
		case 'k':
			op->arg[i] %= 4;
			break;
		case 's':
			break;
		default:
			op->arg[i] = 0;
		}
}

u64 model_seed;

u32 model_random(u32 below)
{
	/* splitmix64 */
	u64 z = model_seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return ((z ^ (z >> 31)) >> 32) % below;
}

/* Operations that mostly meet something. */
void model_random_op(struct op *op)
{
	static int sum;
	int i, n;
	const char *args;
	struct mm_struct *mm = NULL;
	struct vm_area_struct *vma = NULL, *at;

	if (!sum)
		for (i = 0; i < nr_op_types; i++)
			sum += op_types[i].weight;
	for (n = model_random(sum), i = 0; n >= op_types[i].weight; i++)
		n -= op_types[i].weight;
	op->code = i;
	args = op_types[i].args;
	op->fail = model_random(16) ? 0 : 1 + model_random(8);
	for (i = 0; i < NR_ARGS; i++) {
		u8 *arg = &op->arg[i];

		*arg = 0;
		switch (i < (int)strlen(args) ? args[i] : 0) {
		case 'p':
			*arg = model_random(NR_MMS);
			/* A process that is there; the second one of fork is not */
			for (n = 0; n < NR_MMS && (i ? !!procs[*arg].mm : !procs[*arg].mm); n++)
				*arg = (*arg + 1) % NR_MMS;
			mm = mm_of(*arg);
			break;
		case 'a':
			*arg = model_random(NR_PAGES);
			if (!mm || !model_random(!strcmp(op_types[op->code].name, "map") ? 2 : 6))
				break;
			at = vma_find(mm, addr_of(*arg)) ?: vma_find(mm, 0);
			if (!at)
				break;
			*arg = page_of(at->vm_start) +
			       (model_random(3) ? model_random(vma_pages(at)) : 0);
			if (i == 1)
				vma = at;
			break;
		case 'l':
			*arg = 1 + model_random(10);
			if (vma && model_random(2)) {
				n = page_of(vma->vm_end) - op->arg[1];
				if (n > 0)
					*arg = n;
			}
			break;
		case 'f':
			*arg = model_random(2);
			if (!model_random(6))
				*arg |= 1 << (2 + model_random(5));
			break;
		case 'o':
			*arg = 1 + model_random(3);
			break;
		case 'k':
			*arg = model_random(4);
			break;
		case 's':
			*arg = model_random(256);
			break;
		}
	}
	if (strchr(args, 'o'))
		op->arg[1] &= ~((1u << op->arg[2]) - 1);
}

/* ---- running ---------------------------------------------------------------------- */
static struct op current_op;

void unit_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	printf("# %s:%d: ", strrchr(file, '/') ? strrchr(file, '/') + 1 : file, line);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n# in step %lu: ", steps);
	op_print(stdout, &current_op);
	fflush(stdout);
	abort();
}

void model_run(const struct op *op)
{
	bool deep = model_full || steps % 16 == 0;

	steps++;
	current_op = *op;
	if (model_trace)
		op_print(stdout, op);
	model_points = model_full || steps % 8 == 0;
	step();
	unit_fail_at = op->fail ? unit_allocs + op->fail : 0;
	op_types[op->code].run(op->arg);
	unit_fail_at = 0;
	if (deep)
		model_check();
	else if (steps % 4 == 0)
		check_folios(false);
}

/* Exit in an order that the sequence has chosen by where it stands. */
void model_end(void)
{
	u8 arg[NR_ARGS] = { 0 };
	int i;

	unit_fail_at = 0;
	model_points = false;
	while (unit_run_others())
		;
	for (i = 0; i < NR_MMS; i++) {
		arg[0] = (i + steps) % NR_MMS;
		op_exit(arg);
	}
	for (i = 0; i < NR_MIGRATIONS; i++) {
		arg[0] = i;
		op_finish(arg);
	}
	check_structures();
	check(!unit_objects(NULL) && list_empty(&folios), "something is left");
	check(!counter("links") && !counter("mms"), "counters");
	model_reuses_before = counter("reuses");
	steps = mm_ids = 0;
}

/* ---- what programs do not reach -------------------------------------------------- */
static int calls, last_call;

static bool stop_one(struct folio *folio, struct vm_area_struct *vma,
		     unsigned long addr, void *arg)
{
	return ++calls != last_call;
}

static int stop_done(struct folio *folio)
{
	return calls == last_call;
}

static bool go_on(struct folio *folio, struct vm_area_struct *vma, unsigned long addr,
		  void *arg)
{
	calls++;
	return true;
}

static bool not_mine(struct vm_area_struct *vma, void *arg)
{
	return vma->vm_mm == arg;
}

static int looks;

static bool count_looks(struct vm_area_struct *vma, void *arg)
{
	looks++;
	return false;
}

static int walk_calls(struct folio *folio, struct rmap_walk_control *rwc, int last)
{
	calls = looks = 0;
	last_call = last;
	walk_locked(folio, rwc);
	return calls;
}

/*
 * Processes 0 to 3 map the page, 1 displaced: a walk ends where it is told to.
 * After 1 and 2 have written theirs, only the youngest child shares it: walks that
 * say when they are done, or count, do not look at its elder siblings.
 */
void model_test_early_end(void)
{
	static const char *const program[] = {
		"exec 0", "map 0 10 1 0", "write 0 10 1", "fork 0 1", "fork 0 2",
		"fork 0 3", "move 1 10 20 1",
	};
	static const char *const written[] = { "write 1 20 1", "write 2 10 1" };
	struct rmap_walk_control one = { .rmap_one = stop_one };
	struct rmap_walk_control done = { .rmap_one = go_on, .done = stop_done };
	struct rmap_walk_control some = { .rmap_one = go_on, .invalid_vma = not_mine };
	struct rmap_walk_control all = { .rmap_one = go_on, .invalid_vma = count_looks };
	struct rmap_walk_control count = {
		.rmap_one = go_on, .invalid_vma = count_looks, .anon_lock = own_lock,
	};
	struct folio *folio;
	struct op op;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(program); i++) {
		check(op_parse(program[i], &op) == 1, "%s", program[i]);
		model_run(&op);
	}
	folio = mm_of(0)->pt[10].folio;
	for (i = 1; i <= 4; i++) {
		check(walk_calls(folio, &one, i) == (int)i, "%d calls", calls);
		check(walk_calls(folio, &done, i) == (int)i, "%d calls", calls);
	}
	check(walk_calls(folio, &one, 5) == 4, "%d calls", calls);
	for (i = 0; i < 4; i++) {
		some.arg = mm_of(i);
		check(walk_calls(folio, &some, 0) == 3, "%d calls", calls);
	}
	check(walk_calls(folio, &count, 0) == 4 && looks == 4, "%d calls", calls);
	for (i = 0; i < ARRAY_SIZE(written); i++) {
		check(op_parse(written[i], &op) == 1, "%s", written[i]);
		model_run(&op);
	}
	check(walk_calls(folio, &all, 0) && looks == 4, "%d looks", looks);
	check(walk_calls(folio, &count, 0) == 2 && looks == 2, "%d looks", looks);
	done.invalid_vma = count_looks;
	check(walk_calls(folio, &done, 2) == 2 && looks == 2, "%d looks", looks);
	model_end();
}

/* Three processes that fork and exit have at most eight anon_vmas: model/reuse.pml */
void model_test_bounded(void)
{
	static const u8 first[NR_ARGS] = { 0 };
	long most = 0;
	int i, others, p;

	model_seed = 1;
	for (i = 0; i < 30000; i++) {
		u8 arg[NR_ARGS] = { model_random(3), model_random(3) };

		if (i % 50 == 0) {
			for (arg[0] = 0; arg[0] < 3; arg[0]++)
				op_exit(arg);
			op_exec(first);
			continue;
		}
		for (others = 0, p = 0; p < 3; p++)
			others += p != arg[0] && mm_of(p);
		if (mm_of(arg[0]) && !mm_of(arg[1]))
			op_fork(arg);
		else if (mm_of(arg[0]) && others && model_random(2))
			op_exit(arg);
		most = max(most, anon_vma_cachep->nr);
		check(anon_vma_cachep->nr <= 8, "%ld anon_vmas", anon_vma_cachep->nr);
	}
	check(most >= 6, "never more than %ld: not much tried", most);
	check_structures();
	model_end();
}

/* Switched off: a regular process, for which nothing is allocated or counted. */
void model_test_off(void)
{
	struct mm_struct *mm = mm_alloc(NULL);
	struct task_struct task = { .mm = mm };
	struct vm_area_struct vma = {
		.vm_mm = mm, .vm_start = addr_of(5), .vm_end = addr_of(9), .vm_pgoff = 77,
	};
	struct seq_file m = { .len = 0 };
	long before = unit_objects(NULL);

	unit_early_param("off");
	unit_early_param("garbage");	/* Leaves it as it was */
	check(!anon_rmap_exec(mm) && !mm_anon_lazy(mm), "exec");
	unit_early_param("on");
	check(unit_objects(NULL) == before && !counter("mms"), "allocated");
	vma_anon_dup(&vma);
	check(list_empty(&vma.anon_vma_chain), "a list of chains");
	check(vma_anon_index(&vma, addr_of(6)) == 78 && !vma_anon_delta(&vma), "index");
	proc_pid_anon_rmap(&m, NULL, NULL, &task);
	check(!strcmp(m.buf, "mode: regular\n"), "%s", m.buf);
	anon_rmap_lock_mm(mm);
	check(!rwsem_is_locked(&mm->anon_rmap.rwsem), "locked");
	anon_rmap_unlock_mm(mm);
	anon_rmap_exit(mm);
	mm_free(mm);
	check(!anon_rmap_exec(mm = mm_alloc(NULL)) && mm_anon_lazy(mm), "on again");
	anon_rmap_exit(mm);
	mm_free(mm);
	model_end();
}

static void anon_vma_ctor(void *obj)
{
	struct anon_vma *anon_vma = obj;

	unit_init_rwsem(&anon_vma->rwsem, LOCK_A);
	atomic_set(&anon_vma->refcount, 0);
	anon_vma_set_regular(anon_vma);
}

/* The slab is SLAB_TYPESAFE_BY_RCU. */
static void anon_vma_check_free(void *obj)
{
	struct anon_vma *anon_vma = obj;

	check(!anon_vma_is_lazy(anon_vma) && !rb_first_cached(&anon_vma->rb_root) &&
	      !atomic_read(&anon_vma->refcount) && !rwsem_is_locked(&anon_vma->rwsem),
	      "not as constructed");
}

void model_init(void)
{
	anon_vma_cachep = unit_cache("anon_vma", sizeof(struct anon_vma));
	anon_vma_cachep->ctor = anon_vma_ctor;
	anon_vma_cachep->check_free = anon_vma_check_free;
	anon_vma_chain_cachep = KMEM_CACHE(anon_vma_chain, 0);
	vma_cache = KMEM_CACHE(vm_area_struct, 0);
	mm_cache = KMEM_CACHE(mm_struct, 0);
	unit_core_init();
	unit_late_init();
}
