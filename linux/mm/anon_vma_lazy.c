// SPDX-License-Identifier: GPL-2.0-only
/*
 * ANON_VMA_LAZY: anonymous reverse mapping kept once per process.
 *
 * A lazy process has one anon_vma, to which all its new anonymous folios
 * point.  The index of an anonymous folio is its virtual page number minus the
 * delta of its VMA.  The delta is 0 for a VMA that has not moved since its
 * first anonymous fault: it is natural, and mm->mm_mt finds it.  A VMA that
 * moved is displaced and has one anon_vma_chain, in mm->anon_rmap.displaced.
 * fork() links the child once to each anon_vma its parent is linked to.
 *
 * Lifetime.  An anon_vma lives while a process is linked to it or somebody
 * holds a reference.  exit_mmap() removes the links before it frees a VMA or a
 * page table.  Walkers may use a VMA, it is findable, while vma->anon_vma is
 * set.  Becoming findable needs no lock; becoming unfindable needs
 * mm->anon_rmap.rwsem for write, and page tables are freed after that.  A VMA
 * found in mm_mt may just have been freed, but RCU keeps it from being reused,
 * and until vma->anon_vma has been read as set nothing else of it is read.
 *
 * Locking.  mmap_lock -> i_mmap_rwsem -> anon_vma->rwsem -> mm->anon_rmap.rwsem
 * -> page table lock.  Never two of either rwsem; nothing that may enter reclaim
 * is allocated under them.
 *
 * - anon_vma->rwsem protects anon_vma->mms and the counters.  Huge page split
 *   and UFFDIO_MOVE hold it for write against walks that must find an entry.
 * - mm->anon_rmap.rwsem is held for read by a walker for the whole visit of a
 *   process, and for write by whoever moves page table entries, changes the
 *   range of a faulted VMA, or makes one unfindable.
 *
 * A walker visits a parent before the child forked from it: entries that fork
 * copies are seen in one or the other.  Of siblings it visits the youngest first:
 * whoever shares a page of the parent was forked after that was written.
 * See Documentation/mm/anon_vma_lazy.rst.
 */

#define pr_fmt(fmt) "anon_vma_lazy: " fmt

#include <linux/interval_tree_generic.h>
#include <linux/kobject.h>
#include <linux/mm.h>
#include <linux/once.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/sysctl.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>

#include "anon_vma_lazy_audit.h"
#include "internal.h"

static struct kmem_cache *anon_vma_mm_link_cachep;

static int sysctl_anon_vma_lazy __read_mostly = 1;

DEFINE_STATIC_KEY_FALSE(anon_vma_lazy_key);

enum anon_rmap_counter {
	ANON_RMAP_MMS,
	ANON_RMAP_ANON_VMAS,
	ANON_RMAP_LINKS,
	ANON_RMAP_DISPLACED,
	ANON_RMAP_REUSES,
	NR_ANON_RMAP_COUNTERS,
};

/* A process may be counted up on one CPU and down on another. */
static DEFINE_PER_CPU(long, anon_rmap_counters[NR_ANON_RMAP_COUNTERS]);
#define anon_rmap_count(counter, nr) this_cpu_add(anon_rmap_counters[counter], nr)

static inline unsigned long displaced_first(struct anon_vma_chain *avc)
{
	return (avc->vma->vm_start >> PAGE_SHIFT) - avc->vma->anon_delta;
}

static inline unsigned long displaced_last(struct anon_vma_chain *avc)
{
	return displaced_first(avc) + vma_pages(avc->vma) - 1;
}

INTERVAL_TREE_DEFINE(struct anon_vma_chain, rb, unsigned long, rb_subtree_last,
		     displaced_first, displaced_last, static, displaced_tree)

/* @mm is new, or a byte copy of its parent; regular until exec or fork say. */
void anon_rmap_init(struct mm_struct *mm)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;

	memset(rmap, 0, sizeof(*rmap));
	init_rwsem(&rmap->rwsem);
	INIT_LIST_HEAD(&rmap->links);
	rmap->displaced = RB_ROOT_CACHED;
}

/*
 * The constructed state of a free anon_vma.  The slab is SLAB_TYPESAFE_BY_RCU:
 * walkers that come too late may read it, find that their folio is no longer
 * mapped, and unlock the rwsem that they did lock.
 */
void anon_vma_set_regular(struct anon_vma *anon_vma)
{
	anon_vma->rb_root = RB_ROOT_CACHED;
	WRITE_ONCE(anon_vma->num_active_vmas, 0);
}

static struct anon_vma *anon_vma_alloc_lazy(void)
{
	struct anon_vma *anon_vma;

	anon_vma = kmem_cache_alloc(anon_vma_cachep, GFP_KERNEL);
	if (!anon_vma)
		return NULL;

	INIT_LIST_HEAD(&anon_vma->mms);
	WRITE_ONCE(anon_vma->num_active_vmas, ANON_VMA_LAZY);
	anon_vma->num_children = 0;
	anon_vma->parent = anon_vma;
	anon_vma->root = anon_vma;
	atomic_set(&anon_vma->refcount, 1);
	return anon_vma;
}

/*
 * Link @mm to @anon_vma, whose rwsem the caller holds for write, right after its
 * parent, @prev: before its elder siblings and their children.
 */
static void anon_rmap_link(struct anon_vma_mm_link *link, struct mm_struct *mm,
			   struct anon_vma *anon_vma, struct list_head *prev)
{
	lockdep_assert_held_write(&anon_vma->rwsem);

	link->mm = mm;
	link->anon_vma = anon_vma;
	list_add(&link->same_anon_vma, prev);
	if (link == &mm->anon_rmap.own)
		anon_vma->num_active_vmas++;
}

/*
 * Give @mm an anon_vma of its own, a child of @parent if there is one.
 * num_active_vmas counts the process whose own anon_vma this is, if it lives;
 * num_children counts the anon_vmas whose parent this is, a root itself too.
 */
static int anon_rmap_new_own(struct mm_struct *mm, struct anon_vma *parent)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;
	struct anon_vma *anon_vma = anon_vma_alloc_lazy();

	if (!anon_vma)
		return -ENOMEM;

	if (parent) {
		anon_vma->root = parent->root;
		anon_vma->parent = parent;
		get_anon_vma(anon_vma->root);
	}
	anon_vma_lock_write(anon_vma->parent);
	anon_vma->parent->num_children++;
	anon_vma_unlock_write(anon_vma->parent);

	anon_vma_lock_write(anon_vma);
	anon_rmap_link(&rmap->own, mm, anon_vma, &anon_vma->mms);
	anon_vma_unlock_write(anon_vma);

	list_add(&rmap->own.same_mm, &rmap->links);
	anon_rmap_count(ANON_RMAP_ANON_VMAS, 1);
	return 0;
}

/**
 * anon_rmap_exec - choose the mode of a process that starts a program
 * @mm: the new process, without VMAs: argument pages are faulted long before
 *	exec's point of no return
 *
 * Return: 0 or -ENOMEM.
 */
int anon_rmap_exec(struct mm_struct *mm)
{
	if (!READ_ONCE(sysctl_anon_vma_lazy))
		return 0;
	/* Everywhere, also where others wait for the first, before anyone is. */
	DO_ONCE_SLEEPABLE(static_key_enable, &anon_vma_lazy_key.key);
	mm->anon_rmap.lazy = true;
	mm->anon_rmap.bound = ULONG_MAX;
	anon_rmap_count(ANON_RMAP_MMS, 1);
	return anon_rmap_new_own(mm, NULL);
}

/**
 * __anon_rmap_fork - link a child to all anon_vmas its parent is linked to
 * @mm:		the child; its tree of VMAs is still empty
 * @oldmm:	the parent; mmap_lock of both is held for write
 *
 * The child takes over a dead ancestor's anon_vma if that has at most one
 * child: this bounds the chain "fork, parent exits", as in anon_vma_clone().
 * A dead root counts itself and the branch that @mm is on, so it is never taken
 * over.  Walkers find nothing in the child until anon_rmap_fork_bound(), but for
 * displaced VMAs, which are inserted before their entries are copied.
 *
 * Return: 0, or -ENOMEM; then anon_rmap_exit() removes what was linked.
 */
int __anon_rmap_fork(struct mm_struct *mm, struct mm_struct *oldmm)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;
	struct anon_vma_mm_link *plink;

	mmap_assert_write_locked(mm);
	mmap_assert_write_locked(oldmm);

	rmap->lazy = true;
	anon_rmap_count(ANON_RMAP_MMS, 1);

	/* From the root to the newest, so that the list ends newest first. */
	list_for_each_entry_reverse(plink, &oldmm->anon_rmap.links, same_mm) {
		struct anon_vma *anon_vma = plink->anon_vma;
		struct anon_vma_mm_link *spare, *link;

		spare = kmem_cache_alloc(anon_vma_mm_link_cachep, GFP_KERNEL);
		if (!spare)
			return -ENOMEM;

		link = spare;
		anon_vma_lock_write(anon_vma);
		if (!rmap->own.anon_vma && anon_vma->num_children < 2 &&
		    anon_vma->num_active_vmas == ANON_VMA_LAZY)
			link = &rmap->own;
		anon_rmap_link(link, mm, anon_vma, &plink->same_anon_vma);
		anon_vma_unlock_write(anon_vma);

		list_add(&link->same_mm, &rmap->links);
		if (link == spare) {
			anon_rmap_count(ANON_RMAP_LINKS, 1);
		} else {
			anon_rmap_count(ANON_RMAP_REUSES, 1);
			kmem_cache_free(anon_vma_mm_link_cachep, spare);
		}
	}

	anon_rmap_stretch();
	if (rmap->own.anon_vma)
		return 0;
	return anon_rmap_new_own(mm, oldmm->anon_rmap.own.anon_vma);
}

/**
 * __anon_rmap_exit - remove a process from all anon_vmas
 * @mm: the process; nobody uses it any more, or it was never visible
 *
 * Called between the zap of the last entry and the freeing of VMAs and page
 * tables, also when fork or exec failed half way.  Each anon_vma's rwsem waits
 * for walkers inside @mm.  Newest first: the parent of an anon_vma that becomes
 * empty is still linked, and alive, when its num_children changes.
 */
void __anon_rmap_exit(struct mm_struct *mm)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;
	struct anon_vma_mm_link *link, *next;

	anon_rmap_count(ANON_RMAP_MMS, -1);
	list_for_each_entry_safe(link, next, &rmap->links, same_mm) {
		struct anon_vma *anon_vma = link->anon_vma;
		struct anon_vma *parent = anon_vma->parent;
		bool empty;

		anon_vma_lock_write(anon_vma);
		list_del(&link->same_anon_vma);
		empty = list_empty(&anon_vma->mms);
		if (link == &rmap->own)
			anon_vma->num_active_vmas--;
		anon_vma_unlock_write(anon_vma);

		list_del(&link->same_mm);
		if (link != &rmap->own) {
			anon_rmap_count(ANON_RMAP_LINKS, -1);
			kmem_cache_free(anon_vma_mm_link_cachep, link);
		}
		if (!empty)
			continue;

		anon_vma_lock_write(parent);
		parent->num_children--;
		anon_vma_unlock_write(parent);

		VM_WARN_ON_ONCE(anon_vma->num_children);
		VM_WARN_ON_ONCE(anon_vma->num_active_vmas != ANON_VMA_LAZY);
		put_anon_vma(anon_vma);
		anon_rmap_count(ANON_RMAP_ANON_VMAS, -1);
	}
}

/* Findable: stays so, and in its place, while the caller holds the rwsem. */
static bool vma_findable(struct vm_area_struct *vma)
{
	/* Pairs with the release in anon_rmap_prepare(). */
	return smp_load_acquire(&vma->anon_vma);
}

/* Make @vma displaced by @delta pages; its range is set. */
static int anon_rmap_displace(struct vm_area_struct *vma, pgoff_t delta)
{
	struct mm_anon_rmap *rmap = &vma->vm_mm->anon_rmap;
	struct anon_vma_chain *avc;

	avc = kmem_cache_zalloc(anon_vma_chain_cachep, GFP_KERNEL);
	if (!avc)
		return -ENOMEM;
	avc->vma = vma;

	down_write(&rmap->rwsem);
	vma->anon_delta = delta;
	vma->displaced = avc;
	anon_rmap_prepare(vma);
	displaced_tree_insert(avc, &rmap->displaced);
	up_write(&rmap->rwsem);
	anon_rmap_count(ANON_RMAP_DISPLACED, 1);
	anon_rmap_stretch();
	return 0;
}

/**
 * anon_rmap_clone - copy what walkers need from one VMA to another
 * @dst: a VMA with range and delta; not in mm_mt, or write-locked and unfaulted
 * @src: the VMA, maybe the parent's, that it is a copy of or is merged with
 *
 * Return: 0 or -ENOMEM.
 */
int anon_rmap_clone(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	if (!src->anon_vma)
		return 0;
	if (dst->anon_delta)
		return anon_rmap_displace(dst, dst->anon_delta);
	/* The copy of a parent's VMA still has the parent's anon_vma. */
	anon_rmap_prepare(dst);
	anon_rmap_stretch();
	return 0;
}

static void anon_rmap_free_avc(struct anon_vma_chain *avc)
{
	if (!avc)
		return;
	kmem_cache_free(anon_vma_chain_cachep, avc);
	anon_rmap_count(ANON_RMAP_DISPLACED, -1);
}

/* The VMA is unfaulted afterwards.  The caller frees what is returned. */
static struct anon_vma_chain *anon_rmap_hide_vma(struct vm_area_struct *vma)
{
	struct mm_anon_rmap *rmap = &vma->vm_mm->anon_rmap;
	struct anon_vma_chain *avc = vma->displaced;

	lockdep_assert_held_write(&rmap->rwsem);

	if (avc)
		displaced_tree_remove(avc, &rmap->displaced);
	/* A munmap in progress has zapped all its VMAs before it unlinks one. */
	rmap->detached = NULL;
	rmap->nr_detached = 0;
	rmap->hint = NULL;
	vma->displaced = NULL;
	vma->anon_delta = 0;
	WRITE_ONCE(vma->anon_vma, NULL);
	return avc;
}

/**
 * anon_rmap_unlink - make a VMA without anonymous pages unfindable
 * @vma: the VMA, write-locked or detached, or of a process that has exited
 *
 * free_pgtables() calls it before it frees a page table of @vma.
 */
void anon_rmap_unlink(struct vm_area_struct *vma)
{
	struct mm_anon_rmap *rmap = &vma->vm_mm->anon_rmap;
	struct anon_vma_chain *avc;

	if (!vma->anon_vma)
		return;

	/* Without links there is no walker left, and the tree is not used. */
	if (list_empty(&rmap->links)) {
		avc = vma->displaced;
		vma->displaced = NULL;
		vma->anon_vma = NULL;
	} else {
		anon_rmap_stretch();
		down_write(&rmap->rwsem);
		avc = anon_rmap_hide_vma(vma);
		up_write(&rmap->rwsem);
	}
	anon_rmap_free_avc(avc);
}

/**
 * __anon_rmap_publish - let walkers find VMAs that leave mm_mt before the zap
 * @vma:	the first of them, mmap_lock held for write
 * @mas_detach:	the tree of the write-locked VMAs, at 0 to @nr - 1 in order of
 *		address, or NULL to take it back
 * @nr:		number of VMAs
 *
 * A migration entry in them must be removed.  To find a VMA twice is harmless.
 */
void __anon_rmap_publish(struct vm_area_struct *vma,
			 struct ma_state *mas_detach, int nr)
{
	struct mm_anon_rmap *rmap = &vma->vm_mm->anon_rmap;

	if (mas_detach) {
		mas_set(mas_detach, 1);
		while (vma && !vma->anon_vma)
			vma = nr > 1 ? mas_find(mas_detach, nr - 1) : NULL;
	}
	if (mas_detach ? !vma : !rmap->detached)
		return;

	down_write(&rmap->rwsem);
	rmap->detached = mas_detach ? mas_detach->tree : NULL;
	rmap->nr_detached = nr;
	up_write(&rmap->rwsem);
	anon_rmap_stretch();
}

/**
 * __anon_rmap_shift_stack - exec moves the pages of the stack inside its VMA
 * @vma:	the stack, extended over the old and the new place; mmap_lock
 *		held for write
 * @shift:	how far its pages are about to move down, in bytes; walkers look
 *		in the new place now, or skip the temporary stack, as ever
 *
 * Return: 0 or -ENOMEM.
 */
int __anon_rmap_shift_stack(struct vm_area_struct *vma, unsigned long shift)
{
	return anon_rmap_displace(vma, vma->anon_delta - (shift >> PAGE_SHIFT));
}

/* The range of @vma is about to change, under the rwsem of its process. */
void anon_rmap_pre_update(struct vm_area_struct *vma)
{
	lockdep_assert_held_write(&vma->vm_mm->anon_rmap.rwsem);

	if (vma->displaced)
		displaced_tree_remove(vma->displaced,
				      &vma->vm_mm->anon_rmap.displaced);
}

void anon_rmap_post_update(struct vm_area_struct *vma)
{
	lockdep_assert_held_write(&vma->vm_mm->anon_rmap.rwsem);

	if (vma->displaced)
		displaced_tree_insert(vma->displaced,
				      &vma->vm_mm->anon_rmap.displaced);
}

/*
 * The first findable VMA of @mm that ends above @addr and starts at or below
 * @last, natural or displaced.
 */
static struct vm_area_struct *anon_rmap_find(struct mm_struct *mm,
					     unsigned long addr,
					     unsigned long last)
{
	MA_STATE(mas, &mm->mm_mt, addr, addr);
	struct vm_area_struct *vma;
	unsigned long bound;

	lockdep_assert_held(&mm->anon_rmap.rwsem);

	/* Pairs with the release in anon_rmap_fork_bound(). */
	bound = smp_load_acquire(&mm->anon_rmap.bound);
	if (addr >= bound)
		return NULL;

	rcu_read_lock();
	mas_for_each(&mas, vma, min(last, bound - 1))
		/* Before it was faulted it may have shrunk. */
		if (vma_findable(vma) && vma->vm_start <= last && vma->vm_end > addr)
			break;
	rcu_read_unlock();
	return vma;
}

static struct vm_area_struct *anon_rmap_detached(struct mm_struct *mm, int nr)
{
	MA_STATE(mas, mm->anon_rmap.detached, nr, nr);

	lockdep_assert_held(&mm->anon_rmap.rwsem);
	return mas_walk(&mas);
}

/* Number of the first VMA of the munmap in progress that ends above @addr. */
static int anon_rmap_first_detached(struct mm_struct *mm, unsigned long addr)
{
	int low = 0, high = mm->anon_rmap.nr_detached;

	while (low < high) {
		int mid = low + (high - low) / 2;

		if (anon_rmap_detached(mm, mid)->vm_end > addr)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/*
 * A look at the page table without its lock.  The VMA is findable, so the upper
 * levels stay; RCU keeps the last.  Return 1 if the small folio is mapped there,
 * 0 if it is not, -1 if the entry is not present, maybe its migration entry.
 */
static int anon_rmap_peek(struct folio *folio, struct vm_area_struct *vma,
			  unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(vma->vm_mm, addr);
	pte_t entry, *pte = pmd ? pte_offset_map(pmd, addr) : NULL;

	if (!pte)
		return 0;
	entry = ptep_get_lockless(pte);
	pte_unmap(pte);
	if (pte_present(entry))
		return pte_pfn(entry) == folio_pfn(folio);
	return pte_none(entry) ? 0 : -1;
}

/*
 * The next @trust visits do not look ahead: most pages are in the first process
 * of the list, and where one process maps a page @burst others are likely to.
 * Walks of large folios, and with rwc->sync, never do.  Walks that end after the
 * last entry, with @left more to see, always do.
 */
struct anon_walk {
	struct folio *folio;
	struct rmap_walk_control *rwc;
	pgoff_t first, last;	/* index of its pages; by address: nothing */
	bool by_address;
	int trust, burst, left;
};

/* Return false if the walk is over. */
static bool anon_rmap_visit(struct anon_walk *walk, struct vm_area_struct *vma,
			    unsigned long addr)
{
	struct rmap_walk_control *rwc = walk->rwc;
	struct folio *folio = walk->folio;

	/*
	 * A child may have put a mapping of another kind in the place where
	 * its parent maps the folio.
	 */
	if (is_vm_hugetlb_page(vma) != folio_test_hugetlb(folio))
		return true;

	cond_resched();
	/* After the acquire in vma_findable(), for others who walk now. */
	smp_store_release(&vma->vm_mm->anon_rmap.hint, vma);
	if (rwc->invalid_vma && rwc->invalid_vma(vma, rwc->arg))
		return true;
	/*
	 * Nobody moves the entry; fork() copies it to a child before it can go
	 * away here.  The documentation says why it cannot be missed.
	 */
	if (--walk->trust < 0) {
		int here = anon_rmap_peek(folio, vma, addr);

		walk->trust = here ? walk->burst : 0;
		if (!here)
			return true;
		walk->left -= here > 0;
	}
	if (!rwc->rmap_one(folio, vma, addr, rwc->arg))
		return false;
	if (rwc->done && rwc->done(folio))
		return false;
	return walk->left > 0;
}

/*
 * VMAs by address: natural ones, and where KSM merged the folio any.  Those in
 * mm_mt, then those that a munmap has taken out of it.
 */
static bool anon_rmap_walk_range(struct anon_walk *walk, struct mm_struct *mm,
				 unsigned long start, unsigned long last)
{
	bool any = walk->by_address;
	struct vm_area_struct *vma;
	unsigned long addr = start;
	int nr;

	while ((vma = anon_rmap_find(mm, addr, last))) {
		if ((any || !vma->anon_delta) &&
		    !anon_rmap_visit(walk, vma, max(start, vma->vm_start)))
			return false;
		addr = vma->vm_end;
		if (addr > last)
			break;
	}

	for (nr = anon_rmap_first_detached(mm, start);
	     nr < mm->anon_rmap.nr_detached; nr++) {
		vma = anon_rmap_detached(mm, nr);
		if (vma->vm_start > last)
			break;
		if (vma_findable(vma) && (any || !vma->anon_delta) &&
		    !anon_rmap_visit(walk, vma, max(start, vma->vm_start)))
			return false;
	}
	return true;
}

static bool anon_rmap_walk_mm(struct anon_walk *walk, struct mm_struct *mm)
{
	pgoff_t first = walk->first, last = walk->last;
	struct rb_root_cached *displaced = &mm->anon_rmap.displaced;
	struct anon_vma_chain *avc;
	struct vm_area_struct *hint;
	unsigned long addr;

	/* Pairs, by what depends on it, with the release in anon_rmap_visit(). */
	hint = READ_ONCE(mm->anon_rmap.hint);
	addr = hint && first == last ?
	       __vma_address(hint, vma_anon_start(hint), first, 1) : -EFAULT;
	if (addr == -EFAULT)
		hint = NULL;
	else if (!anon_rmap_visit(walk, hint, addr))
		return false;

	for (avc = displaced_tree_iter_first(displaced, first, last); avc;
	     avc = displaced_tree_iter_next(avc, first, last)) {
		addr = __vma_address(avc->vma, vma_anon_start(avc->vma), first,
				     last - first + 1);
		if (avc->vma != hint && !anon_rmap_visit(walk, avc->vma, addr))
			return false;
	}
	/* A small folio has one natural place; on 32 bits maybe out of reach. */
	return (hint && !hint->anon_delta) || last > ULONG_MAX >> PAGE_SHIFT ||
	       anon_rmap_walk_range(walk, mm, first << PAGE_SHIFT,
				    ((last + 1) << PAGE_SHIFT) - 1);
}

static bool anon_rmap_lock_read(struct mm_struct *mm,
				struct rmap_walk_control *rwc)
{
	if (down_read_trylock(&mm->anon_rmap.rwsem))
		return true;
	if (rwc->try_lock) {
		rwc->contended = true;
		return false;
	}
	down_read(&mm->anon_rmap.rwsem);
	return true;
}

/**
 * anon_rmap_walk - visit every VMA that may map a folio of a lazy anon_vma
 * @anon_vma:	the anon_vma, locked by the caller
 * @folio:	an anonymous folio, small, large or hugetlb, or a KSM one
 * @addr:	where KSM merged @folio in @owner, as its index says nothing; or
 *		-EFAULT: the caller found a folio with an index
 * @owner:	visit this process alone, or with @forks all others
 * @forks:	see @owner
 * @rwc:	what to do; with try_lock the walk ends at a contended process
 *
 * Return: false if the walk is over, true to go on with other anon_vmas.
 */
bool anon_rmap_walk(struct anon_vma *anon_vma, struct folio *folio,
		    unsigned long addr, const struct mm_struct *owner,
		    bool forks, struct rmap_walk_control *rwc)
{
	bool look = !folio_test_large(folio) && !rwc->sync;
	struct anon_walk walk = {
		.folio = folio, .rwc = rwc, .trust = look ? 1 : INT_MAX,
		.first = folio_pgoff(folio), .by_address = addr != -EFAULT,
		.burst = 32, .left = INT_MAX,
	};
	struct anon_vma_mm_link *link;

	lockdep_assert_held(&anon_vma->rwsem);
	walk.last = walk.first + folio_nr_pages(folio) - 1;
	/*
	 * page_idle and DAMON may miss an entry, as all who bring a lock of their
	 * own, and have no end of theirs, as those with done() or try_lock.
	 */
	if (look && rwc->anon_lock && !rwc->done && !rwc->try_lock) {
		walk.left = folio_mapcount(folio);
		walk.burst = 0;
		walk.trust = 0;
	}

	list_for_each_entry(link, &anon_vma->mms, same_anon_vma) {
		struct mm_struct *mm = link->mm;
		bool more;

		if ((mm == owner) == forks)
			continue;
		if (!anon_rmap_lock_read(mm, rwc))
			return false;
		if (walk.by_address)
			more = anon_rmap_walk_range(&walk, mm, addr,
						    addr + PAGE_SIZE - 1);
		else
			more = anon_rmap_walk_mm(&walk, mm);
		up_read(&mm->anon_rmap.rwsem);
		if (!more)
			return false;
		smp_rmb();	/* entries here before bound and entries of a child */
	}
	return true;
}

#ifdef CONFIG_MEMORY_FAILURE
struct collect_procs {
	struct page *page;
	struct list_head *to_kill;
	int force_early;
};

static bool collect_procs_one(struct folio *folio, struct vm_area_struct *vma,
			      unsigned long addr, void *arg)
{
	struct collect_procs *cp = arg;
	struct task_struct *tsk;

	if (!folio_test_ksm(folio)) {
		addr = page_mapped_in_vma(cp->page, vma);
		if (addr == -EFAULT)
			return true;
	}

	rcu_read_lock();
	for_each_process(tsk) {
		struct task_struct *t = task_early_kill(tsk, cp->force_early);

		if (t && t->mm == vma->vm_mm)
			add_to_kill_ksm(t, cp->page, vma, cp->to_kill, addr);
	}
	rcu_read_unlock();
	return true;
}

/*
 * collect_procs() for a lazy anon_vma, locked by the caller.  A visit may sleep,
 * so RCU and the list of tasks are inside.  Only processes that map the page, or
 * have a VMA where KSM merged it, are collected, not all relatives.
 */
void collect_procs_anon_lazy(struct anon_vma *anon_vma, struct folio *folio,
			     struct page *page, unsigned long ksm_addr,
			     struct list_head *to_kill, int force_early)
{
	struct collect_procs cp = {
		.page = page,
		.to_kill = to_kill,
		.force_early = force_early,
	};
	struct rmap_walk_control rwc = {
		.rmap_one = collect_procs_one,
		.arg = &cp,
		.sync = true,
	};

	anon_rmap_walk(anon_vma, folio, ksm_addr, NULL, true, &rwc);
}
#endif /* CONFIG_MEMORY_FAILURE */

/* For dump_page(): @folio may be a stale copy, its anon_vma long gone. */
bool folio_anon_lazy(const struct folio *folio)
{
	unsigned long mapping = (unsigned long)folio->mapping;
	struct anon_vma *anon_vma = (void *)(mapping & ~PAGE_MAPPING_FLAGS);
	unsigned long nr;

	return !get_kernel_nofault(nr, &anon_vma->num_active_vmas) &&
	       nr & ANON_VMA_LAZY;
}

/* For dump_vma(). */
void dump_vma_anon_rmap(const struct vm_area_struct *vma)
{
	if (vma->vm_mm)
		pr_emerg("%s delta %lx\n",
			 vma_anon_lazy(vma) ? "lazy" : "regular",
			 vma_anon_delta(vma));
}

/* /proc/PID/anon_rmap */
int proc_pid_anon_rmap(struct seq_file *m, struct pid_namespace *ns,
		       struct pid *pid, struct task_struct *task)
{
	struct mm_struct *mm = get_task_mm(task);
	struct anon_vma_chain *avc, *next;
	int displaced = 0;

	if (!mm)
		return 0;

	/* The reference keeps exit_mmap() and so the links in place. */
	down_read(&mm->anon_rmap.rwsem);
	rbtree_postorder_for_each_entry_safe(avc, next, &mm->anon_rmap.displaced.rb_root, rb)
		displaced++;
	up_read(&mm->anon_rmap.rwsem);
	seq_printf(m, "mode: %s\n", mm_anon_lazy(mm) ? "lazy" : "regular");
	if (mm_anon_lazy(mm))
		seq_printf(m, "links: %zu\ndisplaced: %d\n",
			   list_count_nodes(&mm->anon_rmap.links), displaced);
	mmput(mm);
	return 0;
}

static ssize_t anon_rmap_counter_show(struct kobject *kobj,
				      struct kobj_attribute *attr, char *buf);
#define ANON_RMAP_ATTR(_name) __ATTR(_name, 0400, anon_rmap_counter_show, NULL)
static struct kobj_attribute anon_rmap_counter_attrs[] = {
	[ANON_RMAP_MMS]		= ANON_RMAP_ATTR(mms),
	[ANON_RMAP_ANON_VMAS]	= ANON_RMAP_ATTR(anon_vmas),
	[ANON_RMAP_LINKS]	= ANON_RMAP_ATTR(links),
	[ANON_RMAP_DISPLACED]	= ANON_RMAP_ATTR(displaced),
	[ANON_RMAP_REUSES]	= ANON_RMAP_ATTR(reuses),
};

static ssize_t anon_rmap_counter_show(struct kobject *kobj,
				      struct kobj_attribute *attr, char *buf)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(anon_rmap_counters[attr - anon_rmap_counter_attrs],
			       cpu);
	return sysfs_emit(buf, "%ld\n", max(sum, 0L));
}

static struct ctl_table anon_vma_lazy_sysctls[] = {
	{
		.procname	= "anon_vma_lazy",
		.data		= &sysctl_anon_vma_lazy,
		.maxlen		= sizeof(sysctl_anon_vma_lazy),
		.mode		= 0600,
		.proc_handler	= proc_dointvec_minmax,
		.extra1		= SYSCTL_ZERO,
		.extra2		= SYSCTL_ONE,
	},
};

static int __init anon_vma_lazy_setup(char *str)
{
	bool on;

	if (kstrtobool(str, &on))
		pr_warn("anon_vma_lazy=%s not understood, want on or off\n", str);
	else
		sysctl_anon_vma_lazy = on;
	return 0;
}
early_param("anon_vma_lazy", anon_vma_lazy_setup);

/* Before the first process forks. */
static int __init anon_vma_lazy_init(void)
{
	anon_vma_mm_link_cachep = KMEM_CACHE(anon_vma_mm_link,
					     SLAB_PANIC | SLAB_ACCOUNT);
	pr_info("%s\n", sysctl_anon_vma_lazy ? "on" : "off");
	return 0;
}
core_initcall(anon_vma_lazy_init);

static int __init anon_vma_lazy_interface_init(void)
{
	struct kobject *kobj = kobject_create_and_add("anon_vma_lazy", mm_kobj);
	int i, err = kobj ? 0 : -ENOMEM;

	register_sysctl_init("vm", anon_vma_lazy_sysctls);
	for (i = 0; !err && i < NR_ANON_RMAP_COUNTERS; i++)
		err = sysfs_create_file(kobj, &anon_rmap_counter_attrs[i].attr);
	return err;
}
late_initcall(anon_vma_lazy_interface_init);
