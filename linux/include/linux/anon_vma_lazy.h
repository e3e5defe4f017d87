/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ANON_VMA_LAZY_H
#define _LINUX_ANON_VMA_LAZY_H
/*
 * Hooks of mm/anon_vma_lazy.c, which explains the rules.  Without
 * CONFIG_ANON_VMA_LAZY mm_anon_lazy() is false at compile time, and nothing is
 * left of them but what the callers did before.
 */

#include <linux/jump_label.h>
#include <linux/mm.h>

struct anon_vma;
struct ma_state;
struct pid;
struct pid_namespace;
struct rmap_walk_control;
struct seq_file;

DECLARE_STATIC_KEY_FALSE(anon_vma_lazy_key);

/* Has there been a lazy process?  The answer changes once, and is a no-op. */
static inline bool anon_vma_lazy_used(void)
{
	return IS_ENABLED(CONFIG_ANON_VMA_LAZY) &&
	       static_branch_likely(&anon_vma_lazy_key);
}

/**
 * mm_anon_lazy - is the anonymous rmap of a process kept per process?
 * @mm: the process
 *
 * Constant from before the first VMA of @mm exists, so no lock is needed.
 */
static inline bool mm_anon_lazy(const struct mm_struct *mm)
{
#ifdef CONFIG_ANON_VMA_LAZY
	return anon_vma_lazy_used() && mm->anon_rmap.lazy;
#else
	return false;
#endif
}

/* mm_anon_lazy() of a VMA, whose vm_mm is not read while no process is lazy. */
static inline bool vma_anon_lazy(const struct vm_area_struct *vma)
{
#ifdef CONFIG_ANON_VMA_LAZY
	return anon_vma_lazy_used() && vma->vm_mm->anon_rmap.lazy;
#else
	return false;
#endif
}

/* A new VMA: in the place of the empty list of a regular process. */
static inline void vma_anon_init(struct vm_area_struct *vma)
{
	if (vma_anon_lazy(vma)) {
		vma->displaced = NULL;
		vma->anon_delta = 0;
	}
}

/* A byte copy of a VMA. */
static inline void vma_anon_dup(struct vm_area_struct *vma)
{
	if (vma_anon_lazy(vma))
		vma->displaced = NULL;
	else
		INIT_LIST_HEAD(&vma->anon_vma_chain);
}

/* A child's copy of a VMA without its pages. */
static inline void vma_anon_reset(struct vm_area_struct *vma)
{
	vma->anon_vma = NULL;
	if (vma_anon_lazy(vma))
		vma->anon_delta = 0;
}

/*
 * A first fault under the per-VMA lock sets vma->anon_vma without mmap_lock.
 * Whoever tests or copies it with mmap_lock held for write stops faults first.
 */
static inline void vma_anon_start_write(struct vm_area_struct *vma)
{
	if (vma_anon_lazy(vma))
		vma_start_write(vma);
}

/**
 * vma_anon_delta - distance in pages between a VMA and its anonymous index
 * @vma: the VMA; natural, unfaulted or of a regular process it has delta 0
 *
 * Stable with mmap_lock or, while @vma is findable, the mm's rwsem held.
 */
static inline pgoff_t vma_anon_delta(const struct vm_area_struct *vma)
{
	return vma_anon_lazy(vma) ? vma->anon_delta : 0;
}

/**
 * vma_anon_start - anonymous index, in pages, of the first page of a VMA
 * @vma: the VMA
 *
 * In a regular process anonymous folios share the index of the file mapping.
 * In a lazy one vm_pgoff says nothing about them: it counts file pages in a
 * private file mapping, and keeps a moved parent's offset in a wiped child.
 */
static inline pgoff_t vma_anon_start(const struct vm_area_struct *vma)
{
	if (vma_anon_lazy(vma))
		return (vma->vm_start >> PAGE_SHIFT) - vma->anon_delta;
	return vma->vm_pgoff;
}

/**
 * vma_anon_index - index, in pages, of an anonymous page
 * @vma:	the VMA
 * @address:	a user virtual address in it
 */
static inline pgoff_t vma_anon_index(const struct vm_area_struct *vma,
				     unsigned long address)
{
	return ((address - vma->vm_start) >> PAGE_SHIFT) + vma_anon_start(vma);
}

/* What keeps walkers out of a process: that of a regular one is @regular. */
static inline struct rw_semaphore *
anon_rmap_rwsem(struct mm_struct *mm, struct rw_semaphore *regular)
{
#ifdef CONFIG_ANON_VMA_LAZY
	if (mm_anon_lazy(mm))
		return &mm->anon_rmap.rwsem;
#endif
	return regular;
}

/* Keep walkers out of a lazy process; nothing to do for a regular one. */
static inline void anon_rmap_lock_mm(struct mm_struct *mm)
{
#ifdef CONFIG_ANON_VMA_LAZY
	if (mm_anon_lazy(mm))
		down_write(&mm->anon_rmap.rwsem);
#endif
}

static inline void anon_rmap_unlock_mm(struct mm_struct *mm)
{
#ifdef CONFIG_ANON_VMA_LAZY
	if (mm_anon_lazy(mm))
		up_write(&mm->anon_rmap.rwsem);
#endif
}

/**
 * anon_rmap_fork_bound - let walkers see the child's VMAs below an address
 * @mm:		the child, with mmap_lock held for write
 * @bound:	end of the VMA just stored in the child's tree, or ULONG_MAX
 *
 * __mt_dup() fills the child's tree with the parent's VMAs.  Release orders the
 * store of the child's own VMA.  Walkers see the new bound before any entry
 * copied after it: they visit the parent first, with smp_rmb() in between.
 */
static inline void anon_rmap_fork_bound(struct mm_struct *mm,
					unsigned long bound)
{
#ifdef CONFIG_ANON_VMA_LAZY
	/* Pairs with the acquire in anon_rmap_find(). */
	if (mm_anon_lazy(mm))
		smp_store_release(&mm->anon_rmap.bound, bound);
#endif
}

/**
 * anon_rmap_prepare - note that a VMA may have anonymous pages from now on
 * @vma: a VMA of a lazy process, locked against changes of its range by
 *	 mmap_lock or the per-VMA lock, for read or write
 *	 Others may store the same value at the same time.
 */
static inline void anon_rmap_prepare(struct vm_area_struct *vma)
{
#ifdef CONFIG_ANON_VMA_LAZY
	/* The range first: pairs with the acquire in vma_findable(). */
	smp_store_release(&vma->anon_vma, vma->vm_mm->anon_rmap.own.anon_vma);
	/*
	 * Then the entry.  Who saw that, or its folio, has taken a lock since, and
	 * sees what the storing thread saw: the first fault may be another's.
	 */
	smp_wmb();
#endif
}

#ifdef CONFIG_ANON_VMA_LAZY
void anon_rmap_init(struct mm_struct *mm);
int anon_rmap_exec(struct mm_struct *mm);
void anon_vma_set_regular(struct anon_vma *anon_vma);
bool folio_anon_lazy(const struct folio *folio);
void dump_vma_anon_rmap(const struct vm_area_struct *vma);
#else
static inline void anon_rmap_init(struct mm_struct *mm) { }
static inline int anon_rmap_exec(struct mm_struct *mm) { return 0; }
static inline void anon_vma_set_regular(struct anon_vma *anon_vma) { }
static inline bool folio_anon_lazy(const struct folio *f) { return false; }
static inline void dump_vma_anon_rmap(const struct vm_area_struct *vma) { }
#endif

extern struct kmem_cache *anon_vma_cachep;
extern struct kmem_cache *anon_vma_chain_cachep;

/* All below is for lazy processes only; callers have asked mm_anon_lazy(). */
int __anon_rmap_fork(struct mm_struct *mm, struct mm_struct *oldmm);
void __anon_rmap_exit(struct mm_struct *mm);
int anon_rmap_clone(struct vm_area_struct *dst, struct vm_area_struct *src);
void anon_rmap_unlink(struct vm_area_struct *vma);
void anon_rmap_pre_update(struct vm_area_struct *vma);
void anon_rmap_post_update(struct vm_area_struct *vma);
void __anon_rmap_publish(struct vm_area_struct *vma,
			 struct ma_state *mas_detach, int nr);
int __anon_rmap_shift_stack(struct vm_area_struct *vma, unsigned long shift);
bool anon_rmap_walk(struct anon_vma *anon_vma, struct folio *folio,
		    unsigned long addr, const struct mm_struct *owner,
		    bool forks, struct rmap_walk_control *rwc);
void collect_procs_anon_lazy(struct anon_vma *anon_vma, struct folio *folio,
			     struct page *page, unsigned long ksm_addr,
			     struct list_head *to_kill, int force_early);
int proc_pid_anon_rmap(struct seq_file *m, struct pid_namespace *ns,
		       struct pid *pid, struct task_struct *task);

static inline int anon_rmap_fork(struct mm_struct *mm, struct mm_struct *oldmm)
{
	return mm_anon_lazy(oldmm) ? __anon_rmap_fork(mm, oldmm) : 0;
}

static inline void anon_rmap_exit(struct mm_struct *mm)
{
	if (mm_anon_lazy(mm))
		__anon_rmap_exit(mm);
}

static inline void anon_rmap_publish(struct vm_area_struct *vma,
				     struct ma_state *mas_detach, int nr)
{
	if (vma_anon_lazy(vma))
		__anon_rmap_publish(vma, mas_detach, nr);
}

static inline int anon_rmap_shift_stack(struct vm_area_struct *vma,
					unsigned long shift)
{
	if (vma_anon_lazy(vma) && vma->anon_vma)
		return __anon_rmap_shift_stack(vma, shift);
	return 0;
}

#endif /* _LINUX_ANON_VMA_LAZY_H */
