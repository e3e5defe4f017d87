// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench --locks, on a kernel "lockstat": what the rounds of a case that are
 * measured do to the locks of reverse mapping, as lines of their own in place of
 * the case's:
 *
 *   locks.CASE.LOCK.acquired	how often; .contended: how often it was waited for
 *   locks.CASE.LOCK.held	longest, in microseconds; .waited: longest
 *   locks.CASE.walks		by which reclaim asks who referenced a page
 *   locks.CASE.walks-given-up	because a lock was taken
 *   locks.CASE.faults.WHAT	of page faults under the lock of the VMA alone: done
 *				(success), begun again under mmap_lock (retry)
 *
 * "two.touch" is divided by its first touches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

#define TRACING "/sys/kernel/tracing"
#define PROBE TRACING "/events/kprobes/referenced"

/* Their names in /proc/lock_stat */
static const struct {
	const char *name, *class;
} locks[] = {
	{ "mmap_lock.read", "&mm->mmap_lock-R" },
	{ "mmap_lock.write", "&mm->mmap_lock-W" },
	{ "anon_vma.read", "&anon_vma->rwsem-R" },
	{ "anon_vma.write", "&anon_vma->rwsem-W" },
	{ "process.read", "&rmap->rwsem-R" },
	{ "process.write", "&rmap->rwsem-W" },
};
#define NR_LOCKS ((int)(sizeof(locks) / sizeof(locks[0])))

static const char *const faults[] = { "success", "abort", "retry", "miss" };

static struct lock_use {
	double contended, waited, acquired, held;
} use[NR_LOCKS];
static double walks, given_up, before[4], after[4];

static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "r");

	need(f, "%s: %s", path, strerror(errno));
	return f;
}

static void read_faults(double *value)
{
	FILE *f = open_file("/proc/vmstat");
	char name[64], want[64];
	double v;
	int found = 0;

	while (fscanf(f, "%63s %lf", name, &v) == 2)
		for (int i = 0; i < 4; i++) {
			snprintf(want, sizeof(want), "vma_lock_%s", faults[i]);
			if (!strcmp(name, want)) {
				value[i] = v;
				found++;
			}
		}
	fclose(f);
	need(found == 4, "no vma_lock_* in /proc/vmstat: not a kernel \"lockstat\"");
}

static void read_locks(void)
{
	FILE *f = open_file("/proc/lock_stat");
	char line[512];

	while (fgets(line, sizeof(line), f)) {
		char *name = line + strspn(line, " "), *end = strchr(name, ':');
		double v[12];

		/* A class; the lines after it say where it was waited for */
		if (!end || sscanf(end + 1, "%lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1,
				   v + 2, v + 3, v + 4, v + 5, v + 6, v + 7, v + 8, v + 9, v + 10,
				   v + 11) != 12)
			continue;
		*end = 0;
		for (int i = 0; i < NR_LOCKS; i++) {
			const char *class = locks[i].class;

			/* One that was never taken for read has no -W */
			if (strcmp(name, class) &&
			    (strcmp(class + strlen(class) - 2, "-W") ||
			     strlen(name) != strlen(class) - 2 ||
			     strncmp(name, class, strlen(name))))
				continue;
			use[i].contended += v[1];
			use[i].acquired += v[7];
			if (v[3] > use[i].waited)
				use[i].waited = v[3];
			if (v[9] > use[i].held)
				use[i].held = v[9];
		}
	}
	fclose(f);
}

static void read_walks(void)
{
	FILE *f = open_file(PROBE "/hist");
	char line[256];
	double n;
	int ret;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "{ ret: %d } hitcount: %lf", &ret, &n) != 2)
			continue;
		walks += n;
		if (ret == -1)
			given_up += n;
	}
	fclose(f);
}

/* What the case has done so far does not count. */
void locks_start(void)
{
	write_file("/proc/sys/kernel/lock_stat", "1");
	if (access(PROBE, F_OK))
		write_file(TRACING "/kprobe_events",
			   "r:kprobes/referenced folio_referenced ret=$retval:s32\n");
	else
		write_file(PROBE "/trigger", "!hist:keys=ret");
	write_file(PROBE "/trigger", "hist:keys=ret");
	read_faults(before);
	write_file("/proc/lock_stat", "0");
}

void locks_stop(void)
{
	read_locks();
	read_walks();
	read_faults(after);
}

static void line(const char *name, const char *what, const char *part, const char *unit, double value)
{
	printf("{\"name\":\"locks.%s.%s%s%s\",\"size\":0,\"unit\":\"%s\",\"runs\":[%.10g]}\n", name, what,
	       *part ? "." : "", part, unit, value);
}

void locks_report(const char *name, double ops)
{
	const char *unit = ops > 0 ? "each" : "times";
	double per = ops > 0 ? ops : 1;

	for (int i = 0; i < NR_LOCKS; i++) {
		line(name, locks[i].name, "acquired", unit, use[i].acquired / per);
		line(name, locks[i].name, "contended", unit, use[i].contended / per);
		line(name, locks[i].name, "held", "us", use[i].held);
		line(name, locks[i].name, "waited", "us", use[i].waited);
	}
	line(name, "walks", "", unit, walks / per);
	line(name, "walks-given-up", "", unit, given_up / per);
	for (int i = 0; i < 4; i++)
		line(name, "faults", faults[i], unit, (after[i] - before[i]) / per);
}
