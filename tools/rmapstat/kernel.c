// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own figures.  A slab cache that the kernel merged with others
 * counts their objects too, so its number is withheld, not guessed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "rmapstat.h"

const char *proc_dir = "/proc", *sys_dir = "/sys";

struct slab slabs[NR_SLABS] = {
	[ANON_VMA] = { .name = "anon_vma", .size = 104 },
	[CHAIN] = { .name = "anon_vma_chain", .size = 64 },
	[LINK] = { .name = "anon_vma_mm_link", .size = 48 },
};

const char *const counter_name[NR_COUNTERS] = {
	"mms", "anon_vmas", "links", "displaced", "reuses",
};
uint64_t counter[NR_COUNTERS];
bool counters_known, patched;
long switch_value = -1;
char release[80] = "unknown", machine[80] = "unknown";

void die(int code, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("rmapstat: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(code);
}

void *grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		die(1, "out of memory");
	return p;
}

/*
 * Read a whole file, NUL-terminated, into a buffer that the next call reuses.
 * NULL and errno if that fails.
 */
char *slurp(const char *fmt, ...)
{
	static char *buf;
	static size_t size;
	char path[PATH_MAX];
	size_t len = 0;
	ssize_t n;
	va_list ap;
	int fd, err;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	do {
		if (size - len < 4096) {
			size = size ? size * 2 : 1 << 16;
			buf = grow(buf, size, 1);
		}
		n = read(fd, buf + len, size - len - 1);
		if (n > 0)
			len += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	err = errno;
	close(fd);
	errno = err;
	buf[len] = '\0';
	return n < 0 ? NULL : buf;
}

/* Cut the next line off *p; NULL at the end. */
char *next_line(char **p)
{
	char *line = *p;

	if (!*line)
		return NULL;
	*p += strcspn(line, "\n");
	if (**p)
		*(*p)++ = '\0';
	return line;
}

/* A whole decimal number, up to the end or white space. */
bool number(const char *s, uint64_t *val)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*val = strtoull(s, &end, 10);
	return !errno && (!*end || isspace((unsigned char)*end));
}

int64_t bytes_of(int64_t anon_vmas, int64_t chains, int64_t links, int64_t mms)
{
	return anon_vmas * slabs[ANON_VMA].size + chains * slabs[CHAIN].size +
		links * slabs[LINK].size + mms * MM_GROWTH;
}

/*
 * All names of a cache that may be merged are symlinks to one directory in
 * /sys/kernel/slab.  False also if it is a directory itself: never merged.
 */
static bool slab_target(const char *name, char *target, size_t size)
{
	char path[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/kernel/slab/%s", sys_dir, name);
	n = readlink(path, target, size - 1);
	target[n < 0 ? 0 : n] = '\0';
	return n >= 0;
}

static bool same_slab(const char *a, const char *b)
{
	char ta[256], tb[256];

	return slab_target(a, ta, sizeof(ta)) &&
		slab_target(b, tb, sizeof(tb)) && !strcmp(ta, tb);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Set the reason if the cache is merged, or if that cannot be told. */
static void check_merged(struct slab *s)
{
	char path[PATH_MAX], **names = NULL;
	size_t i, n = 0, used;
	struct dirent *de;
	DIR *d;

	snprintf(path, sizeof(path), "%s/kernel/slab/%s", sys_dir, s->name);
	if (access(path, F_OK)) {
		snprintf(s->why, sizeof(s->why),
			 "no %s in /sys/kernel/slab: cannot tell whether it is merged",
			 s->name);
		return;
	}
	snprintf(path, sizeof(path), "%s/kernel/slab", sys_dir);
	d = opendir(path);
	while (d && (de = readdir(d))) {
		if (!strcmp(de->d_name, s->name) ||
		    !same_slab(de->d_name, s->name))
			continue;
		names = grow(names, n + 1, sizeof(*names));
		names[n] = strdup(de->d_name);
		if (!names[n++])
			die(1, "out of memory");
	}
	if (d)
		closedir(d);
	if (n)
		qsort(names, n, sizeof(*names), by_name);
	for (i = used = 0; i < n; i++) {
		if (used < sizeof(s->why))
			used += snprintf(s->why + used, sizeof(s->why) - used,
					 "%s %s", i ? "," : "merged with",
					 names[i]);
		free(names[i]);
	}
	free(names);
}

static void read_slab(struct slab *s, const char *name, const char *rest)
{
	uint64_t active, total, size, pages, nr;
	bool merged = strcmp(s->name, name) || same_slab(s->name, name);

	if (strcmp(s->name, name) && !same_slab(s->name, name))
		return;
	if (sscanf(rest, "%" SCNu64 "%" SCNu64 "%" SCNu64 "%*u %" SCNu64
		   " : tunables %*u %*u %*u : slabdata %*u %" SCNu64,
		   &active, &total, &size, &pages, &nr) != 5 ||
	    active > total || !size || size > 1 << 16) {
		snprintf(s->why, sizeof(s->why),
			 "malformed line in /proc/slabinfo");
		return;
	}
	s->size = size;
	if (!s->why[0]) {
		s->known = true;
		s->active = active;
		s->bytes = nr * pages * sysconf(_SC_PAGESIZE);
	} else if (merged) {
		s->at_most = active;
	}
}

void read_slabs(void)
{
	static const char head[] = "slabinfo - version: 2.";
	const char *why = NULL;
	char *p, *line;
	struct slab *s;

	p = slurp("%s/slabinfo", proc_dir);
	if (!p)
		why = errno == ENOENT ? "this kernel has no /proc/slabinfo" :
			"/proc/slabinfo is for root only";
	else if (strncmp(p, head, strlen(head)))
		why = "/proc/slabinfo has an unknown format";
	for (s = slabs; s < slabs + NR_SLABS; s++)
		if (why)
			snprintf(s->why, sizeof(s->why), "%s", why);
		else
			check_merged(s);
	while (!why && (line = next_line(&p))) {
		char *rest = line + strcspn(line, " ");

		if (*rest)
			*rest++ = '\0';
		for (s = slabs; s < slabs + NR_SLABS; s++)
			read_slab(s, line, rest);
	}
	for (s = slabs; s < slabs + NR_SLABS; s++)
		if (!s->known && !s->why[0])
			snprintf(s->why, sizeof(s->why),
				 "not in /proc/slabinfo");
}

/*
 * The one place that knows the text of /proc/PID/anon_rmap: "key: value" lines,
 * unknown keys are skipped.  A lazy process has one anon_vma, and its link to
 * that is in mm_struct, but among "links".
 */
void read_anon_rmap(struct proc *p)
{
	static const struct {
		const char *key;
		enum field f;
	} keys[] = {
		{ "links:", F_REAL_LINKS },
		{ "displaced:", F_REAL_DISPLACED },
	};
	char *buf, *line;
	uint64_t val;
	size_t i;

	buf = slurp("%s/%d/anon_rmap", proc_dir, (int)p->f[F_PID]);
	while (buf && (line = next_line(&buf))) {
		char *value = line + strcspn(line, " \t");

		if (*value)
			*value++ = '\0';
		value += strspn(value, " \t");
		if (!strcmp(line, "mode:"))
			p->lazy = !strcmp(value, "lazy");
		for (i = 0; i < ARRAY_SIZE(keys); i++)
			if (!strcmp(line, keys[i].key) && number(value, &val))
				p->f[keys[i].f] = val;
	}
	if (p->lazy && p->f[F_REAL_LINKS]) {
		p->f[F_REAL_ANON_VMAS] = 1;
		p->f[F_REAL_LINKS]--;
	}
}

static void read_name(char *to, size_t size, const char *file)
{
	char *p = slurp("%s/sys/kernel/%s", proc_dir, file);

	if (p)
		snprintf(to, size, "%.*s", (int)strcspn(p, "\n"), p);
}

void read_kernel(void)
{
	struct utsname uts;
	uint64_t val;
	char *p;
	int i;

	if (!uname(&uts))
		snprintf(machine, sizeof(machine), "%s", uts.machine);
	read_name(machine, sizeof(machine), "arch");
	read_name(release, sizeof(release), "osrelease");
	p = slurp("%s/sys/vm/anon_vma_lazy", proc_dir);
	patched = p || errno == EACCES || errno == EPERM;
	if (p && number(p, &val))
		switch_value = val;
	counters_known = patched;
	for (i = 0; patched && i < NR_COUNTERS; i++) {
		p = slurp("%s/kernel/mm/anon_vma_lazy/%s", sys_dir,
			  counter_name[i]);
		if (!p || !number(p, &counter[i]))
			counters_known = false;
	}
}
