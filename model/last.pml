/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The walk that removes migration entries of a small folio ends at one that is
 * exclusive, against fork.
 *
 * Two processes, 0 and its child 1, which is linked; forked before the page was
 * unmapped, or on its way.
 *
 * Mutations: ANY_IS_LAST, LOOK_WITHOUT_LOCK
 */
#include "lib.pml"

#define EXCLUSIVE	10	/* is_readable_exclusive_migration_entry() or writable */

byte pte[2];
bit ptl[2];
bit bound;			/* walkers see the child's VMA */
byte running = 2;

/* copy_page_range(), copy_nonpresent_pte() */
proctype fork()
{
	if
	:: !bound ->
	   bound = 1;			/* anon_rmap_fork_bound() */
	   spin_lock(ptl[1]);
	   spin_lock(ptl[0]);
	   if
	   :: pte[0] == EXCLUSIVE -> pte[0] = MIGRATION
	   :: else
	   fi;
	   pte[1] = pte[0];
	   spin_unlock(ptl[0]);
	   spin_unlock(ptl[1])
	:: else
	fi;
	running--
}

/* anon_rmap_visit(), remove_migration_pte() */
proctype anon_rmap_walk()
{
	byte mm;
	bit last;

	do
	:: mm < 2 ->
	   if
	   :: mm == 1 && !bound -> break	/* anon_rmap_find() */
	   :: else
	   fi;
	   last = 0;
#ifdef LOOK_WITHOUT_LOCK
	   last = (pte[mm] == EXCLUSIVE);
#endif
	   spin_lock(ptl[mm]);			/* page_vma_mapped_walk() */
	   if
	   :: pte[mm] == MIGRATION || pte[mm] == EXCLUSIVE ->
#ifdef ANY_IS_LAST
	      last = 1;
#elif !defined(LOOK_WITHOUT_LOCK)
	      last = (pte[mm] == EXCLUSIVE);
#endif
	      pte[mm] = PRESENT			/* or the zero page */
	   :: else
	   fi;
	   spin_unlock(ptl[mm]);
	   if
	   :: last -> break
	   :: else
	   fi;
	   mm++
	:: else -> break
	od;
	running--
}

init
{
	atomic {
		if
		:: pte[0] = EXCLUSIVE
		:: pte[0] = MIGRATION; pte[1] = MIGRATION; bound = 1
		fi;
		run fork();
		run anon_rmap_walk()
	};
	!running;
	property(migration_entry_left_behind, pte[0] == PRESENT && pte[1] == PRESENT);
	property(not_everything_freed, !ptl[0] && !ptl[1])
}
