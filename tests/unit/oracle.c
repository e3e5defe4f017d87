// SPDX-License-Identifier: GPL-2.0-only
/*
 * Folios and page tables, and the oracle: what the page tables say is what a
 * walk must find.
 */
#include <pthread.h>
#include <unistd.h>

#include "model.h"

LIST_HEAD(folios);
unsigned long model_walks, model_visits;
static unsigned long stamp, folio_ids;
bool model_points;

/* ---- folios and page tables ------------------------------------------------ */
struct anon_vma *folio_anon_vma(struct folio *folio)
{
	return folio->mapping ? (struct anon_vma *)((char *)folio->mapping -
						    PAGE_MAPPING_ANON) : NULL;
}

void folio_set_anon_vma(struct folio *folio, struct anon_vma *anon_vma)
{
	folio->mapping = (char *)anon_vma + PAGE_MAPPING_ANON;
}

struct folio *folio_new(struct vm_area_struct *vma, unsigned long addr,
			       unsigned int nr_pages)
{
	struct folio *folio = calloc(1, sizeof(*folio));

	check(vma->anon_vma, "a page in a VMA that is not faulted");
	folio->id = ++folio_ids;
	folio->page.folio = folio;
	folio->nr_pages = nr_pages;
	atomic_set(&folio->_mapcount, -1);
	folio->exclusive = (1u << nr_pages) - 1;
	folio->hugetlb = is_vm_hugetlb_page(vma);
	folio_set_anon_vma(folio, vma->anon_vma);
	folio->index = vma_anon_index(vma, addr);
	list_add_tail(&folio->list, &folios);
	return folio;
}

/* A page of a large folio, for itself. */
struct folio *folio_new_part(struct folio *folio, unsigned int idx)
{
	struct folio *part = calloc(1, sizeof(*part));

	*part = (struct folio) {
		.mapping = folio->mapping, .index = folio->index + idx, .nr_pages = 1,
		.exclusive = folio->exclusive >> idx & 1, .id = ++folio_ids,
		._mapcount = { -1 },
	};
	part->page.folio = part;
	list_add_tail(&part->list, &folios);
	return part;
}

void folio_put(struct folio *folio)
{
	if (folio->refs || folio->migrating)
		return;
	list_del(&folio->list);
	free(folio);
}

void pte_set(struct mm_struct *mm, unsigned long addr, pte_t pte)
{
	pte_t *ptep = pte_of(mm, addr);
	struct folio *old = ptep->folio;

	if (pte.folio) {
		pte.folio->refs++;
		pte.folio->mapcount += pte.kind != PTE_SWAP;
		pte.folio->_mapcount.counter += pte.kind == PTE_PRESENT;
	}
	if (old) {
		old->refs--;
		old->mapcount -= ptep->kind != PTE_SWAP;
		old->_mapcount.counter -= ptep->kind == PTE_PRESENT;
	}
	*ptep = pte;
	if (old)
		folio_put(old);
}

bool pte_exclusive(pte_t pte)
{
	return pte.kind == PTE_PRESENT ? pte.folio->exclusive >> pte.idx & 1 : pte.excl;
}

/* A present entry sets the flag of the page, another one takes it along. */
void pte_change(struct mm_struct *mm, unsigned long addr, enum pte_kind kind,
		       bool excl)
{
	pte_t pte = *pte_of(mm, addr);

	pte.folio->exclusive &= ~(1u << pte.idx);
	pte.excl = kind != PTE_PRESENT && excl;
	pte.kind = kind;
	if (kind == PTE_PRESENT && excl)
		pte.folio->exclusive |= 1u << pte.idx;
	pte_set(mm, addr, pte);
}

pmd_t *mm_find_pmd(struct mm_struct *mm, unsigned long addr)
{
	check(mm->anon_rmap.rwsem.readers, "mm %d looked at without M", mm->id);
	return (pmd_t *)mm->pt;
}

pte_t *pte_offset_map(pmd_t *pmd, unsigned long addr)
{
	check(page_of(addr) < NR_PAGES, "address %lx", addr);
	return (pte_t *)pmd + page_of(addr);
}

void pte_clear(struct mm_struct *mm, unsigned long addr)
{
	pte_set(mm, addr, (pte_t){ NULL });
}

/* ---- walks and the oracle ---------------------------------------------------- */
/* What page_vma_mapped_walk() does. */
static bool walk_one(struct folio *folio, struct vm_area_struct *vma,
		     unsigned long addr, void *arg)
{
	struct mm_struct *mm = vma->vm_mm;
	struct walk *w = arg;
	unsigned long end;
	bool more = true;

	w->visits++;
	model_visits++;
	check(mm->anon_rmap.rwsem.readers, "mm %d visited without M", mm->id);
	check(addr >= vma->vm_start && addr < vma->vm_end, "%lx outside", addr);
	check(!vma->pgtables_freed, "VMA %lx of mm %d", vma->vm_start, mm->id);
	check(vma->anon_vma, "unfindable VMA %lx of mm %d", vma->vm_start, mm->id);
	check(is_vm_hugetlb_page(vma) == folio->hugetlb, "wrong type");

	end = vma->vm_start +
	      ((folio->index + folio->nr_pages - vma_anon_start(vma)) << PAGE_SHIFT);
	for (end = min(end, vma->vm_end); addr < end; addr += PAGE_SIZE) {
		pte_t *pte = pte_of(mm, addr);

		if (pte->folio != folio || pte->kind == PTE_SWAP)
			continue;
		if (w->background && pte->kind != w->from)
			continue;
		/* remove_migration_pte(): an exclusive entry of a small folio is the only one */
		if (pte->kind == PTE_MIGRATION && w->to == PTE_PRESENT && !folio_test_large(folio))
			more = !pte_exclusive(*pte);
		check(vma_anon_index(vma, addr) == folio->index + pte->idx,
		      "folio %lu at %lx of mm %d: index %lx", folio->id, addr,
		      mm->id, folio->index);
		if (w->background) {
			pte_change(mm, addr, w->to, pte_exclusive(*pte));
			continue;
		}
		if (mm->seen[page_of(addr)] == stamp) {
			/* A munmap in progress: twice is harmless */
			check(w->dup || mm->anon_rmap.detached, "page %u of mm %d found twice",
			      page_of(addr), mm->id);
			continue;
		}
		mm->seen[page_of(addr)] = stamp;
		w->found++;
		if (!w->to)
			continue;
		check(pte->kind == w->from, "folio %lu", folio->id);
		pte_change(mm, addr, w->to, pte_exclusive(*pte));
	}
	return more;
}

static void print_state(void)
{
	static const char *const kinds[] = { "none", "present", "migration", "swap" };
	struct vm_area_struct *vma;
	unsigned int p, i;

	for (p = 0; p < NR_MMS; p++) {
		struct mm_struct *mm = procs[p].mm;
		struct anon_vma_mm_link *link;
		struct ma_state mas = { .tree = NULL };

		if (!mm)
			continue;
		mas.tree = &mm->mm_mt;
		printf("# process %u: own %p, bound %lx, anon_vmas", p,
		       mm->anon_rmap.own.anon_vma, mm->anon_rmap.bound);
		list_for_each_entry(link, &mm->anon_rmap.links, same_mm)
			printf(" %p", link->anon_vma);
		printf("\n");
		mas_for_each(&mas, vma, ULONG_MAX) {
			if (vma == VMA_END)
				break;
			printf("#   %2u-%2u flags %2lx pgoff %3lx delta %ld%s\n",
			       page_of(vma->vm_start), page_of(vma->vm_end) - 1,
			       vma->vm_flags, vma->vm_pgoff, (long)vma->anon_delta,
			       vma->anon_vma ? "" : " unfaulted");
		}
		for (i = 0; i < NR_PAGES; i++)
			if (mm->pt[i].folio)
				printf("#   page %2u: folio %lu.%u %s%s\n", i,
				       mm->pt[i].folio->id, mm->pt[i].idx,
				       kinds[mm->pt[i].kind],
				       mm->seen[i] == stamp ? ", found" : "");
	}
}

/* Walk a folio; every entry must be found.  @locked: A is held for write. */
int walk_folio(struct folio *folio, struct walk *w, bool locked)
{
	struct anon_vma *anon_vma = folio_anon_vma(folio);
	struct rmap_walk_control rwc = { .rmap_one = walk_one, .arg = w };
	int mapcount = folio->mapcount;

	check(atomic_read(&anon_vma->refcount) > 0 && anon_vma_is_lazy(anon_vma),
	      "folio %lu: dead anon_vma", folio->id);
	if (!locked)
		anon_vma_lock_read(anon_vma);
	stamp++;
	model_walks++;
	w->found = w->visits = 0;
	anon_rmap_walk(anon_vma, folio, -EFAULT, NULL, true, &rwc);
	if (!locked)
		anon_vma_unlock_read(anon_vma);
	if (w->found != mapcount)
		print_state();
	check(w->found == mapcount, "folio %lu index %lx anon_vma %p: found %d of %d entries",
	      folio->id, folio->index, anon_vma, w->found, mapcount);
	return w->found;
}

/* A walk of the file's own, with A held for read */
void walk_locked(struct folio *folio, struct rmap_walk_control *rwc)
{
	struct anon_vma *anon_vma = folio_anon_vma(folio);

	anon_vma_lock_read(anon_vma);
	stamp++;
	anon_rmap_walk(anon_vma, folio, -EFAULT, NULL, true, rwc);
	anon_vma_unlock_read(anon_vma);
}

/* A walk that may not wait: has it met a process that is locked? */
bool walk_contended(struct folio *folio)
{
	struct walk w = { .dup = false };
	struct rmap_walk_control rwc = {
		.rmap_one = walk_one, .arg = &w, .try_lock = true,
	};

	walk_locked(folio, &rwc);
	return rwc.contended;
}

/* As those bring that may miss an entry; it is not called. */
void *own_lock(struct folio *folio, struct rmap_walk_control *rwc)
{
	return NULL;
}

/* A walk that counts entries and ends after the last has found them all. */
static void check_counted(struct folio *folio)
{
	struct walk w = { .dup = false };
	struct rmap_walk_control rwc = {
		.rmap_one = walk_one, .arg = &w, .anon_lock = own_lock,
	};

	walk_locked(folio, &rwc);
	check(w.found >= folio_mapcount(folio), "folio %lu: found %d of %d entries",
	      folio->id, w.found, folio_mapcount(folio));
}

void check_folios(bool dup)
{
	struct folio *folio;

	list_for_each_entry(folio, &folios, list) {
		struct walk w = { .dup = dup };

		if (!folio->mapping)
			continue;
		walk_folio(folio, &w, false);
		if (!dup && !folio_test_large(folio))
			check_counted(folio);
	}
}

/*
 * A migration in the background: both its walks go on for a visit now and then
 * while the operations run, and wait for each other where the locks say so.  A
 * thread, because a walk cannot be left in the middle; one of the two runs.
 */
static struct {
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pid_t pid;		/* Of the process the thread is in */
	bool turn, active;
	struct folio *folio;
	u32 random;
} background;

static void pass_turn(bool turn)
{
	background.turn = turn;
	pthread_cond_broadcast(&background.cond);
	while (background.turn == turn)
		pthread_cond_wait(&background.cond, &background.mutex);
}

static void *background_thread(void *unused)
{
	pthread_mutex_lock(&background.mutex);
	while (!background.turn)
		pthread_cond_wait(&background.cond, &background.mutex);
	for (;;) {
		struct folio *folio = background.folio;
		struct anon_vma *anon_vma = folio_anon_vma(folio);
		unsigned int p, i, to;

		for (to = PTE_MIGRATION; to >= PTE_PRESENT; to--) {
			struct walk w = {
				.background = true, .to = to,
				.from = to == PTE_PRESENT ? PTE_MIGRATION : PTE_PRESENT,
			};
			struct rmap_walk_control rwc = { .rmap_one = walk_one, .arg = &w };

			/* folio_lock_anon_vma_read() does not find an unmapped one */
			if (to == PTE_MIGRATION && !folio->mapcount)
				continue;
			anon_vma_lock_read(anon_vma);
			anon_rmap_walk(anon_vma, folio, -EFAULT, NULL, true, &rwc);
			anon_vma_unlock_read(anon_vma);
		}
		for (p = 0; p < NR_MMS; p++)
			for (i = 0; procs[p].mm && i < NR_PAGES; i++)
				if (procs[p].mm->pt[i].folio == folio &&
				    procs[p].mm->pt[i].kind == PTE_MIGRATION) {
					print_state();
					fail("folio %lu: migration entry left behind in mm %d, page %u",
					     folio->id, procs[p].mm->id, i);
				}
		folio->migrating = false;
		folio_put(folio);
		put_anon_vma(anon_vma);
		background.active = false;
		pass_turn(false);
	}
	return NULL;
}

void unit_before_lock(void)
{
	if (unit_thread == THREAD_WALK) {
		unit_thread = THREAD_OPS;
		pass_turn(false);
		unit_thread = THREAD_WALK;
	}
}

bool unit_run_others(void)
{
	if (unit_thread == THREAD_WALK) {
		pass_turn(false);
		return true;
	}
	if (!background.active)
		return false;
	unit_thread = THREAD_WALK;
	pass_turn(true);
	unit_thread = THREAD_OPS;
	return true;
}

/* Begin to migrate @folio; @seed: of the schedule. */
void background_begin(struct folio *folio, u8 seed)
{
	if (background.active)
		return;
	if (background.pid != getpid()) {
		background.pid = getpid();
		pthread_mutex_init(&background.mutex, NULL);
		pthread_cond_init(&background.cond, NULL);
		pthread_mutex_lock(&background.mutex);
		check(!pthread_create(&background.thread, NULL, background_thread, NULL),
		      "no thread");
	}
	folio->migrating = true;
	get_anon_vma(folio_anon_vma(folio));
	background.folio = folio;
	background.active = true;
	background.random = (u32)seed << 24;
	unit_run_others();
}

/* Now and then; the same in each run of a program. */
void step(void)
{
	if (!background.active)
		return;
	background.random = background.random * 1664525 + 1013904223;
	while (background.active && background.random >> 30 == 0) {
		unit_run_others();
		background.random = background.random * 1664525 + 1013904223;
	}
}

/* Walks of everything by another thread, in the middle of an operation. */
void __point(bool dup)
{
	step();
	if (!model_points)
		return;
	unit_thread = THREAD_CHECK;
	check_folios(dup);
	unit_thread = THREAD_OPS;
}
/* By address, as KSM does. */
static bool ksm_one(struct folio *folio, struct vm_area_struct *vma,
		    unsigned long addr, void *arg)
{
	struct mm_struct *mm = vma->vm_mm;

	check(mm->anon_rmap.rwsem.readers, "mm %d visited without M", mm->id);
	check(addr >= vma->vm_start && addr < vma->vm_end, "%lx outside", addr);
	check(mm->seen[0] != stamp, "mm %d visited twice", mm->id);
	mm->seen[0] = stamp;
	++*(int *)arg;
	return true;
}

struct vm_area_struct *vma_at(struct mm_struct *mm, unsigned long addr)
{
	MA_STATE(mas, &mm->mm_mt, addr, addr);
	struct vm_area_struct *vma = mas_walk(&mas);

	return vma == VMA_END ? NULL : vma;
}

/*
 * Take the page for a KSM one that was merged where @owner has it: who maps it at
 * this address is visited, and nobody who has no VMA there.
 */
static void check_ksm(struct mm_struct *owner, unsigned long addr)
{
	struct folio *folio = pte_of(owner, addr)->folio;
	struct anon_vma *anon_vma = folio_anon_vma(folio);
	u8 exclusive = folio->exclusive;
	struct anon_vma_mm_link *link;
	int forks, could, found;

	folio->ksm = true;
	folio->exclusive = 0;
	for (forks = 0; forks < 2; forks++) {
		struct rmap_walk_control rwc = { .rmap_one = ksm_one, .arg = &found };

		found = could = 0;
		anon_vma_lock_read(anon_vma);
		stamp++;
		check(anon_rmap_walk(anon_vma, folio, addr, owner, forks, &rwc),
		      "ended early");
		anon_vma_unlock_read(anon_vma);
		list_for_each_entry(link, &anon_vma->mms, same_anon_vma) {
			struct mm_struct *mm = link->mm;
			struct vm_area_struct *vma = addr < mm->anon_rmap.bound ?
						     vma_at(mm, addr) : NULL;
			bool seen = mm->seen[0] == stamp;

			if (!vma || !vma->anon_vma ||
			    is_vm_hugetlb_page(vma) != folio->hugetlb ||
			    (mm == owner) == forks) {
				check(!seen, "%lx of mm %d, forks %d", addr, mm->id, forks);
				continue;
			}
			could += seen;
			check(seen || pte_of(mm, addr)->folio != folio ||
			      pte_of(mm, addr)->kind == PTE_SWAP,
			      "%lx of mm %d not visited, forks %d", addr, mm->id, forks);
		}
		check(found == could, "%lx: %d of %d", addr, found, could);
	}
	folio->ksm = false;
	folio->exclusive = exclusive;
}

/* Memory failure: exactly the tasks that map the page. */
unsigned long page_mapped_in_vma(struct page *page, struct vm_area_struct *vma)
{
	unsigned long addr = __vma_address(vma, vma_anon_start(vma),
					   page->folio->index + page->idx, 1);
	pte_t *pte;

	if (addr == -EFAULT)
		return addr;
	pte = pte_of(vma->vm_mm, addr);
	return pte->folio == page->folio && pte->idx == page->idx &&
	       pte->kind == PTE_PRESENT ? addr : -EFAULT;
}

static int killed;

void add_to_kill_ksm(struct task_struct *t, struct page *page,
		     struct vm_area_struct *vma, struct list_head *to_kill,
		     unsigned long addr)
{
	check(pte_of(t->mm, addr)->folio == page->folio, "wrong task");
	check(t->mm->seen[page_of(addr)] != stamp, "killed twice");
	t->mm->seen[page_of(addr)] = stamp;
	killed++;
}

static void check_memory_failure(struct folio *folio)
{
	struct page page = folio->page;
	int want = 0, p, i;

	for (p = 0; p < NR_MMS; p++)
		for (i = 0; mm_of(p) && i < NR_PAGES; i++) {
			pte_t pte = mm_of(p)->pt[i];

			want += pte.folio == folio && !pte.idx && pte.kind == PTE_PRESENT;
		}
	killed = 0;
	stamp++;
	anon_vma_lock_read(folio_anon_vma(folio));
	collect_procs_anon_lazy(folio_anon_vma(folio), folio, &page, -EFAULT, NULL, 1);
	anon_vma_unlock_read(folio_anon_vma(folio));
	check(killed == want, "folio %lu: %d of %d", folio->id, killed, want);
}

long counter(const char *name)
{
	char buf[PAGE_SIZE];
	int i;

	for (i = 0; unit_attrs[i]; i++)
		if (!strcmp(unit_attrs[i]->attr.name, name)) {
			unit_attrs[i]->show(NULL, unit_attrs[i], buf);
			return atol(buf);
		}
	fail("no counter %s", name);
}

static void check_mm(struct mm_struct *mm, bool failed, long *links, long *displaced)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;
	struct anon_vma_mm_link *link;
	struct vm_area_struct *vma;
	bool own = false, root = false;
	struct rb_node *node;
	long n = 0, tree = 0;
	MA_STATE(mas, &mm->mm_mt, 0, 0);

	if (!list_empty(&rmap->links)) {
		list_for_each_entry(link, &rmap->links, same_mm) {
			check(link->mm == mm, "foreign link");
			own |= link == &rmap->own;
			root |= rmap->own.anon_vma && link->anon_vma == rmap->own.anon_vma->root;
			*links += link != &rmap->own;
		}
		check(failed || (own && root), "mm %d: not linked to itself or the root",
		      mm->id);
	}
	check(failed || rmap->bound == ULONG_MAX, "mm %d: bound", mm->id);
	check(!rmap->detached && !rmap->nr_detached, "mm %d", mm->id);
	mas_for_each(&mas, vma, ULONG_MAX) {
		if (vma == VMA_END)
			break;
		check(vma->vm_mm == mm && mas.index == vma->vm_start &&
		      mas.last == vma->vm_end - 1, "tree of mm %d", mm->id);
		check(!vma->anon_vma || vma->anon_vma == rmap->own.anon_vma,
		      "foreign anon_vma");
		check(vma->anon_vma || !vma->anon_delta, "unfaulted with a delta");
		check(!vma->anon_delta == !vma->displaced, "delta and chain disagree");
		check(!vma->displaced || vma->displaced->vma == vma, "foreign chain");
		n += !!vma->displaced;
	}
	for (node = rb_first_cached(&rmap->displaced); node; node = rb_next(node))
		tree++;
	check(tree == n, "mm %d: %ld displaced VMAs, %ld in the tree", mm->id, n, tree);
	*displaced += n;
	if (!failed) {
		struct task_struct task = { .mm = mm };
		struct seq_file m = { .len = 0 };
		char want[32];

		proc_pid_anon_rmap(&m, NULL, NULL, &task);
		snprintf(want, sizeof(want), "displaced: %ld\n", n);
		check(strstr(m.buf, want) && strstr(m.buf, "mode: lazy"), "%s", m.buf);
	}
}

/* A walk visits the parent first, and the younger siblings of @mm. */
static void check_order(struct anon_vma *anon_vma, struct mm_struct *mm)
{
	struct anon_vma_mm_link *link;
	bool before = true;

	list_for_each_entry(link, &anon_vma->mms, same_anon_vma) {
		if (link->mm == mm)
			before = false;
		else if (link->mm->parent == mm->parent && mm->parent)
			check(before == (link->mm->id > mm->id), "mm %d, sibling %d",
			      mm->id, link->mm->id);
		else if (link->mm->id == mm->parent)
			check(before, "mm %d before its parent", mm->id);
	}
}

void check_structures(void)
{
	long mms = 0, links = 0, displaced = 0, dead = 0;
	struct anon_vma *anon_vma, *other;
	int p;

	for (p = 0; p < NR_MMS; p++)
		if (procs[p].mm) {
			mms++;
			check_mm(procs[p].mm, procs[p].failed, &links, &displaced);
		}
	for (anon_vma = unit_cache_next(anon_vma_cachep, NULL); anon_vma;
	     anon_vma = unit_cache_next(anon_vma_cachep, anon_vma)) {
		unsigned long children = 0, active = 0;
		struct anon_vma_mm_link *link;

		check(anon_vma_is_lazy(anon_vma) &&
		      (background.active || !rwsem_is_locked(&anon_vma->rwsem)), "anon_vma");
		list_for_each_entry(link, &anon_vma->mms, same_anon_vma) {
			check(link->anon_vma == anon_vma, "foreign link");
			active += link == &link->mm->anon_rmap.own;
			check_order(anon_vma, link->mm);
		}
		check((anon_vma->num_active_vmas & ~ANON_VMA_LAZY) == active, "%lu", active);
		if (list_empty(&anon_vma->mms)) {	/* Somebody has a reference */
			dead++;
			continue;
		}
		for (other = unit_cache_next(anon_vma_cachep, NULL); other;
		     other = unit_cache_next(anon_vma_cachep, other))
			children += other->parent == anon_vma && !list_empty(&other->mms);
		check(anon_vma->num_children == children, "%lu children, not %lu",
		      children, anon_vma->num_children);
	}
	check(counter("mms") == mms, "%ld", mms);
	check(counter("links") == links && unit_objects("anon_vma_mm_link") == links,
	      "%ld", links);
	check(counter("displaced") == displaced, "%ld", displaced);
	check(counter("anon_vmas") == anon_vma_cachep->nr - dead, "%ld", dead);
	check(anon_vma_chain_cachep->nr == displaced, "chains leaked");
	check(!unit_walks_locked(), "A or M left locked");
}

/* An exclusive page has one entry: the model's own rule. */
static void check_exclusive(struct mm_struct *mm, unsigned int page)
{
	pte_t pte = mm->pt[page];
	unsigned int p, i, n = 0;

	if (!pte.folio || !pte_exclusive(pte))
		return;
	for (p = 0; p < NR_MMS; p++)
		for (i = 0; procs[p].mm && i < NR_PAGES; i++)
			n += procs[p].mm->pt[i].folio == pte.folio &&
			     procs[p].mm->pt[i].idx == pte.idx;
	check(n == 1, "page %u of mm %d is exclusive, %u entries", page, mm->id, n);
}

void model_check(void)
{
	struct folio *folio;
	int p, i;

	check_folios(false);
	check_structures();
	for (p = 0; p < NR_MMS; p++)
		for (i = 0; mm_of(p) && i < NR_PAGES; i++)
			if (mm_of(p)->pt[i].folio && mm_of(p)->pt[i].folio->mapping) {
				check_ksm(mm_of(p), addr_of(i));
				check_exclusive(mm_of(p), i);
			}
	list_for_each_entry(folio, &folios, list)
		if (folio->mapping)
			check_memory_failure(folio);
}
