/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fork with its bound, fork that fails, and exit, against a walker that must
 * find every migration entry.
 *
 * NR_MM processes: 0 forks 1, 1 forks 2; with SIBLINGS 0 forks 2 as well, which
 * walks visit before 1.  Two addresses with one VMA each.
 * One folio, of process 0, at one of the two addresses, in a natural or in a
 * displaced VMA, there before the first fork.  With two processes it may also be
 * faulted in next to it, under the per-VMA lock, and forks may fail.
 *
 * The stores of a VMA into the child's tree and of the bound go through a
 * store buffer: other processors see them when the buffer is drained, at the
 * latest when the forking one releases a lock.  A VMA may stay out of the child,
 * whose tree is then put together anew.
 *
 * Mutations: NO_BOUND, BOUND_AFTER_COPY, BOUND_RELAXED, CHILD_FIRST,
 * LINK_AFTER_COPY, OWN_IN_FORK, FORK_WITHOUT_VMA_LOCK, EARLY_OUT, FAILED_FORK_UNBOUND,
 * UNLINK_LATE, TREE_WITHOUT_RCU
 */
#include "lib.pml"

#ifndef NR_MM
#define NR_MM	2
#endif
#define ID(mm, addr)	((mm) * 2 + (addr))
#define VMA(slot)	((slot) - 1)
#define XA_ZERO		7
#ifdef SIBLINGS
#define FORKS(mm, c)	((mm) == 0 && (c) < NR_MM)
#else
#define FORKS(mm, c)	((c) == (mm) + 1 && (c) < NR_MM)
#endif
#if NR_MM == 2
#define MAY_FAIL	true
#else
#define MAY_FAIL	false
#endif

byte mm_mt[NR_MM * 2];		/* by mm and address: VMA + 1, or XA_ZERO */
byte bound[NR_MM];		/* addresses below may be read */
bit vma_live[NR_MM * 2];
bit anon_vma[NR_MM * 2];	/* vma->anon_vma */
bit displaced[NR_MM * 2];	/* has an AVC in mm->anon_rmap.displaced */
byte pte[NR_MM];		/* of the folio's address */
byte in_tree[NR_MM];		/* walkers between rcu_read_lock() and unlock */
bit ptl[NR_MM];
rwsem M[NR_MM];
byte in_mm[NR_MM];		/* walkers */
bit mm_live[NR_MM];
bit vma_read_locked;		/* the folio's VMA in process 0, by a fault */
byte vma_write_locked;		/* 1: by fork, until it is over; 2: by exit */

rwsem A;
byte mms[NR_MM];		/* anon_vma->mms */
byte nr_mms;
byte anon_refs;
bit folio_locked;
byte at;			/* address of the folio */
byte running;
byte walking = 2;

/* The store buffer of the processor that forks; forks do not overlap. */
byte pending_slot, pending_vma;
byte pending_bound, pending_mm;

#if NR_MM == 2
#define ANY_PTE(what)	(pte[0] == what || pte[1] == what)
#define ANY(what)	(what[0] || what[1])
#define ANY_VMA(what)	(what[0] || what[1] || what[2] || what[3])
#define LINKED(mm)	(nr_mms > 0 && mms[0] == mm || nr_mms > 1 && mms[1] == mm)
#else
#define ANY_PTE(what)	(pte[0] == what || pte[1] == what || pte[2] == what)
#define ANY(what)	(what[0] || what[1] || what[2])
#define ANY_VMA(what)	(what[0] || what[1] || what[2] || what[3] || \
			 what[4] || what[5])
#define LINKED(mm)	(nr_mms > 0 && mms[0] == mm || nr_mms > 1 && mms[1] == mm || \
			 nr_mms > 2 && mms[2] == mm)
#endif

inline drain_slot()
{
	mm_mt[pending_slot] = pending_vma;
	pending_vma = 0;
	pending_slot = 0
}

inline drain_bound()
{
	bound[pending_mm] = pending_bound;
	pending_bound = 0;
	pending_mm = 0
}

inline drain_all()
{
	if
	:: pending_vma -> drain_slot()
	:: else
	fi;
	if
	:: pending_bound -> drain_bound()
	:: else
	fi
}

active proctype store_buffer()
{
end:
	do
	:: d_step { pending_vma -> drain_slot() }
#ifdef BOUND_RELAXED
	:: d_step { pending_bound -> drain_bound() }
#else
	:: d_step { pending_bound && !pending_vma -> drain_bound() }
#endif
	od
}

/*
 * anon_rmap_visit(): PVMW_SYNC, so the entry is looked at with its lock, which
 * nobody else needs to see taken.
 */
inline anon_rmap_visit(mm, goal)
{
	d_step {
		!ptl[mm] ->
		if
		:: goal == SET && pte[mm] == PRESENT -> pte[mm] = MIGRATION
		:: goal == REMOVE && pte[mm] == MIGRATION -> pte[mm] = PRESENT
		:: else
		fi
	}
}

/* anon_rmap_walk_mm(), with anon_rmap_find() for natural VMAs */
inline anon_rmap_walk_mm(mm, goal)
{
	if
#ifdef NO_BOUND
	:: true ->
#else
	:: bound[mm] > at ->			/* smp_load_acquire() */
#endif
	   in_tree[mm]++;
	   d_step { found = mm_mt[ID(mm, at)]; in_tree[mm]-- };
	   if
	   :: found ->
	      d_step {				/* vma_findable() */
		property(foreign_vma_touched,
			 found != XA_ZERO && VMA(found) / 2 == mm);
		property(vma_freed_in_use, vma_live[VMA(found)]);
		found = anon_vma[VMA(found)] && !displaced[VMA(found)]
	      }
	   :: else
	   fi;
	   if
	   :: found -> found = 0; anon_rmap_visit(mm, goal)
	   :: else
	   fi
#ifndef NO_BOUND
	:: else
#endif
	fi;
	if
	:: displaced[ID(mm, at)] ->
	   property(vma_freed_in_use, vma_live[ID(mm, at)]);
	   anon_rmap_visit(mm, goal)
	:: else
	fi
}

/* anon_rmap_walk() with A held for read */
inline anon_rmap_walk(goal)
{
	do
	:: link < nr_mms ->
	   d_step {
		mm = mms[link];
		property(mm_freed_in_use, mm_live[mm]);
		in_mm[mm]++
	   };
	   down_read(M[mm]);
	   anon_rmap_walk_mm(mm, goal);
	   d_step { M[mm].readers--; in_mm[mm]--; mm = 0; link++ }
	:: else -> break
	od;
	link = 0
}

/* migrate_pages() */
proctype migrate()
{
	byte mm, link, found;

	if
	:: atomic { ANY_PTE(PRESENT) && anon_refs ->
		    anon_refs++; folio_locked = 1 };
						/* folio_get_anon_vma() */
	   down_read(A);
	   anon_rmap_walk(SET);
	   up_read(A);
	   down_read(A);
	   anon_rmap_walk(REMOVE);
	   d_step {
		A.readers--;
		property(migration_entry_left_behind, !ANY_PTE(MIGRATION));
		anon_refs--
	   }
	:: true
	fi;
	walking--
}

/* anon_rmap_link(): right after its parent */
inline anon_rmap_link(mm, parent)
{
	down_write(A);
	d_step {
#ifdef CHILD_FIRST
#if NR_MM > 2
		mms[2] = mms[1];
#endif
		mms[1] = mms[0];
		mms[0] = mm;
#elif NR_MM > 2
		if
		:: nr_mms == 2 && mms[0] == parent ->
		   mms[2] = mms[1];
		   mms[1] = mm
		:: else -> mms[nr_mms] = mm
		fi;
#else
		mms[nr_mms] = mm;
#endif
		nr_mms++;
		A.writer = 0
	}
}

/* do_anonymous_page() under lock_vma_under_rcu(), in process 0 */
proctype fault()
{
	if
	:: atomic {
#ifdef FORK_WITHOUT_VMA_LOCK
		vma_write_locked < 2 &&
#else
		!vma_write_locked &&
#endif
		!anon_vma[ID(0, at)] -> vma_read_locked = 1
	   };
#ifdef OWN_IN_FORK
	   /* The own anon_vma is made by the first fault. */
	   anon_refs++;
	   anon_rmap_link(0, 0);
#endif
	   anon_vma[ID(0, at)] = 1;		/* anon_rmap_prepare() */
	   d_step { !ptl[0] -> pte[0] = PRESENT };
	   vma_read_locked = 0
	:: true
	fi;
	walking--
}

/* copy_page_range() of the folio's VMA */
inline copy_page_range(c, p)
{
	if
	:: anon_vma[ID(p, at)] ->		/* vma_needs_copy() */
	   ptl[c] = 1;
	   atomic { !ptl[p] -> ptl[p] = 1 };
	   entry = pte[p];
	   pte[c] = entry;
	   d_step { entry = 0; drain_all(); ptl[p] = 0; ptl[c] = 0 }
	:: else
	fi
}

/* dup_mmap().  @failed says how it ends. */
inline dup_mmap(c, p)
{
	mm_live[c] = 1;
	if
	:: MAY_FAIL -> failed = true		/* __anon_rmap_fork(): -ENOMEM */
	:: true ->
#if defined(OWN_IN_FORK)
	   if
	   :: nr_mms -> anon_rmap_link(c, p)
	   :: else
	   fi
#elif !defined(LINK_AFTER_COPY)
	   anon_rmap_link(c, p)
#endif
	fi;
	if
	:: failed
	:: !failed && MAY_FAIL -> failed = true	/* __mt_dup(): -ENOMEM */
	:: !failed ->
	   d_step {
		mm_mt[ID(c, 0)] = mm_mt[ID(p, 0)];
		mm_mt[ID(c, 1)] = mm_mt[ID(p, 1)]
	   }
	fi;
	do
	:: !failed && addr < 2 ->
#ifndef FORK_WITHOUT_VMA_LOCK
	   if					/* vma_start_write(mpnt) */
	   :: p == 0 && addr == at ->
	      atomic { !vma_read_locked -> vma_write_locked = 1 }
	   :: else
	   fi;
#endif
	   if
	   :: MAY_FAIL ->			/* vm_area_dup() etc.: -ENOMEM */
	      failed = true;
	      mm_mt[ID(c, addr)] = XA_ZERO
	   :: addr == 1 && at == 0 ->		/* VM_DONTCOPY: vma_iter_clear_gfp() */
	      d_step {
#ifdef TREE_WITHOUT_RCU
		property(tree_node_freed_in_use, !in_tree[c]);
#endif
		if
		:: pending_vma -> drain_slot()
		:: else
		fi;
		mm_mt[ID(c, 1)] = 0
	      };
	      addr++
	   :: true ->
	      d_step {				/* vm_area_dup() */
		vma_live[ID(c, addr)] = 1;
		anon_vma[ID(c, addr)] = anon_vma[ID(p, addr)]
	      };
	      if				/* anon_rmap_clone() */
	      :: displaced[ID(p, addr)] ->	/* anon_rmap_displace() */
		 down_write(M[c]);
		 d_step { displaced[ID(c, addr)] = 1; M[c].writer = 0 }
	      :: else
	      fi;
	      d_step {				/* vma_iter_bulk_store() */
		if
		:: pending_vma -> drain_slot()	/* rcu_assign_pointer() */
		:: else
		fi;
		pending_slot = ID(c, addr);
		pending_vma = ID(c, addr) + 1
	      };
#ifndef BOUND_AFTER_COPY
	      d_step {				/* anon_rmap_fork_bound() */
		pending_mm = c;
		pending_bound = addr + 1
	      };
#endif
	      if
	      :: addr == at -> copy_page_range(c, p)
	      :: else
	      fi;
#ifdef BOUND_AFTER_COPY
	      d_step {
		pending_mm = c;
		pending_bound = addr + 1
	      };
#endif
	      if
	      :: true -> addr++
	      :: MAY_FAIL && addr == at && anon_vma[ID(p, addr)] ->
		 failed = true;			/* copy_page_range(): -ENOMEM */
		 d_step {
			drain_all();
			if
			:: addr == 0 -> mm_mt[ID(c, 1)] = XA_ZERO
			:: else
			fi
		 }
	      fi
	   fi
	:: else -> break
	od;
#ifdef LINK_AFTER_COPY
	anon_rmap_link(c, p);
#endif
#ifdef FAILED_FORK_UNBOUND
	bound[c] = 2;
#endif
	atomic {				/* mmap_write_unlock() */
		drain_all();
		addr = 0;
		if
		:: p == 0 -> vma_write_locked = 0
		:: else
		fi
	}
}

/* __anon_rmap_exit() */
inline anon_rmap_exit(mm)
{
	if
	:: LINKED(mm) ->
	   down_write(A);
	   d_step {				/* list_del() */
		if
		:: mms[0] == mm ->
		   mms[0] = mms[1];
#if NR_MM > 2
		   mms[1] = mms[2]
		:: mms[0] != mm && mms[1] == mm ->
		   mms[1] = mms[2]
#endif
		:: else
		fi;
		mms[NR_MM - 1] = 0;
		nr_mms--;
		A.writer = 0;
		if
		:: nr_mms == 0 -> anon_refs--	/* put_anon_vma() */
		:: else
		fi
	   }
	:: else
	fi
}

/* unmap_vmas() meets the entry. */
inline zap(mm)
{
	d_step {
		!ptl[mm] ->
		property(zap_met_stale_migration_entry,
			 pte[mm] != MIGRATION || folio_locked);
		pte[mm] = NONE
	}
}

/* exit_mmap() and mmdrop() */
inline exit_mmap(mm)
{
	if
	:: mm_mt[ID(mm, 0)] == 0 || mm_mt[ID(mm, 0)] == XA_ZERO ->
#ifndef EARLY_OUT
	   anon_rmap_exit(mm)
#else
	   skip
#endif
	:: else ->
	   zap(mm);
#ifndef UNLINK_LATE
	   anon_rmap_exit(mm);
#endif
	   d_step {				/* free_pgtables(), remove_vma() */
		property(page_table_freed_in_use, !in_mm[mm]);
		do
		:: addr < 2 && mm_mt[ID(mm, addr)] != XA_ZERO ->
		   vma_live[ID(mm, addr)] = 0;
		   anon_vma[ID(mm, addr)] = 0;
		   displaced[ID(mm, addr)] = 0;
		   addr++
		:: else -> break
		od;
		addr = 0
	   };
#ifdef UNLINK_LATE
	   anon_rmap_exit(mm)
#endif
	fi;
	d_step {				/* __mt_destroy() */
		mm_mt[ID(mm, 0)] = 0;
		mm_mt[ID(mm, 1)] = 0;
		property(mm_freed_in_use, !in_mm[mm] && !LINKED(mm));
		mm_live[mm] = 0;
		bound[mm] = 0
	}
}

/* A process forks and exits.  It frees a child that it failed to make. */
proctype process(byte self)
{
	byte addr, entry, child = self + 1;
	bool failed;

	do
	:: FORKS(self, child) ->
	   dup_mmap(child, self);
	   if
	   :: failed -> exit_mmap(child)
	   :: else -> atomic { running++; run process(child) }
	   fi;
	   child++
	:: true -> break			/* does not fork any more */
	od;
	if
	:: self == 0 ->				/* a fault holds a reference */
	   atomic { !vma_read_locked -> vma_write_locked = 2 }
	:: else
	fi;
	exit_mmap(self);
	running--
}

init
{
	atomic {
		mm_live[0] = 1;
		vma_live[ID(0, 0)] = 1; mm_mt[ID(0, 0)] = ID(0, 0) + 1;
		vma_live[ID(0, 1)] = 1; mm_mt[ID(0, 1)] = ID(0, 1) + 1;
		bound[0] = 2;
		if
		:: at = 0
		:: at = 1
		fi;
#ifndef OWN_IN_FORK
		mms[0] = 0; nr_mms = 1; anon_refs = 1;
		if
		:: displaced[ID(0, at)] = 1; anon_vma[ID(0, at)] = 1; pte[0] = PRESENT
		:: anon_vma[ID(0, at)] = 1; pte[0] = PRESENT
#if NR_MM == 2
		:: true			/* not faulted yet */
#endif
		fi;
#endif
		running = 1;
#if NR_MM == 2
		run fault();
#else
		walking--;
#endif
		run process(0);
		run migrate()
	}
	!running && !walking;
	property(not_everything_freed, !anon_refs && !nr_mms && !ANY(mm_live) &&
		 !ANY_VMA(vma_live) && !ANY_VMA(displaced) && !ANY(pte))
}
