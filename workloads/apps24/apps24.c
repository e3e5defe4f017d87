// SPDX-License-Identifier: GPL-2.0-only
/*
 * apps24 - a phone's launcher and its apps, as a workload and as a test
 *
 * The launcher maps real shared libraries the way a dynamic linker does,
 * writes to their data, grows a heap, and forks apps that never exec.  Each
 * app maps libraries of its own, makes mappings, threads and heap arenas,
 * changes protections, moves one region away with MREMAP_DONTUNMAP and
 * refills it through userfaultfd, as compacting garbage collectors do; some
 * fork again.  When all of them have said so, the launcher prints a line that
 * starts with "ready" and waits for a line or the end of its input.  Then
 * every process compares every page it knows with what must be in it.
 *
 * What a page must hold follows from its stamp: none (0), the file's bytes or
 * zeros; otherwise words computed from stamp, region and page.  The table of
 * regions is ordinary private memory, so a child inherits it as it inherits
 * the pages, and records what it changes in a copy of its own.  A page of a
 * relative that shows through, or one that was lost, is found by its stamp.
 *
 * Each run makes the same calls in the same order: the libraries are sorted by
 * path, threads are made one after another. The layout is randomised as it is
 * for any program: a stack that exec moved is part of what rmap costs.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP	4
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY	1
#endif

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum {
	EXIT_USAGE = 2,
	EXIT_SETUP = 3,		/* the system refused something */
	EXIT_CONTENT = 4,	/* a page does not hold what it must */
	EXIT_RELATIVE = 5,	/* a process we forked failed */
};

/* Sizes of the workload; the options change the first group */
static unsigned int scale = 1;
static unsigned int base_apps = 24;
static unsigned int launcher_libs = 108;
static unsigned int own_libs = 12;
static unsigned int min_libs = 100;
static unsigned int base_maps = 40;
static unsigned int timeout_s = 300;
static unsigned int corrupt;		/* app that spoils a page, from 1 */

#define NTHREADS	4
#define THREAD_BLOCKS	24
#define THREAD_STACK	(256 * 1024)
#define HEAP_BLOCKS	160
#define GC_PAGES	32
#define LIB_PAGES_MAX	48	/* written pages of one library */
#define MAX_REGIONS	16384
#define MAX_STAMPS	131072

static size_t page_size;

/* ---- what the processes share on purpose: counters, nothing else ---- */

struct shared {
	atomic_ulong processes;
	atomic_ulong pages_checked;
	atomic_ulong pages_wrong;
	atomic_ulong refilled;
};

static struct shared *shared;

/* ---- messages ---- */

static char whoami[64] = "launcher";

static void __attribute__((noreturn, format(printf, 2, 3)))
die(int status, const char *fmt, ...)
{
	char msg[512];
	va_list ap;
	int len;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	len = strlen(msg);
	/* one write, so that lines of many processes do not mix */
	dprintf(STDERR_FILENO, "apps24: %s: %.*s\n", whoami, len, msg);
	_exit(status);
}

/* ---- regions and their content ---- */

enum kind { ANON, LIBRARY, HEAP };

static const char * const kind_name[] = { "anonymous", "library", "heap" };

struct region {
	enum kind kind;
	char *addr;
	unsigned int pages;
	unsigned int key;	/* same for a region and where it moved to */
	unsigned int first_stamp; /* index into stamps[] */
	int fd;			/* of a library, else -1 */
	off_t offset;		/* in the file */
	size_t file_bytes;	/* from addr on; zeros behind */
	unsigned int relro_pages; /* at the start: read-only once written */
};

struct table {
	unsigned int nr;
	unsigned int nr_stamps;
	struct region region[MAX_REGIONS];
	uint32_t stamp[MAX_STAMPS];
};

static struct table *table;

/* One process's stamps differ from all others'; generation counts writes */
static uint32_t process_id = 1;

#define MAX_GENERATION	7

static uint32_t make_stamp(unsigned int generation)
{
	return process_id * (MAX_GENERATION + 1) + generation;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	return x;
}

static uint64_t word_seed(uint32_t stamp, unsigned int key, unsigned int page)
{
	return mix(((uint64_t)stamp << 32 | key) * 0x9e3779b97f4a7c15ULL + page);
}

/*
 * A library page is written in its first and last words only, and shows the
 * file's bytes in between: a copy on write that copied the wrong page is
 * found as well.
 */
#define STAMPED_WORDS	8

static bool word_is_stamped(enum kind kind, size_t word)
{
	return kind != LIBRARY || word < STAMPED_WORDS ||
	       word >= page_size / 8 - STAMPED_WORDS;
}

static void fill_page(uint64_t *to, enum kind kind, uint64_t seed)
{
	size_t i, n = page_size / 8;

	if (kind == LIBRARY) {
		for (i = 0; i < STAMPED_WORDS; i++)
			to[i] = seed + i;
		for (i = n - STAMPED_WORDS; i < n; i++)
			to[i] = seed + i;
		return;
	}
	for (i = 0; i < n; i++)
		to[i] = seed + i;
}

static struct region *new_region(enum kind kind, char *addr, unsigned int pages,
				 unsigned int key)
{
	struct region *r;

	if (table->nr == MAX_REGIONS || table->nr_stamps + pages > MAX_STAMPS)
		die(EXIT_SETUP, "more than %d regions or %d pages; use a smaller --scale",
		    MAX_REGIONS, MAX_STAMPS);
	r = &table->region[table->nr++];
	*r = (struct region){
		.kind = kind, .addr = addr, .pages = pages, .key = key,
		.first_stamp = table->nr_stamps, .fd = -1,
	};
	table->nr_stamps += pages;
	return r;
}

static void write_page(struct region *r, unsigned int page,
		       unsigned int generation)
{
	uint32_t stamp = make_stamp(generation);

	fill_page((uint64_t *)(r->addr + page * page_size), r->kind,
		  word_seed(stamp, r->key, page));
	table->stamp[r->first_stamp + page] = stamp;
}

static void wrong(const struct region *r, unsigned int page, size_t word,
		  uint64_t want, uint64_t have)
{
	/* The first few of a process say it all */
	static unsigned int said;

	atomic_fetch_add(&shared->pages_wrong, 1);
	if (said++ < 4)
		dprintf(STDERR_FILENO,
			"apps24: %s: %s region %td page %u at %p: word %zu is %#llx, must be %#llx (stamp %u)\n",
			whoami, kind_name[r->kind], r - table->region, page,
			(void *)(r->addr + page * page_size), word,
			(unsigned long long)have, (unsigned long long)want,
			table->stamp[r->first_stamp + page]);
}

/* @plain: what the page holds where no stamp is */
static bool check_page(const struct region *r, unsigned int page,
		       const uint64_t *plain)
{
	const uint64_t *have = (uint64_t *)(r->addr + page * page_size);
	uint32_t stamp = table->stamp[r->first_stamp + page];
	uint64_t seed = word_seed(stamp, r->key, page);
	size_t i, n = page_size / 8;

	if (!stamp || r->kind == LIBRARY) {
		size_t from = stamp ? STAMPED_WORDS : 0;

		if (memcmp(have + from, plain + from, (n - 2 * from) * 8)) {
			for (i = from; have[i] == plain[i]; i++)
				;
			wrong(r, page, i, plain[i], have[i]);
			return false;
		}
	}
	if (!stamp)
		return true;
	for (i = 0; i < n; i++) {
		if (!word_is_stamped(r->kind, i)) {
			i = n - STAMPED_WORDS - 1;
			continue;
		}
		if (have[i] != seed + i) {
			wrong(r, page, i, seed + i, have[i]);
			return false;
		}
	}
	return true;
}

static bool check_region(const struct region *r)
{
	/* one page and its successor: aligned for words */
	static _Alignas(8) char plain[65536];
	unsigned int page;
	unsigned int checked = 0;
	bool good = true;

	for (page = 0; page < r->pages; page++) {
		const uint32_t *stamp = &table->stamp[r->first_stamp + page];
		size_t at = page * page_size, want = 0;

		/* of the long rest nobody wrote to, samples are enough */
		if (page && !stamp[-1] && !*stamp && page % 64)
			continue;
		checked++;

		if (at < r->file_bytes) {
			want = r->file_bytes - at;
			if (want > page_size)
				want = page_size;
			if (pread(r->fd, plain, want, r->offset + at) !=
			    (ssize_t)want)
				die(EXIT_SETUP, "region %td: cannot read the library again: %s",
				    r - table->region, strerror(errno));
		}
		memset(plain + want, 0, page_size - want);
		good &= check_page(r, page, (uint64_t *)plain);
	}
	atomic_fetch_add(&shared->pages_checked, checked);
	return good;
}

static bool check_all(void)
{
	bool good = true;
	unsigned int i;

	for (i = 0; i < table->nr; i++)
		good &= check_region(&table->region[i]);
	return good;
}

/* ---- system calls that must succeed ---- */

static char *map(char *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	char *p = mmap(addr, len, prot, flags, fd, off);

	if (p == MAP_FAILED)
		die(EXIT_SETUP, "mmap of %zu bytes: %s%s", len, strerror(errno),
		    errno == ENOMEM ? " (memory or vm.max_map_count; try a smaller --scale)" : "");
	return p;
}

static void protect(char *addr, size_t len, int prot)
{
	if (mprotect(addr, len, prot))
		die(EXIT_SETUP, "mprotect of %zu bytes: %s%s", len,
		    strerror(errno), errno == ENOMEM ?
		    " (memory or vm.max_map_count; try a smaller --scale)" : "");
}

static void unmap(char *addr, size_t len)
{
	if (munmap(addr, len))
		die(EXIT_SETUP, "munmap of %zu bytes: %s", len,
		    strerror(errno));
}

/* A mapping with an inaccessible page behind it, so that none merge */
static char *map_guarded(unsigned int pages)
{
	char *p = map(NULL, (pages + 1) * page_size, PROT_NONE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	protect(p, pages * page_size, PROT_READ | PROT_WRITE);
	return p;
}

/* ---- libraries ---- */

struct library {
	char *path;
	dev_t dev;
	ino_t ino;
};

static struct library *libs;
static unsigned int nr_libs;

#if defined(__x86_64__)
#define MACHINE	EM_X86_64
#elif defined(__aarch64__)
#define MACHINE	EM_AARCH64
#else
#error "which e_machine do this architecture's libraries have?"
#endif

#define MAX_PHDRS	32

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[MAX_PHDRS];
	const Elf64_Phdr *load[MAX_PHDRS];
	unsigned int nr_load;
	size_t file_size;
	const Elf64_Phdr *relro;
};

static size_t page_down(size_t x)
{
	return x & ~(page_size - 1);
}

static size_t page_up(size_t x)
{
	return page_down(x + page_size - 1);
}

/* A 64-bit shared object of this machine with writable data, or false */
static bool read_elf(int fd, struct elf *e)
{
	bool writable = false;
	unsigned int i;
	struct stat st;

	memset(e, 0, sizeof(*e));
	if (fstat(fd, &st) ||
	    pread(fd, &e->eh, sizeof(e->eh), 0) != sizeof(e->eh) ||
	    memcmp(e->eh.e_ident, ELFMAG, SELFMAG) ||
	    e->eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    e->eh.e_type != ET_DYN || e->eh.e_machine != MACHINE ||
	    e->eh.e_phentsize != sizeof(Elf64_Phdr) ||
	    e->eh.e_phnum > MAX_PHDRS)
		return false;
	if (pread(fd, e->ph, e->eh.e_phnum * sizeof(Elf64_Phdr), e->eh.e_phoff) !=
	    (ssize_t)(e->eh.e_phnum * sizeof(Elf64_Phdr)))
		return false;
	e->file_size = st.st_size;
	for (i = 0; i < e->eh.e_phnum; i++) {
		const Elf64_Phdr *ph = &e->ph[i];

		if (ph->p_type == PT_GNU_RELRO)
			e->relro = ph;
		if (ph->p_type != PT_LOAD)
			continue;
		/* what a dynamic linker relies on, it checks as little */
		if (ph->p_memsz < ph->p_filesz ||
		    ph->p_offset + ph->p_filesz > (size_t)st.st_size ||
		    (ph->p_vaddr - ph->p_offset) & (page_size - 1))
			return false;
		if (e->nr_load &&
		    page_down(ph->p_vaddr) <
		    page_up(e->load[e->nr_load - 1]->p_vaddr +
			    e->load[e->nr_load - 1]->p_memsz))
			return false;
		if (ph->p_flags & PF_W)
			writable = true;
		e->load[e->nr_load++] = ph;
	}
	return e->nr_load && writable;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct library *)a)->path,
		      ((const struct library *)b)->path);
}

static bool is_library_name(const char *name)
{
	const char *so = strstr(name, ".so");

	return so && (!so[3] || so[3] == '.');
}

static void find_libraries(const char *dir, unsigned int depth)
{
	DIR *d = opendir(dir);
	struct dirent *de;

	if (!d)
		return;		/* too few in the end is the error */
	while ((de = readdir(d))) {
		static struct elf e;
		struct stat st;
		char *path;
		bool good;
		int fd;

		if (de->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", dir, de->d_name) < 0)
			die(EXIT_SETUP, "out of memory");
		if (lstat(path, &st)) {
			free(path);
			continue;
		}
		if (S_ISDIR(st.st_mode)) {
			if (depth)
				find_libraries(path, depth - 1);
			free(path);
			continue;
		}
		if (!S_ISREG(st.st_mode) || !is_library_name(de->d_name)) {
			free(path);
			continue;
		}
		fd = open(path, O_RDONLY | O_CLOEXEC);
		good = fd >= 0 && read_elf(fd, &e);
		if (fd >= 0)
			close(fd);
		if (!good) {
			free(path);
			continue;
		}
		libs = reallocarray(libs, nr_libs + 1, sizeof(*libs));
		if (!libs)
			die(EXIT_SETUP, "out of memory");
		libs[nr_libs++] = (struct library){ path, st.st_dev, st.st_ino };
	}
	closedir(d);
}

/* Sorted by path, a file with two names once */
static void sort_libraries(void)
{
	unsigned int i, j, n = 0;

	qsort(libs, nr_libs, sizeof(*libs), by_path);
	for (i = 0; i < nr_libs; i++) {
		for (j = 0; j < n; j++)
			if (libs[j].dev == libs[i].dev &&
			    libs[j].ino == libs[i].ino)
				break;
		if (j == n)
			libs[n++] = libs[i];
		else
			free(libs[i].path);
	}
	nr_libs = n;
}

static int prot_of(const Elf64_Phdr *ph)
{
	return (ph->p_flags & PF_R ? PROT_READ : 0) |
	       (ph->p_flags & PF_W ? PROT_WRITE : 0) |
	       (ph->p_flags & PF_X ? PROT_EXEC : 0);
}

/*
 * Maps a library as a dynamic linker does: one reservation that is the first
 * segment, the other segments over it, holes inaccessible, memory behind the
 * file's data anonymous; writes to its data; then takes away the right to
 * write to what relocation alone may write to.
 */
static void map_library(const struct library *lib, unsigned int key)
{
	static struct elf e;
	const Elf64_Phdr *first, *last;
	size_t total;
	unsigned int i;
	char *base;
	int fd;

	fd = open(lib->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !read_elf(fd, &e))
		die(EXIT_SETUP, "%s: cannot be read any more: %s", lib->path,
		    strerror(errno));
	first = e.load[0];
	last = e.load[e.nr_load - 1];
	total = page_up(last->p_vaddr + last->p_memsz) - page_down(first->p_vaddr);
	base = map(NULL, total, prot_of(first), MAP_PRIVATE, fd,
		   page_down(first->p_offset));
	base -= page_down(first->p_vaddr);

	for (i = 0; i < e.nr_load; i++) {
		const Elf64_Phdr *ph = e.load[i];
		size_t start = page_down(ph->p_vaddr);
		size_t data_end = ph->p_vaddr + ph->p_filesz;
		size_t file_end = page_up(data_end);
		size_t end = page_up(ph->p_vaddr + ph->p_memsz);
		size_t hole = i + 1 < e.nr_load ?
			      page_down(e.load[i + 1]->p_vaddr) : end;
		struct region *r;
		unsigned int page;

		if (i && file_end > start)
			map(base + start, file_end - start, prot_of(ph),
			    MAP_PRIVATE | MAP_FIXED, fd, page_down(ph->p_offset));
		if (hole > end)
			protect(base + end, hole - end, PROT_NONE);
		if (!(ph->p_flags & PF_W))
			continue;
		/* the file goes on where the data ends: bss starts as zeros */
		if (ph->p_memsz > ph->p_filesz && file_end > data_end)
			memset(base + data_end, 0, file_end - data_end);
		if (end > file_end)
			map(base + file_end, end - file_end, prot_of(ph),
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		r = new_region(LIBRARY, base + start,
			       (end - start) / page_size, key);
		r->fd = fd;
		r->offset = page_down(ph->p_offset);
		r->file_bytes = (ph->p_memsz > ph->p_filesz ? data_end : end) -
				start;
		/* zeros behind the end of the file as well */
		if (r->file_bytes > e.file_size - r->offset)
			r->file_bytes = e.file_size - r->offset;
		if (e.relro && e.relro->p_vaddr >= ph->p_vaddr &&
		    e.relro->p_vaddr < ph->p_vaddr + ph->p_memsz)
			r->relro_pages = (page_down(e.relro->p_vaddr +
						    e.relro->p_memsz) - start) /
					 page_size;
		/*
		 * The first pages, and the first behind the file: each of
		 * the parts gets anonymous memory of its own.
		 */
		for (page = 0; page < r->pages && page < LIB_PAGES_MAX; page++)
			write_page(r, page, 0);
		page = (file_end - start) / page_size;
		if (page >= LIB_PAGES_MAX && page < r->pages)
			write_page(r, page, 0);
		if (r->relro_pages >= LIB_PAGES_MAX &&
		    r->relro_pages < r->pages)
			write_page(r, r->relro_pages, 0);
		if (r->relro_pages)
			protect(base + start, r->relro_pages * page_size,
				PROT_READ);
	}
}

/* ---- heap ---- */

static unsigned int heap_size(unsigned int i)
{
	/* from 256 bytes to 18 kB, now and then past malloc's mmap threshold */
	return i % 40 == 39 ? 160 * 1024 : 256 + (i * 7919 % 73) * 256;
}

static bool heap_check(char *const *blocks, unsigned int n, unsigned int salt)
{
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		const uint64_t *p = (uint64_t *)blocks[i];
		uint64_t seed = word_seed(make_stamp(0), salt, i);

		for (j = 0; j < heap_size(i) / 8; j++) {
			if (p[j] == seed + j)
				continue;
			atomic_fetch_add(&shared->pages_wrong, 1);
			dprintf(STDERR_FILENO, "apps24: %s: heap block %u at %p: word %u is %#llx, must be %#llx\n",
				whoami, i, (void *)p, j,
				(unsigned long long)p[j],
				(unsigned long long)(seed + j));
			return false;
		}
	}
	return true;
}

static void heap_fill(char **blocks, unsigned int n, unsigned int salt)
{
	unsigned int i, j;

	for (i = 0; i < n; i++) {
		uint64_t seed = word_seed(make_stamp(0), salt, i);
		uint64_t *p = malloc(heap_size(i));

		if (!p)
			die(EXIT_SETUP, "malloc of %u bytes: %s", heap_size(i),
			    strerror(errno));
		for (j = 0; j < heap_size(i) / 8; j++)
			p[j] = seed + j;
		blocks[i] = (char *)p;
	}
}

/* ---- threads, each with a stack and a malloc arena of its own ---- */

struct worker {
	pthread_t thread;
	unsigned int nr;
	bool good;
};

static struct worker workers[NTHREADS];
static pthread_mutex_t worker_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t worker_cond = PTHREAD_COND_INITIALIZER;
static unsigned int workers_set_up;
static bool workers_end;

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	volatile uint64_t on_stack[6 * 512];
	char *blocks[THREAD_BLOCKS];
	uint64_t seed = word_seed(make_stamp(0), 5000 + w->nr, 0);
	unsigned int i;

	heap_fill(blocks, THREAD_BLOCKS, 4000 + w->nr);
	for (i = 0; i < ARRAY_SIZE(on_stack); i++)
		on_stack[i] = seed + i;

	pthread_mutex_lock(&worker_lock);
	workers_set_up++;
	pthread_cond_broadcast(&worker_cond);
	while (!workers_end)
		pthread_cond_wait(&worker_cond, &worker_lock);
	pthread_mutex_unlock(&worker_lock);

	w->good = heap_check(blocks, THREAD_BLOCKS, 4000 + w->nr);
	for (i = 0; i < ARRAY_SIZE(on_stack); i++) {
		if (on_stack[i] == seed + i)
			continue;
		dprintf(STDERR_FILENO, "apps24: %s: stack of thread %u: word %u is wrong\n",
			whoami, w->nr, i);
		atomic_fetch_add(&shared->pages_wrong, 1);
		w->good = false;
		break;
	}
	return NULL;
}

/* One after another, so that stacks and arenas lie where they always lie */
static void start_workers(void)
{
	pthread_attr_t attr;
	unsigned int i;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	for (i = 0; i < NTHREADS; i++) {
		workers[i].nr = i;
		err = pthread_create(&workers[i].thread, &attr, worker_main,
				     &workers[i]);
		if (err)
			die(EXIT_SETUP, "thread %u: %s", i, strerror(err));
		pthread_mutex_lock(&worker_lock);
		while (workers_set_up <= i)
			pthread_cond_wait(&worker_cond, &worker_lock);
		pthread_mutex_unlock(&worker_lock);
	}
	pthread_attr_destroy(&attr);
}

static bool end_workers(void)
{
	bool good = true;
	unsigned int i;

	pthread_mutex_lock(&worker_lock);
	workers_end = true;
	pthread_cond_broadcast(&worker_cond);
	pthread_mutex_unlock(&worker_lock);
	for (i = 0; i < NTHREADS; i++) {
		if (pthread_join(workers[i].thread, NULL))
			die(EXIT_SETUP, "cannot join thread %u", i);
		good &= workers[i].good;
	}
	return good;
}

/* ---- a moving garbage collector ---- */

struct collector {
	struct region *from;	/* where the pages were moved to */
	struct region *to;	/* the emptied place */
	int uffd;
	unsigned int refilled;
};

static void *mutator_main(void *arg)
{
	struct collector *gc = arg;
	unsigned int i;

	/* 13 and GC_PAGES have no common factor: each page once */
	for (i = 0; i < GC_PAGES; i++) {
		unsigned int page = i * 13 % GC_PAGES;
		const uint64_t *p = (uint64_t *)(gc->to->addr + page * page_size);
		uint64_t seed = word_seed(table->stamp[gc->to->first_stamp + page],
					  gc->to->key, page);

		if (*(volatile const uint64_t *)p != seed)
			wrong(gc->to, page, 0, seed, *p);
	}
	return NULL;
}

static void refill(struct collector *gc)
{
	while (gc->refilled < GC_PAGES) {
		struct pollfd pfd = { .fd = gc->uffd, .events = POLLIN };
		struct uffdio_copy copy;
		struct uffd_msg msg;
		size_t at;

		if (poll(&pfd, 1, 60000) <= 0)
			die(EXIT_SETUP, "userfaultfd: no fault for a minute, %u of %d pages refilled",
			    gc->refilled, GC_PAGES);
		if (read(gc->uffd, &msg, sizeof(msg)) != sizeof(msg))
			die(EXIT_SETUP, "userfaultfd: read: %s",
			    strerror(errno));
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			die(EXIT_SETUP, "userfaultfd: event %#x is no fault",
			    msg.event);
		at = page_down(msg.arg.pagefault.address) -
		     (size_t)gc->to->addr;
		copy = (struct uffdio_copy){
			.dst = (size_t)gc->to->addr + at,
			.src = (size_t)gc->from->addr + at,
			.len = page_size,
		};
		if (ioctl(gc->uffd, UFFDIO_COPY, &copy))
			die(EXIT_SETUP, "userfaultfd: UFFDIO_COPY: %s",
			    strerror(errno));
		gc->refilled++;
	}
}

static void collect_garbage(unsigned int key)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	struct collector gc = { 0 };
	pthread_t mutator;
	char *old, *moved;
	unsigned int i;
	int err;

	old = map_guarded(GC_PAGES);
	gc.to = new_region(ANON, old, GC_PAGES, key);
	for (i = 0; i < GC_PAGES; i++)
		write_page(gc.to, i, 0);

	/* the destination's guard page is left over behind the moved pages */
	moved = map(NULL, (GC_PAGES + 1) * page_size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mremap(old, GC_PAGES * page_size, GC_PAGES * page_size,
		   MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED,
		   moved) != moved)
		die(EXIT_SETUP, "mremap with MREMAP_DONTUNMAP: %s",
		    strerror(errno));
	gc.from = new_region(ANON, moved, GC_PAGES, key);
	memcpy(&table->stamp[gc.from->first_stamp],
	       &table->stamp[gc.to->first_stamp],
	       GC_PAGES * sizeof(table->stamp[0]));

	gc.uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (gc.uffd < 0)
		die(EXIT_SETUP, "userfaultfd: %s%s", strerror(errno),
		    errno == ENOSYS ? " (CONFIG_USERFAULTFD is off)" : "");
	if (ioctl(gc.uffd, UFFDIO_API, &api))
		die(EXIT_SETUP, "userfaultfd: UFFDIO_API: %s", strerror(errno));
	reg = (struct uffdio_register){
		.range = { (size_t)old, GC_PAGES * page_size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	if (ioctl(gc.uffd, UFFDIO_REGISTER, &reg))
		die(EXIT_SETUP, "userfaultfd: UFFDIO_REGISTER: %s",
		    strerror(errno));
	err = pthread_create(&mutator, NULL, mutator_main, &gc);
	if (err)
		die(EXIT_SETUP, "mutator thread: %s", strerror(err));
	refill(&gc);
	if (pthread_join(mutator, NULL))
		die(EXIT_SETUP, "cannot join the mutator thread");
	if (ioctl(gc.uffd, UFFDIO_UNREGISTER, &reg.range))
		die(EXIT_SETUP, "userfaultfd: UFFDIO_UNREGISTER: %s",
		    strerror(errno));
	close(gc.uffd);
	atomic_fetch_add(&shared->refilled, gc.refilled);

	/* the moved pages are garbage now, but for some that are pinned */
	for (i = 0; i < GC_PAGES; i += 4)
		write_page(gc.to, i, 1);
	for (i = 0; i < GC_PAGES / 2; i++)
		table->stamp[gc.from->first_stamp + i] = 0;
	if (madvise(moved, GC_PAGES / 2 * page_size, MADV_DONTNEED))
		die(EXIT_SETUP, "madvise: %s", strerror(errno));
}

/* ---- an app ---- */

/* Mappings as an app makes them: guards, rights taken away, holes, files */
static void make_mapping(unsigned int nr, unsigned int key)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct region *r;
	char *p;

	switch (nr % 4) {
	case 0:			/* written to in part */
		r = new_region(ANON, map_guarded(6), 6, key);
		write_page(r, 0, 0);
		write_page(r, 1, 0);
		write_page(r, 4, 0);
		break;
	case 1:			/* the middle becomes read-only, some for a while */
		p = map_guarded(8);
		r = new_region(ANON, p, 8, key);
		write_page(r, 0, 0);
		write_page(r, 3, 0);
		write_page(r, 7, 0);
		protect(p + 3 * page_size, 2 * page_size, PROT_READ);
		if (nr % 8 == 5) {
			protect(p + 3 * page_size, 2 * page_size, rw);
			write_page(r, 4, 1);
		}
		break;
	case 2:			/* a hole */
		p = map_guarded(5);
		unmap(p + 2 * page_size, page_size);
		r = new_region(ANON, p, 2, key);
		write_page(r, 1, 0);
		r = new_region(ANON, p + 3 * page_size, 2, key);
		write_page(r, 0, 0);
		break;
	case 3:			/* read-only for good, once written */
		p = map_guarded(4);
		r = new_region(ANON, p, 4, key);
		write_page(r, 0, 0);
		write_page(r, 1, 0);
		protect(p, 4 * page_size, PROT_READ);
		break;
	}
}

/* Copies on write of what was inherited; rights are changed where needed */
static void dirty_inherited(unsigned int nr_inherited, unsigned int salt)
{
	unsigned int i;

	for (i = 0; i < nr_inherited; i++) {
		struct region *r = &table->region[i];

		if (r->kind != LIBRARY || i % 3 != salt % 3)
			continue;
		if (r->relro_pages < r->pages)
			write_page(r, r->relro_pages, 2);
		if (i % 9 == 0 && r->relro_pages) {
			protect(r->addr, r->relro_pages * page_size,
				PROT_READ | PROT_WRITE);
			write_page(r, 0, 2);
			protect(r->addr, r->relro_pages * page_size, PROT_READ);
		}
	}
}

static int ready_pipe[2], end_pipe[2];

static void say_ready(void)
{
	if (write(ready_pipe[1], "r", 1) != 1)
		die(EXIT_SETUP, "cannot say ready: %s", strerror(errno));
}

/* The launcher never writes: the pipe ends when it closes it, or dies */
static void wait_for_end(void)
{
	char c;

	while (read(end_pipe[0], &c, 1) < 0)
		if (errno != EINTR)
			die(EXIT_SETUP, "waiting for the end: %s",
			    strerror(errno));
}

/*
 * An app's child that dies early would leave the launcher waiting for its
 * ready: the app dies with it, and the launcher sees that.
 */
static void on_child(int sig)
{
	siginfo_t info = { 0 };

	(void)sig;
	if (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) &&
	    info.si_pid &&
	    (info.si_code != CLD_EXITED || info.si_status))
		_exit(EXIT_RELATIVE);
}

static bool wait_for_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			die(EXIT_SETUP, "waitpid: %s", strerror(errno));
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return true;
	if (WIFSIGNALED(status))
		dprintf(STDERR_FILENO, "apps24: %s: process %d was killed by signal %d\n",
			whoami, pid, WTERMSIG(status));
	else
		dprintf(STDERR_FILENO, "apps24: %s: process %d ended with status %d\n",
			whoami, pid, WEXITSTATUS(status));
	return false;
}

static void __attribute__((noreturn))
end_process(bool good, pid_t child)
{
	if (child > 0 && !wait_for_child(child))
		_exit(good ? EXIT_RELATIVE : EXIT_CONTENT);
	_exit(good ? 0 : EXIT_CONTENT);
}

/* How often an app's line forks on: every fourth app once, every eighth twice */
static unsigned int descendants(unsigned int app)
{
	return app % 8 == 5 ? 2 : app % 4 == 1 ? 1 : 0;
}

/* A process an app forked: no threads of its own, memory of all before it */
static void __attribute__((noreturn))
helper_main(unsigned int app, unsigned int generation)
{
	unsigned int inherited = table->nr, i;
	pid_t child = 0;

	snprintf(whoami, sizeof(whoami), "app %u, descendant %u", app,
		 generation);
	process_id = (generation + 1) * 4096 + app;
	atomic_fetch_add(&shared->processes, 1);
	for (i = 0; i < 8; i++)
		make_mapping(i, 3000 + i);
	dirty_inherited(inherited, app + generation);
	if (descendants(app) > generation) {
		child = fork();
		if (child < 0)
			die(EXIT_SETUP, "fork: %s", strerror(errno));
		if (!child)
			helper_main(app, generation + 1);
	}
	say_ready();
	wait_for_end();
	end_process(check_all(), child);
}

static void __attribute__((noreturn)) app_main(unsigned int app)
{
	static char *blocks[HEAP_BLOCKS];
	unsigned int inherited = table->nr, first, i;
	pid_t child = 0;
	bool good;

	snprintf(whoami, sizeof(whoami), "app %u", app);
	process_id = 1 + app;
	close(end_pipe[1]);
	close(ready_pipe[0]);
	atomic_fetch_add(&shared->processes, 1);

	/* other libraries than the launcher's, as long as there are others */
	first = launcher_libs + (app - 1) * own_libs;
	for (i = 0; i < own_libs; i++)
		map_library(&libs[(first + i) % nr_libs], 1000 + i);
	for (i = 0; i < base_maps * scale; i++)
		make_mapping(i, 2000 + i);
	heap_fill(blocks, HEAP_BLOCKS, 100);
	start_workers();
	collect_garbage(900);
	dirty_inherited(inherited, app);
	if (descendants(app)) {
		struct sigaction sa = {
			.sa_handler = on_child, .sa_flags = SA_RESTART,
		};

		sigaction(SIGCHLD, &sa, NULL);
		child = fork();
		if (child < 0)
			die(EXIT_SETUP, "fork: %s", strerror(errno));
		if (!child)
			helper_main(app, 1);
	}
	if (corrupt == app) {
		struct region *r = &table->region[table->nr - 1];

		r->addr[(r->pages - 1) * page_size + 8] ^= 1;
	}
	say_ready();
	wait_for_end();
	good = end_workers();
	good &= heap_check(blocks, HEAP_BLOCKS, 100);
	good &= check_all();
	end_process(good, child);
}

/* ---- the launcher ---- */

static unsigned long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000UL + ts.tv_nsec / 1000000;
}

/* All ready, or the first app that died, or nothing for too long */
static void wait_for_ready(unsigned int wanted, const pid_t *apps,
			   unsigned int nr_apps)
{
	unsigned long end = now_ms() + timeout_s * 1000UL;
	unsigned int got = 0, i;

	while (got < wanted) {
		struct pollfd pfd = { .fd = ready_pipe[0], .events = POLLIN };
		char buf[256];
		ssize_t n;

		for (i = 0; i < nr_apps; i++) {
			siginfo_t info = { 0 };

			if (!waitid(P_PID, apps[i], &info,
				    WEXITED | WNOHANG | WNOWAIT) && info.si_pid)
				die(EXIT_RELATIVE, "app %u ended before it was ready (%s %d)",
				    i + 1, info.si_code == CLD_EXITED ?
				    "status" : "signal", info.si_status);
		}
		if (now_ms() > end)
			die(EXIT_SETUP, "%u of %u processes are ready after %u s",
			    got, wanted, timeout_s);
		if (poll(&pfd, 1, 200) <= 0)
			continue;
		n = read(ready_pipe[0], buf, sizeof(buf));
		if (n > 0)
			got += n;
		else
			usleep(10000);	/* all are gone: waitid() will say */
	}
}

static void launch(void)
{
	static char *blocks[HEAP_BLOCKS];
	unsigned int nr_apps = base_apps * scale, wanted = 0, app;
	unsigned long start = now_ms(), ready;
	bool good = true;
	pid_t *apps;
	char line[64];

	apps = calloc(nr_apps, sizeof(*apps));
	if (!apps)
		die(EXIT_SETUP, "out of memory");
	if (pipe2(ready_pipe, O_CLOEXEC) || pipe2(end_pipe, O_CLOEXEC))
		die(EXIT_SETUP, "pipe: %s", strerror(errno));

	for (app = 0; app < launcher_libs; app++)
		map_library(&libs[app], app);
	heap_fill(blocks, HEAP_BLOCKS, 50);

	for (app = 1; app <= nr_apps; app++) {
		pid_t pid = fork();

		if (pid < 0)
			die(EXIT_SETUP, "fork of app %u: %s", app,
			    strerror(errno));
		if (!pid)
			app_main(app);
		apps[app - 1] = pid;
		wanted += 1 + descendants(app);
	}
	close(ready_pipe[1]);
	close(end_pipe[0]);
	wait_for_ready(wanted, apps, nr_apps);
	ready = now_ms();
	printf("ready scale=%u apps=%u processes=%u libraries=%u own_libraries=%u ms=%lu\n",
	       scale, nr_apps, wanted + 1, launcher_libs, own_libs,
	       ready - start);
	fflush(stdout);

	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		die(EXIT_SETUP, "standard input: %s", strerror(errno));

	start = now_ms();
	close(end_pipe[1]);
	for (app = 0; app < nr_apps; app++)
		good &= wait_for_child(apps[app]);
	/* nothing of what they wrote may show here */
	good &= heap_check(blocks, HEAP_BLOCKS, 50);
	good &= check_all();
	printf("{\"scale\":%u,\"apps\":%u,\"processes\":%lu,\"libraries\":%u,\"libraries_found\":%u,\"pages_checked\":%lu,\"pages_wrong\":%lu,\"pages_refilled\":%lu,\"ok\":%s}\n",
	       scale, nr_apps, atomic_load(&shared->processes) + 1,
	       launcher_libs, nr_libs, atomic_load(&shared->pages_checked),
	       atomic_load(&shared->pages_wrong),
	       atomic_load(&shared->refilled), good ? "true" : "false");
	fprintf(stderr, "apps24: ended and checked in %lu ms\n",
		now_ms() - start);
	if (fflush(stdout))
		die(EXIT_SETUP, "standard output: %s", strerror(errno));
	exit(good ? 0 : EXIT_CONTENT);
}

static const char usage[] =
"Usage: apps24 [OPTION]... [DIRECTORY]...\n"
"A launcher maps shared libraries found below the DIRECTORYs (default\n"
"/usr/lib), forks apps without exec, says \"ready ...\" when all are set up,\n"
"waits for a line or the end of its input, and then checks every page.\n"
"\n"
"  -s, --scale N       multiplies apps and mappings (default 1)\n"
"  -a, --apps N        apps at scale 1 (default 24)\n"
"  -l, --libs N        libraries of the launcher (default 108)\n"
"      --min-libs N    fail when fewer are found (default 100)\n"
"  -o, --own-libs N    libraries of each app (default 12)\n"
"  -m, --maps N        mappings of each app at scale 1 (default 40)\n"
"  -t, --timeout S     time until all must be ready (default 300)\n"
"      --corrupt APP   spoil one byte in APP: proves that a check can fail\n"
"  -h, --help          this text\n"
"\n"
"Status: 0 all pages were right, 2 wrong usage, 3 the system refused\n"
"something, 4 a page was wrong, 5 a process died.\n";

static unsigned int parse_option(const char *opt, const char *arg,
				 unsigned int min, unsigned int max)
{
	unsigned long val;
	char *end;

	errno = 0;
	val = strtoul(arg, &end, 10);
	if (errno || *end || *arg < '0' || *arg > '9' || val < min || val > max)
		die(EXIT_USAGE, "--%s %s: a number from %u to %u is wanted",
		    opt, arg, min, max);
	return val;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "scale", required_argument, NULL, 's' },
		{ "apps", required_argument, NULL, 'a' },
		{ "libs", required_argument, NULL, 'l' },
		{ "min-libs", required_argument, NULL, 'L' },
		{ "own-libs", required_argument, NULL, 'o' },
		{ "maps", required_argument, NULL, 'm' },
		{ "timeout", required_argument, NULL, 't' },
		{ "corrupt", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	struct rlimit files;
	int c;

	while ((c = getopt_long(argc, argv, "s:a:l:o:m:t:h", options,
				NULL)) != -1) {
		switch (c) {
		case 's':
			scale = parse_option("scale", optarg, 1, 16);
			break;
		case 'a':
			base_apps = parse_option("apps", optarg, 1, 200);
			break;
		case 'l':
			launcher_libs = parse_option("libs", optarg, 1, 900);
			break;
		case 'L':
			min_libs = parse_option("min-libs", optarg, 1, 900);
			break;
		case 'o':
			own_libs = parse_option("own-libs", optarg, 0, 100);
			break;
		case 'm':
			base_maps = parse_option("maps", optarg, 0, 400);
			break;
		case 't':
			timeout_s = parse_option("timeout", optarg, 1, 86400);
			break;
		case 'c':
			corrupt = parse_option("corrupt", optarg, 1, 3200);
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try 'apps24 --help'.\n", stderr);
			return EXIT_USAGE;
		}
	}
	page_size = sysconf(_SC_PAGESIZE);
	if (page_size > 65536)
		die(EXIT_SETUP, "pages of %zu bytes", page_size);

	/* a descriptor per library; many distributions start with 1024 */
	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < 2048) {
		files.rlim_cur = files.rlim_max < 2048 ? files.rlim_max : 2048;
		setrlimit(RLIMIT_NOFILE, &files);
	}

	shared = (struct shared *)map(NULL, page_size, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	table = (struct table *)map(NULL, page_up(sizeof(*table)),
				    PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (optind == argc)
		find_libraries("/usr/lib", 8);
	for (; optind < argc; optind++)
		find_libraries(argv[optind], 8);
	sort_libraries();
	if (nr_libs < min_libs)
		die(EXIT_SETUP, "%u shared libraries found, %u are needed",
		    nr_libs, min_libs);
	if (launcher_libs > nr_libs)
		launcher_libs = nr_libs;
	launch();
}
