/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef VMA_STUBS_H
#define VMA_STUBS_H
/*
 * What tools/testing/vma does not know of mm/vma.c: vma_close(), which came to
 * 6.12 with a fix that left the tests behind, and what the assembled tree calls,
 * as in a kernel without CONFIG_ANON_VMA_LAZY.
 */
#define _LINUX_ANON_VMA_LAZY_H

#define vma_close(vma)				((void)(vma))
/* Never true: what is behind it is to compile */
#define anon_delta				vm_pgoff
#define mm_anon_lazy(mm)			((void)(mm), 0)
#define vma_anon_lazy(vma)			((void)(vma), 0)
#define vma_anon_start_write(vma)		((void)(vma))
#define vma_anon_delta(vma)			0UL
#define vma_anon_start(vma)			((vma)->vm_pgoff)
#define anon_rmap_lock_mm(mm)			((void)(mm))
#define anon_rmap_unlock_mm(mm)			((void)(mm))
#define anon_rmap_lock_write(mm, anon_vma)	anon_vma_lock_write(anon_vma)
#define anon_rmap_unlock_write(mm, anon_vma)	anon_vma_unlock_write(anon_vma)
#define anon_rmap_pre_update(vma)		((void)(vma))
#define anon_rmap_post_update(vma)		((void)(vma))
#define anon_rmap_prepare(vma)			((void)(vma))
#define anon_rmap_publish(vma, mas, nr)		((void)(vma), (void)(mas), (void)(nr))

#endif /* VMA_STUBS_H */
