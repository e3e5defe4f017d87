/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What mm/anon_vma_lazy.c needs of the kernel, for one thread in user space.
 * Every header it includes is this file.
 *
 * Stubs do nothing.  Custom ones check: a rwsem knows its class and fails on a
 * deadlock or a wrong order, an allocation fails while walks are locked out,
 * a tree node fails if its range changed while it was in the tree.
 */
#ifndef UNIT_SHIM_H
#define UNIT_SHIM_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#define CONFIG_ANON_VMA_LAZY	1
#define CONFIG_MEMORY_FAILURE	1

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef unsigned long pgoff_t;
typedef unsigned long vm_flags_t;
typedef unsigned int gfp_t;

#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define BITS_PER_LONG	64

/* Prints where, what, and the operation; ends the process. */
#define fail(fmt, ...)	unit_fail(__FILE__, __LINE__, fmt, ##__VA_ARGS__)
#define check(cond, fmt, ...)						\
	do {								\
		if (!(cond))						\
			fail("%s: " fmt, #cond, ##__VA_ARGS__);		\
	} while (0)
__attribute__((format(printf, 3, 4), noreturn))
void unit_fail(const char *file, int line, const char *fmt, ...);

/* ---- stubs ---------------------------------------------------------------- */
#define __init
#define __read_mostly
#define __maybe_unused		__attribute__((unused))
#define likely(x)		(x)
#define unlikely(x)		(x)
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define smp_wmb()		do { } while (0)
#define smp_rmb()		do { } while (0)
#define smp_mb()		do { } while (0)
#define smp_store_release(p, v)	(*(p) = (v))
#define smp_load_acquire(p)	(*(p))
#define cond_resched()		do { } while (0)
#define might_sleep()		do { } while (0)
/* Static keys: a variable */
#define DECLARE_STATIC_KEY_FALSE(name)	extern struct { bool key; } name
#define DEFINE_STATIC_KEY_FALSE(name)	__typeof__(name) name
#define static_branch_likely(k)		((k)->key)
#define static_key_enable(k)		(*(k) = true)
#define DO_ONCE_SLEEPABLE(fn, ...)					\
	do { static bool _done; if (!_done) fn(__VA_ARGS__); _done = true; } while (0)
#define BUILD_BUG_ON(x)		_Static_assert(!(x), #x)
#define IS_ENABLED(x)		(x)

#define pr_info(fmt, ...)	do { } while (0)
#define pr_warn(fmt, ...)	do { } while (0)
#define pr_emerg(fmt, ...)	do { if (0) printf(fmt, ##__VA_ARGS__); } while (0)

#define min(a, b)	({ __auto_type _a = (a); __auto_type _b = (b); _a < _b ? _a : _b; })
#define max(a, b)	({ __auto_type _a = (a); __auto_type _b = (b); _a > _b ? _a : _b; })
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member)	((type *)((char *)(p) - offsetof(type, member)))

/* A warning of the kernel is a failure here. */
#define WARN_ON_ONCE(x)		({ bool _w = (x); if (_w) fail("WARN_ON_ONCE(%s)", #x); _w; })
#define WARN_ON(x)		WARN_ON_ONCE(x)
#define VM_WARN_ON_ONCE(x)	((void)WARN_ON_ONCE(x))
#define VM_WARN_ON(x)		((void)WARN_ON_ONCE(x))
#define VM_BUG_ON(x)		((void)WARN_ON_ONCE(x))

typedef struct { int counter; } atomic_t;
#define atomic_set(a, v)	((a)->counter = (v))
#define atomic_read(a)		((a)->counter)
#define atomic_inc(a)		((a)->counter++)
#define atomic_dec_and_test(a)	(--(a)->counter == 0)

typedef struct { long counter; } atomic_long_t;
#define atomic_long_set(a, v)		((a)->counter = (v))
#define atomic_long_read(a)		((a)->counter)
#define atomic_long_inc(a)		((a)->counter++)
#define atomic_long_inc_return(a)	(++(a)->counter)

#define DEFINE_PER_CPU(type, name)	type name
#define this_cpu_add(var, nr)		((var) += (nr))
#define this_cpu_inc(var)		((var)++)
#define per_cpu(var, cpu)		(*((void)(cpu), &(var)))
#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 1; (cpu)++)

#define core_initcall(fn)	int unit_core_init(void) { return fn(); }
#define late_initcall(fn)	int unit_late_init(void) { return fn(); }
#define early_param(name, fn)	int unit_early_param(char *s) { return fn(s); }
int unit_core_init(void);
int unit_late_init(void);
int unit_early_param(char *s);

struct attribute { const char *name; int mode; };
struct kobject { int dummy; };
struct kobj_attribute {
	struct attribute attr;
	ssize_t (*show)(struct kobject *k, struct kobj_attribute *a, char *buf);
	ssize_t (*store)(struct kobject *k, struct kobj_attribute *a,
			 const char *buf, size_t len);
};
#define __ATTR(_name, _mode, _show, _store)				\
	{ .attr = { .name = #_name, .mode = _mode }, .show = _show, .store = _store }
struct ctl_table {
	const char *procname;
	void *data;
	int maxlen, mode;
	int (*proc_handler)(void);
	void *extra1, *extra2;
};
#define SYSCTL_ZERO	NULL
#define SYSCTL_ONE	NULL
extern struct kobject *mm_kobj;
extern struct kobj_attribute *unit_attrs[16];	/* what was created, NULL at the end */
static inline int proc_dointvec_minmax(void) { return 0; }
static inline void register_sysctl_init(const char *path, struct ctl_table *table) { }
struct kobject *kobject_create_and_add(const char *name, struct kobject *parent);
int sysfs_create_file(struct kobject *kobj, const struct attribute *attr);
#define sysfs_emit(buf, fmt, ...)	snprintf(buf, PAGE_SIZE, fmt, ##__VA_ARGS__)
int kstrtobool(const char *s, bool *res);

struct seq_file { char buf[256]; int len; };
__attribute__((format(printf, 2, 3)))
void seq_printf(struct seq_file *m, const char *fmt, ...);
#define seq_puts(m, s)	seq_printf(m, "%s", s)

#define get_kernel_nofault(val, ptr)	({ (val) = *(ptr); 0; })

/* Nothing is freed behind our back. */
static inline void rcu_read_lock(void) { }
static inline void rcu_read_unlock(void) { }

/* ---- lists ---------------------------------------------------------------- */
struct list_head { struct list_head *next, *prev; };

static inline void INIT_LIST_HEAD(struct list_head *l)
{
	l->next = l->prev = l;
}

static inline void list_add(struct list_head *new, struct list_head *head)
{
	new->next = head->next;
	new->prev = head;
	head->next->prev = new;
	head->next = new;
}

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	list_add(new, head->prev);
}

static inline void list_del(struct list_head *l)
{
	check(l->next->prev == l && l->prev->next == l, "corrupt list");
	l->next->prev = l->prev;
	l->prev->next = l->next;
	l->next = l->prev = NULL;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

#define LIST_HEAD(name)		struct list_head name = { &name, &name }
#define list_entry		container_of
#define list_first_entry(h, type, member)	list_entry((h)->next, type, member)
#define list_last_entry(h, type, member)	list_entry((h)->prev, type, member)
#define list_is_head(l, head)			((l) == (head))
#define list_is_first(l, head)			((l)->prev == (head))
#define list_is_last(l, head)			((l)->next == (head))
#define list_next_entry(pos, member)		list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member)		list_entry((pos)->member.prev, __typeof__(*(pos)), member)
#define list_entry_is_head(pos, head, member)	(&(pos)->member == (head))
#define list_for_each_entry(pos, head, member)				\
	for (pos = list_first_entry(head, __typeof__(*pos), member);	\
	     &pos->member != (head); pos = list_next_entry(pos, member))
#define list_for_each_entry_reverse(pos, head, member)			\
	for (pos = list_last_entry(head, __typeof__(*pos), member);	\
	     &pos->member != (head); pos = list_prev_entry(pos, member))
#define list_for_each_entry_safe(pos, n, head, member)			\
	for (pos = list_first_entry(head, __typeof__(*pos), member),	\
	     n = list_next_entry(pos, member);				\
	     &pos->member != (head); pos = n, n = list_next_entry(n, member))

static inline size_t list_count_nodes(struct list_head *head)
{
	struct list_head *l;
	size_t n = 0;

	for (l = head->next; l != head; l = l->next)
		n++;
	return n;
}

/* ---- rwsem ---------------------------------------------------------------- */
enum lock_class { LOCK_M, LOCK_A, LOCK_MMAP, NR_LOCK_CLASSES };

struct rw_semaphore {
	enum lock_class class;
	int readers;
	bool writer;
};

void unit_init_rwsem(struct rw_semaphore *sem, enum lock_class class);
/* The file under test has one kind. */
#define init_rwsem(sem)	unit_init_rwsem(sem, LOCK_M)
void down_read(struct rw_semaphore *sem);
void up_read(struct rw_semaphore *sem);
void down_write(struct rw_semaphore *sem);
void up_write(struct rw_semaphore *sem);
bool down_read_trylock(struct rw_semaphore *sem);
bool down_write_trylock(struct rw_semaphore *sem);
static inline bool rwsem_is_locked(struct rw_semaphore *sem)
{
	return sem->writer || sem->readers;
}

/*
 * Who runs, with locks of its own: operations, a walk in the background, checks
 * in the middle of an operation.
 */
enum { THREAD_OPS, THREAD_WALK, THREAD_CHECK, NR_THREADS };
extern int unit_thread;
/* Custom: before a rwsem is taken for read; where one has to wait. */
void unit_before_lock(void);
bool unit_run_others(void);
/* A or M held by this thread. */
bool unit_walks_locked(void);

#define lockdep_assert_held(sem)					\
	check(rwsem_is_locked(sem), "not held")
#define lockdep_assert_held_read(sem)	check((sem)->readers, "not held for read")
#define lockdep_assert_held_write(sem)	check((sem)->writer, "not held for write")

/* ---- slab ----------------------------------------------------------------- */
#define GFP_KERNEL	1u
#define GFP_NOWAIT	0u
#define GFP_ATOMIC	0u
#define SLAB_PANIC	0
#define SLAB_ACCOUNT	0

struct kmem_cache {
	struct kmem_cache *next;
	const char *name;
	size_t size;
	void (*ctor)(void *obj);
	void (*check_free)(void *obj);
	struct list_head objects;
	long nr;
};

struct kmem_cache *unit_cache(const char *name, size_t size);
#define KMEM_CACHE(type, flags)	unit_cache(#type, sizeof(struct type))
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
static inline void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp)
{
	void *obj = kmem_cache_alloc(cache, gfp);

	return obj ? memset(obj, 0, cache->size) : NULL;
}
void kmem_cache_free(struct kmem_cache *cache, void *obj);
/* Objects of the cache with this name, of all without */
long unit_objects(const char *name);
/* Objects, one after the other; NULL first, NULL at the end. */
void *unit_cache_next(struct kmem_cache *cache, void *obj);

/* Every allocation asks; the one with number unit_fail_at is refused. */
extern unsigned long unit_allocs, unit_fail_at;
bool unit_alloc_fails(void);

/* ---- maple tree: a sorted array -------------------------------------------- */
struct maple_range { unsigned long first, last; void *entry; };
struct maple_tree { struct maple_range *r; int nr, cap; };
struct ma_state {
	struct maple_tree *tree;
	unsigned long index, last;
	bool found;
};

#define MA_STATE(name, mt, first, end)					\
	struct ma_state name = { .tree = mt, .index = first, .last = end }
void *mas_find(struct ma_state *mas, unsigned long max);
void *mas_walk(struct ma_state *mas);
static inline void mas_set(struct ma_state *mas, unsigned long index)
{
	mas->index = mas->last = index;
	mas->found = false;
}
#define mas_for_each(mas, entry, max)					\
	while (((entry) = mas_find(mas, max)) != NULL)
/* Replaces, splits and trims what was there; NULL clears. */
void mt_store(struct maple_tree *mt, unsigned long first, unsigned long last,
	      void *entry);
void mt_copy(struct maple_tree *to, const struct maple_tree *from);
void mt_destroy(struct maple_tree *mt);
#define mt_is_empty(mt)	((mt)->nr == 0)

/* ---- interval tree: a sorted list ------------------------------------------ */
struct rb_node {
	struct rb_node *next;
	unsigned long start, last;
};
struct rb_root { struct rb_node *rb_node; };
struct rb_root_cached { struct rb_root rb_root; };
#define RB_ROOT_CACHED		((struct rb_root_cached){ { NULL } })
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)
#define rb_first_cached(root)	((root)->rb_root.rb_node)
#define rb_next(node)		((node)->next)
#define rb_entry_safe(node, type, member)				\
	({ struct rb_node *_n = (node); _n ? container_of(_n, type, member) : NULL; })
#define rbtree_postorder_for_each_entry_safe(pos, n, root, field)	\
	for (pos = rb_entry_safe((root)->rb_node, __typeof__(*pos), field); \
	     pos && ((n = rb_entry_safe(pos->field.next, __typeof__(*pos), field)), 1); \
	     pos = n)
void unit_node_insert(struct rb_node *node, struct rb_root_cached *root);
void unit_node_remove(struct rb_node *node, struct rb_root_cached *root);

#define INTERVAL_TREE_DEFINE(type, rb, key, subtree, start_of, last_of, stat, prefix) \
static type *prefix##_at(struct rb_node *n, key start, key last)	\
{									\
	for (; n; n = n->next) {					\
		type *node = container_of(n, type, rb);			\
									\
		check(n->start == start_of(node) && n->last == last_of(node), \
		      "range changed inside the tree");			\
		if (n->start <= last && n->last >= start)		\
			return node;					\
	}								\
	return NULL;							\
}									\
stat __maybe_unused void prefix##_insert(type *node, struct rb_root_cached *root) \
{									\
	node->rb.start = start_of(node);				\
	node->rb.last = last_of(node);					\
	unit_node_insert(&node->rb, root);				\
}									\
stat __maybe_unused void prefix##_remove(type *node, struct rb_root_cached *root) \
{									\
	check(node->rb.start == start_of(node) && node->rb.last == last_of(node), \
	      "range changed inside the tree");				\
	unit_node_remove(&node->rb, root);				\
}									\
stat __maybe_unused type *prefix##_iter_first(struct rb_root_cached *root, key start, key last) \
{									\
	return prefix##_at(rb_first_cached(root), start, last);			\
}									\
stat __maybe_unused type *prefix##_iter_next(type *node, key start, key last) \
{									\
	return prefix##_at(node->rb.next, start, last);			\
}

/* ---- memory --------------------------------------------------------------- */
#include <linux/anon_rmap_types.h>

struct anon_vma {
	struct anon_vma *root;
	struct rw_semaphore rwsem;
	atomic_t refcount;
	unsigned long num_children;
	unsigned long num_active_vmas;
	struct anon_vma *parent;
	union {
		struct rb_root_cached rb_root;
		struct list_head mms;
	};
};

struct anon_vma_chain {
	struct vm_area_struct *vma;
	struct anon_vma *anon_vma;
	struct list_head same_vma;
	struct rb_node rb;
	unsigned long rb_subtree_last;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end;
	struct mm_struct *vm_mm;
	vm_flags_t vm_flags;
	unsigned long vm_pgoff;
	int vm_file;			/* A number, 0 for none */
	union {
		struct list_head anon_vma_chain;
		struct {
			struct anon_vma_chain *displaced;
			pgoff_t anon_delta;
		};
	};
	struct anon_vma *anon_vma;
	bool pgtables_freed;		/* Of the model */
};

/* Entries of the model; a migration or swap entry may be exclusive. */
enum pte_kind { PTE_NONE, PTE_PRESENT, PTE_MIGRATION, PTE_SWAP };
typedef struct { struct folio *folio; u8 kind, idx, excl; } pte_t;
typedef struct { int dummy; } pmd_t;

struct mm_struct {
	struct maple_tree mm_mt;
	struct rw_semaphore mmap_lock;
	struct mm_anon_rmap anon_rmap;
	pte_t *pt;
	unsigned long *seen;
	int id, parent;
};

struct task_struct { struct mm_struct *mm; struct list_head tasks; };
struct pid_namespace { int dummy; };
struct pid { int dummy; };

struct page { struct folio *folio; int idx; };
struct folio {
	struct page page;
	void *mapping;
	pgoff_t index;
	unsigned int nr_pages;
	bool hugetlb, ksm;
	/* Of the model */
	atomic_t _mapcount;	/* Present entries, less one */
	int mapcount;		/* Present and migration entries */
	int refs;		/* All entries */
	bool migrating;
	u8 exclusive;		/* A bit for each page */
	struct list_head list;
	unsigned long id;
};

struct rmap_walk_control {
	void *arg;
	bool try_lock;
	bool contended;
	bool sync;
	bool (*rmap_one)(struct folio *folio, struct vm_area_struct *vma,
			 unsigned long addr, void *arg);
	int (*done)(struct folio *folio);
	void *(*anon_lock)(struct folio *folio, struct rmap_walk_control *rwc);
	bool (*invalid_vma)(struct vm_area_struct *vma, void *arg);
};

#define VM_CLASS	0x03ul		/* What mprotect() changes */
#define VM_WIPEONFORK	0x04ul
#define VM_DONTCOPY	0x08ul
#define VM_HUGETLB	0x10ul
#define PAGE_MAPPING_ANON	1ul
#define PAGE_MAPPING_FLAGS	3ul

#define mmap_assert_write_locked(mm)	lockdep_assert_held_write(&(mm)->mmap_lock)
#define mmap_assert_locked(mm)		lockdep_assert_held(&(mm)->mmap_lock)
#define vma_start_write(vma)		((void)(vma))
#define vma_pages(vma)			(((vma)->vm_end - (vma)->vm_start) >> PAGE_SHIFT)
#define is_vm_hugetlb_page(vma)		(!!((vma)->vm_flags & VM_HUGETLB))
#define folio_test_hugetlb(folio)	((folio)->hugetlb)
#define folio_test_ksm(folio)		((folio)->ksm)
#define folio_test_large(folio)		((folio)->nr_pages > 1)
#define folio_pgoff(folio)		((folio)->index)
#define folio_nr_pages(folio)		((folio)->nr_pages + 0ul)
#define folio_mapcount(folio)		((folio)->_mapcount.counter + 1)
#define folio_pfn(folio)		((folio)->id * 16)

/* A look at an entry without the page table lock: M, and the VMA, keep it there. */
pmd_t *mm_find_pmd(struct mm_struct *mm, unsigned long addr);
pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr);
#define pte_unmap(pte)		((void)(pte))
#define ptep_get_lockless(pte)	(*(pte))
#define pte_none(pte)		(!(pte).folio)
#define pte_present(pte)	((pte).kind == PTE_PRESENT)
#define pte_pfn(pte)		(folio_pfn((pte).folio) + (pte).idx)

#include <linux/anon_vma_lazy.h>

static inline unsigned long __vma_address(struct vm_area_struct *vma, pgoff_t start,
					  pgoff_t index, unsigned long nr_pages)
{
	if (index + nr_pages <= start || index >= start + vma_pages(vma))
		return -EFAULT;
	return vma->vm_start + ((index > start ? index - start : 0) << PAGE_SHIFT);
}

static inline void get_anon_vma(struct anon_vma *anon_vma)
{
	check(atomic_read(&anon_vma->refcount) > 0, "dead anon_vma");
	atomic_inc(&anon_vma->refcount);
}

void put_anon_vma(struct anon_vma *anon_vma);
static inline void anon_vma_lock_write(struct anon_vma *av) { down_write(&av->rwsem); }
static inline void anon_vma_unlock_write(struct anon_vma *av) { up_write(&av->rwsem); }
static inline void anon_vma_lock_read(struct anon_vma *av) { down_read(&av->rwsem); }
static inline void anon_vma_unlock_read(struct anon_vma *av) { up_read(&av->rwsem); }
#define ANON_VMA_LAZY	(1UL << (BITS_PER_LONG - 1))	/* In num_active_vmas */
static inline bool anon_vma_is_lazy(struct anon_vma *av)
{
	return av->num_active_vmas & ANON_VMA_LAZY;
}

/* ---- tasks and memory failure ---------------------------------------------- */
extern struct list_head unit_tasks;
#define for_each_process(t)	list_for_each_entry(t, &unit_tasks, tasks)
#define task_early_kill(t, force)	((void)(force), (t))
#define get_task_mm(t)		((t)->mm)
#define mmput(mm)		do { } while (0)
void add_to_kill_ksm(struct task_struct *t, struct page *page,
		     struct vm_area_struct *vma, struct list_head *to_kill,
		     unsigned long addr);
unsigned long page_mapped_in_vma(struct page *page, struct vm_area_struct *vma);

#endif /* UNIT_SHIM_H */
