// SPDX-License-Identifier: GPL-2.0-only
/*
 * forkmany N VMAS TOUCHED: N living processes, forked from this one, each with
 * so many mappings of its own, some of them written. Says "ready" when all are
 * there and ends with its standard input; they end with it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define LEN	(16 * 4096L)

static int child(int vmas, int touched, int ready)
{
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < vmas; i++) {
		/* neighbours differ in protection, or they would be one VMA */
		char *p = mmap(NULL, LEN, PROT_READ | PROT_WRITE |
			       (i & 1 ? PROT_EXEC : 0),
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return 1;
		if (i < touched)
			*p = 1;
	}
	if (write(ready, "", 1) != 1)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int n, vmas, touched, i, ready[2];
	char c;

	if (argc != 4 || pipe(ready))
		return 2;
	n = atoi(argv[1]);
	vmas = atoi(argv[2]);
	touched = atoi(argv[3]);
	for (i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(child(vmas, touched, ready[1]));
		if (pid < 0) {
			perror("fork");
			return 1;
		}
	}
	close(ready[1]);
	for (i = 0; i < n; i++)
		if (read(ready[0], &c, 1) != 1)
			return 1;
	puts("ready");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}
