# SPDX-License-Identifier: GPL-2.0-only
# "make help" lists the targets. Everything that is built lives in the cache
# (~/.cache/anon-vma-lazy or below $XDG_CACHE_HOME), results in out/.
MAKEFLAGS += --no-print-directory
ARCH ?= $(shell uname -m | sed s/aarch64/arm64/)
FOREIGN := $(filter-out $(shell uname -m | sed s/aarch64/arm64/),$(ARCH))
KERNEL ?= release
ROOT ?= mini
LAZY ?=
OUT ?= out

.PHONY: help run setup tree kernel kernels image dev shell report bench check \
	test test-full mutants soak series deb kmi check-source clean distclean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  Variables: KERNEL=$(KERNEL) (release, debug, unpatched, nolazy, dev)  ARCH=$(ARCH)"
	@echo "             ROOT=$(ROOT) (mini, debian)  LAZY=on|off  JOBS=N  OUT=$(OUT)"

run: ## everything: packages, kernels, image, three boots with the workloads, report (ARCH=)
	@scripts/run --arch $(ARCH) $(OUT)

setup: ## install the Debian packages that are missing
	@scripts/setup $(FOREIGN)

tree: ## unpack the kernel source and put our files and hooks into it
	@scripts/setup
	@scripts/source >/dev/null
	@scripts/assemble

kernel: ## build one kernel (KERNEL=, ARCH=)
	@scripts/setup $(FOREIGN)
	@scripts/source >/dev/null
	@[ $(KERNEL) != dev ] || scripts/dev-link
	@scripts/kernel --arch $(ARCH) $(KERNEL)

kernels: ## build the unpatched, the release and the debug kernel
	@$(MAKE) kernel KERNEL=unpatched
	@$(MAKE) kernel KERNEL=release
	@$(MAKE) kernel KERNEL=debug

image: ## make the Debian 12 image of the guests (ARCH=)
	@$(if $(FOREIGN),scripts/setup $(FOREIGN) && scripts/source >/dev/null)
	@scripts/image --arch $(ARCH)

dev: ## link our files into a tree of their own, build it as kernel "dev"
	@$(MAKE) kernel KERNEL=dev

shell: ## interactive guest (KERNEL=, LAZY=, ROOT=, ARCH=)
	@vm/run --shell --arch $(ARCH) --kernel $(KERNEL) --root $(ROOT) $(if $(LAZY),--lazy $(LAZY))

report: ## make the report of the last run anew, without booting
	@report/generate --arch $(ARCH) $(OUT)

bench: ## costs, in instructions, on three kernels (QUICK=1: 5 minutes, else up to 60)
	@scripts/setup
	@for k in unpatched release unpatched-bench release-bench; do $(MAKE) kernel KERNEL=$$k || exit; done
	@QUICK=$(QUICK) bench/run $(OUT)

series: ## the change as a patch series, proven, in out/series
	@scripts/setup
	@scripts/source >/dev/null
	@scripts/series $(abspath $(OUT))/series

deb: ## Debian packages of the patched kernel (CONFIG=file of yours), in out/deb
	@scripts/setup deb
	@scripts/source >/dev/null
	@scripts/assemble
	@scripts/deb $(or $(CONFIG),$(error make deb CONFIG=FILE, e.g. CONFIG=/boot/config-$$(uname -r))) $(abspath $(OUT))/deb

kmi: ## structures and exported symbols whose checksum the feature changes
	@scripts/setup
	@scripts/source >/dev/null
	@scripts/assemble
	@scripts/kmi

check-source: ## which hook breaks on the newest source (SOURCE=tree, tarball or package)
	@scripts/check-source $(SOURCE)

check: ## tests without a guest, at most 3 minutes
	@tests/run check

# With ARCH=arm64 or i386 only what there is for that one
test: ## what CI runs: check, kernels, core guest tests; at most 60 minutes cold
	@scripts/setup $(or $(FOREIGN),arm64)
	@scripts/source >/dev/null
	@$(if $(FOREIGN),scripts/assemble && tests/run $(wildcard tests/guest/$(ARCH)*),tests/run test)

test-full: ## everything else as well; long runs leave a dated log in evidence/
	@scripts/setup $(or $(FOREIGN),arm64 i386)
	@scripts/source >/dev/null
	@$(if $(FOREIGN),scripts/assemble && tests/run $(wildcard tests/guest/$(ARCH)* tests/full/$(ARCH)*),tests/run full)

mutants: ## break the kernel in each way of tests/mutations, see the tests fail (MUTANT=)
	@scripts/setup
	@tests/mutations/run $(MUTANT)

soak: ## everything at once on the debug kernel, checked (SOAK_SECONDS=900)
	@$(MAKE) kernel KERNEL=debug
	@tests/soak/run

clean: ## drop builds, trees and logs; keep source, image and compiler cache
	@scripts/clean

distclean: ## drop the whole cache and out/
	@scripts/clean --all
