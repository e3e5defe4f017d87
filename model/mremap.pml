/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mremap away from the natural place and back again, whole page tables at a
 * time, against a walker that must find every migration entry and one that
 * only looks.
 *
 * One process, two addresses; the index of the folio is 0, so a VMA at
 * address 0 has delta 0 and is natural, one at address 1 is displaced.
 *
 * Moving a page table (move_normal_pmd()) clears the old place and fills the
 * new one under page table locks that walkers do not take at that level, so
 * a walker may come between the two.
 *
 * Mutations: MOVE_AWAY_NO_M, MOVE_BACK_NO_M, DISPLACE_LATE, HIDE_KEEPS_AVC,
 * HOLE_WITHOUT_M
 */
#include "lib.pml"

#define NR_VMA	4		/* 0 is NULL */

typedef vma_struct {
	bit anon_vma;
	bit displaced;		/* has an AVC in mm->anon_rmap.displaced */
	bit delta;
	bit live;
	byte users		/* walkers that hold a pointer to it */
}

vma_struct vma[NR_VMA];
byte mm_mt[2];
byte detached;			/* mm->anon_rmap.detached */
byte pte[2];			/* by address, with the page table it is in */
bit ptl;			/* what walkers take */
rwsem A, M;
bit linked;
byte anon_refs;
bit folio_locked;
bit zapped;			/* the process exits */
byte walking = 2;

#define MAPPED	(pte[0] == PRESENT || pte[1] == PRESENT)

/*
 * anon_rmap_visit().  Under the page table lock try_to_migrate_one() clears the
 * entry, flushes the TLB, and then stores the migration entry.
 */
inline anon_rmap_visit(addr, goal)
{
	if
	:: goal == SET ->
	   atomic { !ptl -> ptl = 1 };
	   if
	   :: pte[addr] == PRESENT -> pte[addr] = NONE; pte[addr] = MIGRATION
	   :: else
	   fi;
	   ptl = 0
	:: else ->
	   d_step {
		!ptl ->
		if
		:: goal == REMOVE && pte[addr] == MIGRATION -> pte[addr] = PRESENT
		:: goal == LOOK && pte[addr] != NONE -> seen = true
		:: else
		fi
	   }
	fi
}

/*
 * A VMA found in mm_mt or in the detached tree, if it is natural and findable.
 * What RCU does between finding and testing is in the munmap model.
 */
inline natural(v, where)
{
	d_step {
		v = where;
		if
		:: v ->
		   property(vma_freed_in_use, vma[v].live);
		   if
		   :: vma[v].anon_vma && !vma[v].delta -> vma[v].users++
		   :: else -> v = 0
		   fi
		:: else
		fi
	}
}

inline put_vma(v)
{
	d_step { vma[v].users--; v = 0 }
}

/* anon_rmap_walk_mm() */
inline anon_rmap_walk_mm(goal)
{
	natural(v, mm_mt[0]);			/* anon_rmap_find() */
	if
	:: v -> anon_rmap_visit(0, goal); put_vma(v)
	:: else
	fi;
	natural(v, detached);			/* anon_rmap_detached() */
	if
	:: v -> anon_rmap_visit(0, goal); put_vma(v)
	:: else
	fi;
	v = 1;					/* displaced_tree_iter_first() */
	do
	:: v < NR_VMA ->
	   if
	   :: d_step { vma[v].displaced ->
		       property(vma_freed_in_use, vma[v].live);
		       vma[v].users++ };
	      anon_rmap_visit(1, goal);
	      vma[v].users--
	   :: !vma[v].displaced
	   fi;
	   v++
	:: else -> break
	od;
	v = 0
}

/* anon_rmap_walk(); the caller holds A. */
inline anon_rmap_walk(goal)
{
	if
	:: linked ->
	   down_read(M);			/* anon_rmap_lock_read() */
	   anon_rmap_walk_mm(goal);
	   up_read(M)
	:: else
	fi
}

/* migrate_pages() */
proctype migrate()
{
	byte v, round;
	bool seen;

	do
	:: round < 2 ->
	   round++;
	   if
	   :: atomic { MAPPED && anon_refs -> anon_refs++; folio_locked = 1 };
	      down_read(A);
	      anon_rmap_walk(SET);
	      up_read(A);
	      down_read(A);
	      anon_rmap_walk(REMOVE);
	      d_step {
		A.readers--;
		property(migration_entry_left_behind,
			 pte[0] != MIGRATION && pte[1] != MIGRATION);
		folio_locked = 0;
		anon_refs--
	      }
	   :: true
	   fi
	:: else -> break
	od;
	walking--
}

/*
 * page_mapped_in_vma() from memory failure, or whoever else needs to know all
 * places: the page is mapped until the process exits.
 */
proctype look()
{
	byte v;
	bool seen;

	if
	:: atomic { MAPPED && linked && !A.writer -> A.readers++ };
	   anon_rmap_walk(LOOK);
	   property(mapped_page_missed, seen || zapped);
	   up_read(A)
	:: true
	fi;
	walking--
}

/* anon_rmap_displace() */
inline anon_rmap_displace(v)
{
	down_write(M);
	d_step {
		vma[v].anon_vma = 1;
		vma[v].displaced = 1;
		M.writer = 0
	}
}

/* anon_rmap_clone() */
inline anon_rmap_clone(v)
{
	if
	:: vma[v].delta -> anon_rmap_displace(v)
	:: else -> vma[v].anon_vma = 1		/* anon_rmap_prepare() */
	fi
}

/* anon_rmap_hide_vma(), M held for write */
inline anon_rmap_hide_vma(v)
{
#ifndef HIDE_KEEPS_AVC
	vma[v].displaced = 0;
#endif
	vma[v].delta = 0;
	vma[v].anon_vma = 0
}

/* move_page_tables() */
inline move_page_tables(from, to, locked)
{
	if
#ifdef HOLE_WITHOUT_M
	:: locked && pte[from] == NONE		/* huge_pte_none() */
	:: locked && pte[from] != NONE -> down_write(M)
#else
	:: locked -> down_write(M)		/* take_rmap_locks() */
#endif
	:: else
	fi;
	if
	:: !locked || M.writer ->
	   entry = pte[from];
	   pte[from] = NONE;
	   pte[to] = entry;
	   entry = 0
	:: else
	fi;
	if
	:: M.writer -> up_write(M)
	:: else
	fi
}

/* do_vmi_munmap() of a VMA whose pages are gone */
inline do_munmap(v, addr)
{
	if					/* __anon_rmap_publish() */
	:: vma[v].anon_vma ->
	   down_write(M);
	   d_step { detached = v; M.writer = 0 }
	:: else
	fi;
	mm_mt[addr] = 0;			/* vma_iter_clear_gfp() */
	d_step {				/* unmap_vmas() */
		!ptl ->
		property(page_lost, pte[addr] == NONE);
		pte[addr] = NONE
	};
	if					/* anon_rmap_unlink() */
	:: vma[v].anon_vma ->
	   down_write(M);
	   d_step { detached = 0; anon_rmap_hide_vma(v); M.writer = 0 }
	:: else
	fi;
	/* The grace period is in the munmap model: free at once if unused. */
	d_step {
		!vma[v].users || vma[v].displaced ->
		property(vma_freed_in_use, !vma[v].users && !vma[v].displaced);
		vma[v].live = 0
	}
}

#ifdef MOVE_AWAY_NO_M
#define LOCK_AWAY	false
#else
#define LOCK_AWAY	true
#endif
#ifdef MOVE_BACK_NO_M
#define LOCK_BACK	false
#else
#define LOCK_BACK	true
#endif

/* move_vma() from @old at @from to @new at @to, where nothing is mapped */
inline move_vma(old, new, from, to, locked)
{
	d_step {				/* copy_vma(): vm_area_dup() */
		vma[new].live = 1;
		vma[new].delta = to
	};
#ifndef DISPLACE_LATE
	anon_rmap_clone(new);
#endif
	mm_mt[to] = new;			/* vma_link() */
	move_page_tables(from, to, locked);
#ifdef DISPLACE_LATE
	anon_rmap_clone(new);
#endif
	if
	:: true ->				/* ->mremap() failed: undo */
	   move_page_tables(to, from, true);
	   do_munmap(new, to)
	:: true ->				/* MREMAP_DONTUNMAP */
	   down_write(M);			/* anon_rmap_unlink() */
	   d_step { anon_rmap_hide_vma(old); M.writer = 0 };
	   /* Room for the way back: MREMAP_FIXED unmaps what is there. */
	   do_munmap(old, from)
	:: true ->
	   do_munmap(old, from)
	fi
}

proctype mm()
{
	byte entry;

	move_vma(1, 2, 0, 1, LOCK_AWAY);
	if
	:: mm_mt[1] == 2 -> move_vma(2, 3, 1, 0, LOCK_BACK)
	:: else
	fi;

	/* exit_mmap() */
	d_step {				/* unmap_vmas() */
		!ptl ->
		property(zap_met_stale_migration_entry,
			 pte[0] != MIGRATION && pte[1] != MIGRATION || folio_locked);
		zapped = 1;
		pte[0] = NONE;
		pte[1] = NONE
	};
	down_write(A);				/* __anon_rmap_exit() */
	d_step { linked = 0; A.writer = 0; anon_refs-- };
	d_step {				/* remove_vma() */
		property(vma_freed_in_use, !vma[1].users && !vma[2].users &&
			 !vma[3].users);
		vma[1].live = 0; vma[2].live = 0; vma[3].live = 0;
		vma[1].anon_vma = 0; vma[2].anon_vma = 0; vma[3].anon_vma = 0;
		vma[2].displaced = 0;		/* anon_rmap_unlink() */
		mm_mt[0] = 0; mm_mt[1] = 0
	};
	!walking;
	property(not_everything_freed, !anon_refs && !detached &&
		 !vma[1].displaced && !vma[3].displaced &&
		 pte[0] == NONE && pte[1] == NONE)
}

init
{
	atomic {
		vma[1].live = 1;
		vma[1].anon_vma = 1;
		mm_mt[0] = 1;
		pte[0] = PRESENT;
		linked = 1;
		anon_refs = 1;
		run mm();
		run migrate();
		run look()
	}
}
