// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver: programs of operations from files, random ones, each with a
 * failing allocation put everywhere, and what fails made small.
 *
 * A program runs in a child process, which writes down each operation before
 * it runs it.  A failure ends the child.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "model.h"

#define MAX_OPS	4096

struct program {
	int nr;
	struct op op[MAX_OPS];
	unsigned long walks, visits, done;
	u64 seed;
};

static struct program *shared;	/* Of the child and us */

static int usage(void)
{
	int i;

	fputs("unit replay FILE...		run programs, check all after each step\n"
	      "unit trace FILE			the same, and print the steps\n"
	      "unit sweep FILE...		refuse each allocation in turn\n"
	      "unit minimise FILE		make a failing program small\n"
	      "unit random STEPS [SEED [LENGTH]]	random programs of LENGTH steps\n"
	      "unit quick STEPS SEED		the same, a failure is not made small\n"
	      "unit bytes FILE			print an input of the fuzzer as a program\n"
	      "unit seeds FOLDER FILE...	programs as inputs for the fuzzer\n"
	      "\nA program has one operation in each line. \"fail 2: fork 0 1\" refuses its\n"
	      "second allocation. p: process (0-7), a: page (0-63), l: pages, o: order,\n"
	      "s: seed of a schedule,\n"
	      "f: class (0-3) and 4 VM_WIPEONFORK, 8 VM_DONTCOPY, 16 hugetlb, 32 file.\n\n", stdout);
	for (i = 0; i < nr_op_types; i++)
		printf("  %-9s %-5s %s\n", op_types[i].name, op_types[i].args,
		       op_types[i].help);
	return 2;
}

static void load(const char *name, struct program *prog)
{
	FILE *f = fopen(name, "r");
	char line[256];
	int n = 0, rc;

	if (!f) {
		perror(name);
		exit(2);
	}
	prog->nr = 0;
	while (fgets(line, sizeof(line), f)) {
		n++;
		rc = op_parse(line, &prog->op[prog->nr]);
		if (rc < 0 || prog->nr == MAX_OPS - 1) {
			fprintf(stderr, "%s:%d: not an operation: %s", name, n, line);
			exit(2);
		}
		prog->nr += rc;
	}
	fclose(f);
}

static void run(const struct program *prog)
{
	int i;

	for (i = 0; i < prog->nr; i++)
		model_run(&prog->op[i]);
	model_end();
}

static void quiet(void)
{
	int fd = open("/dev/null", O_WRONLY);

	dup2(fd, 1);
	dup2(fd, 2);
}

/* Does it pass, in a child?  @test: a function in place of a program. */
static bool passes_test(const struct program *prog, void (*test)(void), bool silent)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (silent)
			quiet();
		alarm(20);
		if (test)
			test();
		else
			run(prog);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static bool passes(const struct program *prog, bool silent)
{
	return passes_test(prog, NULL, silent);
}

/* With any of a few schedules of what runs in the background. */
static bool fails(struct program *prog)
{
	int i, seed;

	if (!passes(prog, true))
		return true;
	for (i = prog->nr - 1; i >= 0; i--)
		if (!strcmp(op_types[prog->op[i].code].name, "background"))
			break;
	for (seed = 0; i >= 0 && seed < 256; seed += 25) {
		prog->op[i].arg[2] = seed;
		if (!passes(prog, true))
			return true;
	}
	return false;
}

/* Delta debugging: take away chunks, smaller and smaller, while it still fails. */
static void minimise(struct program *prog)
{
	static struct program try;
	int chunk, at;
	bool less;

	if (passes(prog, true))
		return;		/* Only with what came before it */
	for (chunk = (prog->nr + 1) / 2; chunk; ) {
		less = false;
		for (at = 0; at < prog->nr; ) {
			int n = chunk < prog->nr - at ? chunk : prog->nr - at;

			try.nr = prog->nr - n;
			memcpy(try.op, prog->op, at * sizeof(struct op));
			memcpy(try.op + at, prog->op + at + n,
			       (prog->nr - at - n) * sizeof(struct op));
			if (fails(&try)) {
				*prog = try;
				less = true;
			} else {
				at += n;
			}
		}
		if (chunk > 1)
			chunk /= 2;
		else if (!less)
			break;
	}
	for (at = 0; at < prog->nr; at++)
		if (prog->op[at].fail) {
			try = *prog;
			try.op[at].fail = 0;
			if (!passes(&try, true))
				*prog = try;
		}
}

/* Replays: the failure, then the program it came from, made small. */
static void report(struct program *prog)
{
	int i;

	model_full = true;
	minimise(prog);
	printf("# ---- keep as tests/unit/cases/NAME, replay with tests/unit/replay\n");
	for (i = 0; i < prog->nr; i++)
		op_print(stdout, &prog->op[i]);
	printf("# ----\n");
	passes(prog, false);
}

static int random_programs(unsigned long steps, u64 seed, int length, bool quick)
{
	struct timespec begin, now;
	unsigned long done = 0;
	int status, i;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	printf("# seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		model_seed = seed;
		while (done < steps) {
			shared->seed = model_seed;
			for (i = 0; i < length && done < steps; i++, done++) {
				model_random_op(&shared->op[i]);
				shared->nr = i + 1;
				model_run(&shared->op[i]);
			}
			model_end();
			shared->done = done;
			shared->walks = model_walks;
			shared->visits = model_visits;
		}
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		printf("# failed after %lu steps\n", shared->done + shared->nr);
		if (!quick)
			report(shared);
		return 1;
	}
	printf("# %lu steps, %lu walks, %lu visits, %.1f s\n", shared->done, shared->walks,
	       shared->visits, now.tv_sec - begin.tv_sec + (now.tv_nsec - begin.tv_nsec) / 1e9);
	return 0;
}

/* The allocations of step @i of a program. */
static int allocations(const struct program *prog, int i)
{
	int n;

	for (n = 0; n < i; n++)
		model_run(&prog->op[n]);
	unit_allocs = 0;
	model_run(&prog->op[i]);
	n = unit_allocs;
	model_end();
	return n;
}

/* The rest of the program runs after the failure; what it expects is left out. */
static int sweep(const struct program *prog, unsigned long *tried)
{
	static struct program try;
	int i, n, nr;

	try.nr = 0;
	for (i = 0; i < prog->nr; i++)
		if (op_types[prog->op[i].code].weight)
			try.op[try.nr++] = prog->op[i];
	for (i = 0; i < try.nr; i++) {
		if (try.op[i].fail)
			continue;
		nr = allocations(&try, i);
		for (n = 1; n <= nr && n < 256; n++) {
			try.op[i].fail = n;
			++*tried;
			if (!passes(&try, true)) {
				*shared = try;
				report(shared);
				return 1;
			}
		}
		try.op[i].fail = 0;
	}
	return 0;
}

static int bytes(const char *name)
{
	FILE *f = fopen(name, "r");
	struct op op;

	if (!f) {
		perror(name);
		return 2;
	}
	while (fread(&op, sizeof(op), 1, f) == 1) {
		op_clamp(&op);
		op_print(stdout, &op);
	}
	fclose(f);
	return 0;
}

static int seeds(const char *folder, char **names)
{
	char out[512];
	int i;

	for (; *names; names++) {
		FILE *f;

		load(*names, shared);
		snprintf(out, sizeof(out), "%s/%s", folder, strrchr(*names, '/') ?
			 strrchr(*names, '/') + 1 : *names);
		f = fopen(out, "w");
		if (!f) {
			perror(out);
			return 2;
		}
		for (i = 0; i < shared->nr; i++) {
			struct op op = shared->op[i];

			if (!op_types[op.code].weight)
				continue;
			if (op.fail)
				op.fail = op.fail < 16 ? 239 + op.fail : 255;
			fwrite(&op, sizeof(op), 1, f);
		}
		fclose(f);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *cmd = argc > 2 ? argv[1] : "";
	unsigned long tried = 0;
	int i, failed = 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	model_init();
	if (!strcmp(cmd, "replay") || !strcmp(cmd, "trace")) {
		model_full = true;
		model_trace = !strcmp(cmd, "trace");
		static const struct { const char *name; void (*run)(void); } tests[] = {
			{ "a walk ends early", model_test_early_end },
			{ "three processes have at most eight anon_vmas", model_test_bounded },
			{ "switched off", model_test_off },
		};
		bool ok;
		int t;

		for (i = 2; i < argc; i++) {

			load(argv[i], shared);
			ok = passes(shared, false);
			failed += !ok;
			printf("%sok %d - %s\n", ok ? "" : "not ", i - 1,
			       strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i]);
		}
		for (t = 0; t < (int)ARRAY_SIZE(tests); t++) {
			ok = passes_test(NULL, tests[t].run, false);
			failed += !ok;
			printf("%sok %d - %s\n", ok ? "" : "not ", i - 1 + t, tests[t].name);
		}
		printf("1..%d\n", i - 2 + t);
		return failed != 0;
	}
	if (!strcmp(cmd, "minimise")) {
		model_full = true;
		load(argv[2], shared);
		if (passes(shared, true)) {
			printf("# passes\n");
			return 1;
		}
		report(shared);
		return 0;
	}
	if (!strcmp(cmd, "sweep")) {
		for (i = 2; i < argc; i++) {
			load(argv[i], shared);
			static struct program prog;

			prog = *shared;
			if (sweep(&prog, &tried))
				return 1;
		}
		printf("# %lu allocations refused\n", tried);
		return tried ? 0 : 1;
	}
	if (!strcmp(cmd, "random") || !strcmp(cmd, "quick"))
		return random_programs(strtoul(argv[2], NULL, 0),
				       argc > 3 ? strtoull(argv[3], NULL, 0) : (u64)time(NULL),
				       argc > 4 ? atoi(argv[4]) : 600, *cmd == 'q');
	if (!strcmp(cmd, "bytes"))
		return bytes(argv[2]);
	if (!strcmp(cmd, "seeds") && argc > 3)
		return seeds(argv[2], argv + 3);
	return usage();
}
