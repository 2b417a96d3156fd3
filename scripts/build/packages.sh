#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Make sure that what the build needs is installed: packages.sh [arm64|browser|peers].
# With arm64 that is what building for arm64 guests needs in addition, with browser what
# the tests of pages need, with peers what servers of others need. On Debian it looks
# at packages; as root it installs what is missing, else it prints the command.
# Elsewhere it looks for each tool and library and names those that are missing.

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
libattr1-dev        QEMU, --share
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
pciutils            tests that write configuration space in a guest
kmod                initramfs, depmod
busybox-static      initramfs
'

# The same for guests of arm64, which only those install who ask for them
ARM64_PACKAGES='
gcc-aarch64-linux-gnu   kernel and modules for arm64
libc6-dev-arm64-cross   test programs of the kernel for arm64
'

# The same for tests of HTML pages
BROWSER_PACKAGES='
chromium                make check-long
'

# The same for tests with servers of others
PEERS_PACKAGES='
libjson-c-dev           make check-long
'

# Packages that only checks need. A release that lacks one goes without: the check
# that needs it is skipped and says so.
EXTRA_PACKAGES='
shellcheck          make check-style
python3-sphinx      make docs, make check-style
mypy                make check-style
tshark              make check-unit, make check-guest
'

# The oldest clang whose thread safety analysis knows members of a C structure
CLANG_MIN=22

# Elsewhere. tool: what needs it
TOOLS='
cc                  compilers
make                kernel
ninja               QEMU, this build
pkg-config          QEMU
git                 tests of the style of a change
rsync               overlay
xz                  kernel
flex                kernel
bison               kernel
bc                  kernel
lz4                 kernel image
cpio                initramfs
depmod              initramfs
busybox             initramfs; it must be a static one
'

ARM64_TOOLS='
aarch64-linux-gnu-gcc   kernel for arm64
'

BROWSER_TOOLS='
chromium                make check-long
'

PEERS_LIBRARIES='
json-c                  make check-long
'

# Libraries as pkg-config knows them
LIBRARIES='
glib-2.0            QEMU, unit tests
pixman-1            QEMU
slirp               QEMU, --net
libattr             QEMU, --share
zlib                QEMU
libelf              kernel
libcrypto           kernel
'

MESON_MIN=1.5

installed() { dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

candidate() {
    apt-cache policy "$1" 2>/dev/null |
        awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'
}

missing_packages() {
    local name rest
    while read -r name rest; do
        [ -z "$name" ] || installed "$name" || printf '%s\n' "$name"
    done <<< "$PACKAGES"
}

# The newest package of clang that is new enough; nothing when one is installed
missing_clang() {
    local name
    apt-cache pkgnames clang- | grep -xE 'clang-[0-9]+' | sort -rV |
        while read -r name; do
            [ "${name#clang-}" -ge "$CLANG_MIN" ] || break
            ! installed "$name" || break
            [ -n "$(candidate "$name")" ] || continue
            printf '%s\n' "$name"
            break
        done
}

missing_extras() {
    local name rest
    while read -r name rest; do
        [ -z "$name" ] || installed "$name" || [ -z "$(candidate "$name")" ] ||
            printf '%s\n' "$name"
    done <<< "$EXTRA_PACKAGES"
    missing_clang
}

meson_good() {
    local have
    have=$("$MESON" --version 2>/dev/null) || return 1
    [ "$(printf '%s\n' "$MESON_MIN" "$have" | sort -V | sed -n 1p)" = "$MESON_MIN" ]
}

# missing_tools: "NAME (what needs it)" of each that is not there, one per line
missing_tools() {
    local name needs
    while read -r name needs; do
        [ -z "$name" ] || command -v "$name" > /dev/null ||
            PATH=$PATH:/sbin:/usr/sbin command -v "$name" > /dev/null ||
            printf '%s\n' "$name ($needs)"
    done <<< "$TOOLS"
    while read -r name needs; do
        [ -z "$name" ] || ! command -v pkg-config > /dev/null ||
            pkg-config --exists "$name" ||
            printf '%s\n' "the development files of $name ($needs)"
    done <<< "$LIBRARIES"
    "$PYTHON" -c 'import ensurepip, venv' 2> /dev/null ||
        printf '%s\n' "$PYTHON with its modules venv and ensurepip (QEMU configure)"
    meson_good || printf '%s\n' "$MESON $MESON_MIN or newer (QEMU, this build)"
}

check_tools() {
    local missing
    missing=$(missing_tools)
    [ -z "$missing" ] || die 2 "this system has no dpkg and apt, so install these" \
        "by its own means, then try again:
$missing"
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

# What checks need is installed as root and left out otherwise
install_extras() {
    local -a missing
    [ "$(id -u)" -eq 0 ] || return 0
    mapfile -t missing < <(missing_extras)
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing Debian packages for checks: ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt_log extras apt-get -q -y \
        -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" ||
        say "could not install them; checks that need them are skipped"
}

# Distributions older than the build need meson from their backports
install_meson() {
    meson_good && return 0
    local from=''
    local version
    version=$(candidate meson)
    if [ -z "$version" ] ||
        ! dpkg --compare-versions "$version" ge "$MESON_MIN"; then
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

case ${1:-} in
'') ;;
arm64)
    PACKAGES=$ARM64_PACKAGES
    TOOLS=$ARM64_TOOLS
    EXTRA_PACKAGES='' LIBRARIES=''
    ;;
browser)
    PACKAGES=$BROWSER_PACKAGES
    TOOLS=$BROWSER_TOOLS
    EXTRA_PACKAGES='' LIBRARIES=''
    ;;
peers)
    PACKAGES=$PEERS_PACKAGES
    LIBRARIES=$PEERS_LIBRARIES
    EXTRA_PACKAGES='' TOOLS=''
    ;;
*) die 2 "usage: packages.sh [arm64|browser|peers]" ;;
esac
mkdir -p "$CACHE"
if ! have_apt; then
    check_tools
    exit
fi
lock apt
install_packages
[ -n "${1:-}" ] || {
    install_meson
    install_extras
}
