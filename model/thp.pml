/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Collapse (M for write), huge page split and UFFDIO_MOVE (A for write)
 * against migration and a walk that gives up when something is locked.
 *
 * Two processes, 0 and its child 1.  They share a large folio, or process 0
 * has it alone.  Process 0 collapses the range, splits the folio, or moves it
 * with UFFDIO_MOVE from address 0 to address 1.
 *
 * Mutations: SKIP_IN_COLLAPSE, COLLAPSE_NO_M, SPLIT_NO_A, UFFD_NO_A
 */
#define QUEUED_WRITERS
#include "lib.pml"

rwsem A, M[2];
byte pte[4];			/* by mm and address */
bit pmd[2];			/* points to the page table */
bit folio_locked;
bit index;			/* folio->index */
bit half_split;			/* in __split_huge_page() */
byte mapcount;
bit zapped;			/* somebody unmapped the folio for good */
byte running = 4;

#define PTE(mm, addr)	pte[(mm) * 2 + (addr)]
#define ENTRY_LEFT	(pte[0] == MIGRATION || pte[1] == MIGRATION || \
			 pte[2] == MIGRATION || pte[3] == MIGRATION)

/* anon_rmap_visit(): nothing is found without a page table. */
inline anon_rmap_visit(mm, addr, goal)
{
	d_step {
		property(folio_changed_under_walker, addr == index && !half_split
			 || goal != LOOK);
		if
		:: pmd[mm] && goal == SET && PTE(mm, addr) == PRESENT ->
		   PTE(mm, addr) = MIGRATION; mapcount--
		:: pmd[mm] && goal == REMOVE && PTE(mm, addr) == MIGRATION ->
		   PTE(mm, addr) = PRESENT; mapcount++
		:: pmd[mm] && goal == LOOK && PTE(mm, addr) != NONE ->
		   seen++
		:: else
		fi
	}
}

/* anon_rmap_walk(); the caller holds A. */
inline anon_rmap_walk(goal, try_lock)
{
	addr = index;
	do
	:: mm < 2 && !contended ->
	   if					/* anon_rmap_lock_read() */
	   :: try_lock ->
	      down_read_trylock(M[mm], locked);
	      contended = !locked
#ifdef SKIP_IN_COLLAPSE
	   :: else -> down_read_trylock(M[mm], locked)
#else
	   :: else -> down_read(M[mm]); locked = true
#endif
	   fi;
	   if
	   :: locked -> anon_rmap_visit(mm, addr, goal); up_read(M[mm])
	   :: else
	   fi;
	   d_step { locked = false; mm++ }
	:: else -> break
	od;
	mm = 0;
	addr = 0
}

/* migrate_pages() */
proctype migrate()
{
	byte mm, addr, seen;
	bool locked, contended;

	spin_lock(folio_locked);
	if
	:: mapcount ->
	   down_read(A);
	   anon_rmap_walk(SET, false);
	   up_read(A);
	   down_read(A);
	   anon_rmap_walk(REMOVE, false);
	   up_read(A);
	   property(migration_entry_left_behind, !ENTRY_LEFT)
	:: else
	fi;
	spin_unlock(folio_locked);
	running--
}

/* folio_referenced(): no folio lock, gives up on contention. */
proctype reclaim()
{
	byte mm, addr, seen, mapped;
	bool locked, contended;

	if
	:: atomic { mapcount && !A.writer && !A.waiting ->
		    A.readers++; mapped = mapcount; zapped = 0 };
	   anon_rmap_walk(LOOK, true);
	   /* Migration entries count as seen: PVMW_MIGRATION of others. */
	   property(mapped_page_missed, contended || zapped || seen >= mapped);
	   up_read(A)
	:: true
	fi;
	running--
}

/* split_huge_page_to_list_to_order() */
proctype split()
{
	byte mm, addr, seen;
	bool locked, contended;

	atomic { !folio_locked -> folio_locked = 1 };
	if
	:: mapcount ->
#ifndef SPLIT_NO_A
	   down_write(A);
#endif
	   anon_rmap_walk(SET, false);		/* unmap_folio() */
	   half_split = 1;			/* __split_huge_page() */
	   half_split = 0;
	   anon_rmap_walk(REMOVE, false);	/* remap_page() */
	   property(migration_entry_left_behind, !ENTRY_LEFT);
#ifndef SPLIT_NO_A
	   up_write(A)
#endif
	:: else
	fi;
	spin_unlock(folio_locked);
	running--
}

/* collapse_huge_page(), mmap_lock of process 0 held for write */
inline collapse_huge_page()
{
#ifndef COLLAPSE_NO_M
	down_write(M[0]);
#endif
	pmd[0] = 0;				/* pmdp_collapse_flush() */
	if					/* __collapse_huge_page_isolate() */
	:: atomic {
		/* From here on the page is isolated, and nobody looks for it. */
		PTE(0, index) == PRESENT && !folio_locked ->
		folio_locked = 1;
		PTE(0, index) = NONE;
		mapcount--;
		zapped = 1
	   };
#ifndef COLLAPSE_NO_M
	   up_write(M[0]);
#endif
	   spin_unlock(folio_locked);		/* __collapse_huge_page_copy() */
	   pmd[0] = 1				/* set_pmd_at(), another folio */
	:: atomic { PTE(0, index) != PRESENT || folio_locked -> pmd[0] = 1 };
						/* pmd_populate() */
#ifndef COLLAPSE_NO_M
	   up_write(M[0])
#endif
	fi
}

/* move_pages_pte(), mmap_lock of process 0 held for read */
inline move_pages_pte()
{
	if
	:: atomic { !folio_locked -> folio_locked = 1 };	/* folio_trylock() */
#ifndef UFFD_NO_A
	   down_write(A);
#endif
	   /* move_present_pte(): an exclusive folio only, under both locks */
	   if
	   :: PTE(0, 0) == PRESENT && mapcount == 1 ->
	      PTE(0, 0) = NONE;
	      index = 1;
	      PTE(0, 1) = PRESENT
	   :: else
	   fi;
#ifndef UFFD_NO_A
	   up_write(A);
#endif
	   spin_unlock(folio_locked)
	:: folio_locked
	fi
}

/* mmap_lock orders these two, so one process does them. */
proctype mm()
{
	if
	:: collapse_huge_page()
	:: move_pages_pte()
	:: move_pages_pte(); collapse_huge_page()
	:: skip
	fi;
	running--
}

init
{
	atomic {
		pmd[0] = 1;
		pmd[1] = 1;
		PTE(0, 0) = PRESENT;
		mapcount = 1;
		if
		:: PTE(1, 0) = PRESENT; mapcount = 2
		:: skip
		fi;
		run migrate();
		run reclaim();
		run split();
		run mm()
	}
	!running;
	property(not_everything_freed, !A.readers && !A.writer && !A.waiting &&
		 !M[0].readers && !M[0].writer && !M[0].waiting && !folio_locked &&
		 !ENTRY_LEFT && pmd[0] && pmd[1])
}
