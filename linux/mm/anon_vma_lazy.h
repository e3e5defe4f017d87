/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef __MM_ANON_VMA_LAZY_H
#define __MM_ANON_VMA_LAZY_H
/*
 * What mm/rmap.c shares with mm/anon_vma_lazy.c.
 */

#include <linux/rmap.h>

extern struct kmem_cache *anon_vma_cachep;
extern struct kmem_cache *anon_vma_chain_cachep;

#ifdef CONFIG_ANON_VMA_LAZY
/*
 * The state of a free anon_vma.  The slab is SLAB_TYPESAFE_BY_RCU, so walkers
 * that come too late may still read it; they find out that their folio is no
 * longer mapped and unlock the rwsem that they did lock.
 */
static inline void anon_vma_set_regular(struct anon_vma *anon_vma)
{
	anon_vma->rb_root = RB_ROOT_CACHED;
	WRITE_ONCE(anon_vma->lazy, false);
}
#else
static inline void anon_vma_set_regular(struct anon_vma *anon_vma) { }
#endif

#endif /* __MM_ANON_VMA_LAZY_H */
