// SPDX-License-Identifier: GPL-2.0-only
/* Commands and output; see rmapstat.h for what this is. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rmapstat.h"

#define VERSION			1

static const char *const method_name[] = { "auto", "pagemap", "smaps" };
static bool json, full;
static uint64_t sample = UINT64_MAX, top = UINT64_MAX;
static const char *sort_name = "saves";
static enum field sort_field;

/* Names in --json and --sort; with a title also a column of tables. */
static const struct {
	const char *name, *title;
	int width;
} field_table[NR_FIELDS] = {
	[F_PID] = { "pid", "PID", 7 },
	[F_PPID] = { "ppid", "PPID", 7 },
	[F_GENERATION] = { "generation", "GEN", 3 },
	[F_VMAS] = { "vmas", "VMAS", 7 },
	[F_ANON] = { "vmas_anonymous", "ANON", 7 },
	[F_ANON_VMAS] = { "anon_vmas", "ANON_VMA", 8 },
	[F_CHAINS] = { "chains", "CHAIN", 8 },
	[F_LAZY_ANON_VMAS] = { "lazy_anon_vmas", NULL, 0 },
	[F_LAZY_LINKS] = { "lazy_links", NULL, 0 },
	[F_LAZY_DISPLACED] = { "lazy_displaced", NULL, 0 },
	[F_REAL_ANON_VMAS] = { "counted_anon_vmas", NULL, 0 },
	[F_REAL_LINKS] = { "counted_links", NULL, 0 },
	[F_REAL_DISPLACED] = { "counted_displaced", NULL, 0 },
	[F_REGULAR] = { "regular_bytes", "REGULAR", 9 },
	[F_LAZY] = { "lazy_bytes", "LAZY", 9 },
	[F_SAVES] = { "saves", "SAVES", 9 },
};

/* 1234567 -> "1,234,567"; the string lives for a few calls. */
static const char *num(int64_t val)
{
	static char ring[8][32];
	static unsigned int at;
	char digits[24], *out = ring[at++ % ARRAY_SIZE(ring)], *o = out;
	int n = snprintf(digits, sizeof(digits), "%" PRId64, val), i;

	for (i = 0; i < n; i++) {
		*o++ = digits[i];
		if (digits[i] != '-' && i < n - 1 && !((n - i - 1) % 3))
			*o++ = ',';
	}
	*o = '\0';
	return out;
}

/* Names come from other processes: nothing that a terminal would act on. */
static const char *clean(char *s)
{
	char *c;

	for (c = s; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	return s;
}

static int percent(int64_t part, int64_t whole)
{
	return whole ? 100.0 * part / whole + (part < 0 ? -0.5 : 0.5) : 0;
}

/* ---- JSON --------------------------------------------------------------- */

static bool comma;

static void j_key(const char *key)
{
	fputs(comma ? ", " : "", stdout);
	if (key)
		printf("\"%s\": ", key);
	comma = true;
}

static void j_open(const char *key, char c)
{
	j_key(key);
	putchar(c);
	comma = false;
}

static void j_close(const char *s)
{
	fputs(s, stdout);
	comma = true;
}

static void j_num(const char *key, int64_t val)
{
	j_key(key);
	printf("%" PRId64, val);
}

static void j_bool(const char *key, bool val)
{
	j_key(key);
	fputs(val ? "true" : "false", stdout);
}

static void j_str(const char *key, const char *s)
{
	j_key(key);
	for (putchar('"'); *s; s++)
		printf(*s == '"' || *s == '\\' ? "\\%c" : "%c", *s);
	putchar('"');
}

static const char *feature(void)
{
	return !patched ? "absent" : switch_value < 0 ? "present" :
		switch_value ? "on" : "off";
}

static void json_head(void)
{
	j_open(NULL, '{');
	j_num("rmapstat", VERSION);
	j_str("release", clean(release));
	j_str("machine", clean(machine));
	j_str("anon_vma_lazy", feature());
}

static void json_scan(void)
{
	j_open("scan", '{');
	j_str("method", method_name[method]);
	j_num("processes", sum.candidates);
	j_num("read", sum.read);
	j_num("not_readable", sum.denied);
	j_num("vanished", sum.vanished);
	j_bool("extrapolated", sum.scale > 1);
	j_bool("lower_bound", sum.partial);
	j_close("}");
}

static void json_tally(const char *key, const struct tally *t)
{
	int i;

	j_open(key, '{');
	j_num("processes", t->processes);
	for (i = F_VMAS; i < NR_FIELDS; i++)
		j_num(field_table[i].name, t->f[i]);
	j_close("}");
}

static void json_slab(const struct slab *s)
{
	j_open(s->name, '{');
	j_num("object_size", s->size);
	if (s->known) {
		j_num("objects", s->active);
		j_num("object_bytes", s->active * s->size);
		j_num("slab_bytes", s->bytes);
	} else {
		j_str("withheld", s->why);
	}
	if (s->at_most)
		j_num("objects_at_most", s->at_most);
	j_close("}");
}

static void json_summary(void)
{
	int i;

	json_head();
	json_scan();
	j_open("slabs", '{');
	for (i = 0; i < (patched ? NR_SLABS : LINK); i++)
		json_slab(&slabs[i]);
	j_close("}");
	json_tally("regular", &sum.regular);
	j_open("would", '{');
	j_str("source", sum.counted ? "counted" : "estimated");
	j_num("bytes", sum.now);
	j_num("lazy_bytes", sum.need);
	j_num("save", sum.now - sum.need);
	j_close("}");
	if (patched) {
		json_tally("lazy", &sum.lazy);
		if (counters_known) {
			j_open("counters", '{');
			for (i = 0; i < NR_COUNTERS; i++)
				j_num(counter_name[i], counter[i]);
			j_close("}");
		}
		j_open("does", '{');
		j_str("source", counters_known ? "counted" : "per process");
		j_num("bytes", sum.real);
		j_num("regular_bytes", sum.lazy.f[F_REGULAR]);
		j_num("save", sum.lazy.f[F_REGULAR] - sum.real);
		j_close("}");
	}
	j_close("}\n");
}

static void json_proc(const char *key, struct proc *p)
{
	int i;

	j_open(key, '{');
	j_str("name", clean(p->comm));
	j_str("mode", p->lazy ? "lazy" : "regular");
	j_bool("ancestor_gone", p->orphan);
	for (i = 0; i < NR_FIELDS; i++)
		j_num(field_table[i].name, p->f[i]);
	j_close("}");
}

/* ---- text --------------------------------------------------------------- */

static void text_head(void)
{
	printf("Linux %s %s, ANON_VMA_LAZY %s\n", clean(release),
	       clean(machine), feature());
	printf("%s processes: %s read", num(sum.candidates), num(sum.read));
	if (sum.denied)
		printf(", %s not readable", num(sum.denied));
	if (sum.vanished)
		printf(", %s vanished meanwhile", num(sum.vanished));
	if (sum.scale > 1)
		printf(", the rest extrapolated (--full reads all)");
	printf("\n");
	if (sum.partial)
		printf("LOWER BOUND: what could not be read is missing from the estimates (try as root)\n");
}

static void text_slab(const struct slab *s, int64_t model)
{
	if (s->known) {
		printf("%-16s %11s %11s   counted in /proc/slabinfo\n", s->name,
		       num(s->active), num(s->active * s->size));
	} else {
		printf("%-16s %11s %11s   %s", s->name, "withheld", "", s->why);
		if (s->at_most)
			printf("; at most %s", num(s->at_most));
		printf("\n");
	}
	if (model >= 0)
		printf("%-16s %11s %11s   %s\n", "", num(model),
		       num(model * s->size), patched ?
		       "estimated, if all were regular" : "estimated");
}

static void text_summary(void)
{
	const struct tally *r = &sum.regular, *l = &sum.lazy;
	int64_t vmas = r->f[F_VMAS] + l->f[F_VMAS];
	int64_t anon = r->f[F_ANON] + l->f[F_ANON];
	int64_t saves = l->f[F_REGULAR] - sum.real;
	const char *least = sum.partial && !sum.counted ? "at least " : "";

	text_head();
	printf("%s VMAs, %s of them (%d %%) with anonymous pages\n\n",
	       num(vmas), num(anon), percent(anon, vmas));
	printf("%-16s %11s %11s\n", "", "objects", "bytes");
	text_slab(&slabs[ANON_VMA], r->f[F_ANON_VMAS] + l->f[F_ANON_VMAS]);
	text_slab(&slabs[CHAIN], r->f[F_CHAINS] + l->f[F_CHAINS]);
	if (patched)
		text_slab(&slabs[LINK], -1);
	if (counters_known)
		printf("counters: %s lazy processes, %s anon_vmas, %s links, %s displaced, %s reuses\n",
		       num(counter[C_MMS]), num(counter[C_ANON_VMAS]),
		       num(counter[C_LINKS]), num(counter[C_DISPLACED]),
		       num(counter[C_REUSES]));
	if (l->processes)
		printf("\nANON_VMA_LAZY saves %s%s bytes (%d %%) for %s lazy process%s:\n"
		       "regular mode would take %s (estimated), it takes %s (counted)\n",
		       least, num(saves), percent(saves, l->f[F_REGULAR]),
		       num(l->processes), l->processes == 1 ? "" : "es",
		       num(l->f[F_REGULAR]), num(sum.real));
	if (r->processes)
		printf("\nANON_VMA_LAZY would save %s%s bytes (%d %%) for %s regular process%s:\n"
		       "today %s (%s), then %s (estimated)\n",
		       least, num(sum.now - sum.need),
		       percent(sum.now - sum.need, sum.now),
		       num(r->processes), r->processes == 1 ? "" : "es",
		       num(sum.now), sum.counted ? "counted" : "estimated",
		       num(sum.need));
}

static void text_titles(void)
{
	int i;

	for (i = 0; i < NR_FIELDS; i++)
		if (field_table[i].title)
			printf("%*s ", field_table[i].width,
			       field_table[i].title);
	printf("%-7s %s\n", "MODE", "NAME");
}

static void text_proc(struct proc *p)
{
	int i;

	for (i = 0; i < NR_FIELDS; i++)
		if (field_table[i].title)
			printf("%*" PRId64 " ", field_table[i].width, p->f[i]);
	printf("%-7s %s\n", p->lazy ? "lazy" : "regular", clean(p->comm));
}

static void print_vma(struct vma *v)
{
	char range[40];

	snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, v->start,
		 v->end);
	clean(v->name);
	clean(v->perms);
	if (!json) {
		printf("%-33s %-4s %5u %-8s %s\n", range, v->perms, v->chain,
		       v->own ? "own" : "shared", v->name);
		return;
	}
	j_open(NULL, '{');
	j_str("range", range);
	j_str("perms", v->perms);
	j_num("chain", v->chain);
	j_bool("own_anon_vma", v->own);
	j_str("name", v->name);
	j_close("}");
}

/* ---- commands ----------------------------------------------------------- */

static void cmd_summary(const char *arg)
{
	long deadline = full ? LONG_MAX : msec_now() + SUMMARY_MSEC;

	(void)arg;
	read_procs();
	scan(sample, deadline);
	totals();
	if (json)
		json_summary();
	else
		text_summary();
}

/* Largest first, but PIDs upwards. */
static int by_field(const void *a, const void *b)
{
	const struct proc *p = a, *q = b;
	int64_t x = p->f[sort_field], y = q->f[sort_field];

	if (sort_field > F_PPID && x != y)
		return x < y ? 1 : -1;
	if (x != y)
		return x < y ? -1 : 1;
	return p->f[F_PID] < q->f[F_PID] ? -1 : 1;
}

static void cmd_list(const char *arg)
{
	struct proc *p;

	(void)arg;
	while (strcmp(sort_name, field_table[sort_field].name))
		if (++sort_field == NR_FIELDS)
			die(2, "no sort key '%s'; rmapstat help lists them",
			    sort_name);
	read_procs();
	scan(UINT64_MAX, LONG_MAX);
	qsort(procs, nr_procs, sizeof(*procs), by_field);
	if (json) {
		json_head();
		json_scan();
		j_open("list", '[');
	} else {
		text_head();
		printf("\n");
		text_titles();
	}
	for (p = procs; p < procs + nr_procs && top; p++) {
		if (p->state != P_READ)
			continue;
		top--;
		if (json)
			json_proc(NULL, p);
		else
			text_proc(p);
	}
	if (json)
		j_close("]}\n");
}

static void cmd_pid(const char *arg)
{
	struct proc *p;
	uint64_t pid;
	unsigned int i;

	if (!arg || !number(arg, &pid) || pid > INT_MAX)
		die(2, "pid needs the number of a process");
	read_procs();
	p = find_proc(pid);
	if (p)
		model(p, true, LONG_MAX);
	if (!p || p->state == P_GONE)
		die(1, "there is no process %s", arg);
	if (p->state == P_DENIED)
		die(1, "process %s is not readable: run as its owner or as root",
		    arg);
	if (p->state == P_NOMM)
		die(1, "process %s has no memory: a kernel thread or a zombie",
		    arg);
	if (json) {
		json_head();
		json_proc("process", p);
		j_open("maps", '[');
	} else {
		text_titles();
		text_proc(p);
		printf("\n%-33s %-4s %5s %-8s %s\n", "VMA WITH ANONYMOUS PAGES",
		       "PERM", "CHAIN", "ANON_VMA", "NAME");
	}
	for (i = 0; i < p->nr_vmas; i++)
		print_vma(&p->vma[i]);
	if (json)
		j_close("]}\n");
}

static void cmd_help(const char *arg);

static const struct {
	const char *name, *args, *help;
	void (*run)(const char *arg);
} commands[] = {
	{ "summary", "", "the whole machine (this is the default)", cmd_summary },
	{ "list", "", "one line for each process, sorted", cmd_list },
	{ "pid", "N", "one process and its VMAs with anonymous pages", cmd_pid },
	{ "help", "", "this text", cmd_help },
};

static void cmd_help(const char *arg)
{
	size_t i;

	(void)arg;
	printf("Usage: rmapstat [COMMAND] [OPTION]...\n"
	       "What anonymous reverse mapping costs here, and what ANON_VMA_LAZY would save.\n\n"
	       "Commands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-7s %-3s %s\n", commands[i].name, commands[i].args,
		       commands[i].help);
	printf("\nOptions:\n"
	       "  --json       the same for programs, on one line\n"
	       "  --sort KEY   list: by one of the keys below, default saves\n"
	       "  --top N      list: only the first N\n"
	       "  --full       summary: read every process, however long it takes;\n"
	       "               otherwise it extrapolates after 1.2 seconds\n"
	       "  --sample N   summary: read N processes and extrapolate\n"
	       "  --method M   how to find anonymous pages: auto, pagemap (Linux 6.7), smaps\n"
	       "  --help, --version\n\n"
	       "Sort keys:");
	for (i = 0; i < NR_FIELDS; i++)
		printf("%s%s", i % 5 ? " " : "\n  ", field_table[i].name);
	printf("\n\n"
	       "How to read it: each VMA that ever took an anonymous page costs an anon_vma and\n"
	       "an anon_vma_chain, and in a forked process one chain more for every ancestor.\n"
	       "\"counted\" is the kernel's own figure (root). \"estimated\" is a model over the\n"
	       "VMAs of the processes that you may read; rmapstat(8) says what it misses.\n"
	       "REGULAR and LAZY are bytes in either mode, GEN counts forks since the last exec.\n\n"
	       "Examples:\n"
	       "  sudo rmapstat                   would it help this machine?\n"
	       "  sudo rmapstat list --top 10     which processes would save most?\n"
	       "  rmapstat pid $$                 where does my shell spend it?\n"
	       "  sudo rmapstat --json | jq .would.save\n");
}

static uint64_t positive(const char *opt, const char *arg)
{
	uint64_t val;

	if (!number(arg, &val) || !val)
		die(2, "--%s needs a positive number, not '%s'", opt, arg);
	return val;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "sort", required_argument, NULL, 's' },
		{ "top", required_argument, NULL, 't' },
		{ "full", no_argument, NULL, 'f' },
		{ "sample", required_argument, NULL, 'n' },
		{ "method", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ "proc", required_argument, NULL, 'P' },	/* for tests */
		{ "sys", required_argument, NULL, 'S' },	/* for tests */
		{ NULL, 0, NULL, 0 }
	};
	const char *name = "summary";
	size_t i;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 's':
			sort_name = optarg;
			break;
		case 't':
			top = positive("top", optarg);
			break;
		case 'f':
			full = true;
			break;
		case 'n':
			sample = positive("sample", optarg);
			break;
		case 'm':
			for (i = 0; strcmp(optarg, method_name[i]);)
				if (++i == ARRAY_SIZE(method_name))
					die(2, "--method is auto, pagemap or smaps, not '%s'",
					    optarg);
			method = i;
			break;
		case 'h':
			cmd_help(NULL);
			return 0;
		case 'v':
			printf("rmapstat %d\n", VERSION);
			return 0;
		case 'P':
			proc_dir = optarg;
			break;
		case 'S':
			sys_dir = optarg;
			break;
		default:
			die(2, "rmapstat help explains the options");
		}
	}
	argv += optind;
	if (*argv)
		name = *argv++;
	for (i = 0; strcmp(name, commands[i].name);)
		if (++i == ARRAY_SIZE(commands))
			die(2, "no command '%s'; rmapstat help lists them",
			    name);
	if (*argv && (!*commands[i].args || argv[1]))
		die(2, "%s: '%s' is one argument too many", name,
		    *commands[i].args ? argv[1] : *argv);
	if (commands[i].run != cmd_help) {
		choose_method();
		read_kernel();
		read_slabs();
	}
	commands[i].run(*argv);
	if (fflush(stdout) || ferror(stdout))
		die(1, "cannot write: %s", strerror(errno));
	return 0;
}
