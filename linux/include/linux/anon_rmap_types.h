/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_ANON_RMAP_TYPES_H
#define _LINUX_ANON_RMAP_TYPES_H
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/types.h>

#ifdef CONFIG_ANON_VMA_LAZY

/**
 * struct anon_vma_mm_link - a process whose page tables may map folios of an
 *	anon_vma
 * @mm:			the process
 * @anon_vma:		the anon_vma; both are constant while the link exists
 * @same_anon_vma:	on &anon_vma.mms, a parent before the children forked
 *			from it; protected by the rwsem of @anon_vma
 * @same_mm:		on &mm_anon_rmap.links, the newest anon_vma first;
 *			protected by mmap_lock
 */
struct anon_vma_mm_link {
	struct mm_struct *mm;
	struct anon_vma *anon_vma;
	struct list_head same_anon_vma;
	struct list_head same_mm;
};

/**
 * struct mm_anon_rmap - anonymous reverse mapping of one process
 * @rwsem:	held for read by a walker for as long as it looks at VMAs or
 *		page tables of the process, held for write to change what
 *		walkers may find
 * @links:	every anon_vma whose folios the process may map; protected by
 *		mmap_lock, empty once the process has exited
 * @own:	the link to the anon_vma that new folios of the process point to
 * @displaced:	anon_vma_chains of the VMAs that moved, by anonymous index;
 *		protected by @rwsem
 * @detached:	VMAs of the munmap in progress, already gone from mm_mt and
 *		not yet zapped; protected by @rwsem
 * @bound:	walkers read mm_mt below this address only, see
 *		anon_rmap_fork_bound()
 * @hint:	the VMA that a walker visited last, findable, or NULL; set with
 *		@rwsem held, cleared with it held for write
 * @nr_detached: number of entries in @detached
 * @lazy:	the mode; set by exec or fork before the first VMA exists,
 *		constant then
 */
struct mm_anon_rmap {
	struct rw_semaphore rwsem;
	struct list_head links;
	struct anon_vma_mm_link own;
	struct rb_root_cached displaced;
	struct maple_tree *detached;
	unsigned long bound;
	struct vm_area_struct *hint;
	int nr_detached;
	bool lazy;
};

#endif /* CONFIG_ANON_VMA_LAZY */
#endif /* _LINUX_ANON_RMAP_TYPES_H */
