// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes, their VMAs, and the model.
 *
 * A VMA that holds an anonymous page has an anon_vma_chain (AVC) for its own
 * anon_vma and one more for every ancestor it was inherited from.  VMAs that
 * were split share one anon_vma; a forked copy has its own.  The manual page
 * says what this misses and in which direction.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "rmapstat.h"

/* task flags, in field 9 of /proc/PID/stat */
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

enum method method;
struct proc *procs;
size_t nr_procs;
struct sum sum;

/* Milliseconds, from any start. */
long msec_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

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

/* PAGEMAP_SCAN if the kernel has it: ask about our own memory. */
void choose_method(void)
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

/* The first line of each VMA in maps and smaps. */
static bool parse_vma(const char *line, struct vma *v, const char **name)
{
	unsigned long long inode;
	unsigned int major, minor;
	int n = 0;

	memset(v, 0, sizeof(*v));
	if (!isxdigit((unsigned char)*line) ||
	    sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %llu%n",
		   &v->start, &v->end, v->perms, &v->off, &major, &minor,
		   &inode, &n) != 7 || v->start >= v->end)
		return false;
	if (inode)
		v->file = inode ^ (uint64_t)major << 52 ^ (uint64_t)minor << 40;
	*name = line + n + strspn(line + n, " ");
	return true;
}

/* Not shared memory, nor what the kernel maps: vdso, vvar, vsyscall, uprobes. */
static bool may_hold_anon(const struct vma *v, const char *name)
{
	return v->perms[3] == 'p' && strncmp(name, "[v", 2) &&
		strcmp(name, "[uprobes]");
}

static bool smaps_anon(const char *line)
{
	static const char *const keys[] = {
		"Anonymous:", "Swap:", "Private_Hugetlb:",
	};
	uint64_t kb;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strncmp(line, keys[i], strlen(keys[i])))
			return sscanf(line + strlen(keys[i]), "%" SCNu64,
				      &kb) == 1 && kb;
	return false;
}

static void keep_vma(struct proc *p, const struct vma *v, const char *name)
{
	if (!(p->nr_vmas % 16))
		p->vma = grow(p->vma, p->nr_vmas + 16, sizeof(*v));
	p->vma[p->nr_vmas] = *v;
	if (name) {
		p->vma[p->nr_vmas].name = strdup(name);
		if (!p->vma[p->nr_vmas].name)
			die(1, "out of memory");
	}
	p->nr_vmas++;
}

/*
 * Read the VMAs of a process and keep those with anonymous pages.  With
 * PAGEMAP_SCAN that takes maps and one ioctl for each private VMA; otherwise
 * smaps, for which the kernel looks at every page.
 */
static void read_vmas(struct proc *p, bool names)
{
	struct vma next, v = { 0 };
	const char *next_name, *name = "";
	bool fixed, anon = false;
	char path[PATH_MAX], *buf, *line;
	int fd = -1;

	if (method == M_PAGEMAP) {
		snprintf(path, sizeof(path), "%s/%d/pagemap", proc_dir,
			 (int)p->f[F_PID]);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			p->state = state_of_error();
			return;
		}
	}
	buf = slurp("%s/%d/%s", proc_dir, (int)p->f[F_PID],
		    fd < 0 ? "smaps" : "maps");
	p->state = !buf ? state_of_error() : *buf ? P_READ : P_NOMM;
	while (p->state == P_READ) {
		line = next_line(&buf);
		if (line && !parse_vma(line, &next, &next_name)) {
			anon |= smaps_anon(line);
			continue;
		}
		/* v is complete: the next one begins, or the file ends */
		if (v.end && may_hold_anon(&v, name) &&
		    (fd < 0 ? anon : has_anon(fd, v.start, v.end) > 0))
			keep_vma(p, &v, names ? name : NULL);
		if (!line)
			break;
		fixed = next.file || !strcmp(next_name, "[stack]") ||
			!strcmp(next_name, "[heap]") ||
			(v.file && v.end == next.start);	/* .bss */
		v = next;
		v.fixed = fixed;
		name = next_name;
		anon = false;
		if (!strcmp(name, "[stack]"))
			p->stack_end = v.end;
		if (strcmp(name, "[vsyscall]"))		/* not a real VMA */
			p->f[F_VMAS]++;
	}
	p->f[F_ANON] = p->nr_vmas;
	if (fd >= 0)
		close(fd);
	if (patched && p->state == P_READ)
		read_anon_rmap(p);
}

static void read_stat(struct proc *p)
{
	char *buf = slurp("%s/%d/stat", proc_dir, (int)p->f[F_PID]);
	char *name, *end, state;

	if (!buf) {
		p->state = state_of_error();
		return;
	}
	name = strchr(buf, '(');
	end = strrchr(buf, ')');	/* the name may hold some, too */
	if (!name || !end || end < name ||
	    sscanf(end + 1, " %c %" SCNd64 " %*d %*d %*d %*d %u", &state,
		   &p->f[F_PPID], &p->flags) != 3) {
		p->state = P_GONE;
		return;
	}
	*end = '\0';
	snprintf(p->comm, sizeof(p->comm), "%s", name + 1);
	if (p->flags & PF_KTHREAD || state == 'Z' || state == 'X')
		p->state = P_NOMM;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc *x = a, *y = b;

	return (x->f[F_PID] > y->f[F_PID]) - (x->f[F_PID] < y->f[F_PID]);
}

struct proc *find_proc(int64_t pid)
{
	struct proc key = { .f[F_PID] = pid };

	return bsearch(&key, procs, nr_procs, sizeof(key), by_pid);
}

void read_procs(void)
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
		procs[nr_procs++].f[F_PID] = pid;
	}
	closedir(d);
	if (!nr_procs)
		die(1, "no processes in %s: is it mounted?", proc_dir);
	qsort(procs, nr_procs, sizeof(*procs), by_pid);
	for (i = 0; i < nr_procs; i++)
		read_stat(&procs[i]);
}

/* Does b begin in its file where a would go on, or are both without a file? */
static bool same_object(const struct vma *a, const struct vma *b)
{
	return a->file == b->file &&
		(!a->file || a->off - a->start == b->off - b->start);
}

/* The VMA of the parent that v was copied from at fork, if it is still there. */
static const struct vma *inherited_from(const struct proc *parent,
					const struct vma *v)
{
	const struct vma *u = parent->vma, *end = u + parent->nr_vmas;
	size_t n = parent->nr_vmas, half;

	while (n) {			/* the first one that ends above */
		half = n / 2;
		if (u[half].end <= v->start) {
			u += half + 1;
			n -= half + 1;
		} else {
			n = half;
		}
	}
	for (; u < end && u->start < v->end; u++)
		if (same_object(u, v))
			return u;
	return NULL;
}

/*
 * Estimate what a process owns today and would own in lazy mode.  Its parent
 * has been through here, unless that is gone.
 */
static void model_one(struct proc *p, bool names)
{
	const struct vma *from = NULL, *last_from;
	struct proc *parent = NULL;
	bool hidden = false;
	int64_t *f = p->f;
	struct vma *v;

	f[F_GENERATION] = 1;
	if (p->state == P_NEW)
		read_vmas(p, names);
	if (p->state != P_READ)
		return;
	if (p->flags & PF_FORKNOEXEC) {
		parent = find_proc(f[F_PPID]);
		hidden = parent && parent->state == P_DENIED;
		p->orphan = !hidden && (!parent || parent->state != P_READ ||
					parent->stack_end != p->stack_end);
		if (hidden || p->orphan)
			parent = NULL;
		/* ancestors that are gone or hidden count as one generation */
		f[F_GENERATION] = parent ? parent->f[F_GENERATION] + 1 : 2;
	}
	for (v = p->vma; v < p->vma + p->nr_vmas; v++) {
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
			f[F_ANON_VMAS] += p->orphan;
		} else if (v > p->vma && v[-1].chain == 1 &&
			   v[-1].end == v->start && same_object(v - 1, v)) {
			v->own = false;
		}
		f[F_ANON_VMAS] += v->own;
		f[F_CHAINS] += v->chain;
	}
	/* lazy: one anon_vma, a link per ancestor, the stack that exec moved */
	f[F_LAZY_ANON_VMAS] = 1 + p->orphan;
	f[F_LAZY_LINKS] = f[F_GENERATION] - 1;
	f[F_LAZY_DISPLACED] = p->stack_end != 0;
	f[F_REGULAR] = bytes_of(f[F_ANON_VMAS], f[F_CHAINS], 0, 0);
	f[F_LAZY] = p->lazy ?
		bytes_of(f[F_REAL_ANON_VMAS], f[F_REAL_DISPLACED],
			 f[F_REAL_LINKS], 1) :
		bytes_of(f[F_LAZY_ANON_VMAS], f[F_LAZY_DISPLACED],
			 f[F_LAZY_LINKS], 1);
	f[F_SAVES] = f[F_REGULAR] - f[F_LAZY];
}

/*
 * Model a process, the ancestors that it shares its image with before it.
 * False if the deadline came first.
 */
bool model(struct proc *p, bool names, long deadline)
{
	static struct proc **line;
	static size_t room;
	size_t n = 0;

	while (p && !p->modelled) {
		if (n == room) {
			room += 64;
			line = grow(line, room, sizeof(*line));
		}
		line[n++] = p;
		p->modelled = true;
		p = p->flags & PF_FORKNOEXEC ? find_proc(p->f[F_PPID]) : NULL;
	}
	while (n--) {
		model_one(line[n], names && !n);
		if (n && msec_now() >= deadline)
			return false;
	}
	return true;
}

static void account(const struct proc *p)
{
	struct tally *t = p->lazy ? &sum.lazy : &sum.regular;
	int i;

	sum.visited++;
	sum.denied += p->state == P_DENIED;
	sum.vanished += p->state == P_GONE;
	if (p->state != P_READ)
		return;
	sum.read++;
	t->processes++;
	for (i = F_VMAS; i < NR_FIELDS; i++)
		t->f[i] += p->f[i];
}

static void scale(struct tally *t)
{
	int i;

	t->processes = t->processes * sum.scale + 0.5;
	for (i = F_VMAS; i < NR_FIELDS; i++)
		t->f[i] = t->f[i] * sum.scale + 0.5;
}

static size_t gcd(size_t a, size_t b)
{
	return b ? gcd(b, a % b) : a;
}

/*
 * Read at most so many processes until about the deadline and extrapolate,
 * spread evenly over all PIDs: relatives are often neighbours.
 */
void scan(uint64_t most, long deadline)
{
	size_t i, at = 0, step = nr_procs * 0.618 + 1;
	struct proc *p;

	while (gcd(step, nr_procs) != 1)
		step++;
	for (p = procs; p < procs + nr_procs; p++) {
		p->candidate = p->state == P_NEW;
		sum.candidates += p->candidate;
		sum.denied += p->state == P_DENIED;
		sum.vanished += p->state == P_GONE;
	}
	for (i = 0; i < nr_procs; i++, at = (at + step) % nr_procs) {
		if (!procs[at].candidate)
			continue;
		if (sum.visited && (sum.visited >= most ||
				    msec_now() >= deadline))
			break;
		if (!model(&procs[at], false, sum.visited ? deadline : LONG_MAX))
			break;
		account(&procs[at]);
	}
	sum.scale = 1;
	if (sum.visited < sum.candidates)
		sum.scale = (double)sum.candidates / sum.visited;
	scale(&sum.regular);
	scale(&sum.lazy);
	sum.partial = sum.denied || !find_proc(1);
}

void totals(void)
{
	int64_t unread = sum.denied * sum.scale + 0.5;

	/* slabs do not tell regular from lazy processes */
	sum.counted = !sum.lazy.processes && slabs[ANON_VMA].known &&
		slabs[CHAIN].known;
	sum.now = sum.regular.f[F_REGULAR];
	sum.need = sum.regular.f[F_LAZY];
	if (sum.counted) {
		sum.now = bytes_of(slabs[ANON_VMA].active, slabs[CHAIN].active,
				   0, 0);
		/* they know the processes that we could not read, too */
		sum.need += bytes_of(unread, unread, 0, unread);
	}
	sum.real = sum.lazy.f[F_LAZY];
	if (counters_known)
		sum.real = bytes_of(counter[C_ANON_VMAS], counter[C_DISPLACED],
				    counter[C_LINKS], counter[C_MMS]);
}
