// SPDX-License-Identifier: GPL-2.0-only
/* Coverage-guided: any bytes are a program, see op_clamp(). */
#include "model.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	model_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct op op;

	for (; size >= sizeof(op); data += sizeof(op), size -= sizeof(op)) {
		memcpy(&op, data, sizeof(op));
		op_clamp(&op);
		model_run(&op);
	}
	model_check();
	model_end();
	return 0;
}
