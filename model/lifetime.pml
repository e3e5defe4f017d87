/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A walker that comes too late: folio_lock_anon_vma_read() against the exit of
 * the last process, while the anon_vma is freed and recycled, lazy or regular.
 *
 * The slab is SLAB_TYPESAFE_BY_RCU: the object stays an anon_vma, but not this
 * one.  A regular one is locked by the rwsem of its root, another object here.
 *
 * Before it exits the process may take the rwsem while the folio is mapped, so
 * that walkers have to wait for it.
 *
 * Mutations: UNLOCK_BY_MODE, NO_RECHECK, FREE_NO_WAIT
 */
#define QUEUED_WRITERS
#include "lib.pml"

#define OURS	1		/* the anon_vma of the folio */
#define NEW	2		/* somebody else's, in the same object */

byte who = OURS;		/* 0: free */
bit lazy = 1;
bit foreign_root;		/* root is another object */
rwsem sem[2];			/* of the object, and of that other one */
byte refcount = 1;
bit linked = 1;			/* mms has the process */
bit mapped = 1;			/* folio_mapped() */
byte visiting;
bit mm_freed;
byte running = 2;

/* __put_anon_vma() and anon_vma_free() */
inline put_anon_vma()
{
	d_step { refcount--; freeing = !refcount };
	if
	:: freeing ->
#ifndef FREE_NO_WAIT
	   if					/* rwsem_is_locked() */
	   :: sem[0].readers || sem[0].writer -> down_write(sem[0]); up_write(sem[0])
	   :: else
	   fi;
#endif
	   d_step {
		property(anon_vma_freed_in_use, !visiting);
		who = 0;
		lazy = 0			/* anon_vma_set_regular() */
	   }
	:: else
	fi
}

/* anon_rmap_walk() with the rwsem of the anon_vma held */
inline anon_rmap_walk()
{
	d_step {
		property(foreign_anon_vma_used, who == OURS && lazy);
		visiting++
	};
	if
	:: linked -> property(mm_freed_in_use, !mm_freed)
	:: else
	fi;
	visiting--
}

/* rmap_walk_anon() by way of folio_lock_anon_vma_read(); @try_lock or not */
proctype walk(bit try_lock)
{
	bit owner, freeing, got;

	if
	:: !mapped -> goto out
	:: else
	fi;
	owner = foreign_root;			/* READ_ONCE(anon_vma->root) */
	if
	:: lazy -> owner = 0			/* anon_vma_is_lazy() */
	:: else
	fi;
	down_read_trylock(sem[owner], got);
	if
	:: got ->
#ifndef NO_RECHECK
	   if
	   :: !mapped ->
#ifdef UNLOCK_BY_MODE
	      owner = (lazy -> 0 : foreign_root);
#endif
	      d_step {
		property(foreign_lock_released, sem[owner].readers);
		sem[owner].readers--
	      };
	      goto out
	   :: else
	   fi;
#endif
	   anon_rmap_walk();
	   owner = (lazy -> 0 : foreign_root);	/* anon_vma_unlock_read() */
	   d_step {
		property(foreign_lock_released, sem[owner].readers);
		sem[owner].readers--
	   }
	:: else ->
	   if
	   :: try_lock -> goto out
	   :: else
	   fi;
	   if					/* atomic_inc_not_zero() */
	   :: d_step { refcount -> refcount++ }
	   :: !refcount -> goto out
	   fi;
	   if
	   :: !mapped -> put_anon_vma(); goto out
	   :: else
	   fi;
	   owner = (lazy -> 0 : foreign_root);
	   down_read(sem[owner]);		/* anon_vma_lock_read() */
	   d_step { refcount--; freeing = !refcount };
	   if
	   :: freeing ->			/* the last reference: bail out */
	      up_read(sem[owner]);
	      d_step { property(anon_vma_freed_in_use, !visiting); who = 0; lazy = 0 }
	   :: else ->
	      anon_rmap_walk();
	      owner = (lazy -> 0 : foreign_root);
	      d_step {
		property(foreign_lock_released, sem[owner].readers);
		sem[owner].readers--
	      }
	   fi
	fi;
out:
	running--
}

/* exit_mmap() of the only process, __anon_rmap_exit() */
active proctype mm()
{
	bit freeing;

	if
	:: down_write(sem[0]); up_write(sem[0])	/* fork, or huge page split */
	:: true
	fi;
	mapped = 0;				/* unmap_vmas() */
	down_write(sem[0]);
	linked = 0;
	up_write(sem[0]);
	put_anon_vma();
	d_step {
		property(mm_freed_in_use, !linked);
		mm_freed = 1
	}
}

/* anon_vma_alloc() or anon_vma_alloc_lazy() by others, who use and free it */
active proctype recycle()
{
	byte round;

end:
	do
	:: round < 2 ->
	   d_step { who == 0 -> who = NEW; refcount = 1; round++ };
	   if
	   :: lazy = 1; foreign_root = 0
	   :: foreign_root = 0			/* regular, its own root */
	   :: foreign_root = 1			/* regular */
	   fi;
	   if
	   :: lazy -> down_write(sem[0]); up_write(sem[0])
	   :: !lazy && foreign_root -> down_write(sem[1]); up_write(sem[1])
	   :: else
	   fi;
	   /* Freed again when nobody holds what locks it. */
	   if
	   :: lazy || !foreign_root -> down_write(sem[0]); up_write(sem[0])
	   :: else -> down_write(sem[1]); up_write(sem[1])
	   fi;
	   d_step {
		refcount--;
		if
		:: !refcount -> who = 0; lazy = 0
		:: else				/* a late walker holds it */
		fi
	   }
	:: else -> break
	od
}

init
{
	atomic { run walk(0); run walk(1) }
	!running && mm_freed;
	property(not_everything_freed, !linked && who != OURS && !visiting &&
		 !sem[0].readers && !sem[1].readers)
}
