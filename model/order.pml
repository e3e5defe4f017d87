/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock order: mmap_lock, folio lock, i_mmap_rwsem, A, M, page table lock.
 * The only property is that nobody waits for ever.
 *
 * Two processes.  Process 1 was forked from process 0 and took over the
 * anon_vma of a dead ancestor, so its own anon_vma (0) is older than that of
 * its parent (1).  Both are linked to both.  NR_TASKS tasks do one operation
 * each, any of them on anything; a writer that waits stops later readers.
 *
 * Mutations: M_IS_A, A_UNDER_M, COLLAPSE_WAITS_FOLIO
 */
#define QUEUED_WRITERS
#include "lib.pml"

#ifndef NR_TASKS
#define NR_TASKS	3
#endif

rwsem sem[7];
bit folio_locked[2];		/* a folio of each anon_vma */
bit ptl[2];			/* by process */

#define MMAP_LOCK(mm)	sem[mm]
#define A(anon)		sem[2 + (anon)]
#ifdef M_IS_A
#define M(mm)		sem[3 - (mm)]	/* the rwsem of the own anon_vma */
#else
#define M(mm)		sem[4 + (mm)]
#endif
#define I_MMAP		sem[6]		/* of a file both have mapped */

/* page_vma_mapped_walk() and the like: nothing is taken inside. */
inline page_table_lock(mm)
{
	d_step { !ptl[mm] -> skip }
}

/* anon_rmap_walk() with anon_vma @x locked */
inline anon_rmap_walk()
{
	mm = 0;
	do
	:: mm < 2 ->
	   down_read(M(mm));
	   page_table_lock(mm);
	   up_read(M(mm));
	   mm++
	:: else -> break
	od;
	mm = 0
}

/* rmap_walk() of a locked folio: migration, swap-out, memory failure */
inline rmap_walk()
{
	spin_lock(folio_locked[x]);
	down_read(A(x));
	anon_rmap_walk();
	up_read(A(x));
	spin_unlock(folio_locked[x])
}

/* split_huge_page_to_list_to_order() */
inline split_huge_page()
{
	spin_lock(folio_locked[x]);
	down_write(A(x));
	anon_rmap_walk();
	up_write(A(x));
	spin_unlock(folio_locked[x])
}

/* do_vmi_align_munmap(): mmap_lock is downgraded before the zap. */
inline munmap()
{
	down_write(MMAP_LOCK(x));
	down_write(M(x));			/* __anon_rmap_publish() */
	up_write(M(x));
	d_step { MMAP_LOCK(x).writer = 0; MMAP_LOCK(x).readers++ };
	page_table_lock(x);			/* unmap_vmas() */
	down_write(M(x));			/* anon_rmap_unlink() */
#ifdef A_UNDER_M
	down_write(A(x));
	up_write(A(x));
#endif
	up_write(M(x));
	up_read(MMAP_LOCK(x))
}

/* move_ptes() with take_rmap_locks(); vma_prepare() takes the same locks. */
inline mremap()
{
	down_write(MMAP_LOCK(x));
	down_write(I_MMAP);
	down_write(M(x));
	atomic { !ptl[x] -> ptl[x] = 1 };
	ptl[x] = 0;
	up_write(M(x));
	up_write(I_MMAP);
	up_write(MMAP_LOCK(x))
}

/* collapse_huge_page() of memory where the folio of either anon_vma may be */
inline collapse_huge_page()
{
	down_write(MMAP_LOCK(x));
	down_write(M(x));
#ifdef COLLAPSE_WAITS_FOLIO
	spin_lock(folio_locked[0]);
	got = true;
#else
	atomic {				/* folio_trylock() */
		got = !folio_locked[0];
		folio_locked[0] = 1
	};
#endif
	up_write(M(x));
	if
	:: got -> folio_locked[0] = 0; got = false
	:: else
	fi;
	up_write(MMAP_LOCK(x))
}

/* dup_mmap(): __anon_rmap_fork(), then copy_page_range() */
inline fork_or_exit()
{
	down_write(MMAP_LOCK(x));
	down_write(A(0));
	up_write(A(0));
	down_write(A(1));			/* never two of a kind */
	up_write(A(1));
	page_table_lock(x);
	up_write(MMAP_LOCK(x))
}

/* mm_take_all_locks() */
inline take_all_locks()
{
	down_write(MMAP_LOCK(x));
	down_write(I_MMAP);
	down_write(M(x));			/* anon_rmap_lock_mm() */
	up_write(M(x));
	up_write(I_MMAP);
	up_write(MMAP_LOCK(x))
}

/* UFFDIO_MOVE: move_pages_pte() */
inline uffdio_move()
{
	down_read(MMAP_LOCK(x));
	if
	:: atomic { !folio_locked[x] -> folio_locked[x] = 1 };
	   down_write(A(x));
	   page_table_lock(x);
	   up_write(A(x));
	   spin_unlock(folio_locked[x])
	:: folio_locked[x]
	fi;
	up_read(MMAP_LOCK(x))
}

/* A fault may wait for the folio: do_swap_page(), KSM. */
inline fault()
{
	down_read(MMAP_LOCK(x));
	spin_lock(folio_locked[x]);
	page_table_lock(x);
	spin_unlock(folio_locked[x]);
	up_read(MMAP_LOCK(x))
}

active [NR_TASKS] proctype task()
{
	bit x, got;
	byte mm;

	if
	:: x = 0
	:: x = 1
	fi;
	if
	:: rmap_walk()
	:: split_huge_page()
	:: munmap()
	:: mremap()
	:: collapse_huge_page()
	:: fork_or_exit()
	:: take_all_locks()
	:: uffdio_move()
	:: fault()
	fi
}
