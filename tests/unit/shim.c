// SPDX-License-Identifier: GPL-2.0-only
/* The shims that are more than a line. */
#include <stdarg.h>

#include "shim.h"

/* ---- rwsem ---------------------------------------------------------------- */
static const char *const class_names[] = { "M", "A", "mmap_lock" };
static int held[NR_THREADS][NR_LOCK_CLASSES];
int unit_thread;

void unit_init_rwsem(struct rw_semaphore *sem, enum lock_class class)
{
	*sem = (struct rw_semaphore){ .class = class };
}

bool unit_walks_locked(void)
{
	return held[unit_thread][LOCK_A] || held[unit_thread][LOCK_M];
}

static void lock_order(struct rw_semaphore *sem)
{
	int *h = held[unit_thread];

	check(sem->class < NR_LOCK_CLASSES, "not a rwsem");
	check(!h[LOCK_M], "%s taken inside M", class_names[sem->class]);
	check(sem->class == LOCK_M || !h[LOCK_A], "%s taken inside A",
	      class_names[sem->class]);
}

bool down_read_trylock(struct rw_semaphore *sem)
{
	lock_order(sem);
	unit_before_lock();
	if (sem->writer)
		return false;
	sem->readers++;
	held[unit_thread][sem->class]++;
	return true;
}

bool down_write_trylock(struct rw_semaphore *sem)
{
	lock_order(sem);
	if (rwsem_is_locked(sem))
		return false;
	sem->writer = true;
	held[unit_thread][sem->class]++;
	return true;
}

void down_read(struct rw_semaphore *sem)
{
	while (!down_read_trylock(sem))
		check(unit_run_others(), "deadlock on %s", class_names[sem->class]);
}

void down_write(struct rw_semaphore *sem)
{
	lock_order(sem);
	while (rwsem_is_locked(sem))
		check(unit_run_others(), "deadlock on %s", class_names[sem->class]);
	down_write_trylock(sem);
}

static void released(struct rw_semaphore *sem)
{
	check(held[unit_thread][sem->class]-- > 0, "%s of another thread",
	      class_names[sem->class]);
}

void up_read(struct rw_semaphore *sem)
{
	check(sem->readers > 0, "%s not held for read", class_names[sem->class]);
	sem->readers--;
	released(sem);
}

void up_write(struct rw_semaphore *sem)
{
	check(sem->writer, "%s not held for write", class_names[sem->class]);
	sem->writer = false;
	released(sem);
}

/* ---- slab ----------------------------------------------------------------- */
unsigned long unit_allocs, unit_fail_at;

bool unit_alloc_fails(void)
{
	return ++unit_allocs == unit_fail_at;
}

static struct kmem_cache *caches;

struct kmem_cache *unit_cache(const char *name, size_t size)
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));

	cache->next = caches;
	caches = cache;

	cache->name = name;
	cache->size = size;
	INIT_LIST_HEAD(&cache->objects);
	return cache;
}

long unit_objects(const char *name)
{
	struct kmem_cache *cache;
	long nr = 0;

	for (cache = caches; cache; cache = cache->next)
		if (!name || !strcmp(name, cache->name))
			nr += cache->nr;
	return nr;
}

void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	struct list_head *head;

	check(!(gfp & GFP_KERNEL) || !unit_walks_locked(),
	      "%s: reclaim walks, and A or M is held", cache->name);
	if (unit_alloc_fails())
		return NULL;
	head = malloc(sizeof(*head) + cache->size);
	memset(head + 1, 0xa5, cache->size);
	if (cache->ctor)
		cache->ctor(head + 1);
	list_add(head, &cache->objects);
	cache->nr++;
	return head + 1;
}

void kmem_cache_free(struct kmem_cache *cache, void *obj)
{
	struct list_head *head = (struct list_head *)obj - 1;

	check(obj, "free of NULL");
	if (cache->check_free)
		cache->check_free(obj);
	list_del(head);
	cache->nr--;
	free(head);
}

void *unit_cache_next(struct kmem_cache *cache, void *obj)
{
	struct list_head *head = obj ? (struct list_head *)obj - 1 : &cache->objects;

	return head->next == &cache->objects ? NULL : head->next + 1;
}

/* ---- maple tree ----------------------------------------------------------- */
/* The first range that ends at @index or later. */
static int mt_at(const struct maple_tree *mt, unsigned long index)
{
	int low = 0, high = mt->nr;

	while (low < high) {
		int mid = (low + high) / 2;

		if (mt->r[mid].last >= index)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

void *mas_find(struct ma_state *mas, unsigned long max)
{
	unsigned long from = mas->index;
	int i;

	if (mas->found) {
		if (mas->last >= max)
			return NULL;
		from = mas->last + 1;
	}
	i = mt_at(mas->tree, from);
	if (from > max || i == mas->tree->nr || mas->tree->r[i].first > max)
		return NULL;
	mas->found = true;
	mas->index = mas->tree->r[i].first;
	mas->last = mas->tree->r[i].last;
	return mas->tree->r[i].entry;
}

void *mas_walk(struct ma_state *mas)
{
	int i = mt_at(mas->tree, mas->index);

	if (i == mas->tree->nr || mas->tree->r[i].first > mas->index)
		return NULL;
	return mas->tree->r[i].entry;
}

static void mt_insert(struct maple_tree *mt, int i, struct maple_range r)
{
	if (mt->nr == mt->cap) {
		mt->cap = mt->cap ? 2 * mt->cap : 8;
		mt->r = realloc(mt->r, mt->cap * sizeof(r));
	}
	memmove(&mt->r[i + 1], &mt->r[i], (mt->nr++ - i) * sizeof(r));
	mt->r[i] = r;
}

void mt_store(struct maple_tree *mt, unsigned long first, unsigned long last,
	      void *entry)
{
	int i = mt_at(mt, first), j;

	check(first <= last, "empty range");
	if (i < mt->nr && mt->r[i].first < first) {
		struct maple_range r = mt->r[i];

		mt->r[i].last = first - 1;
		r.first = first;
		mt_insert(mt, ++i, r);
	}
	for (j = i; j < mt->nr && mt->r[j].last <= last; j++)
		;
	if (j < mt->nr && mt->r[j].first <= last)
		mt->r[j].first = last + 1;
	if (j > i) {
		memmove(&mt->r[i], &mt->r[j], (mt->nr - j) * sizeof(*mt->r));
		mt->nr -= j - i;
	}
	if (entry)
		mt_insert(mt, i, (struct maple_range){ first, last, entry });
}

void mt_copy(struct maple_tree *to, const struct maple_tree *from)
{
	int i;

	for (i = 0; i < from->nr; i++)
		mt_insert(to, i, from->r[i]);
}

void mt_destroy(struct maple_tree *mt)
{
	free(mt->r);
	*mt = (struct maple_tree){ NULL };
}

/* ---- interval tree -------------------------------------------------------- */
void unit_node_insert(struct rb_node *node, struct rb_root_cached *root)
{
	struct rb_node **p = &root->rb_root.rb_node;

	check(node->start <= node->last, "empty range");
	while (*p && (*p)->start < node->start)
		p = &(*p)->next;
	node->next = *p;
	*p = node;
}

void unit_node_remove(struct rb_node *node, struct rb_root_cached *root)
{
	struct rb_node **p = &root->rb_root.rb_node;

	while (*p && *p != node)
		p = &(*p)->next;
	check(*p, "not in the tree");
	*p = node->next;
	node->next = NULL;
}

/* ---- the rest ------------------------------------------------------------- */
struct kobject *mm_kobj;
struct kobj_attribute *unit_attrs[16];
LIST_HEAD(unit_tasks);

struct kobject *kobject_create_and_add(const char *name, struct kobject *parent)
{
	static struct kobject kobj;

	return &kobj;
}

int sysfs_create_file(struct kobject *kobj, const struct attribute *attr)
{
	int i = 0;

	while (unit_attrs[i])
		i++;
	check(i < 15, "too many files");
	unit_attrs[i] = container_of(attr, struct kobj_attribute, attr);
	return 0;
}

int kstrtobool(const char *s, bool *res)
{
	*res = !strcmp(s, "on");
	return *res || !strcmp(s, "off") ? 0 : -EINVAL;
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	m->len += vsnprintf(m->buf + m->len, sizeof(m->buf) - m->len, fmt, args);
	va_end(args);
}

void put_anon_vma(struct anon_vma *anon_vma)
{
	struct anon_vma *root = anon_vma->root;

	check(atomic_read(&anon_vma->refcount) > 0, "put once too often");
	if (!atomic_dec_and_test(&anon_vma->refcount))
		return;
	check(list_empty(&anon_vma->mms), "freed with a process linked");
	anon_vma_set_regular(anon_vma);
	kmem_cache_free(anon_vma_cachep, anon_vma);
	if (root != anon_vma)
		put_anon_vma(root);
}
