/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MM_ANON_VMA_LAZY_AUDIT_H
#define _MM_ANON_VMA_LAZY_AUDIT_H

/*
 * A place between two steps that others may see, where a debug kernel can wait
 * to make races likely.  May sleep.
 */
#ifdef CONFIG_ANON_VMA_LAZY_AUDIT
void anon_rmap_stretch(void);
#else
static inline void anon_rmap_stretch(void) { }
#endif

#endif /* _MM_ANON_VMA_LAZY_AUDIT_H */
