# SPDX-License-Identifier: GPL-2.0-or-later
#
# A front for the usual cases. ./configure has the options; meson.build says
# what is built.

NINJA = ninja -C build --quiet
RUN = /usr/bin/python3 scripts/build/run-tests
KERNEL = 7
# Of make fuzz: seconds for each target, and names of targets (none: all)
TIME = 60
TARGET =
# Of make soak, which takes TIME as well: seed of all that is random (none: another
# one each time)
SEED =

.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

all: build/build.ninja
	@$(NINJA) qemu.stamp modules-$(KERNEL).stamp

help:
	@echo 'make              QEMU with the devices, a guest kernel and its modules'
	@echo 'make demo         two linked guests pass the kernel'\''s endpoint test'
	@echo 'make check        all tests: check-unit check-qtest check-kvm check-guest'
	@echo '                   check-arm64 check-style check-build'
	@echo 'make check-long    guest tests that take longer: whole disks, many pings'
	@echo 'make check-faults  each fault of either machine under each load, as a table'
	@echo 'make profiles     the endpoint selftest with the limits of each real controller, as a table'
	@echo 'make soak         faults at random for a while: TIME=600 SEED=1'
	@echo 'make bench        speed and memory against yardsticks: build/bench.json, bench.svg'
	@echo 'make qemu         only QEMU: build/qemu'
	@echo 'make kernels      all guest kernels with modules: build/kernel-*, build/modules-*'
	@echo 'make kernel-7-trace    a kernel to debug in, kernel-7-kasan: one that checks memory accesses'
	@echo 'make aarch64      what arm64 guests need: build/qemu-aarch64, kernel-7-arm64, ...'
	@echo 'make docs         this documentation as HTML and man page: build/docs'
	@echo 'make check-qemu-10.2   unit tests, qtests and a stock host on QEMU 10.2'
	@echo 'make check-sanitize    unit tests, qtests, two guest tests with ASan, UBSan, TSan on our code'
	@echo 'make fuzz         libFuzzer on all targets of tests/fuzz: TIME=60 TARGET="server remote"'
	@echo 'make clean        forget what was built here; the cache stays'
	@echo './configure --help     other versions and trees of QEMU and Linux'

build/build.ninja:
	@./configure

qemu: build/build.ninja
	@$(NINJA) qemu.stamp

kernel-%: build/build.ninja
	@$(NINJA) modules-$*.stamp

kernels: build/build.ninja
	@$(NINJA) modules-7.stamp modules-6.12.stamp modules-7-debug.stamp

# KERNEL: 7 or 6.12
aarch64: build/build.ninja
	@$(NINJA) qemu-aarch64.stamp modules-$(KERNEL)-arm64.stamp userland-arm64.stamp

demo: all
	@scripts/pci-ep-run demo

# BENCH_ARGS: see tests/bench/run --help
bench: all
	@scripts/build/bench.sh
	@tests/bench/run $(BENCH_ARGS)

check: build/build.ninja
	@$(RUN) unit qtest kvm guest arm64 style build

check-unit check-qtest check-kvm check-guest check-arm64 check-style check-build check-long check-faults: build/build.ninja
	@$(RUN) $(@:check-%=%)

soak: all
	@tests/guest/soak --time $(TIME) $(if $(SEED),--seed $(SEED))

# PROFILES: names of profiles (none: all)
profiles: all
	@tests/guest/profiles $(PROFILES)

docs:
	@scripts/build/docs.sh

check-qemu-10.2:
	@scripts/build/check-other-qemu.sh 10.2

check-sanitize: build/build.ninja
	@scripts/build/check-sanitize.sh

fuzz: build/build.ninja
	@/usr/bin/python3 scripts/build/fuzz --time $(TIME) $(TARGET)

clean:
	rm -rf build

.PHONY: all help qemu kernels aarch64 demo bench soak profiles docs fuzz check check-unit \
	check-qtest check-kvm check-guest check-arm64 check-style check-build check-long \
	check-faults check-sanitize check-qemu-10.2 clean
