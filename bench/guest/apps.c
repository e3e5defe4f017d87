// SPDX-License-Identifier: GPL-2.0-only
/* make -j2 of this program's own sources, by the compiler that bench/apps/stage brought */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

extern char **environ;

#define COMPILER "/add/cc"

bool apps_there(void)
{
	return !access(COMPILER "/Makefile", R_OK);
}

static void run_it(char **args)
{
	pid_t pid;

	need(!posix_spawn(&pid, args[0], NULL, NULL, args, environ), "no %s", args[0]);
	wait_ok(pid);
}

static void compile(struct run *r)
{
	char *clean[] = { COMPILER "/make", "-s", "-C", COMPILER, "clean", NULL };
	char *make[] = { COMPILER "/make", "-s", "-j2", "-C", COMPILER, NULL };
	char *made[] = { COMPILER "/made", NULL };

	setenv("PATH", COMPILER ":/bin", 1);
	while (more(r)) {
		run_it(clean);
		need(access(made[0], F_OK), "%s is there before it is made", made[0]);
		begin(r);
		run_it(make);
		end(r, 1);
		run_it(made);
	}
}

static const long none[] = { 0, 0 };

const struct bench_case app_cases[] = {
	{ "app.make", compile, "instructions", none, none },
	{ }
};
