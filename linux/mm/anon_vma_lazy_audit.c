// SPDX-License-Identifier: GPL-2.0-only
/*
 * Audit of the anonymous reverse mapping, for debug kernels.
 *
 * Writing to /sys/kernel/debug/anon_vma_lazy/audit walks every anonymous folio
 * of the system and compares the page table entries its rmap walk reaches with
 * its mapcount, in lazy processes and in regular ones, and checks the
 * structures of every lazy process.  Reading gives the last result:
 *
 *	folios=N mismatches=N structures=N excused=N
 *	...one line for each finding...
 *
 * Entries come and go while a folio is looked at, its lock does not stop fork
 * or exit.  A folio that disagrees is therefore looked at again and again; only
 * one that never agrees is a mismatch, and then the page tables of all
 * processes are searched for the entries that the walk missed.
 *
 * The child of a process that had merged pages (KSM) and is gone has no reverse
 * mapping of them until ksmd has come by, lazy or regular: that is a mismatch.
 * Two ways to get such a page from the swap cache leave it without for longer, and
 * are the kernel's without lazy processes: after MADV_UNMERGEABLE, and where another
 * VMA of a regular process had the same page merged before.  Merged pages that were
 * missed nowhere but in VMAs that are not mergeable or regular are excused.
 *
 * /sys/kernel/debug/anon_vma_lazy/stretch_us is how long, at most, fork, mremap,
 * split and munmap of a lazy process wait between steps that walks may see.
 */

#define pr_fmt(fmt) "anon_vma_lazy: " fmt

#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hugetlb.h>
#include <linux/init.h>
#include <linux/ksm.h>
#include <linux/memory_hotplug.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagewalk.h>
#include <linux/random.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/xarray.h>

#include "anon_vma_lazy_audit.h"
#include "internal.h"

#define AUDIT_LOOKS	20
#define AUDIT_LINES	32

static DEFINE_MUTEX(audit_mutex);
static char audit_lines[AUDIT_LINES][160];
static int audit_nr_lines;
static unsigned long audit_folios, audit_mismatches, audit_structures, audit_excused;

static u32 stretch_us;

void anon_rmap_stretch(void)
{
	u32 us = READ_ONCE(stretch_us);

	if (us)
		fsleep(1 + get_random_u32_below(us));
}

static __printf(1, 2) void audit_say(const char *fmt, ...)
{
	va_list args;

	if (audit_nr_lines == AUDIT_LINES)
		return;
	va_start(args, fmt);
	vsnprintf(audit_lines[audit_nr_lines], sizeof(audit_lines[0]), fmt, args);
	va_end(args);
	pr_warn("audit: %s\n", audit_lines[audit_nr_lines++]);
}

struct audit_counted {
	int nr;
	struct xarray ptes;	/* of a KSM folio, by their place in memory */
};

/* Not a pointer: with HIGHPTE, page tables share addresses. */
static unsigned long audit_place(pmd_t *pmd, unsigned long addr)
{
	return page_to_pfn(pmd_page(*pmd)) * PTRS_PER_PTE + pte_index(addr);
}

/*
 * Where a child has an rmap_item of its own at the address of its parent's, a
 * KSM walk comes by twice, in a regular process as well.
 */
static bool audit_count_one(struct folio *folio, struct vm_area_struct *vma,
			    unsigned long addr, void *arg)
{
	DEFINE_FOLIO_VMA_WALK(pvmw, folio, vma, addr, 0);
	struct audit_counted *found = arg;

	while (page_vma_mapped_walk(&pvmw)) {
		if (folio_test_ksm(folio) &&
		    xa_store(&found->ptes, audit_place(pvmw.pmd, pvmw.address),
			     xa_mk_value(1), GFP_ATOMIC))
			continue;
		found->nr++;
	}
	return true;
}

static void audit_count(struct folio *folio, struct audit_counted *found)
{
	struct rmap_walk_control rwc = {
		.rmap_one = audit_count_one,
		.arg = found,
	};

	xa_destroy(&found->ptes);
	found->nr = 0;
	rmap_walk(folio, &rwc);
}

struct audit_search {
	struct task_struct *task;
	unsigned long first_pfn, last_pfn;
	struct audit_counted *found;
	bool ksm, say;
	int excused;		/* not found, and need not be */
};

/* An entry that maps the folio.  Of a KSM folio: did the walk find it? */
static void audit_found(struct audit_search *s, struct vm_area_struct *vma,
			unsigned long pfn, pmd_t *pmd, unsigned long addr)
{
	bool excused = s->ksm && !(vma->vm_flags & VM_MERGEABLE &&
				   mm_anon_lazy(vma->vm_mm));

	if (pfn < s->first_pfn || pfn > s->last_pfn)
		return;
	if (s->ksm) {
		if (xa_load(&s->found->ptes, audit_place(pmd, addr)))
			return;
		s->excused += excused;
	}
	if (s->say)
		audit_say("  pfn %lx at %lx of %s[%d], vma %lx-%lx delta %lx%s",
			  pfn, addr, s->task->comm, task_pid_nr(s->task),
			  vma->vm_start, vma->vm_end, vma_anon_delta(vma),
			  !vma->anon_vma ? ", no anon_vma" :
			  excused ? ", excused" : "");
}

static int audit_pmd_entry(pmd_t *pmd, unsigned long addr, unsigned long end,
			   struct mm_walk *walk)
{
	struct vm_area_struct *vma = walk->vma;
	spinlock_t *ptl;
	pte_t *start, *pte;

	ptl = pmd_trans_huge_lock(pmd, vma);
	if (ptl) {
		unsigned long pfn = pmd_present(*pmd) ? pmd_pfn(*pmd) : 0;

		spin_unlock(ptl);
		audit_found(walk->private, vma, pfn, pmd, addr);
		return 0;
	}

	start = pte_offset_map_lock(vma->vm_mm, pmd, addr, &ptl);
	if (!start)
		return 0;
	for (pte = start; addr != end; pte++, addr += PAGE_SIZE)
		if (pte_present(ptep_get(pte)))
			audit_found(walk->private, vma, pte_pfn(ptep_get(pte)),
				    pmd, addr);
	pte_unmap_unlock(start, ptl);
	return 0;
}

static const struct mm_walk_ops audit_walk_ops = {
	.pmd_entry = audit_pmd_entry,
	.walk_lock = PGWALK_RDLOCK,
};

/* The next process with a smaller pid number left out, referenced. */
static struct task_struct *audit_next_task(int *nr)
{
	struct task_struct *task, *best = NULL;

	rcu_read_lock();
	for_each_process(task)
		if (task_pid_nr(task) > *nr &&
		    (!best || task_pid_nr(task) < task_pid_nr(best)))
			best = task;
	if (best) {
		*nr = task_pid_nr(best);
		get_task_struct(best);
	}
	rcu_read_unlock();
	return best;
}

/* Returns how many entries of a KSM folio were not found, nor have to be. */
static int audit_search(struct folio *folio, struct audit_counted *found, bool say)
{
	struct audit_search s = {
		.first_pfn = folio_pfn(folio),
		.last_pfn = folio_pfn(folio) + folio_nr_pages(folio) - 1,
		.found = found,
		.ksm = folio_test_ksm(folio),
		.say = say,
	};
	int nr = 0;

	while ((s.task = audit_next_task(&nr))) {
		struct mm_struct *mm = get_task_mm(s.task);

		if (mm) {
			mmap_read_lock(mm);
			walk_page_range(mm, 0, TASK_SIZE, &audit_walk_ops, &s);
			mmap_read_unlock(mm);
			mmput(mm);
		}
		put_task_struct(s.task);
	}
	return s.excused;
}

/* It never agreed.  @folio is referenced and unlocked. */
static void audit_mismatch(struct folio *folio, int mapcount,
			   struct audit_counted *found)
{
	if (folio_test_ksm(folio) &&
	    found->nr + audit_search(folio, found, false) == mapcount) {
		audit_folios++;
		audit_excused++;
		return;
	}
	audit_mismatches++;
	audit_say("pfn %lx order %u%s%s index %lx: mapcount %d, walk found %d",
		  folio_pfn(folio), folio_order(folio),
		  folio_anon_lazy(folio) ? " lazy" : "",
		  folio_test_ksm(folio) ? " ksm" : "",
		  folio->index, mapcount, found->nr);
	audit_search(folio, found, true);
}

/* @folio is referenced and unlocked. */
static void audit_folio(struct folio *folio)
{
	struct audit_counted found;
	int look, mapcount;

	xa_init(&found.ptes);
	for (look = 0; look < AUDIT_LOOKS; look++) {
		bool stable;

		folio_lock(folio);
		mapcount = folio_mapcount(folio);
		if (!folio_test_anon(folio) || !mapcount ||
		    folio_is_zone_device(folio)) {
			folio_unlock(folio);
			break;
		}
		audit_count(folio, &found);
		stable = folio_mapcount(folio) == mapcount;
		folio_unlock(folio);
		if (found.nr == mapcount) {
			audit_folios++;
			break;
		}
		if (look == AUDIT_LOOKS - 1 && stable)
			audit_mismatch(folio, mapcount, &found);
		else if (look)
			msleep(20);
	}
	xa_destroy(&found.ptes);
}

static void audit_all_folios(void)
{
	unsigned long pfn, end;
	struct zone *zone;

	lru_add_drain_all();
	get_online_mems();
	/* Not nodes: device memory may be at the end of the address space. */
	for_each_populated_zone(zone) {
		end = zone_end_pfn(zone);
		for (pfn = zone->zone_start_pfn; pfn < end; pfn++) {
			struct page *page = pfn_to_online_page(pfn);
			struct folio *folio;

			cond_resched();
			if (!page || page_zone(page) != zone || PageTail(page))
				continue;
			folio = page_folio(page);
			if (!folio_test_anon(folio) || !folio_try_get(folio))
				continue;
			if (folio == page_folio(page) && !folio_test_slab(folio))
				audit_folio(folio);
			folio_put(folio);
		}
	}
	put_online_mems();
}

static void audit_check(bool ok, struct task_struct *task, const char *what,
			unsigned long addr)
{
	if (ok)
		return;
	audit_structures++;
	audit_say("%s[%d]: %s (%lx)", task->comm, task_pid_nr(task), what, addr);
}

/* mmap_lock held for read, so no fork, exit or change of VMAs. */
static void audit_mm(struct mm_struct *mm, struct task_struct *task)
{
	struct mm_anon_rmap *rmap = &mm->anon_rmap;
	struct anon_vma_mm_link *link, *other;
	bool own = false, root = false;
	struct vm_area_struct *vma;
	struct rb_node *node;
	long displaced = 0;
	VMA_ITERATOR(vmi, mm, 0);

	list_for_each_entry(link, &rmap->links, same_mm) {
		struct anon_vma *anon_vma = link->anon_vma;
		bool listed = false;

		own |= link == &rmap->own;
		root |= anon_vma == rmap->own.anon_vma->root;
		audit_check(link->mm == mm, task, "link of another process", 0);
		audit_check(anon_vma_is_lazy(anon_vma), task,
			    "link to a regular anon_vma", 0);
		audit_check(atomic_read(&anon_vma->refcount) > 0, task,
			    "link to a free anon_vma", 0);
		anon_vma_lock_read(anon_vma);
		list_for_each_entry(other, &anon_vma->mms, same_anon_vma)
			listed |= other == link;
		audit_check(anon_vma->num_active_vmas - ANON_VMA_LAZY <= 1, task,
			    "anon_vma of two processes", 0);
		anon_vma_unlock_read(anon_vma);
		audit_check(listed, task, "link not on its anon_vma's list", 0);
	}
	audit_check(own, task, "own anon_vma not linked", 0);
	audit_check(root, task, "root not linked", 0);
	audit_check(rmap->bound == ULONG_MAX, task, "fork bound left behind",
		    rmap->bound);

	down_read(&rmap->rwsem);
	for_each_vma(vmi, vma) {
		audit_check(!vma->anon_vma || vma->anon_vma == rmap->own.anon_vma,
			    task, "VMA with a foreign anon_vma", vma->vm_start);
		audit_check(vma->anon_vma || !vma->anon_delta, task,
			    "unfaulted VMA with a delta", vma->vm_start);
		audit_check(!vma->anon_delta == !vma->displaced, task,
			    "delta without chain or chain without delta",
			    vma->vm_start);
		if (vma->displaced) {
			displaced++;
			audit_check(vma->displaced->vma == vma, task,
				    "chain of another VMA", vma->vm_start);
		}
	}
	/* The tree may have more, those of a munmap in progress. */
	for (node = rb_first_cached(&rmap->displaced); node; node = rb_next(node))
		displaced--;
	audit_check(displaced <= 0, task, "displaced VMAs not in the tree",
		    displaced);
	up_read(&rmap->rwsem);
}

static void audit_all_mms(void)
{
	struct task_struct *task;
	int nr = 0;

	while ((task = audit_next_task(&nr))) {
		struct mm_struct *mm = get_task_mm(task);

		if (mm) {
			mmap_read_lock(mm);
			if (mm_anon_lazy(mm))
				audit_mm(mm, task);
			mmap_read_unlock(mm);
			mmput(mm);
		}
		put_task_struct(task);
		cond_resched();
	}
}

static ssize_t audit_write(struct file *file, const char __user *buf,
			   size_t count, loff_t *ppos)
{
	mutex_lock(&audit_mutex);
	audit_nr_lines = 0;
	audit_folios = 0;
	audit_mismatches = 0;
	audit_structures = 0;
	audit_excused = 0;
	audit_all_mms();
	audit_all_folios();
	mutex_unlock(&audit_mutex);
	return count;
}

static int audit_show(struct seq_file *m, void *v)
{
	int i;

	mutex_lock(&audit_mutex);
	seq_printf(m, "folios=%lu mismatches=%lu structures=%lu excused=%lu\n",
		   audit_folios, audit_mismatches, audit_structures,
		   audit_excused);
	for (i = 0; i < audit_nr_lines; i++)
		seq_printf(m, "%s\n", audit_lines[i]);
	mutex_unlock(&audit_mutex);
	return 0;
}

static int audit_open(struct inode *inode, struct file *file)
{
	return single_open(file, audit_show, NULL);
}

static const struct file_operations audit_fops = {
	.open = audit_open,
	.read = seq_read,
	.write = audit_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init anon_vma_lazy_audit_init(void)
{
	struct dentry *dir = debugfs_create_dir("anon_vma_lazy", NULL);

	debugfs_create_file("audit", 0600, dir, NULL, &audit_fops);
	debugfs_create_u32("stretch_us", 0600, dir, &stretch_us);
	return 0;
}
late_initcall(anon_vma_lazy_audit_init);
