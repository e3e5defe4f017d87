/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the models share: locks, and the names of the properties.
 *
 * A property is asserted by name, so that the checker's output and the table
 * of mutations (MUTATIONS) can say which one was violated.
 */

#define property(name, holds)	assert((holds) || name)

/* Never set: they only lend their names to assertions. */
hidden byte migration_entry_left_behind;	/* after a must-find walk */
hidden byte zap_met_stale_migration_entry;	/* BUG in pfn_swap_entry_folio() */
hidden byte page_lost;				/* zapped while it was to be moved */
hidden byte mapped_page_missed;			/* by a walk that was not contended */
hidden byte page_table_freed_in_use;
hidden byte vma_freed_in_use;
hidden byte tree_node_freed_in_use;		/* of mm_mt */
hidden byte foreign_vma_touched;		/* of another mm, or no VMA at all */
hidden byte unset_range_used;			/* of a VMA under construction */
hidden byte asked_about_another;		/* a question was answered, then the answer changed */
hidden byte mm_freed_in_use;
hidden byte anon_vma_freed_in_use;
hidden byte foreign_anon_vma_used;		/* recycled for somebody else */
hidden byte foreign_lock_released;
hidden byte folio_changed_under_walker;
hidden byte anon_vma_owned_twice;
hidden byte anon_vmas_unbounded;
hidden byte not_everything_freed;

/*
 * struct rw_semaphore.  With QUEUED_WRITERS a writer that has to wait keeps
 * later readers out, or steals the lock all the same; that matters where a
 * reader could wait for another reader (lock order), and for trylock.
 */
typedef rwsem {
	byte readers;
	byte waiting;
	bit writer
}

inline down_read(sem)
{
	atomic { !sem.writer && !sem.waiting -> sem.readers++ }
}

inline down_read_trylock(sem, got)
{
	atomic {
		if
		:: !sem.writer && !sem.waiting -> sem.readers++; got = true
		:: else -> got = false
		fi
	}
}

inline up_read(sem)
{
	d_step { assert(sem.readers); sem.readers-- }
}

#ifdef QUEUED_WRITERS
inline down_write(sem)
{
	if
	:: atomic { !sem.writer && !sem.readers -> sem.writer = 1 }
	:: atomic { sem.writer || sem.readers -> sem.waiting++ };
	   atomic { !sem.writer && !sem.readers -> sem.writer = 1; sem.waiting-- }
	fi
}
#else
inline down_write(sem)
{
	atomic { !sem.writer && !sem.readers -> sem.writer = 1 }
}
#endif

inline up_write(sem)
{
	d_step { assert(sem.writer); sem.writer = 0 }
}

/* spinlock_t, and the folio lock */
inline spin_lock(lock)
{
	atomic { !lock -> lock = 1 }
}

inline spin_unlock(lock)
{
	d_step { assert(lock); lock = 0 }
}

/* What a page table entry holds, seen from the folio that is walked. */
#define NONE		0
#define PRESENT		1
#define MIGRATION	2
#define OTHER		3	/* another folio */

/* What a walk is for. */
#define SET		0	/* try_to_migrate() */
#define REMOVE		1	/* remove_migration_ptes() */
#define LOOK		2	/* folio_referenced() and the like */
