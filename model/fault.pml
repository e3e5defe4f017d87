/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The first fault, which takes neither mmap_lock nor M, against a split and a
 * walker that must find what was faulted in.
 *
 * One process.  VMA 1 covers two addresses; a thread faults at each of them
 * under the per-VMA lock while VMA 2 is split off at address 1.  The store to
 * vma->anon_vma goes through a store buffer: others see it when the buffer is
 * drained, at the latest at a barrier or when a lock is released.  Before it
 * splits, mprotect() asks whether the VMA has been written to.
 *
 * Mutations: PREPARE_NO_WMB, MPROTECT_ASKS_EARLY, SPLIT_WITHOUT_VMA_LOCK,
 * SPLIT_WITHOUT_M, NO_RANGE_CHECK
 */
#include "lib.pml"

typedef vma_struct {
	bit anon_vma;
	byte start;
	byte end;
	byte readers;		/* per-VMA lock */
	bit writer
}

vma_struct vma[3];		/* 0 is NULL */
byte mm_mt[2];
rwsem M;
bit mmap_write_locked;
bit pte[2];
bit ptl;
byte running = 4;
byte pending[2];		/* VMA whose anon_vma each thread has stored to */

active proctype store_buffers()
{
end:
	do
	:: d_step { pending[0] -> vma[pending[0]].anon_vma = 1; pending[0] = 0 }
	:: d_step { pending[1] -> vma[pending[1]].anon_vma = 1; pending[1] = 0 }
	od
}

inline drain()
{
	if
	:: pending[me] -> vma[pending[me]].anon_vma = 1; pending[me] = 0
	:: else
	fi
}

/* anon_rmap_prepare() */
inline anon_rmap_prepare(v)
{
	if
	:: vma[v].anon_vma
	:: else ->
	   pending[me] = v;			/* smp_store_release() */
#ifndef PREPARE_NO_WMB
	   d_step { drain() }			/* smp_wmb() */
#endif
	fi
}

/* do_anonymous_page() at address @me */
proctype fault(bit me)
{
	byte v;

	atomic {				/* lock_vma_under_rcu() */
		!vma[mm_mt[me]].writer ->
		v = mm_mt[me];
		vma[v].readers++
	};
	anon_rmap_prepare(v);
	atomic { !ptl -> ptl = 1 };
	pte[me] = 1;				/* and the folio is mapped */
	d_step { drain(); ptl = 0 };		/* a release */
	vma[v].readers--;
	running--
}

/* do_mprotect_pkey(), or __split_vma() at address 1 alone, as munmap() does */
proctype split()
{
	bit locked, asked, answer;

	mmap_write_locked = 1;
	if
	:: true ->
#ifndef MPROTECT_ASKS_EARLY
	   /* vma_anon_start_write() */
	   atomic { !vma[1].readers -> vma[1].writer = 1 };
#endif
	   answer = vma[1].anon_vma;		/* security_file_mprotect() */
	   asked = 1
	:: true
	fi;
#ifndef SPLIT_WITHOUT_VMA_LOCK
	/* vma_anon_start_write() */
	atomic { !vma[1].readers -> vma[1].writer = 1 };
#endif
	property(asked_about_another, !asked || answer == vma[1].anon_vma);
	d_step {				/* vm_area_dup() */
		vma[2].start = 1;
		vma[2].end = 2
	};
	vma[2].anon_vma = vma[1].anon_vma;	/* anon_rmap_clone() */
	/* vma_start_write() of both */
	atomic { !vma[1].readers -> vma[1].writer = 1; vma[2].writer = 1 };
	if					/* vma_prepare() */
#ifndef SPLIT_WITHOUT_M
	:: vma[1].anon_vma -> down_write(M); locked = 1
#endif
	:: else
	fi;
	vma[1].end = 1;				/* vma_set_range() */
	mm_mt[1] = 2;				/* vma_iter_store() */
	if					/* vma_complete() */
	:: locked -> up_write(M)
	:: else
	fi;
	d_step {				/* mmap_write_unlock() */
		vma[1].writer = 0;
		vma[2].writer = 0;
		mmap_write_locked = 0
	};
	running--
}

/*
 * A walk for the folio at one of the addresses, once it is mapped, or for one
 * that a relative has there, and this process not yet.
 */
proctype walk()
{
	byte addr, v;
	bit mapped, seen;

	if
	:: addr = 0
	:: addr = 1
	fi;
	if
	:: pte[addr] -> mapped = 1
	:: true
	fi;
	down_read(M);
	v = mm_mt[addr];			/* anon_rmap_find() */
	if
	:: vma[v].anon_vma ->			/* vma_findable() */
	   if
#ifndef NO_RANGE_CHECK
	   :: vma[v].start > addr || vma[v].end <= addr
#endif
	   :: else ->				/* anon_rmap_visit() */
	      property(unset_range_used, vma[v].start <= addr && addr < vma[v].end);
	      seen = 1
	   fi
	:: else
	fi;
	up_read(M);
	property(mapped_page_missed, seen || !mapped);
	running--
}

init
{
	atomic {
		vma[1].end = 2;
		mm_mt[0] = 1;
		mm_mt[1] = 1;
		run fault(0);
		run fault(1);
		run split();
		run walk()
	}
	!running;
	property(not_everything_freed, !M.readers && !M.writer && !pending[0] &&
		 !pending[1] && !vma[1].readers && !vma[2].readers)
}
