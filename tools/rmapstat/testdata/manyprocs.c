// SPDX-License-Identifier: GPL-2.0-only
/*
 * manyprocs DIR N SMAPS: N processes, forked in lines of 100, for a recorded
 * /proc; they all have the same smaps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int first = 1001, n = argc == 4 ? atoi(argv[2]) : 0, pid;
	char path[4096];
	FILE *f;

	for (pid = first; pid < first + n; pid++) {
		snprintf(path, sizeof(path), "%s/%d", argv[1], pid);
		if (mkdir(path, 0755))
			return 1;
		snprintf(path, sizeof(path), "%s/%d/smaps", argv[1], pid);
		if (symlink(argv[3], path))
			return 1;
		snprintf(path, sizeof(path), "%s/%d/stat", argv[1], pid);
		f = fopen(path, "w");
		if (!f)
			return 1;
		fprintf(f, "%d (many) S %d 1 1 0 -1 %d 0\n", pid,
			pid % 100 ? pid - 1 : 1, pid % 100 ? 4194624 : 4194560);
		if (fclose(f))
			return 1;
	}
	return !n;
}
