/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * munmap with its published tree, MAP_FIXED, and exit, against walkers that
 * must find every entry and one that gives up when a lock is taken.
 *
 * One process, one address, two VMAs that follow each other there.
 *
 * Mutations: NO_PUBLISH, PUBLISH_LATE, HIDE_LATE, HIDE_WITHOUT_M, FREE_WITHOUT_RCU,
 * HINT_KEPT
 */
#define QUEUED_WRITERS
#include "lib.pml"

typedef vma_struct {
	bit anon_vma;		/* findable */
	bit freed;
	bit pending;		/* waits for a grace period */
	byte grace;		/* the readers it waits for */
	byte users		/* walkers that hold a pointer to it */
}

vma_struct vma[3];		/* 1 and 2; 0 is NULL */
byte mm_mt;			/* the VMA at the address */
byte detached;			/* mm->anon_rmap.detached */
byte hint;			/* mm->anon_rmap.hint */
rwsem A;			/* anon_vma->rwsem */
rwsem M;			/* mm->anon_rmap.rwsem */
bit linked;			/* the mm is on anon_vma->mms */
byte anon_refs;			/* anon_vma->refcount */
byte in_mm;			/* walkers inside the mm */
bit mm_freed;
bit page_table;			/* of the address */
byte in_table;			/* walkers inside it */
byte pte;
bit ptl;
bit folio_locked;
byte rcu;			/* readers inside rcu_read_lock() */
byte walkers_done;

/* page_vma_mapped_walk() and what rmap_one does to the entry. */
inline anon_rmap_visit(v, goal)
{
	property(vma_freed_in_use, !vma[v].freed);
	if
	:: atomic { page_table -> in_table++ };
	   spin_lock(ptl);
	   if
	   :: goal == SET && pte == PRESENT -> pte = MIGRATION
	   :: goal == REMOVE && pte == MIGRATION -> pte = PRESENT
	   :: else
	   fi;
	   spin_unlock(ptl);
	   in_table--
	:: !page_table
	fi
}

/* anon_rmap_walk_range(): the hint or mm_mt, then the munmap in progress. */
inline walk_mm(me, goal)
{
	d_step {				/* anon_rmap_find() */
		v = hint;
		found = (v != 0);
		if
		:: v -> vma[v].users++
		:: else -> rcu = rcu | me
		fi
	};
	if
	:: found
	:: else ->
	   d_step { v = mm_mt; vma[v].users++ };
	   if
	   :: v ->
	      property(vma_freed_in_use, !vma[v].freed);
	      found = vma[v].anon_vma		/* vma_findable() */
	   :: else
	   fi;
	   d_step {
		rcu = rcu & ~me;
		vma[1].grace = vma[1].grace & ~me;
		vma[2].grace = vma[2].grace & ~me;
		if
		:: !found -> vma[v].users--; v = 0
		:: else
		fi
	   };
	   if
	   :: found -> hint = v
	   :: true				/* another VMA by now */
	   fi
	fi;
	if
	:: found -> anon_rmap_visit(v, goal); d_step { vma[v].users--; v = 0 }
	:: else
	fi;
	if
	:: detached ->				/* anon_rmap_detached() */
	   d_step { v = detached; vma[v].users++ };
	   if
	   :: vma[v].anon_vma -> anon_rmap_visit(v, goal)
	   :: else
	   fi;
	   d_step { vma[v].users--; v = 0 }
	:: else
	fi;
	found = false
}

/* anon_rmap_walk(); the caller holds A. */
inline anon_rmap_walk(me, goal, try_lock)
{
	if
	:: linked ->
	   in_mm++;
	   if					/* anon_rmap_lock_read() */
	   :: try_lock -> down_read_trylock(M, locked)
	   :: else -> down_read(M); locked = true
	   fi;
	   if
	   :: locked -> walk_mm(me, goal); up_read(M); locked = false
	   :: else
	   fi;
	   in_mm--
	:: else
	fi
}

inline put_anon_vma()
{
	d_step { assert(anon_refs); anon_refs-- }
}

/* migrate_pages(): set migration entries, copy the folio, remove them. */
proctype migrate()
{
	byte v, round;
	bool found, locked;

	do
	:: round < 2 ->
	   round++;
	   spin_lock(folio_locked);
	   if
	   :: atomic { pte == PRESENT && anon_refs -> anon_refs++ };
						/* folio_get_anon_vma() */
	      down_read(A);
	      anon_rmap_walk(1, SET, false);
	      up_read(A);
	      down_read(A);
	      anon_rmap_walk(1, REMOVE, false);
	      up_read(A);
	      property(migration_entry_left_behind, pte != MIGRATION);
	      put_anon_vma()
	   :: else
	   fi;
	   spin_unlock(folio_locked)
	:: else -> break
	od;
	walkers_done++
}

/* folio_referenced() from reclaim: gives up when something is locked. */
proctype reclaim()
{
	byte v;
	bool found, locked;

	if			/* folio_lock_anon_vma_read() */
	:: atomic { pte == PRESENT && anon_refs && !A.writer && !A.waiting ->
		    A.readers++ };
	   anon_rmap_walk(2, LOOK, true);
	   up_read(A)
	:: true
	fi;
	walkers_done++
}

/* unmap_vmas() */
inline zap()
{
	spin_lock(ptl);
	if
	:: pte == MIGRATION ->
	   property(zap_met_stale_migration_entry, folio_locked)
	:: else
	fi;
	pte = NONE;
	spin_unlock(ptl)
}

/* free_pgtables() */
inline free_pgtables()
{
	d_step {
		property(page_table_freed_in_use, !in_table);
		page_table = 0
	}
}

/* __vm_area_free() */
inline free_vma(v)
{
	property(vma_freed_in_use, !vma[v].users);
	vma[v].freed = 1
}

/* __anon_rmap_publish() */
inline anon_rmap_publish(v)
{
	if
	:: vma[v].anon_vma ->
	   down_write(M);
	   detached = v;
	   up_write(M)
	:: else
	fi
}

/* __anon_rmap_publish() with NULL */
inline unpublish()
{
	if
	:: detached -> down_write(M); detached = 0; up_write(M)
	:: else
	fi
}

/* free_pgtables(), unlink_anon_vmas(): anon_rmap_unlink(), anon_rmap_hide_vma() */
inline anon_rmap_unlink(v)
{
	if
	:: vma[v].anon_vma ->
#ifndef HIDE_WITHOUT_M
	   down_write(M);
#endif
	   detached = 0;
#ifndef HINT_KEPT
	   hint = 0;
#endif
	   vma[v].anon_vma = 0;
#ifndef HIDE_WITHOUT_M
	   up_write(M)
#endif
	:: else
	fi
}

/* vms_clear_ptes() */
inline vms_clear_ptes(v)
{
	zap();
#ifdef HIDE_LATE
	free_pgtables();
	anon_rmap_unlink(v)
#else
	anon_rmap_unlink(v);
	free_pgtables()
#endif
}

/* remove_vma(): vm_area_free(), the callback runs in rcu_callbacks() */
inline remove_vma(v)
{
	d_step {
		vma[v].pending = 1;
		vma[v].grace = rcu;
#ifdef FREE_WITHOUT_RCU
		vma[v].grace = 0
#endif
	}
}

/* __anon_rmap_exit(): one anon_vma, one link */
inline anon_rmap_exit()
{
	down_write(A);
	linked = 0;
	up_write(A);
	put_anon_vma()
}

proctype mm()
{
	byte cur = 1;
	bit done;

	/* One operation on each VMA at most, then exit. */
	do
	:: !done && !vma[1].pending && !vma[2].pending ->
	   if
	   :: true ->			/* do_vmi_align_munmap() */
#if !defined(NO_PUBLISH) && !defined(PUBLISH_LATE)
	      anon_rmap_publish(cur);
#endif
	      if
	      :: true ->		/* vma_iter_clear_gfp() fails */
		 unpublish()
	      :: true ->
		 mm_mt = 0;
#ifdef PUBLISH_LATE
		 anon_rmap_publish(cur);
#endif
		 vms_clear_ptes(cur);
		 remove_vma(cur);
		 cur = 3 - cur;
		 done = (cur == 1);
		 if
		 :: done
		 :: else -> mm_mt = cur	/* mmap_region() */
		 fi
	      fi
	   :: cur == 1 ->		/* mmap_region() with MAP_FIXED */
	      vms_clear_ptes(cur);	/* vms_clean_up_area() */
	      mm_mt = 2;
	      remove_vma(cur);		/* vms_complete_munmap_vmas() */
	      cur = 2
	   fi
	:: !done && cur == 2 && !vma[2].anon_vma ->
	   vma[2].anon_vma = 1;		/* first fault, anon_rmap_prepare() */
	   page_table = 1;
	   spin_lock(ptl);
	   pte = OTHER;
	   spin_unlock(ptl)
	:: true -> break
	od;

	/* exit_mmap() */
	if
	:: mm_mt -> zap()
	:: else
	fi;
	anon_rmap_exit();
	free_pgtables();
	d_step {
		if
		:: mm_mt -> free_vma(mm_mt); mm_mt = 0
		:: else
		fi;
		property(mm_freed_in_use, !in_mm);	/* mmdrop() */
		mm_freed = 1
	};

	walkers_done == 2;
	!vma[1].pending && !vma[2].pending;
	property(not_everything_freed, vma[1].freed && (vma[2].freed || cur == 1) &&
		 !anon_refs && !detached && !page_table && !rcu && pte == NONE)
}

active proctype rcu_callbacks()
{
end:
	do
	:: d_step { vma[1].pending && !vma[1].grace ->
		    vma[1].pending = 0; free_vma(1) }
	:: d_step { vma[2].pending && !vma[2].grace ->
		    vma[2].pending = 0; free_vma(2) }
	od
}

init
{
	atomic {
		mm_mt = 1;
		vma[1].anon_vma = 1;
		page_table = 1;
		pte = PRESENT;
		linked = 1;
		anon_refs = 1;
		run mm();
		run migrate();
		run reclaim()
	}
}
