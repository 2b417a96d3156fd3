# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Variables set here are used by the scripts that source this.
# shellcheck disable=SC2034
#
# What building for a guest takes that is not an x86-64 machine, and the names of
# its kernels. scripts/pciep/arch.py has what running one takes.
# Sourced after common.sh.

# set_arch KERNEL: the name of a kernel has its architecture, except for x86-64: 7-arm64.
# A label may follow. Sets ARCH, the name before it in NAME_ANY, the kernel image
# relative to a build directory, the prefix of the compiler, arguments for make, a
# fragment of configs/ and the group of packages.sh.
set_arch() {
    ARCH=x86_64 NAME_ANY=$1
    IMAGE=arch/x86/boot/bzImage CROSS='' ARCH_CONFIG='' ARCH_PACKAGES=''
    ARCH_MAKE=()
    case $1 in
    *-arm64 | *-arm64-*)
        ARCH=arm64 NAME_ANY=${1%%-arm64*}
        IMAGE=arch/arm64/boot/Image
        CROSS=aarch64-linux-gnu-
        ARCH_CONFIG=kernel-arm64/arm64
        ARCH_PACKAGES=arm64
        ARCH_MAKE=(ARCH=arm64 "CROSS_COMPILE=$CROSS")
        ;;
    esac
}

# need_cross: install the cross compiler that set_arch named, unless it is there
need_cross() {
    [ -z "$CROSS" ] || command -v "${CROSS}gcc" > /dev/null ||
        "$TOP/scripts/build/packages.sh" "$ARCH_PACKAGES"
}

# The compiler of a guest's programs, part of the names of results
guest_cc() { printf '%s\n' "${CROSS:+${CROSS}g}cc"; }
