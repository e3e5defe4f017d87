/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A walk that looks at entries without the page table lock, against fork, zap and
 * mprotect.
 *
 * Two processes, 0 and its child 1, which is linked and on its way; one small
 * folio, at one address.  The walker must come by every entry, but those that
 * fork copied after it came by the parent's.
 *
 * Mutations: NO_RMB, SYNC_PEEKS (needs SYNC)
 */
#include "lib.pml"

byte pte[2];
bit ptl[2];
bit bound;			/* walkers see the child's VMA */
bit visited[2];			/* the entry, or what it is a copy of */
byte running = 3;

/* copy_page_range() */
inline fork()
{
	bound = 1;			/* anon_rmap_fork_bound() */
	spin_lock(ptl[1]);
	spin_lock(ptl[0]);
	if
	:: pte[0] == PRESENT ->
	   d_step { pte[1] = PRESENT; visited[1] = visited[0] }
	:: else
	fi;
	spin_unlock(ptl[0]);
	spin_unlock(ptl[1])
}

/* madvise(MADV_DONTNEED), needs no more than mmap_lock for read */
inline zap(mm)
{
	spin_lock(ptl[mm]);
	if
	:: pte[mm] == PRESENT -> pte[mm] = NONE
	:: else
	fi;
	spin_unlock(ptl[mm])
}

/* change_pte_range(): the entry is none for a moment, under its lock */
inline mprotect(mm)
{
	spin_lock(ptl[mm]);
	if
	:: pte[mm] == PRESENT -> pte[mm] = NONE; pte[mm] = PRESENT
	:: else
	fi;
	spin_unlock(ptl[mm])
}

proctype parent()
{
#ifdef SYNC
	if
	:: mprotect(0)
	:: true
	fi;
#endif
	fork();
	if
	:: zap(0)
	:: true
	fi;
	running--
}

proctype child()
{
	bound;
	if
	:: zap(1)
	:: true
	fi;
	running--
}

/* anon_rmap_visit(): anon_rmap_peek(), ->rmap_one() */
proctype anon_rmap_walk()
{
	byte mm;
	bit here;
#ifdef NO_RMB
	bit early_bound, early;		/* loads that overtake the parent's */

	if
	:: early_bound = bound; early = (early_bound && pte[1] == PRESENT)
	:: early_bound = 1; early = 1	/* or do not */
	fi;
#endif
	do
	:: mm < 2 ->
	   if
	   :: mm == 1 && !bound -> break	/* anon_rmap_find() */
	   :: else
	   fi;
#if defined(SYNC) && !defined(SYNC_PEEKS)
	   here = 1;
#else
	   here = (pte[mm] == PRESENT);		/* ptep_get_lockless() */
#endif
#ifdef NO_RMB
	   here = here && (mm == 0 || early);
#endif
	   if
	   :: here ->				/* page_vma_mapped_walk() */
	      spin_lock(ptl[mm]);
	      if
	      :: pte[mm] == PRESENT -> visited[mm] = 1
	      :: else
	      fi;
	      spin_unlock(ptl[mm])
	   :: else
	   fi;
	   mm++
	:: else -> break
	od;
	/* What is left was visited, or copied from an entry that was. */
	atomic {
		property(mapped_page_missed,
			 (pte[0] != PRESENT || visited[0]) &&
			 (pte[1] != PRESENT || visited[1]));
		running--
	}
}

init
{
	atomic {
		pte[0] = PRESENT;
		run parent();
		run child();
		run anon_rmap_walk()
	};
	!running;
	property(not_everything_freed, !ptl[0] && !ptl[1])
}
