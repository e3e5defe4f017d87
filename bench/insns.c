// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU (version 1 of its interface, tried with QEMU 7.2) that counts by
 * address the instructions of an x86_64 kernel between the two marks that
 * bench/guest/bench.c sets around what it measures.  bench/profile uses it.
 *
 * Arguments: out=FILE[,boot=on].  Lines "ADDRESS COUNT", those of the kernel one by
 * one, all others as address 0; and first "marks N", how often counting began.  With
 * boot=on it begins with the first instruction of the machine.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is used of the interface: Debian has no package with its header. */
#define EXPORT __attribute__((visibility("default")))
enum { CB_NO_REGS };
struct qemu_plugin_tb;
struct qemu_plugin_insn;
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*cb)(uint64_t id, struct qemu_plugin_tb *tb));
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int vcpu, void *data), int flags, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*cb)(uint64_t id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

/* The text of a kernel that was not moved (nokaslr) */
#define TEXT	UINT64_C(0xffffffff81000000)
#define SIZE	(64UL << 20)

static uint64_t *count, elsewhere, marks;
static bool counting;
static const char *out;

static void one(unsigned int vcpu, void *data)
{
	(void)vcpu;
	if (counting)
		++*(uint64_t *)data;
}

static void mark(unsigned int vcpu, void *data)
{
	(void)vcpu;
	counting = data;
	marks += counting;
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t at = qemu_plugin_insn_vaddr(insn) - TEXT;
		const void *code = qemu_plugin_insn_data(insn);

		qemu_plugin_register_vcpu_insn_exec_cb(insn, one, CB_NO_REGS, at < SIZE ? &count[at] : &elsewhere);
		if (at < SIZE || qemu_plugin_insn_size(insn) != 3)
			continue;
		if (!memcmp(code, "\x66\x87\xdb", 3))		/* xchg %bx, %bx */
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, CB_NO_REGS, count);
		else if (!memcmp(code, "\x66\x87\xc9", 3))	/* xchg %cx, %cx */
			qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, CB_NO_REGS, NULL);
	}
}

static void finish(uint64_t id, void *data)
{
	FILE *f = fopen(out, "w");

	(void)id;
	(void)data;
	if (!f) {
		perror(out);
		return;
	}
	fprintf(f, "marks %" PRIu64 "\n", marks);
	fprintf(f, "%016x %" PRIu64 "\n", 0, elsewhere);
	for (size_t i = 0; i < SIZE; i++)
		if (count[i])
			fprintf(f, "%016" PRIx64 " %" PRIu64 "\n", TEXT + i, count[i]);
	if (fclose(f))
		perror(out);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	(void)info;
	if (argc < 1 || argc > 2 || strncmp(argv[0], "out=", 4) ||
	    (argc == 2 && strcmp(argv[1], "boot=on"))) {
		fprintf(stderr, "insns: out=FILE[,boot=on] is wanted\n");
		return -1;
	}
	counting = argc == 2;
	marks = counting;
	out = strdup(argv[0] + 4);
	count = calloc(SIZE, sizeof(*count));	/* untouched pages take nothing */
	if (!out || !count)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, finish, NULL);
	return 0;
}
