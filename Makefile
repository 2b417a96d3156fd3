# SPDX-License-Identifier: GPL-2.0-or-later
#
# A front for the usual cases. ./configure has the options; meson.build says
# what is built.

NINJA = ninja -C build --quiet
RUN = /usr/bin/python3 scripts/build/run-tests
KERNEL = 7

.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

all: build/build.ninja
	@$(NINJA) qemu.stamp modules-$(KERNEL).stamp

help:
	@echo 'make              QEMU with the devices, a guest kernel and its modules'
	@echo 'make demo         two linked guests pass the kernel'\''s endpoint test'
	@echo 'make check        all tests: check-unit check-qtest check-kvm check-guest check-style'
	@echo 'make check-long    guest tests that take longer: whole disks, many pings'
	@echo 'make bench        speed and memory against yardsticks: build/bench.json, bench.svg'
	@echo 'make qemu         only QEMU: build/qemu'
	@echo 'make kernels      all guest kernels with modules: build/kernel-*, build/modules-*'
	@echo 'make check-qemu-10.2   unit tests and qtests on QEMU 10.2'
	@echo 'make clean        forget what was built here; the cache stays'
	@echo './configure --help     other versions and trees of QEMU and Linux'

build/build.ninja:
	@./configure

qemu: build/build.ninja
	@$(NINJA) qemu.stamp

kernels: build/build.ninja
	@$(NINJA) modules-7.stamp modules-6.12.stamp modules-7-debug.stamp

demo: all
	@scripts/pci-ep-run demo

# BENCH_ARGS: see tests/bench/run --help
bench: all
	@scripts/build/bench.sh
	@tests/bench/run $(BENCH_ARGS)

check: build/build.ninja
	@$(RUN) unit qtest kvm guest style

check-unit check-qtest check-kvm check-guest check-style check-long: build/build.ninja
	@$(RUN) $(@:check-%=%)

check-qemu-10.2:
	@scripts/build/check-other-qemu.sh 10.2

clean:
	rm -rf build

.PHONY: all help qemu kernels demo bench check check-unit check-qtest check-kvm \
	check-guest check-style check-long check-qemu-10.2 clean
