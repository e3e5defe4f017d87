// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel does around the functions of mm/anon_vma_lazy.c, as far as
 * they can tell: the order of their calls, the locks, the ranges of the VMAs,
 * what can fail.  See series/ for the hooks in the kernel itself.
 *
 * point() stands where another thread could walk, and does; step() where it
 * could come a little further.
 */
#include "model.h"

#define FILE_FLAG	0x20
#define FILE2_FLAG	0x40

struct proc procs[NR_MMS];
struct kmem_cache *vma_cache, *mm_cache;
struct kmem_cache *anon_vma_cachep, *anon_vma_chain_cachep;
unsigned long mm_ids;

/* ---- VMAs -------------------------------------------------------------------- */
/* The first VMA that ends above @addr. */
struct vm_area_struct *vma_find(struct mm_struct *mm, unsigned long addr)
{
	MA_STATE(mas, &mm->mm_mt, addr, addr);
	struct vm_area_struct *vma = mas_find(&mas, ULONG_MAX);

	return vma == VMA_END ? NULL : vma;
}

#define for_each_vma(mm, vma)						\
	for (vma = vma_find(mm, 0); vma; vma = vma_find(mm, vma->vm_end))

static void vma_store(struct mm_struct *mm, struct vm_area_struct *vma)
{
	mt_store(&mm->mm_mt, vma->vm_start, vma->vm_end - 1, vma);
}

static void vma_free(struct vm_area_struct *vma)
{
	kmem_cache_free(vma_cache, vma);
}

static struct vm_area_struct *vma_dup(struct vm_area_struct *orig)
{
	struct vm_area_struct *vma = kmem_cache_alloc(vma_cache, GFP_KERNEL);

	if (!vma)
		return NULL;
	*vma = *orig;
	vma_anon_dup(vma);
	return vma;
}

/* anon_vma_clone(), anon_vma_fork(), unlink_anon_vmas() of a lazy process. */
#define anon_vma_clone(dst, src)	anon_rmap_clone(dst, src)
#define unlink_anon_vmas(vma)		anon_rmap_unlink(vma)

static void zap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	for (; start < end; start += PAGE_SIZE) {
		pte_clear(mm, start);
		step();
	}
}

/*
 * vma_prepare() to vma_complete(): give @vma a new range, and @adjust, its
 * neighbour, a new start; store what grew; remove up to two VMAs.
 */
static int commit(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		  unsigned long pgoff, struct vm_area_struct *adjust, long adj_start,
		  struct vm_area_struct *remove, struct vm_area_struct *remove2)
{
	struct mm_struct *mm = vma->vm_mm;
	bool lock = vma->anon_vma || (adjust && adjust->anon_vma);

	if (unit_alloc_fails())
		return -ENOMEM;
	point_dup();
	if (lock) {
		anon_rmap_lock_mm(mm);
		anon_rmap_pre_update(vma);
		if (adjust)
			anon_rmap_pre_update(adjust);
	}
	if (start > vma->vm_start)
		mt_store(&mm->mm_mt, vma->vm_start, start - 1, NULL);
	if (end < vma->vm_end)
		mt_store(&mm->mm_mt, end, vma->vm_end - 1, NULL);
	vma->vm_start = start;
	vma->vm_end = end;
	vma->vm_pgoff = pgoff;
	if (lock)
		step();
	vma_store(mm, vma);
	if (adjust) {
		adjust->vm_start += adj_start;
		adjust->vm_pgoff += adj_start >> PAGE_SHIFT;
		vma_store(mm, adjust);
	}
	if (lock) {
		anon_rmap_post_update(vma);
		if (adjust)
			anon_rmap_post_update(adjust);
		anon_rmap_unlock_mm(mm);
	}
	for (; remove; remove = remove2, remove2 = NULL) {
		if (remove->anon_vma) {
			point_dup();
			unlink_anon_vmas(remove);
		}
		vma_free(remove);
	}
	point();
	return 0;
}

/* dup_anon_vma() */
static int dup_anon(struct vm_area_struct *dst, struct vm_area_struct *src,
		    struct vm_area_struct **dup)
{
	if (!src->anon_vma || dst->anon_vma)
		return 0;
	dst->anon_vma = src->anon_vma;
	*dup = dst;
	return anon_vma_clone(dst, src);
}

struct range {
	unsigned long start, end, flags, pgoff;
	int file;
	pgoff_t delta;
	struct anon_vma *anon_vma;
};

static bool can_merge_after(struct vm_area_struct *prev, const struct range *r)
{
	return prev && prev->vm_end == r->start && prev->vm_flags == r->flags &&
	       prev->vm_file == r->file && prev->vm_pgoff + vma_pages(prev) == r->pgoff &&
	       vma_anon_delta(prev) == r->delta;
}

static bool can_merge_before(struct vm_area_struct *next, const struct range *r)
{
	return next && next->vm_start == r->end && next->vm_flags == r->flags &&
	       next->vm_file == r->file && vma_anon_delta(next) == r->delta &&
	       r->pgoff + ((r->end - r->start) >> PAGE_SHIFT) == next->vm_pgoff;
}

/* vma_expand() */
static int expand(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		  unsigned long pgoff, struct vm_area_struct *remove,
		  struct anon_vma *anon_vma)
{
	struct vm_area_struct *dup = NULL;

	if (anon_vma)
		anon_rmap_prepare(vma);
	if (remove && dup_anon(vma, remove, &dup))
		return -ENOMEM;
	if (!commit(vma, start, end, pgoff, NULL, 0, remove, NULL))
		return 0;
	if (dup)
		unlink_anon_vmas(dup);
	return -ENOMEM;
}

/* vma_merge_new_range(): the range is empty. */
static struct vm_area_struct *merge_new(struct mm_struct *mm, struct range *r,
					struct vm_area_struct *not)
{
	struct vm_area_struct *prev = vma_at(mm, r->start - 1);
	struct vm_area_struct *next = vma_at(mm, r->end);
	int err;

	if (prev == not || !can_merge_after(prev, r))
		prev = NULL;
	if (next == not || !can_merge_before(next, r))
		next = NULL;
	if (prev)
		err = expand(prev, prev->vm_start, next ? next->vm_end : r->end,
			     prev->vm_pgoff, next, r->anon_vma);
	else if (next)
		err = expand(next, r->start, next->vm_end, r->pgoff, NULL, r->anon_vma);
	else
		return NULL;
	return err ? NULL : prev ?: next;
}

static int split_vma(struct vm_area_struct *vma, unsigned long addr, bool below)
{
	unsigned long pages = (addr - vma->vm_start) >> PAGE_SHIFT;
	struct mm_struct *mm = vma->vm_mm;
	struct vm_area_struct *new = vma_dup(vma);

	if (!new)
		return -ENOMEM;
	if (below) {
		new->vm_end = addr;
	} else {
		new->vm_start = addr;
		new->vm_pgoff += pages;
	}
	if (unit_alloc_fails() || anon_vma_clone(new, vma)) {
		vma_free(new);
		return -ENOMEM;
	}
	point_dup();
	if (vma->anon_vma) {
		anon_rmap_lock_mm(mm);
		anon_rmap_pre_update(vma);
	}
	if (below) {
		vma->vm_start = addr;
		vma->vm_pgoff += pages;
	} else {
		vma->vm_end = addr;
	}
	vma_store(mm, vma);
	vma_store(mm, new);
	if (vma->anon_vma) {
		anon_rmap_post_update(vma);
		anon_rmap_unlock_mm(mm);
	}
	point();
	return 0;
}

/* vma_modify(): [start, end), inside of @vma, gets other flags; merge or split. */
static int modify(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		  unsigned long flags)
{
	struct mm_struct *mm = vma->vm_mm;
	struct vm_area_struct *prev = NULL, *next = NULL, *dup = NULL;
	bool left_side = start == vma->vm_start, right_side = end == vma->vm_end;
	struct range r = {
		.start = start, .end = end, .flags = flags, .file = vma->vm_file,
		.pgoff = vma->vm_pgoff + ((start - vma->vm_start) >> PAGE_SHIFT),
		.delta = vma_anon_delta(vma),
	};
	int err;

	if (left_side)
		prev = vma_at(mm, start - 1);
	if (!can_merge_after(prev, &r))
		prev = NULL;
	if (right_side)
		next = vma_at(mm, end);
	if (!can_merge_before(next, &r))
		next = NULL;

	if (prev && next) {
		err = dup_anon(prev, next->anon_vma ? next : vma, &dup) ?:
		      commit(prev, prev->vm_start, next->vm_end, prev->vm_pgoff,
			     NULL, 0, vma, next);
	} else if (prev) {
		err = dup_anon(prev, vma, &dup) ?:
		      commit(prev, prev->vm_start, end, prev->vm_pgoff,
			     right_side ? NULL : vma, end - start,
			     right_side ? vma : NULL, NULL);
	} else if (next && left_side) {
		err = dup_anon(next, vma, &dup) ?:
		      commit(next, start, next->vm_end, r.pgoff, NULL, 0, vma, NULL);
	} else if (next) {
		err = dup_anon(next, vma, &dup) ?:
		      commit(vma, vma->vm_start, start, vma->vm_pgoff, next,
			     -(long)(end - start), NULL, NULL);
	} else {
		if (!left_side && split_vma(vma, start, true))
			return -ENOMEM;
		if (!right_side && split_vma(vma, end, false))
			return -ENOMEM;
		vma->vm_flags = flags;
		return 0;
	}
	if (err && dup)
		unlink_anon_vmas(dup);
	return err;
}

/* vms_gather_munmap_vmas() */
static int gather(struct mm_struct *mm, unsigned long start, unsigned long end,
		  struct maple_tree *detached)
{
	struct vm_area_struct *vma = vma_find(mm, start);

	if (vma && vma->vm_start < start && split_vma(vma, start, true))
		return -ENOMEM;
	for (vma = vma_find(mm, start); vma && vma->vm_start < end;
	     vma = vma_find(mm, vma->vm_end)) {
		if ((vma->vm_end > end && split_vma(vma, end, false)) ||
		    unit_alloc_fails()) {
			mt_destroy(detached);
			return -ENOMEM;
		}
		mt_store(detached, detached->nr, detached->nr, vma);
	}
	return 0;
}

/* vms->vma */
static struct vm_area_struct *first_of(struct ma_state *mas)
{
	mas_set(mas, 0);
	return mas_find(mas, 0);
}

/* vms_clear_ptes(): zap, then unlink a VMA and free its page tables, the next... */
static void clear_ptes(struct mm_struct *mm, struct ma_state *mas, bool dup)
{
	struct vm_area_struct *vma;
	unsigned long addr;

	mas_set(mas, 0);
	mas_for_each(mas, vma, ULONG_MAX)
		for (addr = vma->vm_start; addr < vma->vm_end; addr += PAGE_SIZE) {
			check(vma->anon_vma || !pte_of(mm, addr)->folio, "page %u of mm %d",
			      page_of(addr), mm->id);
			pte_clear(mm, addr);
			if (addr == vma->vm_start)
				__point(dup);
			else
				step();
		}
	mas_set(mas, 0);
	mas_for_each(mas, vma, ULONG_MAX) {
		unlink_anon_vmas(vma);
		vma->pgtables_freed = true;
		point();
	}
}

static void free_detached(struct ma_state *mas)
{
	struct vm_area_struct *vma;

	mas_set(mas, 0);
	mas_for_each(mas, vma, ULONG_MAX)
		vma_free(vma);
	mt_destroy(mas->tree);
}

/* do_vmi_align_munmap() */
static int do_munmap(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct maple_tree *detached = calloc(1, sizeof(*detached)); /* for ASan */
	MA_STATE(mas, detached, 0, 0);
	int err = gather(mm, start, end, detached);

	if (err || !detached->nr)
		goto out;
	anon_rmap_publish(first_of(&mas), &mas, detached->nr);
	point_dup();
	if (unit_alloc_fails()) {
		anon_rmap_publish(first_of(&mas), NULL, 0);
		mt_destroy(detached);
		point();
		err = -ENOMEM;
		goto out;
	}
	mt_store(&mm->mm_mt, start, end - 1, NULL);
	point();
	clear_ptes(mm, &mas, false);
	free_detached(&mas);
out:
	free(detached);
	return err;
}

static void write_lock(struct mm_struct *mm)
{
	down_write(&mm->mmap_lock);
}

static void write_unlock(struct mm_struct *mm)
{
	up_write(&mm->mmap_lock);
}

/* ---- operations ---------------------------------------------------------------- */
static bool inside(unsigned int page, unsigned int len)
{
	return len && page + len <= NR_PAGES;
}

struct mm_struct *mm_alloc(const struct mm_struct *parent)
{
	struct mm_struct *mm = kmem_cache_alloc(mm_cache, GFP_KERNEL);

	if (!mm)
		return NULL;
	if (parent)
		*mm = *parent;
	memset(&mm->mm_mt, 0, sizeof(mm->mm_mt));
	mm->pt = calloc(NR_PAGES, sizeof(*mm->pt));
	mm->seen = calloc(NR_PAGES, sizeof(*mm->seen));
	mm->parent = parent ? parent->id : 0;
	mm->id = ++mm_ids;
	unit_init_rwsem(&mm->mmap_lock, LOCK_MMAP);
	anon_rmap_init(mm);
	return mm;
}

void mm_free(struct mm_struct *mm)
{
	check(list_empty(&mm->anon_rmap.links), "mm %d freed while linked", mm->id);
	check(!rwsem_is_locked(&mm->anon_rmap.rwsem) && !rwsem_is_locked(&mm->mmap_lock),
	      "mm %d freed while locked", mm->id);
	mt_destroy(&mm->mm_mt);
	free(mm->pt);
	free(mm->seen);
	kmem_cache_free(mm_cache, mm);
}

void op_exec(const u8 *arg)
{
	struct proc *proc = &procs[arg[0]];
	struct mm_struct *mm;

	if (proc->mm)
		return;
	mm = mm_alloc(NULL);
	if (!mm)
		return;
	if (anon_rmap_exec(mm)) {
		anon_rmap_exit(mm);
		mm_free(mm);
		return;
	}
	proc->mm = proc->task.mm = mm;
	list_add_tail(&proc->task.tasks, &unit_tasks);
}

/* exit_mmap() */
void op_exit(const u8 *arg)
{
	struct proc *proc = &procs[arg[0]];
	struct mm_struct *mm = proc->mm;
	struct vm_area_struct *vma;
	int i;

	if (!mm)
		return;
	down_read(&mm->mmap_lock);
	for_each_vma(mm, vma) {
		zap(mm, vma->vm_start, vma->vm_end);
		point();
	}
	for (i = 0; i < NR_PAGES; i++)
		check(!mm->pt[i].folio, "page %d is in no VMA", i);
	up_read(&mm->mmap_lock);
	write_lock(mm);
	anon_rmap_exit(mm);
	point();
	for_each_vma(mm, vma) {
		unlink_anon_vmas(vma);
		vma->pgtables_freed = true;
	}
	point();
	while ((vma = vma_find(mm, 0))) {
		mt_store(&mm->mm_mt, vma->vm_start, vma->vm_end - 1, NULL);
		vma_free(vma);
	}
	write_unlock(mm);
	mm_free(mm);
	if (!proc->failed)
		list_del(&proc->task.tasks);
	*proc = (struct proc){ .mm = NULL };
}

/* dup_mmap() */
static int dup_mmap(struct mm_struct *mm, struct mm_struct *oldmm)
{
	struct vm_area_struct *old, *vma;
	unsigned long addr;
	int err = anon_rmap_fork(mm, oldmm);

	point();
	if (err)
		return err;
	if (unit_alloc_fails())
		return -ENOMEM;
	mt_copy(&mm->mm_mt, &oldmm->mm_mt);
	point();
	for_each_vma(oldmm, old) {
		err = -ENOMEM;
		if (old->vm_flags & VM_DONTCOPY) {
			if (unit_alloc_fails())
				goto failed;
			mt_store(&mm->mm_mt, old->vm_start, old->vm_end - 1, NULL);
			continue;
		}
		vma = vma_dup(old);
		if (!vma)
			goto failed;
		vma->vm_mm = mm;
		if (vma->vm_flags & VM_WIPEONFORK) {
			vma_anon_reset(vma);
		} else if (anon_vma_clone(vma, old)) {
			vma_free(vma);
			goto failed;
		}
		step();
		vma_store(mm, vma);
		step();
		anon_rmap_fork_bound(mm, vma->vm_end);
		point();
		if (vma->vm_flags & VM_WIPEONFORK)
			continue;
		for (addr = old->vm_start; addr < old->vm_end; addr += PAGE_SIZE) {
			pte_t pte = *pte_of(oldmm, addr);

			if (!pte.folio)
				continue;
			step();
			pte = *pte_of(oldmm, addr);	/* Changed by the walk? */
			check(old->anon_vma, "page %u of mm %d", page_of(addr), oldmm->id);
			if (unit_alloc_fails()) {
				old = vma_find(oldmm, old->vm_end);
				goto failed;
			}
			pte_of(oldmm, addr)->excl = pte.excl = 0;
			if (pte.kind == PTE_PRESENT)
				pte.folio->exclusive &= ~(1u << pte.idx);
			pte_set(mm, addr, pte);
		}
		point();
	}
	anon_rmap_fork_bound(mm, ULONG_MAX);
	return 0;
failed:
	if (old)
		mt_store(&mm->mm_mt, old->vm_start, old->vm_end - 1, VMA_END);
	return err;
}

void op_fork(const u8 *arg)
{
	struct mm_struct *oldmm = mm_of(arg[0]), *mm;
	struct proc *proc = &procs[arg[1]];

	if (!oldmm || proc->mm)
		return;
	mm = mm_alloc(oldmm);
	if (!mm)
		return;
	write_lock(oldmm);
	write_lock(mm);
	proc->mm = mm;
	proc->failed = true;
	if (!dup_mmap(mm, oldmm)) {
		proc->failed = false;
		proc->task.mm = mm;
		list_add_tail(&proc->task.tasks, &unit_tasks);
	}
	write_unlock(mm);
	write_unlock(oldmm);
	point();
}

/* __mmap_region() */
static void op_map(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	unsigned long start = addr_of(arg[1]), end = start + arg[2] * PAGE_SIZE;
	struct maple_tree *detached;
	struct vm_area_struct *vma;
	struct range r = {
		.start = start, .end = end, .pgoff = start >> PAGE_SHIFT,
		.flags = arg[3] & (VM_CLASS | VM_WIPEONFORK | VM_DONTCOPY | VM_HUGETLB),
	};

	if (!mm || !inside(arg[1], arg[2]))
		return;
	if (arg[3] & (FILE_FLAG | FILE2_FLAG)) {
		r.file = 1;
		r.pgoff += arg[3] & FILE_FLAG ? 0x1000 : -0x17;
	}
	if (r.flags & VM_HUGETLB)
		r.file = 2;
	detached = calloc(1, sizeof(*detached));
	MA_STATE(mas, detached, 0, 0);

	write_lock(mm);
	if (gather(mm, start, end, detached))
		goto out;
	if (detached->nr)
		clear_ptes(mm, &mas, false);
	if (!merge_new(mm, &r, NULL)) {
		vma = kmem_cache_alloc(vma_cache, GFP_KERNEL);
		if (!vma || unit_alloc_fails()) {
			if (vma)
				vma_free(vma);
			mt_store(&mm->mm_mt, start, end - 1, NULL);
			free_detached(&mas);
			goto out;
		}
		*vma = (struct vm_area_struct) {
			.vm_mm = mm, .vm_start = start, .vm_end = end,
			.vm_flags = r.flags, .vm_pgoff = r.pgoff, .vm_file = r.file,
		};
		INIT_LIST_HEAD(&vma->anon_vma_chain);	/* vma_init() */
		vma_anon_init(vma);
		vma_store(mm, vma);
	}
	free_detached(&mas);
out:
	write_unlock(mm);
	free(detached);
}

static void op_unmap(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);

	if (!mm || !inside(arg[1], arg[2]))
		return;
	write_lock(mm);
	do_munmap(mm, addr_of(arg[1]), addr_of(arg[1] + arg[2]));
	write_unlock(mm);
}

/* move_page_tables(): returns the pages moved. */
static unsigned int move_ptes(struct vm_area_struct *vma, unsigned long from,
			      struct vm_area_struct *new, unsigned long to,
			      unsigned int pages, bool back)
{
	struct mm_struct *mm = vma->vm_mm;
	unsigned int i;

	for (i = 0; i < pages; i++, from += PAGE_SIZE, to += PAGE_SIZE) {
		pte_t pte;

		step();
		pte = *pte_of(mm, from);
		if (!pte.folio)
			continue;
		if (!back && unit_alloc_fails())
			break;
		check(vma->anon_vma && new->anon_vma, "page %u of mm %d", page_of(from),
		      mm->id);
		anon_rmap_lock_mm(mm);
		pte_set(mm, to, pte);
		step();
		pte_clear(mm, from);
		anon_rmap_unlock_mm(mm);
		point();
	}
	return i;
}

/* copy_vma() */
static struct vm_area_struct *copy_vma(struct vm_area_struct **vmap, unsigned long old,
				       unsigned long addr, unsigned long len, bool keep)
{
	struct vm_area_struct *vma = *vmap, *new, *not = NULL;
	struct mm_struct *mm = vma->vm_mm;
	struct range r = {
		.start = addr, .end = addr + len, .flags = vma->vm_flags,
		.file = vma->vm_file, .anon_vma = vma->anon_vma,
		.pgoff = vma->vm_pgoff + ((old - vma->vm_start) >> PAGE_SHIFT),
	};

	if (vma->anon_vma) {
		r.delta = (addr >> PAGE_SHIFT) - vma_anon_start(vma) -
			  (r.pgoff - vma->vm_pgoff);
	} else if (!vma->vm_file) {
		r.pgoff = addr >> PAGE_SHIFT;
		if (keep)
			not = vma;
	}
	new = merge_new(mm, &r, not);
	if (new) {
		/* Itself, if it had no pages */
		*vmap = vma_at(mm, old);
		return new;
	}
	new = vma_dup(vma);
	if (!new)
		return NULL;
	new->vm_start = addr;
	new->vm_end = addr + len;
	new->vm_pgoff = r.pgoff;
	new->anon_delta = r.delta;
	if (anon_vma_clone(new, vma)) {
		vma_free(new);
		return NULL;
	}
	point();
	if (unit_alloc_fails()) {
		unlink_anon_vmas(new);
		vma_free(new);
		return NULL;
	}
	vma_store(mm, new);
	point();
	return new;
}

/* move_vma() */
static void mremap(const u8 *arg, bool keep)
{
	struct mm_struct *mm = mm_of(arg[0]);
	unsigned long from = addr_of(arg[1]), to = addr_of(arg[2]);
	unsigned long len = arg[3] * PAGE_SIZE;
	struct vm_area_struct *vma, *new;
	unsigned int moved;

	if (!mm || !inside(arg[1], arg[3]) || !inside(arg[2], arg[3]) ||
	    (from < to + len && to < from + len))
		return;
	write_lock(mm);
	if (do_munmap(mm, to, to + len))
		goto out;
	vma = vma_at(mm, from);
	if (!vma || vma->vm_end < from + len)
		goto out;
	new = copy_vma(&vma, from, to, len, keep);
	if (!new)
		goto out;
	moved = move_ptes(vma, from, new, to, arg[3], false);
	if (moved < arg[3]) {
		move_ptes(new, to, vma, from, moved, true);
		do_munmap(mm, to, to + len);
	} else if (!keep) {
		do_munmap(mm, from, from + len);
	} else if (vma->vm_start == from && vma->vm_end == from + len) {
		unlink_anon_vmas(vma);
		if (!vma->vm_file)
			vma->vm_pgoff = from >> PAGE_SHIFT;
		point();
	}
out:
	write_unlock(mm);
}

static void op_move(const u8 *arg)
{
	mremap(arg, false);
}

static void op_keep(const u8 *arg)
{
	mremap(arg, true);
}

/* mremap() in place: vma_merge_extend() */
static void op_extend(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	struct vm_area_struct *vma, *next;
	struct range r;

	if (!mm)
		return;
	vma = vma_at(mm, addr_of(arg[1]));
	if (!vma || !inside(page_of(vma->vm_end), arg[2]))
		return;
	r = (struct range) {
		.start = vma->vm_end, .end = vma->vm_end + arg[2] * PAGE_SIZE,
		.flags = vma->vm_flags, .file = vma->vm_file,
		.pgoff = vma->vm_pgoff + vma_pages(vma),
		.delta = vma_anon_delta(vma), .anon_vma = vma->anon_vma,
	};
	next = vma_find(mm, r.start);
	if (next && next->vm_start < r.end)
		return;
	write_lock(mm);
	merge_new(mm, &r, NULL);
	write_unlock(mm);
}

static void op_protect(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	unsigned long start = addr_of(arg[1]), end = start + arg[2] * PAGE_SIZE, next;
	struct vm_area_struct *vma;

	if (!mm || !inside(arg[1], arg[2]))
		return;
	write_lock(mm);
	for (; start < end && (vma = vma_find(mm, start)) && vma->vm_start < end;
	     start = next) {
		unsigned long flags = (vma->vm_flags & ~VM_CLASS) | (arg[3] & VM_CLASS);

		start = max(start, vma->vm_start);
		next = min(end, vma->vm_end);
		if (flags != vma->vm_flags && modify(vma, start, next, flags))
			break;
	}
	write_unlock(mm);
}

/* relocate_vma_down(), as exec does with its stack */
static void op_shift(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	unsigned long shift = arg[2] * PAGE_SIZE, start, end;
	struct vm_area_struct *vma, *prev;
	unsigned int i;
	bool dead = true;

	if (!mm)
		return;
	vma = vma_at(mm, addr_of(arg[1]));
	if (!vma || vma->displaced || vma->vm_file || is_vm_hugetlb_page(vma) || !shift ||
	    arg[2] > page_of(vma->vm_start))
		return;
	start = vma->vm_start;
	end = vma->vm_end;
	prev = vma_find(mm, start - shift);
	if (prev != vma)
		return;
	for (i = 0; i < vma_pages(vma); i++) {	/* Few pages, none of them shared */
		pte_t pte = mm->pt[page_of(start) + i];

		if (pte.folio && (pte.folio->refs > 1 || pte.folio->migrating ||
				  pte.kind != PTE_PRESENT))
			return;
	}
	write_lock(mm);
	if (expand(vma, start - shift, end, vma->vm_pgoff, NULL, NULL))
		goto out;
	if (anon_rmap_shift_stack(vma, shift))
		goto out;
	model_points = false;	/* Walks skip a temporary stack meanwhile */
	if (move_ptes(vma, start, vma, start - shift, (end - start) >> PAGE_SHIFT,
		      false) < (end - start) >> PAGE_SHIFT)
		goto out;
	dead = commit(vma, start - shift, end - shift, vma->vm_pgoff, NULL, 0, NULL, NULL);
out:
	write_unlock(mm);
	if (dead)		/* exec fails after its point of no return */
		op_exit(arg);
}

/* expand_downwards() */
static void op_grow(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	struct vm_area_struct *vma;

	if (!mm)
		return;
	vma = vma_at(mm, addr_of(arg[1]));
	if (!vma || vma->vm_file || is_vm_hugetlb_page(vma) || !arg[2] ||
	    arg[2] > page_of(vma->vm_start) ||
	    vma_find(mm, vma->vm_start - arg[2] * PAGE_SIZE) != vma)
		return;
	write_lock(mm);
	if (!vma->anon_vma)
		anon_rmap_prepare(vma);
	if (unit_alloc_fails())
		goto out;
	anon_rmap_lock_mm(mm);
	anon_rmap_pre_update(vma);
	vma->vm_start -= arg[2] * PAGE_SIZE;
	vma->vm_pgoff -= arg[2];
	vma_store(mm, vma);
	anon_rmap_post_update(vma);
	anon_rmap_unlock_mm(mm);
out:
	write_unlock(mm);
}

static struct vm_area_struct *fault_vma(const u8 *arg, struct mm_struct **mm)
{
	*mm = mm_of(arg[0]);
	return *mm && arg[1] < NR_PAGES ? vma_at(*mm, addr_of(arg[1])) : NULL;
}

/* do_swap_page() and ksm_might_need_to_copy() */
static void swap_in(struct vm_area_struct *vma, unsigned long addr, bool write)
{
	pte_t pte = *pte_of(vma->vm_mm, addr);
	struct folio *folio = pte.folio;
	struct anon_vma *anon_vma = folio_anon_vma(folio);
	bool excl = pte.excl || (write && folio->refs == 1);

	if (!anon_vma) {	/* Not in the swap cache any more */
		folio_set_anon_vma(folio, excl ? vma->anon_vma : vma->anon_vma->root);
		folio->index = vma_anon_index(vma, addr);
	} else if (folio->index != vma_anon_index(vma, addr) ||
		   anon_vma->root != vma->anon_vma->root) {
		folio = folio_new(vma, addr, 1);
		pte_set(vma->vm_mm, addr, (pte_t){ folio, PTE_PRESENT, 0 });
		return;
	}
	pte_change(vma->vm_mm, addr, PTE_PRESENT, excl);
}

static void fault(const u8 *arg, bool write)
{
	struct mm_struct *mm;
	struct vm_area_struct *vma = fault_vma(arg, &mm);
	unsigned long addr = addr_of(arg[1]);
	pte_t *pte;

	if (!vma)
		return;
	pte = pte_of(mm, addr);
	if (pte->kind == PTE_MIGRATION || (!write && pte->kind != PTE_SWAP) ||
	    (pte->kind == PTE_SWAP && pte->folio->migrating))	/* Would wait */
		return;
	down_read(&mm->mmap_lock);
	if (!vma->anon_vma)
		anon_rmap_prepare(vma);
	if (pte->kind == PTE_SWAP)
		swap_in(vma, addr, write);
	if (!write || (pte->folio && pte_exclusive(*pte)))
		;
	else if (pte->folio && pte->folio->refs == 1 && !folio_test_large(pte->folio) &&
		 !pte->folio->migrating) {
		/* wp_can_reuse_anon_folio() */
		folio_set_anon_vma(pte->folio, vma->anon_vma);
		pte->folio->exclusive = 1;
	} else {
		pte_set(mm, addr, (pte_t){ folio_new(vma, addr, 1), PTE_PRESENT, 0 });
	}
	up_read(&mm->mmap_lock);
}

static void op_write(const u8 *arg)
{
	u8 a[NR_ARGS] = { arg[0] };

	for (a[1] = arg[1]; a[1] < arg[1] + arg[2]; a[1]++)
		fault(a, true);
}

static void op_read(const u8 *arg)
{
	fault(arg, false);
}

/* A fault that makes the VMA faulted and comes to nothing */
static void op_prepare(const u8 *arg)
{
	struct mm_struct *mm;
	struct vm_area_struct *vma = fault_vma(arg, &mm);

	if (!vma || vma->anon_vma)
		return;
	down_read(&mm->mmap_lock);
	anon_rmap_prepare(vma);
	up_read(&mm->mmap_lock);
}

static void map_large(struct vm_area_struct *vma, unsigned long addr, unsigned int nr)
{
	struct folio *folio = folio_new(vma, addr, nr);
	unsigned int i;

	for (i = 0; i < nr; i++)
		pte_set(vma->vm_mm, addr + i * PAGE_SIZE, (pte_t){ folio, PTE_PRESENT, i });
}

/* A large folio, naturally aligned, where there is nothing */
static void op_thp(const u8 *arg)
{
	struct mm_struct *mm;
	struct vm_area_struct *vma = fault_vma(arg, &mm);
	unsigned int i, nr = 1u << arg[2];
	unsigned long addr = addr_of(arg[1]);

	if (!vma || nr > 8 || arg[1] % nr || vma->vm_end < addr + nr * PAGE_SIZE)
		return;
	for (i = 0; i < nr; i++)
		if (mm->pt[arg[1] + i].folio)
			return;
	down_read(&mm->mmap_lock);
	if (!vma->anon_vma)
		anon_rmap_prepare(vma);
	map_large(vma, addr, nr);
	up_read(&mm->mmap_lock);
}

/* collapse_huge_page(): M keeps walks out while the entries are gone */
static void op_collapse(const u8 *arg)
{
	struct mm_struct *mm;
	struct vm_area_struct *vma = fault_vma(arg, &mm);
	unsigned long addr = addr_of(arg[1]);
	unsigned int i;

	if (!vma || arg[1] % 4 || vma->vm_end < addr + 4 * PAGE_SIZE ||
	    is_vm_hugetlb_page(vma))
		return;
	for (i = 0; i < 4; i++)
		if (mm->pt[arg[1] + i].kind != PTE_PRESENT ||
		    mm->pt[arg[1] + i].folio->migrating)
			return;
	write_lock(mm);
	anon_rmap_lock_mm(mm);
	for (i = 0; i < 4; i++)
		pte_clear(mm, addr + i * PAGE_SIZE);
	step();
	anon_rmap_unlock_mm(mm);
	point();
	map_large(vma, addr, 4);
	write_unlock(mm);
}

/* MADV_DONTNEED */
static void op_zap(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);

	if (!mm || !inside(arg[1], arg[2]))
		return;
	down_read(&mm->mmap_lock);
	zap(mm, addr_of(arg[1]), addr_of(arg[1] + arg[2]));
	up_read(&mm->mmap_lock);
}

static struct folio *folio_at(const u8 *arg, enum pte_kind kind)
{
	struct mm_struct *mm = mm_of(arg[0]);
	pte_t *pte = mm && arg[1] < NR_PAGES ? &mm->pt[arg[1]] : NULL;

	return pte && pte->kind == kind && (kind == PTE_MIGRATION || !pte->folio->migrating) ?
	       pte->folio : NULL;
}

static struct migration {
	struct folio *folio;
	struct anon_vma *anon_vma;
} migrations[NR_MIGRATIONS];

/* try_to_migrate(); "finish" is remove_migration_ptes() */
static void op_migrate(const u8 *arg)
{
	struct folio *folio = folio_at(arg, PTE_PRESENT);
	struct walk w = { .from = PTE_PRESENT, .to = PTE_MIGRATION };
	unsigned int i;

	for (i = 0; folio && i < NR_MIGRATIONS; i++)
		if (!migrations[i].folio) {
			migrations[i].folio = folio;
			migrations[i].anon_vma = folio_anon_vma(folio);
			get_anon_vma(migrations[i].anon_vma);
			folio->migrating = true;
			walk_folio(folio, &w, false);
			return;
		}
}

/* The same, while other operations run */
static void op_background(const u8 *arg)
{
	struct folio *folio = folio_at(arg, PTE_PRESENT);

	if (folio)
		background_begin(folio, arg[2]);
}

void op_finish(const u8 *arg)
{
	struct migration *m = &migrations[arg[0] % NR_MIGRATIONS];
	struct walk w = { .from = PTE_MIGRATION, .to = PTE_PRESENT };

	if (!m->folio)
		return;
	walk_folio(m->folio, &w, false);
	m->folio->migrating = false;
	folio_put(m->folio);
	put_anon_vma(m->anon_vma);
	m->folio = NULL;
}

/* try_to_unmap() */
static void op_swapout(const u8 *arg)
{
	struct folio *folio = folio_at(arg, PTE_PRESENT);
	struct walk w = { .from = PTE_PRESENT, .to = PTE_SWAP };

	if (folio && !folio_test_large(folio) && !folio->hugetlb)
		walk_folio(folio, &w, false);
}

/* Leave the swap cache */
static void op_drop(const u8 *arg)
{
	struct folio *folio = folio_at(arg, PTE_SWAP);

	if (folio && !folio->mapcount)
		folio->mapping = NULL;
}

/* split_huge_page_to_list(): A for write keeps walks out */
static void op_split(const u8 *arg)
{
	struct folio *folio = folio_at(arg, PTE_PRESENT), *small[8] = { NULL };
	struct walk w = { .found = 0 };
	struct anon_vma *anon_vma;
	unsigned int p, i;

	if (!folio || !folio_test_large(folio) || folio->hugetlb)
		return;
	anon_vma = folio_anon_vma(folio);
	get_anon_vma(anon_vma);
	anon_vma_lock_write(anon_vma);
	walk_folio(folio, &w, true);
	for (p = 0; p < NR_MMS; p++)
		for (i = 0; procs[p].mm && i < NR_PAGES; i++) {
			pte_t pte = procs[p].mm->pt[i];

			if (pte.folio != folio)
				continue;
			if (!small[pte.idx])
				small[pte.idx] = folio_new_part(folio, pte.idx);
			folio->migrating = true;	/* A reference */
			pte_set(procs[p].mm, addr_of(i),
				(pte_t){ small[pte.idx], PTE_PRESENT, 0 });
		}
	anon_vma_unlock_write(anon_vma);
	folio->migrating = false;
	folio_put(folio);
	put_anon_vma(anon_vma);
}

/* move_present_pte(), move_swap_pte() of UFFDIO_MOVE: of a page mapped once */
static void op_uffd(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	unsigned long from = addr_of(arg[1]), to = addr_of(arg[2]);
	struct vm_area_struct *src, *dst;
	struct anon_vma *anon_vma;
	struct folio *folio;
	pte_t pte;

	if (!mm)
		return;
	src = vma_at(mm, from);
	dst = vma_at(mm, to);
	if (!src || !dst || src->vm_file || dst->vm_file || is_vm_hugetlb_page(src) ||
	    is_vm_hugetlb_page(dst) || mm->pt[arg[2]].folio || !mm->pt[arg[1]].folio)
		return;
	pte = mm->pt[arg[1]];
	folio = pte.folio;
	if (!pte_exclusive(pte) || folio_test_large(folio) || folio->migrating)
		return;
	down_read(&mm->mmap_lock);
	if (!dst->anon_vma)
		anon_rmap_prepare(dst);
	anon_vma = folio_anon_vma(folio);
	if (anon_vma) {
		get_anon_vma(anon_vma);
		anon_vma_lock_write(anon_vma);
		folio_set_anon_vma(folio, dst->anon_vma);
		folio->index = vma_anon_index(dst, to);
	}
	pte_set(mm, to, pte);
	pte_clear(mm, from);
	if (anon_vma) {
		anon_vma_unlock_write(anon_vma);
		put_anon_vma(anon_vma);
	}
	up_read(&mm->mmap_lock);
}

/* mm_take_all_locks(): a walk that may not wait says so and sees nothing of it */
static void op_lockall(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);
	struct anon_vma *anon_vma;
	struct folio *folio;

	if (!mm)
		return;
	write_lock(mm);
	anon_rmap_lock_mm(mm);
	unit_thread = THREAD_CHECK;
	list_for_each_entry(folio, &folios, list) {
		struct anon_vma_mm_link *link;
		bool linked = false;

		anon_vma = folio_anon_vma(folio);
		if (!anon_vma)
			continue;
		list_for_each_entry(link, &anon_vma->mms, same_anon_vma)
			linked |= link->mm == mm;
		check(walk_contended(folio) == linked, "folio %lu, mm %d", folio->id, mm->id);
	}
	unit_thread = THREAD_OPS;
	anon_rmap_unlock_mm(mm);
	write_unlock(mm);
}

/* ---- for tests written by hand -------------------------------------------------- */
const char *const expected[] = {
	"mms", "anon_vmas", "links", "displaced", "reuses", "vmas", "folios", NULL,
};

static void op_expect(const u8 *arg)
{
	const char *name = expected[arg[0]];
	long n;

	if (!strcmp(name, "vmas"))
		n = vma_cache->nr;
	else if (!strcmp(name, "folios"))
		n = list_count_nodes(&folios);
	else
		n = counter(name) - (strcmp(name, "reuses") ? 0 : model_reuses_before);
	check(n == arg[1], "%s is %ld, not %d", name, n, arg[1]);
}

static struct folio *wanted(const u8 *arg)
{
	struct mm_struct *mm = mm_of(arg[0]);

	check(mm && arg[1] < NR_PAGES && mm->pt[arg[1]].folio, "there is no page %d", arg[1]);
	return mm->pt[arg[1]].folio;
}

static void op_found(const u8 *arg)
{
	struct walk w = { .dup = false };
	int n = walk_folio(wanted(arg), &w, false);

	check(n == arg[2], "found %d", n);
}

static void op_visits(const u8 *arg)
{
	struct walk w = { .dup = false };

	walk_folio(wanted(arg), &w, false);
	check(w.visits == arg[2], "%d visits", w.visits);
}

const struct op_type op_types[] = {
	{ "exec",	"p",	op_exec,	"start a program", 3 },
	{ "fork",	"pp",	op_fork,	"parent, child", 20 },
	{ "exit",	"p",	op_exit,	"", 4 },
	{ "map",	"palf",	op_map,		"mmap(MAP_FIXED)", 26 },
	{ "unmap",	"pal",	op_unmap,	"", 4 },
	{ "write",	"pal",	op_write,	"write faults", 30 },
	{ "read",	"pa",	op_read,	"read fault: swaps in", 6 },
	{ "prepare",	"pa",	op_prepare,	"a fault that fails late", 2 },
	{ "thp",	"pao",	op_thp,		"fault of a large folio of an order", 8 },
	{ "zap",	"pal",	op_zap,		"MADV_DONTNEED", 2 },
	{ "move",	"paal",	op_move,	"mremap() from, to", 14 },
	{ "keep",	"paal",	op_keep,	"mremap(MREMAP_DONTUNMAP)", 6 },
	{ "extend",	"pal",	op_extend,	"mremap() in place", 4 },
	{ "protect",	"palf",	op_protect,	"mprotect(): another class", 10 },
	{ "shift",	"pal",	op_shift,	"exec moves its stack down", 2 },
	{ "grow",	"pal",	op_grow,	"stack growth", 3 },
	{ "uffd",	"paa",	op_uffd,	"UFFDIO_MOVE from, to", 6 },
	{ "migrate",	"pa",	op_migrate,	"replace entries by migration entries", 4 },
	{ "finish",	"k",	op_finish,	"a migration", 8 },
	{ "background",	"pas",	op_background,	"migrate and finish meanwhile", 10 },
	{ "swapout",	"pa",	op_swapout,	"", 5 },
	{ "drop",	"pa",	op_drop,	"from the swap cache", 2 },
	{ "collapse",	"pa",	op_collapse,	"four pages into one folio", 2 },
	{ "split",	"pa",	op_split,	"a large folio", 3 },
	{ "lockall",	"p",	op_lockall,	"mm_take_all_locks()", 1 },
	{ "expect",	"ek",	op_expect,	"a counter's value", 0 },
	{ "found",	"pak",	op_found,	"entries a walk of the page finds", 0 },
	{ "visits",	"pak",	op_visits,	"VMAs a walk of the page visits", 0 },
};
const int nr_op_types = ARRAY_SIZE(op_types);
