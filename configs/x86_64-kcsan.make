# SPDX-License-Identifier: GPL-2.0-only
# Given to make for variant "kcsan". What KCSAN watches is a sample, so watch only
# where anonymous reverse mapping is kept and used; elsewhere it knows the barriers.
# (Not mm/memory.o: the boot code has an object of that name.)
KCSAN_SANITIZE=n
KCSAN_SANITIZE_anon_vma_lazy.o=y
KCSAN_SANITIZE_exec.o=y
KCSAN_SANITIZE_fork.o=y
KCSAN_SANITIZE_huge_memory.o=y
KCSAN_SANITIZE_hugetlb.o=y
KCSAN_SANITIZE_interval_tree.o=y
KCSAN_SANITIZE_khugepaged.o=y
KCSAN_SANITIZE_ksm.o=y
KCSAN_SANITIZE_maple_tree.o=y
KCSAN_SANITIZE_memory-failure.o=y
KCSAN_SANITIZE_migrate.o=y
KCSAN_SANITIZE_mmap.o=y
KCSAN_SANITIZE_mprotect.o=y
KCSAN_SANITIZE_mremap.o=y
KCSAN_SANITIZE_page_vma_mapped.o=y
KCSAN_SANITIZE_rmap.o=y
KCSAN_SANITIZE_userfaultfd.o=y
KCSAN_SANITIZE_vma.o=y
KCSAN_INSTRUMENT_BARRIERS_lockref.o=y
KCSAN_INSTRUMENT_BARRIERS_mutex.o=y
KCSAN_INSTRUMENT_BARRIERS_percpu-rwsem.o=y
KCSAN_INSTRUMENT_BARRIERS_qrwlock.o=y
KCSAN_INSTRUMENT_BARRIERS_qspinlock.o=y
KCSAN_INSTRUMENT_BARRIERS_rwsem.o=y
KCSAN_INSTRUMENT_BARRIERS_semaphore.o=y
KCSAN_INSTRUMENT_BARRIERS_spinlock.o=y
KCSAN_INSTRUMENT_BARRIERS_srcutree.o=y
KCSAN_INSTRUMENT_BARRIERS_tree.o=y
