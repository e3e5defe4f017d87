// SPDX-License-Identifier: GPL-2.0-only
/*
 * rmapstat - what anonymous reverse mapping costs on this machine, and what
 * ANON_VMA_LAZY would save, or on a kernel that has it, does save.
 *
 * Two sources, never mixed up in the output:
 *
 *  counted    /proc/slabinfo (root) and, on a patched kernel, the counters of
 *             /sys/kernel/mm/anon_vma_lazy and /proc/PID/anon_rmap.
 *  estimated  a model over the VMAs of each readable process.  A VMA that holds
 *             an anonymous page has an anon_vma_chain (AVC) for its own
 *             anon_vma and one more for every ancestor it was inherited from.
 *             VMAs that were split share one anon_vma; a forked copy has its
 *             own.  See model() and the manual page for what that misses.
 *
 * A slab cache that the kernel merged with others counts their objects too, so
 * its number is withheld, not guessed.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define VERSION			1
#define SUMMARY_MSEC		1500	/* a summary samples when this is over */
#define MM_GROWTH		128	/* of mm_struct on a patched kernel */
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))

/* task flags, as in field 9 of /proc/PID/stat */
#define PF_FORKNOEXEC		0x00000040
#define PF_KTHREAD		0x00200000

/* PAGEMAP_SCAN (Linux 6.7), here because older headers lack it */
struct pm_region {
	uint64_t start, end, categories;
};

struct pm_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

#define PM_SCAN			_IOWR('f', 16, struct pm_arg)
#define PM_FILE			(1 << 2)
#define PM_PRESENT		(1 << 3)
#define PM_SWAPPED		(1 << 4)
#define PM_PFNZERO		(1 << 5)

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

enum state { P_NEW, P_READ, P_DENIED, P_GONE, P_NOMM };

struct proc {
	int pid, ppid;
	unsigned int flags;		/* PF_* */
	enum state state;
	bool candidate, modelled, orphan, lazy;
	char comm[64];
	uint64_t stack_end;		/* differs for every exec'd image */
	unsigned int nr_vmas, nr_anon;
	struct vma *vma;		/* nr_anon of them, by address */
	unsigned int generation;	/* 1: exec'd, 2: forked from that, ... */
	uint64_t anon_vmas, chains;	/* model */
	uint64_t regular, needed;	/* model, bytes: today, lazy */
	uint64_t k_anon_vmas, k_links, k_displaced;	/* kernel's, if lazy */
	uint64_t real;			/* bytes from those */
};

struct slab {
	const char *name;
	uint64_t size;			/* documented default until read */
	bool known;
	uint64_t active, pages;
	uint64_t at_most;		/* if merged: active objects of all */
	char why[256];			/* if not known: the reason */
};

enum { ANON_VMA, CHAIN, LINK, NR_SLABS };

static struct slab slabs[NR_SLABS] = {
	[ANON_VMA] = { .name = "anon_vma", .size = 104 },
	[CHAIN] = { .name = "anon_vma_chain", .size = 64 },
	[LINK] = { .name = "anon_vma_mm_link", .size = 64 },
};

enum { C_MMS, C_ANON_VMAS, C_LINKS, C_DISPLACED, C_REUSES, NR_COUNTERS };
static const char *const counter_name[NR_COUNTERS] = {
	"mms", "anon_vmas", "links", "displaced", "reuses",
};
static uint64_t counter[NR_COUNTERS];
static bool counters_known;

enum method { M_AUTO, M_PAGEMAP, M_SMAPS };
static const char *const method_name[] = { "auto", "pagemap", "smaps" };

static const char *proc_dir = "/proc", *sys_dir = "/sys";
static enum method method;
static bool json, full;
static long sample_max = LONG_MAX, top = LONG_MAX;
static const char *sort_key = "saves";

static bool patched;
static long switch_value = -1;		/* vm.anon_vma_lazy, -1: not readable */
static char release[128] = "unknown", machine[80] = "unknown";

static struct proc *procs;
static size_t nr_procs;
static struct timespec begin;

/* What was found, over all processes; `est` is scaled if they were sampled. */
static struct {
	uint64_t visited, candidates, read, denied, vanished;
	double scale;
	struct {
		uint64_t vmas, anon;
		uint64_t anon_vmas, chains;	/* model, of regular processes */
		uint64_t regular, needed;
		uint64_t lazy_mms, lazy_anon_vmas, lazy_chains;
		uint64_t lazy_regular, lazy_real;
	} est;
	bool partial;				/* lower bound */
	bool counted;				/* `now` comes from slabs alone */
	uint64_t now, need;			/* bytes, regular processes */
	int64_t would_save, saves;
} sum;

static void __attribute__((noreturn, format(printf, 2, 3)))
die(int code, const char *fmt, ...)
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

static void *grow(void *p, size_t n, size_t size)
{
	p = reallocarray(p, n, size);
	if (!p)
		die(1, "out of memory");
	return p;
}

/* Milliseconds since the start. */
static long elapsed(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - begin.tv_sec) * 1000 +
		(now.tv_nsec - begin.tv_nsec) / 1000000;
}

/*
 * Read a whole file, NUL-terminated, into a buffer that the next call reuses.
 * NULL and errno if that fails.
 */
static char *__attribute__((format(printf, 1, 2))) slurp(const char *fmt, ...)
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
	for (;;) {
		if (size - len < 4096) {
			size = size ? size * 2 : 1 << 16;
			buf = grow(buf, size, 1);
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += n;
	}
	err = errno;
	close(fd);
	errno = err;
	if (n < 0)
		return NULL;
	buf[len] = '\0';
	return buf;
}

/* Cut the next line off *p; NULL at the end. */
static char *next_line(char **p)
{
	char *line = *p, *nl;

	if (!*line)
		return NULL;
	nl = strchr(line, '\n');
	if (nl) {
		*nl = '\0';
		*p = nl + 1;
	} else {
		*p = line + strlen(line);
	}
	return line;
}

static bool number(const char *s, uint64_t *val)
{
	char *end;

	if (!isdigit((unsigned char)*s))
		return false;
	errno = 0;
	*val = strtoull(s, &end, 10);
	return !errno && (*end == '\0' || isspace((unsigned char)*end));
}

/* ---- the kernel's own figures ------------------------------------------ */

/*
 * Is the cache shared with others?  A cache that may be merged is a symlink in
 * /sys/kernel/slab, and all names of one cache point to the same directory.
 * Returns 0: alone, 1: merged (s->why names the others), -1: cannot tell.
 */
static int slab_merged(struct slab *s)
{
	char dir[PATH_MAX / 2], path[PATH_MAX], mine[256], other[256];
	struct dirent *de;
	ssize_t n;
	int ret = 0;
	size_t used;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/kernel/slab", sys_dir);
	snprintf(path, sizeof(path), "%s/%s", dir, s->name);
	n = readlink(path, mine, sizeof(mine) - 1);
	if (n < 0)
		return errno == EINVAL ? 0 : -1;	/* a directory: alone */
	mine[n] = '\0';
	d = opendir(dir);
	if (!d)
		return -1;
	used = snprintf(s->why, sizeof(s->why), "merged by the kernel with");
	while ((de = readdir(d))) {
		if (!strcmp(de->d_name, s->name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		n = readlink(path, other, sizeof(other) - 1);
		if (n < 0)
			continue;
		other[n] = '\0';
		if (strcmp(mine, other))
			continue;
		if (used + strlen(de->d_name) + 2 < sizeof(s->why))
			used += snprintf(s->why + used, sizeof(s->why) - used,
					 "%s %s", ret ? "," : "", de->d_name);
		ret = 1;
	}
	closedir(d);
	if (!ret)
		s->why[0] = '\0';
	return ret;
}

/* The name at the start of a line of slabinfo is one of the merged ones. */
static bool is_alias(const struct slab *s, const char *name)
{
	char a[PATH_MAX], b[PATH_MAX], ta[256], tb[256];
	ssize_t na, nb;

	if (strlen(name) > 255)
		return false;
	snprintf(a, sizeof(a), "%s/kernel/slab/%s", sys_dir, s->name);
	snprintf(b, sizeof(b), "%s/kernel/slab/%s", sys_dir, name);
	na = readlink(a, ta, sizeof(ta));
	nb = readlink(b, tb, sizeof(tb));
	return na > 0 && na == nb && !memcmp(ta, tb, na);
}

static void read_slabs(void)
{
	static const char head[] = "slabinfo - version: 2.";
	char *p, *line, *name;
	int merged[NR_SLABS];
	size_t i;

	for (i = 0; i < NR_SLABS; i++)
		merged[i] = slab_merged(&slabs[i]);
	p = slurp("%s/slabinfo", proc_dir);
	if (!p || strncmp(p, head, strlen(head))) {
		const char *why = p ? "/proc/slabinfo has an unknown format" :
			errno == ENOENT ? "this kernel has no /proc/slabinfo" :
			"/proc/slabinfo is readable by root only";

		for (i = 0; i < NR_SLABS; i++)
			snprintf(slabs[i].why, sizeof(slabs[i].why), "%s", why);
		return;
	}
	while ((line = next_line(&p))) {
		uint64_t active, total, size, per, pages, nslabs;
		int n;

		name = line;
		line += strcspn(line, " \t");
		if (!*line || *name == '#')
			continue;
		*line++ = '\0';
		for (i = 0; i < NR_SLABS; i++) {
			struct slab *s = &slabs[i];

			if (strcmp(name, s->name) &&
			    (merged[i] != 1 || !is_alias(s, name)))
				continue;
			n = sscanf(line, "%" SCNu64 " %" SCNu64 " %" SCNu64
				   " %" SCNu64 " %" SCNu64
				   " : tunables %*u %*u %*u : slabdata %*u %"
				   SCNu64, &active, &total, &size, &per, &pages,
				   &nslabs);
			if (n != 6 || active > total || !size) {
				snprintf(s->why, sizeof(s->why),
					 "malformed line in /proc/slabinfo");
				merged[i] = 0;
				continue;
			}
			s->size = size;
			if (merged[i] == 1) {
				s->at_most = active;
			} else if (merged[i] < 0) {
				snprintf(s->why, sizeof(s->why),
					 "cannot tell whether it is merged: no %s in /sys/kernel/slab",
					 s->name);
			} else {
				s->known = true;
				s->active = active;
				s->pages = nslabs * pages *
					(uint64_t)sysconf(_SC_PAGESIZE);
			}
		}
	}
	for (i = 0; i < NR_SLABS; i++)
		if (!slabs[i].known && !slabs[i].why[0])
			snprintf(slabs[i].why, sizeof(slabs[i].why),
				 "not in /proc/slabinfo");
}

/*
 * The one place that knows the text of /proc/PID/anon_rmap: "key: value" lines,
 * unknown keys are skipped.
 */
static void read_anon_rmap(struct proc *p)
{
	char *buf = slurp("%s/%d/anon_rmap", proc_dir, p->pid);
	static const char *const key[] = { "anon_vmas", "links", "displaced" };
	uint64_t *val[] = { &p->k_anon_vmas, &p->k_links, &p->k_displaced };
	char *line;
	size_t i;

	while (buf && (line = next_line(&buf))) {
		char *v = strchr(line, ':');

		if (!v)
			continue;
		*v++ = '\0';
		v += strspn(v, " \t");
		if (!strcmp(line, "mode"))
			p->lazy = !strncmp(v, "lazy", 4);
		for (i = 0; i < ARRAY_SIZE(key); i++)
			if (!strcmp(line, key[i]) && !number(v, val[i]))
				*val[i] = 0;
	}
}

static void read_kernel(void)
{
	char path[PATH_MAX];
	struct utsname uts;
	uint64_t v;
	char *p;
	int i;

	if (!uname(&uts))
		snprintf(machine, sizeof(machine), "%s", uts.machine);
	p = slurp("%s/sys/kernel/osrelease", proc_dir);
	if (p)
		snprintf(release, sizeof(release), "%.*s",
			 (int)strcspn(p, "\n"), p);
	p = slurp("%s/sys/kernel/arch", proc_dir);
	if (p)
		snprintf(machine, sizeof(machine), "%.*s",
			 (int)strcspn(p, "\n"), p);
	p = slurp("%s/sys/vm/anon_vma_lazy", proc_dir);
	patched = p || errno == EACCES || errno == EPERM;
	if (p && number(p, &v))
		switch_value = v;
	snprintf(path, sizeof(path), "%s/kernel/mm/anon_vma_lazy", sys_dir);
	patched |= !access(path, F_OK);
	counters_known = patched;
	for (i = 0; i < NR_COUNTERS; i++) {
		p = slurp("%s/kernel/mm/anon_vma_lazy/%s", sys_dir,
			  counter_name[i]);
		if (!p || !number(p, &counter[i]))
			counters_known = false;
	}
}

/* ---- processes ---------------------------------------------------------- */

/*
 * Does [start, end) hold an anonymous page, present or swapped out?  The walk
 * ends at the first one.  -1 and errno if the kernel cannot say.
 */
static int has_anon(int fd, uint64_t start, uint64_t end)
{
	struct pm_region region;
	struct pm_arg arg = {
		.size = sizeof(arg), .start = start, .end = end,
		.vec = (uintptr_t)&region, .vec_len = 1, .max_pages = 1,
		.inverted = PM_FILE | PM_PFNZERO, .mask = PM_FILE | PM_PFNZERO,
		.anyof = PM_PRESENT | PM_SWAPPED,
		.returned = PM_PRESENT | PM_SWAPPED,
	};

	return ioctl(fd, PM_SCAN, &arg);
}

/* The first line of each VMA in maps and smaps. */
static bool parse_vma(const char *line, struct vma *v, const char **name)
{
	unsigned long long start, end, off, inode;
	unsigned int major, minor;
	char perms[5];
	int n = 0;

	if (!isxdigit((unsigned char)*line) ||
	    sscanf(line, "%llx-%llx %4s %llx %x:%x %llu%n", &start, &end, perms,
		   &off, &major, &minor, &inode, &n) != 7 || start >= end)
		return false;
	memset(v, 0, sizeof(*v));
	v->start = start;
	v->end = end;
	v->off = off;
	if (inode)
		v->file = (uint64_t)inode ^ (uint64_t)major << 52 ^
			(uint64_t)minor << 40;
	memcpy(v->perms, perms, sizeof(perms));
	*name = line + n + strspn(line + n, " ");
	return true;
}

static bool may_hold_anon(const struct vma *v, const char *name)
{
	return v->perms[3] == 'p' && strncmp(name, "[v", 2) && strcmp(name, "[uprobes]");
}

static enum state state_of_error(void)
{
	switch (errno) {
	case ENOENT:
	case ESRCH:
		return P_GONE;
	case EACCES:
	case EPERM:
		return P_DENIED;
	}
	die(1, "cannot read a process below %s: %s", proc_dir, strerror(errno));
}

static void keep_vma(struct proc *p, const struct vma *v, const char *name)
{
	if (!(p->nr_anon % 16))
		p->vma = grow(p->vma, p->nr_anon + 16, sizeof(*v));
	p->vma[p->nr_anon] = *v;
	p->vma[p->nr_anon++].name = name ? strdup(name) : NULL;
}

/*
 * Read the VMAs of a process and keep those with anonymous pages.  With
 * PAGEMAP_SCAN that takes maps and one ioctl for each private VMA; otherwise
 * smaps, which looks at every page.
 */
static void read_vmas(struct proc *p, bool names)
{
	char path[PATH_MAX], *buf, *line;
	struct vma v = { 0 }, prev = { 0 };
	bool candidate = false, anon = false, maps = method != M_SMAPS;
	const char *name = "";
	uint64_t kb;
	int fd = -1;

	if (maps) {
		snprintf(path, sizeof(path), "%s/%d/pagemap", proc_dir, p->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			p->state = state_of_error();
			return;
		}
	}
	buf = slurp("%s/%d/%s", proc_dir, p->pid, maps ? "maps" : "smaps");
	if (!buf) {
		p->state = state_of_error();
		goto out;
	}
	p->state = *buf ? P_READ : P_NOMM;
	for (;;) {
		struct vma next;
		const char *next_name = NULL;

		line = next_line(&buf);
		if (line && !parse_vma(line, &next, &next_name)) {
			if ((!strncmp(line, "Anonymous:", 10) ||
			     !strncmp(line, "Swap:", 5) ||
			     !strncmp(line, "Private_Hugetlb:", 16)) &&
			    sscanf(strchr(line, ':') + 1, "%" SCNu64, &kb) == 1 &&
			    kb)
				anon = true;
			continue;
		}
		/* v is complete: the next one begins, or the file ends */
		if (v.end && candidate && maps)
			anon = has_anon(fd, v.start, v.end) > 0;
		if (v.end && candidate && anon)
			keep_vma(p, &v, names ? name : NULL);
		if (!line)
			break;
		prev = v;
		v = next;
		name = next_name;
		anon = false;
		candidate = may_hold_anon(&v, name);
		if (!strcmp(name, "[vsyscall]"))	/* not a real VMA */
			continue;
		p->nr_vmas++;
		if (!strcmp(name, "[stack]"))
			p->stack_end = v.end;
		v.fixed = v.file || !strcmp(name, "[stack]") ||
			!strcmp(name, "[heap]") ||
			(prev.file && prev.end == v.start);	/* .bss */
	}
	if (patched)
		read_anon_rmap(p);
out:
	if (fd >= 0)
		close(fd);
}

static void read_stat(struct proc *p)
{
	char *buf = slurp("%s/%d/stat", proc_dir, p->pid), *open, *close;
	char state;
	size_t len;

	if (!buf) {
		p->state = state_of_error();
		return;
	}
	open = strchr(buf, '(');
	close = strrchr(buf, ')');
	if (!open || !close || close < open ||
	    sscanf(close + 1, " %c %d %*d %*d %*d %*d %u", &state, &p->ppid,
		   &p->flags) != 3) {
		p->state = P_GONE;
		return;
	}
	len = close - open - 1;
	if (len >= sizeof(p->comm))
		len = sizeof(p->comm) - 1;
	memcpy(p->comm, open + 1, len);
	if (p->flags & PF_KTHREAD || state == 'Z' || state == 'X')
		p->state = P_NOMM;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static struct proc *find_proc(int pid)
{
	struct proc key = { .pid = pid };

	return bsearch(&key, procs, nr_procs, sizeof(key), by_pid);
}

static void read_procs(void)
{
	struct dirent *de;
	size_t i;
	DIR *d = opendir(proc_dir);

	if (!d)
		die(1, "cannot open %s: %s", proc_dir, strerror(errno));
	while ((de = readdir(d))) {
		uint64_t pid;

		if (!number(de->d_name, &pid) || pid > INT_MAX)
			continue;
		if (!(nr_procs % 1024))
			procs = grow(procs, nr_procs + 1024, sizeof(*procs));
		memset(&procs[nr_procs], 0, sizeof(*procs));
		procs[nr_procs++].pid = pid;
	}
	closedir(d);
	if (!nr_procs)
		die(1, "no processes in %s: is it mounted?", proc_dir);
	qsort(procs, nr_procs, sizeof(*procs), by_pid);
	for (i = 0; i < nr_procs; i++)
		read_stat(&procs[i]);
}

/* ---- the model ---------------------------------------------------------- */

/* The VMA of the parent that v was copied from at fork, if it is still there. */
static const struct vma *inherited_from(const struct proc *parent,
					const struct vma *v)
{
	size_t lo = 0, hi = parent->nr_anon;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (parent->vma[mid].end <= v->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < parent->nr_anon && parent->vma[lo].start < v->end; lo++) {
		const struct vma *u = &parent->vma[lo];

		if (u->file == v->file &&
		    (!u->file || u->off - u->start == v->off - v->start))
			return u;
	}
	return NULL;
}

/* Would the kernel let b use a's anon_vma, or did a split make them share it? */
static bool shares_anon_vma(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->file == b->file &&
		(!a->file || a->off - a->start == b->off - b->start);
}

/*
 * Estimate what a process owns today and would own in lazy mode.  Its parent
 * has been through here, unless that is gone.
 */
static void model_one(struct proc *p, bool names)
{
	struct proc *parent = NULL;
	const struct vma *from = NULL, *last_from = NULL;
	bool hidden = false;
	unsigned int i;

	p->generation = 1;
	if (p->state == P_NEW)
		read_vmas(p, names);
	if (p->state != P_READ)
		return;
	if (p->flags & PF_FORKNOEXEC) {
		parent = find_proc(p->ppid);
		hidden = parent && parent->state == P_DENIED;
		if (!hidden && (!parent || parent->state != P_READ ||
				parent->stack_end != p->stack_end))
			p->orphan = true;
		if (hidden || p->orphan)
			parent = NULL;
		/* ancestors that are gone or hidden count as one generation */
		p->generation = parent ? parent->generation + 1 : 2;
	}
	for (i = 0; i < p->nr_anon; i++) {
		struct vma *v = &p->vma[i];

		last_from = from;
		from = parent ? inherited_from(parent, v) : NULL;
		v->chain = 1;
		v->own = true;
		if (from) {
			v->chain = from->chain + 1;
			v->own = from != last_from;
		} else if ((hidden || p->orphan) && v->fixed) {
			v->chain = 2;
			/* the dead ancestor's anon_vma lives as long as this */
			p->anon_vmas += p->orphan;
		} else if (i && v[-1].chain == 1 && shares_anon_vma(v - 1, v)) {
			v->own = false;
		}
		p->anon_vmas += v->own;
		p->chains += v->chain;
	}
	p->regular = p->anon_vmas * slabs[ANON_VMA].size +
		p->chains * slabs[CHAIN].size;
	/* its anon_vma, a link per ancestor, the moved exec stack, mm_struct */
	p->needed = (1 + p->orphan) * slabs[ANON_VMA].size +
		(p->generation - 1) * slabs[LINK].size +
		!!p->stack_end * slabs[CHAIN].size + MM_GROWTH;
	p->real = p->k_anon_vmas * slabs[ANON_VMA].size +
		p->k_links * slabs[LINK].size +
		p->k_displaced * slabs[CHAIN].size + MM_GROWTH;
}

/* The ancestors that a process shares its image with come before it. */
static void model(struct proc *p, bool names)
{
	static struct proc **line;
	static size_t room;
	struct proc *q = p;
	size_t n = 0;

	while (q && !q->modelled) {
		if (n == room) {
			room += 64;
			line = grow(line, room, sizeof(*line));
		}
		line[n++] = q;
		q->modelled = true;
		q = q->flags & PF_FORKNOEXEC ? find_proc(q->ppid) : NULL;
	}
	while (n--)
		model_one(line[n], names && !n);
}

/* What the process saves in the mode it is in, or would save if it were lazy. */
static int64_t proc_saves(const struct proc *p)
{
	return (int64_t)p->regular - (int64_t)(p->lazy ? p->real : p->needed);
}

static void account(const struct proc *p)
{
	sum.visited++;
	sum.denied += p->state == P_DENIED;
	sum.vanished += p->state == P_GONE;
	if (p->state != P_READ)
		return;
	sum.read++;
	sum.est.vmas += p->nr_vmas;
	sum.est.anon += p->nr_anon;
	if (p->lazy) {
		sum.est.lazy_mms++;
		sum.est.lazy_anon_vmas += p->anon_vmas;
		sum.est.lazy_chains += p->chains;
		sum.est.lazy_regular += p->regular;
		sum.est.lazy_real += p->real;
	} else {
		sum.est.anon_vmas += p->anon_vmas;
		sum.est.chains += p->chains;
		sum.est.regular += p->regular;
		sum.est.needed += p->needed;
	}
}

static size_t gcd(size_t a, size_t b)
{
	return b ? gcd(b, a % b) : a;
}

/*
 * Read all processes, or if `limited` as many as the time allows, spread evenly
 * over all PIDs: relatives are often neighbours, so not the first ones.
 */
static void scan(bool limited)
{
	size_t i, at = 0, step = nr_procs * 0.618 + 1;
	uint64_t *e = (uint64_t *)&sum.est;

	while (gcd(step, nr_procs) != 1)
		step++;
	for (i = 0; i < nr_procs; i++) {
		procs[i].candidate = procs[i].state == P_NEW;
		sum.candidates += procs[i].candidate;
		sum.denied += procs[i].state == P_DENIED;
		sum.vanished += procs[i].state == P_GONE;
	}
	for (i = 0; i < nr_procs; i++, at = (at + step) % nr_procs) {
		if (!procs[at].candidate)
			continue;
		if (limited && sum.visited &&
		    (elapsed() > SUMMARY_MSEC ||
		     sum.visited >= (uint64_t)sample_max))
			break;
		model(&procs[at], false);
		account(&procs[at]);
	}
	sum.scale = 1;
	if (sum.visited < sum.candidates)
		sum.scale = (double)sum.candidates / sum.visited;
	for (i = 0; i < sizeof(sum.est) / sizeof(*e); i++)
		e[i] = e[i] * sum.scale + 0.5;
	sum.partial = sum.denied || !find_proc(1);
}

static void totals(void)
{
	uint64_t real, unread;

	sum.counted = !sum.est.lazy_mms && slabs[ANON_VMA].known &&
		slabs[CHAIN].known;
	sum.now = sum.est.regular;
	sum.need = sum.est.needed;
	if (sum.counted) {
		/* slabs know the processes that we could not read, too */
		unread = sum.denied * sum.scale + 0.5;
		sum.now = slabs[ANON_VMA].active * slabs[ANON_VMA].size +
			slabs[CHAIN].active * slabs[CHAIN].size;
		sum.need += unread * (slabs[ANON_VMA].size + slabs[CHAIN].size +
				      MM_GROWTH);
	}
	sum.would_save = (int64_t)sum.now - (int64_t)sum.need;
	real = sum.est.lazy_real;
	if (counters_known)
		real = counter[C_ANON_VMAS] * slabs[ANON_VMA].size +
			counter[C_LINKS] * slabs[LINK].size +
			counter[C_DISPLACED] * slabs[CHAIN].size +
			counter[C_MMS] * MM_GROWTH;
	sum.est.lazy_real = real;
	sum.saves = (int64_t)sum.est.lazy_regular - (int64_t)real;
}

/* ---- output ------------------------------------------------------------- */

/* 1234567 -> "1,234,567"; the string lives for a few calls. */
static const char *num(int64_t val)
{
	static char ring[8][32];
	static unsigned int at;
	char digits[24], *out = ring[at++ % ARRAY_SIZE(ring)], *o = out;
	int n = snprintf(digits, sizeof(digits), "%" PRId64, val), i = 0;

	for (; i < n; i++) {
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

static bool comma;

static void j_key(const char *key)
{
	printf("%s", comma ? ", " : "");
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
	j_open("kernel", '{');
	j_str("release", release);
	j_str("machine", machine);
	j_str("anon_vma_lazy", feature());
	j_close("}");
}

static void json_scan(void)
{
	j_open("scan", '{');
	j_str("method", method_name[method]);
	j_num("processes", sum.candidates);
	j_num("read", sum.read);
	j_num("not_readable", sum.denied);
	j_num("vanished", sum.vanished);
	j_bool("sampled", sum.scale > 1);
	j_bool("lower_bound", sum.partial);
	j_close("}");
}

static void json_summary(void)
{
	size_t i;

	json_head();
	json_scan();
	j_num("vmas", sum.est.vmas);
	j_num("vmas_anonymous", sum.est.anon);
	j_open("slabs", '{');
	for (i = 0; i < NR_SLABS; i++) {
		const struct slab *s = &slabs[i];

		if (i == LINK && !patched)
			continue;
		j_open(s->name, '{');
		j_num("object_size", s->size);
		if (s->known) {
			j_num("objects", s->active);
			j_num("bytes", s->active * s->size);
			j_num("slab_bytes", s->pages);
		} else {
			j_str("withheld", s->why);
			if (s->at_most)
				j_num("objects_at_most", s->at_most);
		}
		j_close("}");
	}
	j_close("}");
	j_open("model", '{');
	j_num("anon_vmas", sum.est.anon_vmas + sum.est.lazy_anon_vmas);
	j_num("chains", sum.est.chains + sum.est.lazy_chains);
	j_num("bytes", sum.est.regular + sum.est.lazy_regular);
	j_close("}");
	j_open("regular", '{');
	j_str("source", sum.counted ? "counted" : "estimated");
	j_num("bytes", sum.now);
	j_num("lazy_would_need", sum.need);
	j_num("would_save", sum.would_save);
	j_close("}");
	if (counters_known) {
		j_open("counters", '{');
		for (i = 0; i < NR_COUNTERS; i++)
			j_num(counter_name[i], counter[i]);
		j_close("}");
	}
	if (sum.est.lazy_mms) {
		j_open("lazy", '{');
		j_num("processes", sum.est.lazy_mms);
		j_num("regular_would_need", sum.est.lazy_regular);
		j_num("bytes", sum.est.lazy_real);
		j_num("saves", sum.saves);
		j_close("}");
	}
	j_close("}\n");
}

static void text_head(void)
{
	const char *what = feature();

	printf("Linux %s %s, ANON_VMA_LAZY %s\n", clean(release),
	       clean(machine), what);
	printf("%s processes: %s read", num(sum.candidates), num(sum.read));
	if (sum.denied)
		printf(", %s not readable", num(sum.denied));
	if (sum.vanished)
		printf(", %s vanished meanwhile", num(sum.vanished));
	if (sum.scale > 1)
		printf(", the rest extrapolated (--full reads all)");
	printf("\n");
	if (sum.partial)
		printf("LOWER BOUND: only what this user may read is counted; run as root for all\n");
}

static double percent(int64_t part, int64_t whole)
{
	return whole ? 100.0 * part / whole : 0;
}

static void text_row(const char *name, uint64_t objects, uint64_t bytes,
		     const char *source)
{
	printf("%-16s %12s %14s  %s\n", name, num(objects), num(bytes), source);
}

static void text_summary(void)
{
	uint64_t anon_vmas = sum.est.anon_vmas + sum.est.lazy_anon_vmas;
	uint64_t chains = sum.est.chains + sum.est.lazy_chains;
	const char *atleast = sum.partial && !sum.counted ? "at least " : "";
	size_t i;

	text_head();
	printf("%s VMAs, %s of them (%.0f %%) with anonymous pages\n\n",
	       num(sum.est.vmas), num(sum.est.anon),
	       percent(sum.est.anon, sum.est.vmas));
	printf("%-16s %12s %14s  %s\n", "", "objects", "bytes", "source");
	for (i = 0; i < NR_SLABS; i++) {
		const struct slab *s = &slabs[i];

		if (i == LINK && !patched)
			continue;
		if (s->known) {
			text_row(s->name, s->active, s->active * s->size,
				 "counted, /proc/slabinfo");
			continue;
		}
		printf("%-16s %12s %14s  %s", s->name, "withheld", "", s->why);
		if (s->at_most)
			printf("; at most %s", num(s->at_most));
		printf("\n");
	}
	text_row("anon_vma", anon_vmas, anon_vmas * slabs[ANON_VMA].size,
		 patched ? "estimated, all regular" : "estimated");
	text_row("anon_vma_chain", chains, chains * slabs[CHAIN].size,
		 patched ? "estimated, all regular" : "estimated");
	if (counters_known)
		printf("kernel's counters: %s lazy processes, %s anon_vmas, %s links, %s displaced, %s reuses\n",
		       num(counter[C_MMS]), num(counter[C_ANON_VMAS]),
		       num(counter[C_LINKS]), num(counter[C_DISPLACED]),
		       num(counter[C_REUSES]));
	printf("\n");
	if (sum.est.lazy_mms)
		printf("ANON_VMA_LAZY saves %s%s bytes (%.0f %%) in %s processes: it takes %s (%s), regular mode would take about %s\n",
		       atleast, num(sum.saves),
		       percent(sum.saves, sum.est.lazy_regular),
		       num(sum.est.lazy_mms), num(sum.est.lazy_real),
		       counters_known ? "counted" : "counted per process",
		       num(sum.est.lazy_regular));
	if (sum.est.lazy_mms < sum.read)
		printf("ANON_VMA_LAZY would save %s%s bytes (%.0f %%): today %s (%s), then about %s\n",
		       atleast, num(sum.would_save),
		       percent(sum.would_save, sum.now), num(sum.now),
		       sum.counted ? "counted" : "estimated", num(sum.need));
}

/* ---- commands ----------------------------------------------------------- */

static uint64_t get_saves(const struct proc *p)
{
	int64_t saves = proc_saves(p);

	return saves < 0 ? 0 : saves;
}

static uint64_t get_pid(const struct proc *p) { return -p->pid; }
static uint64_t get_vmas(const struct proc *p) { return p->nr_vmas; }
static uint64_t get_anon(const struct proc *p) { return p->nr_anon; }
static uint64_t get_anon_vmas(const struct proc *p) { return p->anon_vmas; }
static uint64_t get_chains(const struct proc *p) { return p->chains; }
static uint64_t get_generation(const struct proc *p) { return p->generation; }

static const struct {
	const char *name;
	uint64_t (*get)(const struct proc *p);
} sort_keys[] = {
	{ "saves", get_saves },
	{ "pid", get_pid },
	{ "vmas", get_vmas },
	{ "anon", get_anon },
	{ "anon_vmas", get_anon_vmas },
	{ "chains", get_chains },
	{ "generation", get_generation },
};

static uint64_t (*sort_get)(const struct proc *p);

static int by_key(const void *a, const void *b)
{
	uint64_t x = sort_get(a), y = sort_get(b);

	return x == y ? by_pid(a, b) : x < y ? 1 : -1;
}

static void json_proc(const char *key, struct proc *p)
{
	j_open(key, '{');
	j_num("pid", p->pid);
	j_num("ppid", p->ppid);
	j_str("name", clean(p->comm));
	j_str("mode", p->lazy ? "lazy" : "regular");
	j_num("generation", p->generation);
	j_bool("ancestor_gone", p->orphan);
	j_num("vmas", p->nr_vmas);
	j_num("vmas_anonymous", p->nr_anon);
	j_num("anon_vmas", p->anon_vmas);
	j_num("chains", p->chains);
	j_num("regular_bytes", p->regular);
	j_num("lazy_bytes", p->lazy ? p->real : p->needed);
	j_num("saves", proc_saves(p));
	if (p->lazy) {
		j_open("counters", '{');
		j_num("anon_vmas", p->k_anon_vmas);
		j_num("links", p->k_links);
		j_num("displaced", p->k_displaced);
		j_close("}");
	}
	j_close("}");
}

static void text_proc(struct proc *p)
{
	if (!p) {
		printf("%7s %7s %3s %7s %7s %8s %8s %10s %10s %10s %-7s %s\n",
		       "PID", "PPID", "GEN", "VMAS", "ANON", "ANON_VMA",
		       "CHAIN", "REGULAR", "LAZY", "SAVES", "MODE", "NAME");
		return;
	}
	printf("%7d %7d %3u %7u %7u %8" PRIu64 " %8" PRIu64 " %10" PRIu64
	       " %10" PRIu64 " %10" PRId64 " %-7s %s\n", p->pid, p->ppid,
	       p->generation, p->nr_vmas, p->nr_anon, p->anon_vmas, p->chains,
	       p->regular, p->lazy ? p->real : p->needed, proc_saves(p),
	       p->lazy ? "lazy" : "regular", clean(p->comm));
}

static int cmd_summary(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		die(2, "summary takes no argument");
	read_procs();
	scan(!full);
	totals();
	if (json)
		json_summary();
	else
		text_summary();
	return 0;
}

static int cmd_list(int argc, char **argv)
{
	long shown = 0;
	size_t i;

	(void)argv;
	if (argc > 1)
		die(2, "list takes no argument");
	for (i = 0; i < ARRAY_SIZE(sort_keys); i++)
		if (!strcmp(sort_key, sort_keys[i].name))
			sort_get = sort_keys[i].get;
	if (!sort_get)
		die(2, "no sort key '%s'; rmapstat --help lists them", sort_key);
	read_procs();
	scan(false);
	qsort(procs, nr_procs, sizeof(*procs), by_key);
	if (json) {
		json_head();
		json_scan();
		j_open("list", '[');
	} else {
		text_head();
		printf("\n");
		text_proc(NULL);
	}
	for (i = 0; i < nr_procs && shown < top; i++) {
		if (procs[i].state != P_READ)
			continue;
		shown++;
		if (json)
			json_proc(NULL, &procs[i]);
		else
			text_proc(&procs[i]);
	}
	if (json)
		j_close("]}\n");
	return 0;
}

static void pid_maps(struct proc *p)
{
	unsigned int i;

	if (json)
		j_open("maps", '[');
	else
		printf("\n%-33s %-4s %5s %-8s %s\n", "VMA WITH ANONYMOUS PAGES",
		       "PERM", "CHAIN", "ANON_VMA", "NAME");
	for (i = 0; i < p->nr_anon; i++) {
		struct vma *v = &p->vma[i];
		char range[40];

		snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, v->start,
			 v->end);
		clean(v->name);
		if (!json) {
			printf("%-33s %-4s %5u %-8s %s\n", range, v->perms,
			       v->chain, v->own ? "own" : "shared", v->name);
			continue;
		}
		j_open(NULL, '{');
		j_str("range", range);
		j_str("perms", clean(v->perms));
		j_num("chain", v->chain);
		j_bool("own_anon_vma", v->own);
		j_str("name", v->name);
		j_close("}");
	}
	if (json)
		j_close("]}\n");
}

static int cmd_pid(int argc, char **argv)
{
	struct proc *p;
	uint64_t pid;

	if (argc != 2 || !number(argv[1], &pid) || pid > INT_MAX)
		die(2, "pid needs one process ID");
	read_procs();
	p = find_proc(pid);
	if (p)
		model(p, true);
	if (!p || p->state == P_GONE)
		die(1, "there is no process %s", argv[1]);
	if (p->state == P_DENIED)
		die(1, "process %s is not readable: run as its owner or as root",
		    argv[1]);
	if (p->state == P_NOMM)
		die(1, "process %s has no memory: a kernel thread or a zombie",
		    argv[1]);
	if (json) {
		json_head();
		json_proc("process", p);
	} else {
		text_proc(NULL);
		text_proc(p);
	}
	pid_maps(p);
	return 0;
}

static int cmd_help(int argc, char **argv);

static const struct {
	const char *name, *args, *help;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "summary", "", "the whole machine: objects, bytes, what would be saved (default)", cmd_summary },
	{ "list", "", "one line per process, sorted", cmd_list },
	{ "pid", " N", "one process and its VMAs with anonymous pages", cmd_pid },
	{ "help", "", "this text", cmd_help },
};

static int cmd_help(int argc, char **argv)
{
	size_t i;

	(void)argc;
	(void)argv;
	printf("Usage: rmapstat [COMMAND] [OPTION]...\n"
	       "What anonymous reverse mapping costs here, and what ANON_VMA_LAZY would save.\n\n"
	       "Commands:\n");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %s%-*s %s\n", commands[i].name,
		       (int)(10 - strlen(commands[i].name)), commands[i].args,
		       commands[i].help);
	printf("\nOptions:\n"
	       "  --json        the same for programs, on one line\n"
	       "  --sort KEY    list: by");
	for (i = 0; i < ARRAY_SIZE(sort_keys); i++)
		printf(" %s%s", sort_keys[i].name,
		       i + 1 < ARRAY_SIZE(sort_keys) ? "," : " (default: saves)\n");
	printf("  --top N       list: only the first N\n"
	       "  --full        summary: read every process however long it takes\n"
	       "  --sample N    summary: read N processes, extrapolate the rest\n"
	       "  --method M    how to find anonymous pages: pagemap (Linux 6.7), smaps, auto\n"
	       "  --help, --version\n\n"
	       "How to read it: each VMA that ever took an anonymous page costs an anon_vma and\n"
	       "an anon_vma_chain, and in a forked process one chain more for every ancestor.\n"
	       "\"counted\" is the kernel's own figure (root). \"estimated\" is a model over the\n"
	       "VMAs of the processes that you may read; rmapstat(8) says what it misses.\n"
	       "SAVES is REGULAR minus LAZY, in bytes; GEN counts forks since the last exec.\n\n"
	       "Examples:\n"
	       "  sudo rmapstat                   would it help this machine?\n"
	       "  sudo rmapstat list --top 10     which processes cost most?\n"
	       "  rmapstat pid $$                 where does my shell spend it?\n"
	       "  sudo rmapstat --json | jq .regular.would_save\n");
	return 0;
}

static long positive(const char *opt, const char *arg)
{
	uint64_t val;

	if (!number(arg, &val) || !val || val > LONG_MAX)
		die(2, "--%s needs a positive number, not '%s'", opt, arg);
	return val;
}

/* PAGEMAP_SCAN if the kernel has it: ask about our own memory. */
static void choose_method(void)
{
	char path[PATH_MAX];
	bool works;
	int fd;

	if (method == M_SMAPS)
		return;
	snprintf(path, sizeof(path), "%s/self/pagemap", proc_dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	works = fd >= 0 && has_anon(fd, 0, sysconf(_SC_PAGESIZE)) >= 0;
	if (fd >= 0)
		close(fd);
	if (!works && method == M_PAGEMAP)
		die(1, "this kernel has no PAGEMAP_SCAN (Linux 6.7): leave --method out or use smaps");
	method = works ? M_PAGEMAP : M_SMAPS;
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
		{ }
	};
	const char *name = "summary";
	size_t i;
	int c, ret;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 's':
			sort_key = optarg;
			break;
		case 't':
			top = positive("top", optarg);
			break;
		case 'f':
			full = true;
			break;
		case 'n':
			sample_max = positive("sample", optarg);
			break;
		case 'm':
			for (i = 0; i < ARRAY_SIZE(method_name); i++)
				if (!strcmp(optarg, method_name[i]))
					break;
			if (i == ARRAY_SIZE(method_name))
				die(2, "--method is auto, pagemap or smaps, not '%s'",
				    optarg);
			method = i;
			break;
		case 'h':
			return cmd_help(0, NULL);
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
			fprintf(stderr, "rmapstat --help explains the options\n");
			return 2;
		}
	}
	argc -= optind;
	argv += optind;
	if (argc)
		name = argv[0];
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name))
			break;
	if (i == ARRAY_SIZE(commands))
		die(2, "no command '%s'; rmapstat --help lists them", name);
	if (commands[i].run != cmd_help) {
		choose_method();
		read_kernel();
		read_slabs();
	}
	ret = commands[i].run(argc, argv);
	if (fflush(stdout) || ferror(stdout))
		die(1, "cannot write: %s", strerror(errno));
	return ret;
}
