// SPDX-License-Identifier: GPL-2.0-only
/*
 * slabsample - one exact look at the slabs of anonymous reverse mapping
 *
 * /proc/slabinfo counts every object of a slab that sits in a per-CPU list as
 * active, free or not.  So each sampled cache is shrunk first, which flushes
 * those lists, and the reading is repeated until it settles.  "cpu_slabs" of
 * a cache says how many slabs sat in per-CPU lists when it was read: when it
 * is 0, "objects" is exact, otherwise it may be too high by the free objects
 * of that many slabs.
 *
 * A merged cache counts strangers' objects: the program refuses to read one.
 *
 * Between a shrink and the reading nothing is allocated, mapped or opened
 * here: buffers and descriptors exist before the first round.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* include/linux/sched.h; /proc/PID/stat shows the task's flags */
#define PF_KTHREAD	0x00200000UL

/* Equal readings in a row that count as settled */
#define SETTLED		3

/* How often all is sampled again when processes came or went meanwhile */
#define MAX_TRIES	3

enum { EXIT_USAGE = 2, EXIT_INPUT = 3, EXIT_MERGED = 4 };

struct slab {
	const char *name;
	bool optional;		/* absent in a kernel without the feature */
	bool present;
	unsigned long objects;
	unsigned long object_size;
	unsigned long slabs;
	unsigned long pages_per_slab;
	long cpu_slabs;		/* -1: not known */
	int shrink_fd;
	int cpu_slabs_fd;
};

static struct slab slabs[] = {
	{ .name = "anon_vma" },
	{ .name = "anon_vma_chain" },
	{ .name = "anon_vma_mm_link", .optional = true },
	{ .name = "vm_area_struct" },
	{ .name = "mm_struct" },
	{ .name = "maple_node" },
};

struct count {
	unsigned long processes;
	unsigned long threads;
	unsigned long kernel_threads;
	unsigned long vmas;
};

static struct count count;

static const char *slabinfo_path;
static const char *sysfs_path = "/sys/kernel/slab";
static const char *proc_path = "/proc";
static const char *counters_path = "/sys/kernel/mm/anon_vma_lazy";
static bool recorded;		/* a recorded slabinfo: nothing to shrink */

static void __attribute__((noreturn, format(printf, 2, 3)))
die(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("slabsample: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(status);
}

static char *path_of(const char *dir, const char *a, const char *b)
{
	char *p;

	if (asprintf(&p, "%s/%s%s%s", dir, a, b ? "/" : "", b ? b : "") < 0)
		die(EXIT_FAILURE, "out of memory");
	return p;
}

/* Reads a whole file into @buf, ends it with a NUL; -1 with errno on error */
static ssize_t slurp_fd(int fd, char *buf, size_t size)
{
	size_t len = 0;

	for (;;) {
		ssize_t n;

		if (len == size - 1) {
			errno = EFBIG;
			return -1;
		}
		n = pread(fd, buf + len, size - 1 - len, len);
		if (n < 0)
			return -1;
		if (!n)
			break;
		len += n;
	}
	buf[len] = '\0';
	return len;
}

static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -1;
	n = slurp_fd(fd, buf, size);
	err = errno;
	close(fd);
	errno = err;
	return n;
}

/* One unsigned decimal and nothing else up to a blank or the end */
static bool number(const char *s, unsigned long *val)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*val = strtoul(s, &end, 10);
	return !errno && (!*end || isspace((unsigned char)*end));
}

/*
 * slabinfo, version 2.1: after two heading lines one line per cache,
 *   name active_objs num_objs objsize objperslab pagesperslab
 *   : tunables a b c : slabdata active_slabs num_slabs sharedavail
 */
enum {
	F_NAME, F_ACTIVE_OBJS, F_NUM_OBJS, F_OBJSIZE, F_OBJPERSLAB,
	F_PAGESPERSLAB, F_COLON1, F_TUNABLES, F_LIMIT, F_BATCHCOUNT,
	F_SHAREDFACTOR, F_COLON2, F_SLABDATA, F_ACTIVE_SLABS, F_NUM_SLABS,
	F_SHAREDAVAIL, F_MAX
};

static const char * const field_name[F_MAX] = {
	"name", "active_objs", "num_objs", "objsize", "objperslab",
	"pagesperslab", ":", "tunables", "limit", "batchcount",
	"sharedfactor", ":", "slabdata", "active_slabs", "num_slabs",
	"sharedavail"
};

static void parse_line(char *line, unsigned int lineno)
{
	unsigned long val[F_MAX] = { 0 };
	char *field[F_MAX], *save = NULL, *tok;
	unsigned int n = 0, i;
	struct slab *s = NULL;

	for (tok = strtok_r(line, " \t", &save); tok;
	     tok = strtok_r(NULL, " \t", &save)) {
		if (n == F_MAX)
			die(EXIT_INPUT, "%s:%u: more than %d fields",
			    slabinfo_path, lineno, F_MAX);
		field[n++] = tok;
	}
	if (!n)
		die(EXIT_INPUT, "%s:%u: empty line", slabinfo_path, lineno);
	for (i = 0; i < ARRAY_SIZE(slabs); i++)
		if (!strcmp(slabs[i].name, field[F_NAME]))
			s = &slabs[i];
	if (!s)
		return;
	if (s->present)
		die(EXIT_INPUT, "%s:%u: a second line for %s",
		    slabinfo_path, lineno, s->name);
	if (n < F_MAX)
		die(EXIT_INPUT, "%s:%u: %s: the line ends before the field %s",
		    slabinfo_path, lineno, s->name, field_name[n]);
	for (i = F_ACTIVE_OBJS; i < F_MAX; i++) {
		if (i == F_COLON1 || i == F_TUNABLES || i == F_COLON2 ||
		    i == F_SLABDATA) {
			if (strcmp(field[i], field_name[i]))
				die(EXIT_INPUT, "%s:%u: %s: '%s' where '%s' belongs",
				    slabinfo_path, lineno, s->name, field[i],
				    field_name[i]);
			continue;
		}
		if (!number(field[i], &val[i]))
			die(EXIT_INPUT, "%s:%u: %s: field %s is '%s', not a number",
			    slabinfo_path, lineno, s->name, field_name[i],
			    field[i]);
	}
	if (!val[F_OBJSIZE])
		die(EXIT_INPUT, "%s:%u: %s: objsize is 0", slabinfo_path,
		    lineno, s->name);
	if (val[F_ACTIVE_OBJS] > val[F_NUM_OBJS])
		die(EXIT_INPUT, "%s:%u: %s: active_objs %lu exceed num_objs %lu",
		    slabinfo_path, lineno, s->name, val[F_ACTIVE_OBJS],
		    val[F_NUM_OBJS]);
	s->present = true;
	s->objects = val[F_ACTIVE_OBJS];
	s->object_size = val[F_OBJSIZE];
	s->slabs = val[F_NUM_SLABS];
	s->pages_per_slab = val[F_PAGESPERSLAB];
}

static void parse_slabinfo(char *text)
{
	char *line = text, *next;
	unsigned int lineno = 0, i;

	for (i = 0; i < ARRAY_SIZE(slabs); i++)
		slabs[i].present = false;

	for (; *line; line = next) {
		next = strchr(line, '\n');
		if (!next)
			die(EXIT_INPUT, "%s:%u: the last line is cut off",
			    slabinfo_path, lineno + 1);
		*next++ = '\0';
		lineno++;
		if (lineno == 1) {
			if (strcmp(line, "slabinfo - version: 2.1"))
				die(EXIT_INPUT, "%s:1: '%.60s' is not 'slabinfo - version: 2.1'",
				    slabinfo_path, line);
		} else if (lineno == 2) {
			if (strncmp(line, "# name ", 7))
				die(EXIT_INPUT, "%s:2: '%.60s' is not the line of column names",
				    slabinfo_path, line);
		} else {
			parse_line(line, lineno);
		}
	}
	if (lineno < 2)
		die(EXIT_INPUT, "%s: no headings, not a slabinfo",
		    slabinfo_path);
	for (i = 0; i < ARRAY_SIZE(slabs); i++) {
		struct slab *s = &slabs[i];

		if (s->present)
			continue;
		if (!s->optional)
			die(EXIT_INPUT, "%s: no line for %s (is its cache merged? boot with slab_nomerge)",
			    slabinfo_path, s->name);
		s->objects = s->object_size = s->slabs = 0;
		s->pages_per_slab = 0;
	}
}

static void open_slab(struct slab *s)
{
	char *dir = path_of(sysfs_path, s->name, NULL), *p;
	unsigned long aliases;
	struct stat st;
	char buf[64];

	s->shrink_fd = s->cpu_slabs_fd = -1;
	if (lstat(dir, &st)) {
		if (errno != ENOENT || (!s->optional && !recorded))
			die(EXIT_INPUT, "%s: %s", dir, strerror(errno));
		free(dir);
		return;
	}
	/* The kernel gives a cache that could be merged a symlink */
	if (S_ISLNK(st.st_mode))
		die(EXIT_MERGED, "%s is an alias: slab merging is on and %s may hold other caches' objects; boot with slab_nomerge",
		    dir, s->name);
	p = path_of(dir, "aliases", NULL);
	if (slurp(p, buf, sizeof(buf)) < 0)
		die(EXIT_INPUT, "%s: %s", p, strerror(errno));
	if (!number(buf, &aliases))
		die(EXIT_INPUT, "%s: '%s' is not a number", p, buf);
	if (aliases)
		die(EXIT_MERGED, "%s: %lu other caches are merged into %s; boot with slab_nomerge",
		    p, aliases, s->name);
	free(p);

	if (!recorded) {
		p = path_of(dir, "shrink", NULL);
		s->shrink_fd = open(p, O_WRONLY | O_CLOEXEC);
		if (s->shrink_fd < 0)
			die(EXIT_INPUT, "%s: %s%s", p, strerror(errno),
			    errno == EACCES ? " (only root may shrink a cache)"
					    : "");
		free(p);
	}
	p = path_of(dir, "cpu_slabs", NULL);
	s->cpu_slabs_fd = open(p, O_RDONLY | O_CLOEXEC);
	if (s->cpu_slabs_fd < 0 && errno != ENOENT)
		die(EXIT_INPUT, "%s: %s", p, strerror(errno));
	free(p);
	free(dir);
}

static void shrink(struct slab *s)
{
	if (s->shrink_fd < 0)
		return;
	if (pwrite(s->shrink_fd, "1\n", 2, 0) != 2)
		die(EXIT_INPUT, "%s/%s/shrink: %s", sysfs_path, s->name,
		    strerror(errno));
}

static void read_cpu_slabs(struct slab *s)
{
	unsigned long val;
	char buf[4096];

	s->cpu_slabs = -1;
	if (s->cpu_slabs_fd < 0)
		return;
	if (slurp_fd(s->cpu_slabs_fd, buf, sizeof(buf)) < 0)
		die(EXIT_INPUT, "%s/%s/cpu_slabs: %s", sysfs_path, s->name,
		    strerror(errno));
	if (!number(buf, &val))
		die(EXIT_INPUT, "%s/%s/cpu_slabs: '%.40s' does not start with a number",
		    sysfs_path, s->name, buf);
	s->cpu_slabs = val;
}

/*
 * Shrinks and reads until SETTLED readings in a row agree in every cache.
 * Objects freed through RCU leave a little after their owner, and a busy
 * system never settles: the caller is told.
 */
static bool sample_slabs(unsigned int max_rounds, unsigned int interval_ms,
			 unsigned int *rounds)
{
	static char text[1 << 20];
	const struct timespec pause = {
		.tv_sec = interval_ms / 1000,
		.tv_nsec = (interval_ms % 1000) * 1000000L,
	};
	unsigned long last[ARRAY_SIZE(slabs)];
	unsigned int equal = 0, i;
	int fd;

	fd = open(slabinfo_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(EXIT_INPUT, "%s: %s%s", slabinfo_path, strerror(errno),
		    errno == ENOENT ? " (a kernel with SLUB_TINY or without SLUB_DEBUG has none)" : "");

	for (*rounds = 1; ; ++*rounds) {
		bool same = *rounds > 1;

		for (i = 0; i < ARRAY_SIZE(slabs); i++)
			shrink(&slabs[i]);
		if (slurp_fd(fd, text, sizeof(text)) < 0)
			die(EXIT_INPUT, "%s: %s", slabinfo_path,
			    strerror(errno));
		for (i = 0; i < ARRAY_SIZE(slabs); i++)
			read_cpu_slabs(&slabs[i]);
		parse_slabinfo(text);
		for (i = 0; i < ARRAY_SIZE(slabs); i++) {
			same = same && slabs[i].objects == last[i];
			last[i] = slabs[i].objects;
		}
		equal = same ? equal + 1 : 1;
		if (equal == SETTLED || *rounds == max_rounds)
			break;
		nanosleep(&pause, NULL);
		/* A grace period, so that readings differ while RCU holds objects back */
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	}
	close(fd);
	return equal == SETTLED;
}

/* A process may vanish at any moment: that is no error */
static bool vanished(int err)
{
	return err == ENOENT || err == ESRCH;
}

/*
 * Lines of a maps file.  vsyscall is no VMA, though it is listed: it belongs
 * to the kernel.
 */
static bool count_maps(const char *path, unsigned long *vmas)
{
	static char buf[1 << 16];
	static const char gate[] = "[vsyscall]";
	size_t have = 0;
	ssize_t n;
	int fd;

	*vmas = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		if (vanished(errno))
			return false;
		die(EXIT_INPUT, "%s: %s%s", path, strerror(errno),
		    errno == EACCES ? " (only root may read it)" : "");
	}
	while ((n = read(fd, buf + have, sizeof(buf) - have)) != 0) {
		char *line = buf, *nl;

		if (n < 0) {
			if (vanished(errno))
				break;
			die(EXIT_INPUT, "%s: %s", path, strerror(errno));
		}
		have += n;
		while ((nl = memchr(line, '\n', buf + have - line))) {
			size_t len = nl - line;

			if (len < sizeof(gate) - 1 ||
			    memcmp(nl - (sizeof(gate) - 1), gate,
				   sizeof(gate) - 1))
				++*vmas;
			line = nl + 1;
		}
		have -= line - buf;
		if (have == sizeof(buf))
			die(EXIT_INPUT, "%s: a line longer than %zu bytes",
			    path, sizeof(buf));
		memmove(buf, line, have);
	}
	close(fd);
	if (n < 0)
		return false;
	if (have)
		die(EXIT_INPUT, "%s: the last line is cut off", path);
	return true;
}

static void count_process(const char *pid, bool maps)
{
	char *path = path_of(proc_path, pid, "stat"), *p;
	unsigned long flags, threads, vsize, vmas = 0;
	char buf[4096];
	ssize_t n;

	n = slurp(path, buf, sizeof(buf));
	if (n < 0) {
		if (!vanished(errno))
			die(EXIT_INPUT, "%s: %s", path, strerror(errno));
		free(path);
		return;
	}
	/*
	 * The command's name may hold anything; the fields start behind the
	 * last ')': state, ppid, pgrp, session, tty_nr, tpgid, flags, ten
	 * more, num_threads, two more, vsize (0: no mm).
	 */
	p = strrchr(buf, ')');
	if (!p || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lu %*d %*u %lu",
			 &flags, &threads, &vsize) != 3)
		die(EXIT_INPUT, "%s: not a process's stat: '%.60s'", path, buf);
	free(path);
	if (flags & PF_KTHREAD) {
		count.kernel_threads++;
		return;
	}
	if (!vsize)
		return;		/* about to be reaped */
	path = path_of(proc_path, pid, "maps");
	if (!maps || count_maps(path, &vmas)) {
		count.processes++;
		count.threads += threads;
		count.vmas += vmas;
	}
	free(path);
}

/* With  the VMAs are counted as well, which takes far longer */
static void count_processes(bool maps)
{
	/*
	 * A few names at a time: processes made while others are counted have
	 * higher numbers, and are found that way.
	 */
	_Alignas(struct dirent64) char buf[sizeof(struct dirent64)];
	int fd = open(proc_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n, at;

	count = (struct count){ 0 };
	if (fd < 0)
		die(EXIT_INPUT, "%s: %s", proc_path, strerror(errno));
	while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n; ) {
			const struct dirent64 *de = (struct dirent64 *)(buf + at);
			const char *p = de->d_name;

			while (isdigit((unsigned char)*p))
				p++;
			if (!*p)
				count_process(de->d_name, maps);
			at += de->d_reclen;
		}
	}
	if (n < 0)
		die(EXIT_INPUT, "%s: %s", proc_path, strerror(errno));
	close(fd);
	if (!count.processes)
		die(EXIT_INPUT, "%s: no process in it", proc_path);
}

static void print_string(FILE *out, const char *s)
{
	fputc('"', out);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			fprintf(out, "\\u%04x", *s);
		else
			fputc(*s, out);
	}
	fputc('"', out);
}

/* The feature's own counters, where the kernel has it and root asks */
static void print_counters(FILE *out)
{
	static const char * const names[] = {
		"mms", "anon_vmas", "links", "displaced", "reuses"
	};
	const char *sep = "";
	unsigned long val;
	char buf[64];
	unsigned int i;

	fputs(",\n \"counters\":{", out);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		char *p = path_of(counters_path, names[i], NULL);

		if (slurp(p, buf, sizeof(buf)) < 0) {
			if (errno != ENOENT)
				die(EXIT_INPUT, "%s: %s", p, strerror(errno));
			free(p);
			continue;
		}
		if (!number(buf, &val))
			die(EXIT_INPUT, "%s: '%s' is not a number", p, buf);
		fprintf(out, "%s\"%s\":%lu", sep, names[i], val);
		sep = ",";
		free(p);
	}
	fputs("}", out);
}

static void print_sample(FILE *out, const char *label, bool settled,
			 unsigned int rounds)
{
	long page_size = sysconf(_SC_PAGESIZE);
	struct utsname un;
	unsigned int i;

	if (uname(&un))
		die(EXIT_FAILURE, "uname: %s", strerror(errno));
	fputs("{\"sample\":1,\"label\":", out);
	print_string(out, label);
	fputs(",\n \"kernel\":{\"release\":", out);
	print_string(out, un.release);
	fputs(",\"arch\":", out);
	print_string(out, un.machine);
	fputs(",\"version\":", out);
	print_string(out, un.version);
	fprintf(out, "},\n \"processes\":%lu,\"threads\":%lu,\"kernel_threads\":%lu,\"vmas\":%lu,\n \"slabs\":{",
		count.processes, count.threads, count.kernel_threads,
		count.vmas);
	for (i = 0; i < ARRAY_SIZE(slabs); i++) {
		const struct slab *s = &slabs[i];
		unsigned long pages = s->slabs * s->pages_per_slab;

		fprintf(out, "%s\n  \"%s\":{\"objects\":%lu,\"object_size\":%lu,\"bytes\":%lu,\"pages\":%lu,\"page_bytes\":%lu,\"cpu_slabs\":",
			i ? "," : "", s->name, s->objects, s->object_size,
			s->objects * s->object_size, pages, pages * page_size);
		if (s->cpu_slabs < 0)
			fputs("null}", out);
		else
			fprintf(out, "%ld}", s->cpu_slabs);
	}
	fprintf(out, "},\n \"settled\":%s,\"rounds\":%u",
		settled ? "true" : "false", rounds);
	print_counters(out);
	fputs("}\n", out);
}

static const char usage[] =
"Usage: slabsample [OPTION]...\n"
"Shrink the slab caches of anonymous reverse mapping, read them once they\n"
"have settled, count processes and VMAs, and print one JSON object.\n"
"\n"
"  -l, --label TEXT        put TEXT into the sample\n"
"  -o, --output FILE       write FILE (whole or not at all), not stdout\n"
"  -r, --rounds N          give up settling after N readings (default 50)\n"
"  -i, --interval MS       time between readings (default 100)\n"
"      --slabinfo FILE     read a recorded slabinfo; nothing is shrunk\n"
"      --sysfs DIR         instead of /sys/kernel/slab\n"
"      --proc DIR          instead of /proc\n"
"      --counters DIR      instead of /sys/kernel/mm/anon_vma_lazy\n"
"  -h, --help              this text\n"
"\n"
"Needs root and a kernel booted with slab_nomerge.  Figures that do not\n"
"settle are written all the same, with \"settled\":false and a warning.\n"
"Status: 0 sampled, 2 wrong usage, 3 missing or malformed input, 4 merged.\n";

static unsigned int parse_option(const char *opt, const char *arg,
				 unsigned int min)
{
	unsigned long val;

	if (!number(arg, &val) || val < min || val > 1000000)
		die(EXIT_USAGE, "--%s %s: a number from %u to 1000000 is wanted",
		    opt, arg, min);
	return val;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "label", required_argument, NULL, 'l' },
		{ "output", required_argument, NULL, 'o' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "interval", required_argument, NULL, 'i' },
		{ "slabinfo", required_argument, NULL, 'S' },
		{ "sysfs", required_argument, NULL, 'Y' },
		{ "proc", required_argument, NULL, 'P' },
		{ "counters", required_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	unsigned int max_rounds = 50, interval_ms = 100, rounds, tries, i;
	const char *output = NULL, *label = "";
	char *partial = NULL;
	FILE *out = stdout;
	bool settled, same;
	int c;

	while ((c = getopt_long(argc, argv, "l:o:r:i:h", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			label = optarg;
			break;
		case 'o':
			output = optarg;
			break;
		case 'r':
			max_rounds = parse_option("rounds", optarg, SETTLED);
			break;
		case 'i':
			interval_ms = parse_option("interval", optarg, 0);
			break;
		case 'S':
			slabinfo_path = optarg;
			recorded = true;
			break;
		case 'Y':
			sysfs_path = optarg;
			break;
		case 'P':
			proc_path = optarg;
			break;
		case 'C':
			counters_path = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try 'slabsample --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc)
		die(EXIT_USAGE, "unexpected argument '%s'", argv[optind]);
	if (!slabinfo_path)
		slabinfo_path = path_of(proc_path, "slabinfo", NULL);

	for (i = 0; i < ARRAY_SIZE(slabs); i++)
		open_slab(&slabs[i]);
	/*
	 * Processes cannot be counted in the moment of the slabs: they are
	 * counted before and after, and all is done again where they differ.
	 */
	for (tries = 1; ; tries++) {
		struct count before;

		count_processes(true);
		before = count;
		settled = sample_slabs(max_rounds, interval_ms, &rounds);
		count_processes(false);
		same = before.processes == count.processes &&
		       before.threads == count.threads;
		count = before;
		if ((settled && same) || tries == MAX_TRIES)
			break;
	}
	if (!settled)
		fprintf(stderr, "slabsample: warning: the figures did not settle in %u readings; something is running\n",
			rounds);
	else if (!same)
		fprintf(stderr, "slabsample: warning: processes came or went at each of %u samples\n",
			tries);
	settled = settled && same;

	if (output) {
		if (asprintf(&partial, "%s.part", output) < 0)
			die(EXIT_FAILURE, "out of memory");
		out = fopen(partial, "w");
		if (!out)
			die(EXIT_FAILURE, "%s: %s", partial, strerror(errno));
	}
	print_sample(out, label, settled, rounds);
	if (fflush(out) || ferror(out) || (output && fclose(out)))
		die(EXIT_FAILURE, "%s: %s", output ? partial : "stdout",
		    strerror(errno));
	if (output && rename(partial, output))
		die(EXIT_FAILURE, "%s: %s", output, strerror(errno));
	return 0;
}
