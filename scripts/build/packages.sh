#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make sure the Debian packages the build needs are installed:
# packages.sh. As root it installs what is missing, else it prints the command.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/apt.sh"

# package: what needs it
PACKAGES='
build-essential     compilers, make
ninja-build         QEMU, this build
pkg-config          QEMU
git                 tests of the style of a change
python3             all scripts
python3-venv        QEMU configure
libglib2.0-dev      QEMU, unit tests
libpixman-1-dev     QEMU
libslirp-dev        QEMU, --net
zlib1g-dev          QEMU
libfdt-dev          QEMU
device-tree-compiler QEMU 10.2
seabios             firmware of both guests
qemu-system-data    firmware of both guests
ipxe-qemu           network boot ROMs of the default devices of QEMU
rsync               overlay
dpkg-dev            source packages
xz-utils            source packages
flex                kernel
bison               kernel
bc                  kernel
libelf-dev          kernel
libssl-dev          kernel
lz4                 kernel image
cpio                initramfs
e2fsprogs           tests with a file system in a guest
fio                 tests with a disk in a guest
iputils-ping        tests with a network in a guest
kmod                initramfs, depmod
busybox-static      initramfs
shellcheck          make check-style
'

MESON_MIN=1.5

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

missing_packages() {
    local name rest
    while read -r name rest; do
        [ -z "$name" ] || installed "$name" || printf '%s\n' "$name"
    done <<< "$PACKAGES"
}

meson_good() {
    local have
    have=$(/usr/bin/meson --version 2>/dev/null) || return 1
    dpkg --compare-versions "$have" ge "$MESON_MIN"
}

install_packages() {
    local -a missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        die 2 "these Debian packages are missing; run this as root, then try" \
            "again:
    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local -a get=(apt-get -q -y -o Dpkg::Use-Pty=0 install
        --no-install-recommends)
    if ! apt_log install "${get[@]}" "${missing[@]}"; then
        apt_log update apt-get -q update || true
        apt_log install "${get[@]}" "${missing[@]}" || {
            tail -n 15 "$CACHE/log/apt-install.log" >&2
            die 2 "apt-get could not install: ${missing[*]}"
        }
    fi
}

# Distributions older than the build need meson from their backports
install_meson() {
    meson_good && return 0
    local from=''
    local candidate
    candidate=$(apt-cache policy meson 2>/dev/null |
        awk '$1 == "Candidate:" { print $2 }')
    if [ -z "$candidate" ] ||
        ! dpkg --compare-versions "$candidate" ge "$MESON_MIN"; then
        from=backports
    fi
    if [ "$(id -u)" -ne 0 ]; then
        die 2 "meson $MESON_MIN or newer is missing; run this as root, then" \
            "try again:
    apt-get install --no-install-recommends ${from:+-t $CODENAME-backports }meson
  (with $CODENAME-backports in your apt sources if it is not there yet)"
    fi
    export DEBIAN_FRONTEND=noninteractive
    if [ -z "$from" ]; then
        say "installing meson"
        apt_log meson apt-get -q -y -o Dpkg::Use-Pty=0 install \
            --no-install-recommends meson || true
    else
        say "installing meson from $CODENAME-backports"
        apt_private near
        local deb
        deb=$(apt_download_binary meson "$(apt_best_binary meson "$MESON_MIN")")
        apt_log meson apt-get -q -y -o Dpkg::Use-Pty=0 install \
            --no-install-recommends "$deb" || true
    fi
    meson_good || {
        tail -n 15 "$CACHE/log/apt-meson.log" >&2
        die 2 "could not install meson $MESON_MIN or newer"
    }
}

mkdir -p "$CACHE"
lock apt
install_packages
install_meson
