/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who owns which anon_vma: fork takes over the anon_vma of a dead ancestor,
 * exit gives up what it was linked to.
 *
 * At most NR_MM processes at a time fork and exit in any order, for ever; so
 * the endless chain "fork, parent exits" is among them.  Every section under
 * the rwsem of an anon_vma is one step here, as nothing waits inside one.
 *
 * Mutations: REUSE_NO_RULE, REUSE_LATE, NO_REUSE, UNLINK_OLDEST_FIRST
 */
#include "lib.pml"

#ifndef NR_MM
#define NR_MM	3
#endif
#ifndef NR_ANON
#define NR_ANON	8		/* more are never needed: that is the bound */
#endif
#define NOBODY	15
#if NR_MM == 3
#define ALL_TAKEN	(mm[0].taken && mm[1].taken && mm[2].taken)
#define NONE_TAKEN	(!mm[0].taken && !mm[1].taken && !mm[2].taken)
#else
#define ALL_TAKEN	(mm[0].taken && mm[1].taken && mm[2].taken && mm[3].taken)
#define NONE_TAKEN	(!mm[0].taken && !mm[1].taken && !mm[2].taken && !mm[3].taken)
#endif

typedef anon_vma_struct {
	bit live;
	byte refcount;
	byte children;		/* num_children */
	byte owners;		/* num_active_vmas */
	byte linked;		/* length of mms */
	byte parent;
	byte root
}

typedef mm_struct {
	bit taken;		/* from fork to the end of exit */
	bit live;		/* starts to run */
	byte nr;
	byte links[NR_ANON];	/* oldest first; the code's list is newest first */
	byte own
}

anon_vma_struct anon_vma[NR_ANON];
#ifdef FORKS
byte forks;
#endif
byte nr_live;			/* anon_vmas */
mm_struct mm[NR_MM];

/* anon_rmap_link() */
inline anon_rmap_link(m, a)
{
	mm[m].links[mm[m].nr] = a;
	mm[m].nr++;
	anon_vma[a].linked++
}

inline take(m, a)
{
	mm[m].own = a;
	anon_vma[a].owners++;
	property(anon_vma_owned_twice, anon_vma[a].owners == 1)
}

/* anon_vma_alloc_lazy(): the slot it gets is @a */
inline anon_vma_alloc_lazy(a)
{
	a = 0;
	do
	:: a < NR_ANON && anon_vma[a].live -> a++
	:: else -> break
	od;
	property(anon_vmas_unbounded, a < NR_ANON);
	anon_vma[a].live = 1;
	nr_live++;
	anon_vma[a].refcount = 1
}

/* put_anon_vma() */
inline put_anon_vma(a)
{
	property(anon_vma_freed_in_use, anon_vma[a].live);
	anon_vma[a].refcount--;
	if
	:: !anon_vma[a].refcount ->		/* anon_vma_free() */
	   property(anon_vma_freed_in_use, !anon_vma[a].linked &&
		    !anon_vma[a].children && !anon_vma[a].owners);
	   anon_vma[a].live = 0;
	   nr_live--;
	   if
	   :: anon_vma[a].root != a ->
	      anon_vma[anon_vma[a].root].refcount--;
	      property(anon_vma_freed_in_use,
		       anon_vma[anon_vma[a].root].refcount)
	   :: else
	   fi;
	   anon_vma[a].parent = 0;
	   anon_vma[a].root = 0
	:: else
	fi
}

#ifdef REUSE_NO_RULE
#define MAY_REUSE(a)	true
#else
#define MAY_REUSE(a)	(anon_vma[a].children < 2 && !anon_vma[a].owners)
#endif

/* __anon_rmap_fork() of @self's child @c */
inline anon_rmap_fork(c)
{
	i = 0;
	do
	:: i < mm[self].nr ->
	   a = mm[self].links[i];
	   property(anon_vma_freed_in_use, anon_vma[a].live);
#ifdef REUSE_LATE
	   /* The test in one section, taking it over in another. */
	   reuse = mm[c].own == NOBODY && MAY_REUSE(a);
	   atomic {
		anon_rmap_link(c, a);
		if
		:: reuse -> take(c, a)
		:: else
		fi;
		reuse = false;
		i++
	   }
#else
	   d_step {
		anon_rmap_link(c, a);
		if
#ifdef NO_REUSE
		:: false -> skip
#else
		:: mm[c].own == NOBODY && MAY_REUSE(a) -> take(c, a)
#endif
		:: else
		fi;
		i++
	   }
#endif
	:: else -> break
	od;
	if
	:: mm[c].own == NOBODY ->		/* anon_rmap_new_own() */
	   d_step {
		anon_vma_alloc_lazy(a);
		anon_vma[a].parent = mm[self].own;
		anon_vma[a].root = anon_vma[mm[self].own].root;
		anon_vma[anon_vma[a].root].refcount++
	   };
	   anon_vma[anon_vma[a].parent].children++;
	   d_step { anon_rmap_link(c, a); take(c, a) }
	:: else
	fi;
	a = 0;
	i = 0
}

/* __anon_rmap_exit() */
inline anon_rmap_exit()
{
	do
	:: mm[self].nr ->
	   d_step {
#ifdef UNLINK_OLDEST_FIRST
		a = mm[self].links[0];
		i = 0;
		do
		:: i < mm[self].nr - 1 ->
		   mm[self].links[i] = mm[self].links[i + 1];
		   i++
		:: else -> break
		od;
		i = 0;
		mm[self].nr--;
		mm[self].links[mm[self].nr] = 0;
#else
		mm[self].nr--;
		a = mm[self].links[mm[self].nr];
		mm[self].links[mm[self].nr] = 0;
#endif
		anon_vma[a].linked--;
		if
		:: mm[self].own == a -> anon_vma[a].owners--; mm[self].own = NOBODY
		:: else
		fi;
		last = !anon_vma[a].linked
	   };
	   if
	   :: last ->
	      d_step {
		property(anon_vma_freed_in_use, anon_vma[anon_vma[a].parent].live);
		anon_vma[anon_vma[a].parent].children--
	      };
	      d_step { put_anon_vma(a) }
	   :: else
	   fi;
	   a = 0
	:: else -> break
	od
}

proctype process(byte self)
{
	byte a, i, c;
	bool last;
#ifdef REUSE_LATE
	bool reuse;
#endif

end:
	atomic { mm[self].live -> mm[self].live = 0 };
	do
	:: atomic {				/* dup_mm() */
#ifdef FORKS
		forks < FORKS &&
#endif
		!ALL_TAKEN ->
		c = 0;
		do
		:: mm[c].taken -> c++
		:: else -> break
		od;
		mm[c].taken = 1;
#ifdef FORKS
		forks++;
	   };
#endif
	   anon_rmap_fork(c);
	   d_step { mm[c].live = 1; c = 0 }
#ifndef FORKS
	   }
	:: atomic { anon_rmap_exit() };		/* exit_mmap() */
#else
	:: anon_rmap_exit();
#endif
	   break
	od;
	mm[self].taken = 0;
	goto end
}

/* anon_rmap_exec() of process 0 */
inline anon_rmap_exec()
{
	anon_vma[0].live = 1;
	anon_vma[0].refcount = 1;
	anon_vma[0].children = 1;		/* its own parent and root */
	anon_vma[0].owners = 1;
	anon_vma[0].linked = 1;
	nr_live = 1;
	mm[0].nr = 1;
	mm[0].own = 0;
	mm[0].taken = 1;
	mm[0].live = 1
}

/*
 * Where five forks may lead: the owners of 0 and 1 are dead, process 0 owns 2
 * and process 1, its child, owns 3.  Number 1 waits to be taken over.
 */
inline start_siblings()
{
	do
	:: i < 4 ->
	   anon_vma[i].live = 1;
	   anon_vma[i].refcount = 1;
	   anon_vma[i].children = 1;
	   anon_vma[i].linked = 2;
	   anon_vma[i].parent = (i -> i - 1 : 0);
	   mm[0].links[i] = (i < 3 -> i : 0);
	   mm[1].links[i] = i;
	   i++
	:: else -> break
	od;
	i = 0;
	nr_live = 4;
	anon_vma[0].refcount = 4;
	anon_vma[0].children = 2;		/* itself and 1 */
	anon_vma[2].owners = 1;
	anon_vma[3].owners = 1;
	anon_vma[3].linked = 1;
	anon_vma[3].children = 0;
	mm[0].nr = 3; mm[0].own = 2; mm[0].taken = 1; mm[0].live = 1;
	mm[1].nr = 4; mm[1].own = 3; mm[1].taken = 1; mm[1].live = 1
}

init
{
#ifdef SIBLINGS
	byte i;
#endif


	d_step {
		mm[0].own = NOBODY; mm[1].own = NOBODY; mm[2].own = NOBODY;
#if NR_MM > 3
		mm[3].own = NOBODY;
#endif
#ifdef SIBLINGS
		start_siblings()
#else
		anon_rmap_exec()
#endif
	};
	atomic {
		run process(0);
		run process(1);
		run process(2);
#if NR_MM > 3
		run process(3)
#endif
	}
	NONE_TAKEN;
	property(not_everything_freed, !nr_live)
}
