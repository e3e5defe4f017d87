// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that is taken away: blocks go offline under pages that a family of
 * processes shares, which moves the pages, and come back.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rmap_util.h"

#define MEMORY "/sys/devices/system/memory/"

static unsigned long block_pages;
static int blocks[256], nr_blocks;	/* ours: they have been made movable */

static int block_state(int block, const char *state)
{
	char path[96];

	snprintf(path, sizeof(path), MEMORY "memory%d/state", block);
	return ru_write_str(path, state);
}

static void on_alarm(int sig)
{
}

/* Where something cannot be moved, offline tries again until it gets a signal. */
static int try_offline(int block)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	int ret;

	sigaction(SIGALRM, &sa, NULL);
	alarm(20);
	ret = block_state(block, "offline");
	alarm(0);
	return ret;
}

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * Blocks with nothing in them that cannot move become blocks for movable memory
 * only, from which user pages are taken first.
 */
static int blocks_ready(void)
{
	int all[1024], nr = 0, i, want = 2;
	struct dirent *entry;
	char size[32];
	FILE *f;
	DIR *dir;

	if (geteuid())
		return ru_fail("needs root");
	f = fopen(MEMORY "block_size_bytes", "r");
	if (!f)
		return ru_fail("no memory blocks (CONFIG_MEMORY_HOTPLUG)");
	if (!fgets(size, sizeof(size), f))
		size[0] = '\0';
	fclose(f);
	block_pages = strtoul(size, NULL, 16) / ru_page;
	if (!block_pages)
		return ru_fail("no size of memory blocks");
	dir = opendir(MEMORY);
	while (dir && nr < 1024 && (entry = readdir(dir)))
		if (sscanf(entry->d_name, "memory%d", &all[nr]) == 1)
			nr++;
	if (dir)
		closedir(dir);
	qsort(all, nr, sizeof(all[0]), ascending);
	for (i = nr - 1; i > 0 && nr_blocks < want; i--) {
		if (try_offline(all[i]))
			continue;
		if (block_state(all[i], "online_movable"))
			return -1;
		blocks[nr_blocks++] = all[i];
	}
	if (!nr_blocks)
		return ru_fail("none of %d memory blocks can be taken away", nr);
	return 0;
}

static void blocks_stop(void)
{
	/* As they were, if nobody has put anything there that is pinned */
	while (nr_blocks--)
		if (!try_offline(blocks[nr_blocks]))
			block_state(blocks[nr_blocks], "online");
	nr_blocks = 0;
}

FIXTURE(hotplug) { struct ru_mem m; };
FIXTURE_VARIANT(hotplug) { enum ru_kind kind; };
FIXTURE_SETUP(hotplug)
{
	RU_START();
	RU_NEED(blocks_ready());
	RU_NEED(ru_kind_ready(variant->kind));
}
FIXTURE_TEARDOWN(hotplug)
{
	ru_stop();
	blocks_stop();
}
RU_ALL_KINDS(hotplug);

/* Pages of @m in a block */
static size_t in_block(const struct ru_mem *m, int proc, const char *addr,
		       int block)
{
	size_t page, count = 0;

	for (page = 0; page < m->nr; page++)
		count += ru_pfn(proc, addr + page * ru_page) / block_pages ==
			 (unsigned long)block;
	return count;
}

static int forks(const struct ru_mem *m, int parent)
{
	int child = ru_fork(parent);

	return child < 0 || ru_check_in(child, m->addr, m->seed, 0, m->nr) ||
	       ru_exit(child);
}

/*
 * 0 - 1 - 2, of which 1 has moved its mapping; 3 comes and goes.  Each block that
 * has pages of theirs goes, and must have none then, and comes back.
 */
TEST_F(hotplug, offline)
{
	struct ru_mem *m = &self->m;
	int i, round, p1, p2, gone = 0;
	size_t units = 32, before;
	char *moved;

	if (variant->kind == RU_HUGETLB || variant->kind == RU_THP)
		units = 3;
	RU_OK(ru_make(m, variant->kind, units));
	p1 = ru_fork(0);
	ASSERT_LT(0, p1) TH_LOG("%s", ru_error());
	p2 = ru_fork(p1);
	ASSERT_LT(0, p2) TH_LOG("%s", ru_error());
	moved = (char *)ru_reserve(m->len + m->unit, m->unit) + m->unit;
	RU_OK(ru_mremap_in(p1, m->addr, m->len, m->len,
			   MREMAP_MAYMOVE | MREMAP_FIXED, moved));
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr}, {p2, m->addr},
					      {p1, moved})));
	for (round = 0; round < 3; round++)
		for (i = 0; i < nr_blocks; i++) {
			before = in_block(m, 0, m->addr, blocks[i]);
			if (!before)
				continue;
			RU_OK(block_state(blocks[i], "offline"));
			ASSERT_EQ(0, in_block(m, 0, m->addr, blocks[i]));
			gone += before;
			RU_OK(ru_mapped(m, 0, m->nr,
					RU_VIEWS({p1, moved}, {p2, m->addr},
						 {0, m->addr})));
			RU_OK(ru_check_views(m, 0, m->nr,
					     RU_VIEWS({p1, moved}, {p2, m->addr},
						      {0, m->addr})));
			RU_OK(forks(m, p2));
			RU_OK(block_state(blocks[i], "online_movable"));
		}
	TH_LOG("%d pages were moved out of %d blocks", gone, nr_blocks);
	if (!gone)
		SKIP(return, "no page is in a block that can be taken away");
	RU_OK(ru_fill_in(p2, m->addr, m->seed, 0, m->unit_nr));
	RU_OK(ru_exit(p2));
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({p1, moved}, {0, m->addr})));
	RU_OK(ru_exit(p1));
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

static long fork_loop(long a, long b, long c, long d)
{
	for (;;) {
		pid_t pid = fork();
		int status;

		if (!pid)
			_exit(ru_check((char *)a, b, 0, c) ? 1 : 0);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
			_exit(77);	/* seen when it is to be killed */
	}
}

/* The same while the family forks and ends */
TEST_F(hotplug, offline_while_forking)
{
	struct ru_mem *m = &self->m;
	int i, round, p1, gone = 0;

	if (variant->kind != RU_ANON && variant->kind != RU_PFILE)
		SKIP(return, "two kinds are enough");
	RU_OK(ru_make(m, variant->kind, 64));
	p1 = ru_fork(0);
	ASSERT_LT(0, p1) TH_LOG("%s", ru_error());
	RU_OK(ru_background(p1, fork_loop, (long)m->addr, m->seed, m->nr, 0));
	for (round = 0; round < (ru_full() ? 40 : 4); round++)
		for (i = 0; i < nr_blocks; i++) {
			gone += in_block(m, 0, m->addr, blocks[i]);
			RU_OK(block_state(blocks[i], "offline"));
			ASSERT_EQ(0, in_block(m, 0, m->addr, blocks[i]));
			RU_OK(ru_check(m->addr, m->seed, 0, m->nr));
			RU_OK(block_state(blocks[i], "online_movable"));
		}
	RU_OK(ru_kill(p1));
	TH_LOG("%d pages were moved out of %d blocks", gone, nr_blocks);
	if (!gone)
		SKIP(return, "no page is in a block that can be taken away");
	/* Nobody is left behind who maps it. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	RU_OK(ru_mapped(m, 0, m->nr, RU_VIEWS({0, m->addr})));
}

RU_AUDIT

TEST_HARNESS_MAIN
