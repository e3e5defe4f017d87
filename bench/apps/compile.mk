# SPDX-License-Identifier: GPL-2.0-only
# In the guest: the benchmarks themselves, from /add/cc, with what is there
CC := gcc -B/add/cc/ $(addprefix -isystem ,$(sort $(wildcard /add/cc/include/*)))
OBJECTS := $(patsubst %.c,%.o,$(wildcard *.c))

made: $(OBJECTS)
	$(CC) -static -pthread -fno-use-linker-plugin -o $@.program $(OBJECTS)
	printf '#!/bin/sh\nexec /add/cc/made.program --list >/dev/null\n' >$@
	chmod 755 $@

%.o: %.c bench.h
	$(CC) -O0 -std=gnu11 -Wall -c -o $@ $<

clean:
	rm -f $(OBJECTS) made made.program

.PHONY: clean
