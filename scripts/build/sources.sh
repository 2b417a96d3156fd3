# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The sources of QEMU and of the guest kernels: a directory the user named, or
# a Debian source package, unpacked once into the cache.
# Sourced after common.sh.

. "$TOP/scripts/build/apt.sh"

# remember ALIAS DIR: the next build takes the same source without asking apt
remember() { ln -sfn "$2" "$CACHE/src/$1"; }

remembered() {
    [ -z "${APT_REFRESH:-}" ] && [ -e "$CACHE/src/$1/." ] &&
        readlink -f "$CACHE/src/$1"
}

# Set SOURCE_DIR; status 1 when the archive does not have it after all
fetch_qemu() {
    local version=$1 dir=$CACHE/src/qemu_${1//[:~\/]/-} dsc tmp
    if [ ! -d "$dir" ]; then
        say "downloading the source package of QEMU $version"
        dsc=$(apt_download_source qemu "$version") || return 1
        temp_dir "$CACHE/src"
        tmp=$TEMP
        if ! dpkg-source --no-check --no-copy -x "$dsc" "$tmp/qemu" \
            > "$CACHE/log/unpack-qemu.log" 2>&1; then
            tail -n 5 "$CACHE/log/unpack-qemu.log" >&2
            die 1 "could not unpack the source package of QEMU $version"
        fi
        mv "$tmp/qemu" "$dir"
        rm -rf "$CACHE/dl/qemu-src"
    fi
    remember "qemu-$QEMU_SERIES" "$(basename "$dir")"
    SOURCE_DIR=$dir
}

# Versions of QEMU's source package in the series, newest first. The default
# series leaves the archive one day; what comes closest follows it.
list_qemu() {
    apt_source_versions qemu "^([0-9]+:)?${QEMU_SERIES//./[.]}[.]"
    [ "$QEMU_SERIES" != 10.0 ] ||
        apt_source_versions qemu '^([0-9]+:)?10[.]' | grep -v '^\([0-9]*:\)\?10[.]0[.]' || true
}

# Print the directory of the QEMU source. Call it in $(), which ends its lock.
qemu_source() {
    local scope
    if [ -n "$QEMU_SRC" ]; then
        [ -x "$QEMU_SRC/configure" ] && [ -f "$QEMU_SRC/hw/meson.build" ] ||
            die 2 "--qemu-src=$QEMU_SRC holds no QEMU source (no configure" \
                "script); name the top directory of a QEMU tree"
        printf '%s\n' "$QEMU_SRC"
        return
    fi
    mkdir -p "$CACHE/src" "$CACHE/log"
    remembered "qemu-$QEMU_SERIES" && return
    lock sources
    remembered "qemu-$QEMU_SERIES" && return
    need_apt "QEMU $QEMU_SERIES" --qemu-src
    for scope in near far; do
        apt_candidates "$scope" list_qemu fetch_qemu || continue
        printf '%s\n' "$SOURCE_DIR"
        return
    done
    die 3 "the Debian archive has no QEMU $QEMU_SERIES that can be downloaded;" \
        "give another --qemu-version or --qemu-src=DIR"
}

# need_apt WHAT OPTION: die when there is no way to get it
need_apt() {
    have_apt || die 3 "$1 comes from the Debian archive, and this system has no" \
        "dpkg and apt; give $2=DIR"
}

# fetch_kernel PACKAGE VERSION: as fetch_qemu
fetch_kernel() {
    local package=$1 version=$2 dir deb tmp
    dir=$CACHE/src/linux_${version//[:~\/]/-}
    if [ ! -d "$dir" ]; then
        say "downloading $package $version"
        deb=$(apt_download_binary "$package" "$version") || return 1
        say "unpacking $package $version"
        temp_dir "$CACHE/src"
        tmp=$TEMP
        dpkg-deb --fsys-tarfile "$deb" |
            tar -xO "./usr/src/$package.tar.xz" | tar -xJ -C "$tmp" ||
            die 1 "could not unpack $package $version"
        mv "$tmp/$package" "$dir"
        rm -rf "$CACHE/dl/$package"
    fi
    remember "linux-$KERNEL_SERIES" "$(basename "$dir")"
    SOURCE_DIR=$dir
}

# Packages of the series and their versions, newest first
list_kernel() {
    local package version
    case $KERNEL_SERIES in
    *.*) printf '%s\n' "linux-source-$KERNEL_SERIES" ;;
    *)
        apt-cache "${APT_OPTS[@]}" pkgnames "linux-source-$KERNEL_SERIES." |
            sort -rV
        ;;
    esac | while read -r package; do
        apt_binary_versions "$package" | while read -r version; do
            printf '%s\n' "$package $version"
        done
    done
}

# kernel_source SERIES: print the directory of a 7 or 6.12 kernel source.
# Call it in $(), which ends its lock.
kernel_source() {
    local series=$1
    if [ -n "$KERNEL_SRC" ] && [ "$series" = 7 ]; then
        [ -f "$KERNEL_SRC/Makefile" ] && [ -d "$KERNEL_SRC/kernel" ] ||
            die 2 "--kernel-src=$KERNEL_SRC holds no Linux source (no" \
                "Makefile); name the top directory of a kernel tree"
        printf '%s\n' "$KERNEL_SRC"
        return
    fi
    mkdir -p "$CACHE/src" "$CACHE/log"
    remembered "linux-$series" && return
    lock sources
    remembered "linux-$series" && return
    need_apt "Linux $series" --kernel-src
    KERNEL_SERIES=$series
    apt_candidates near list_kernel fetch_kernel ||
        die 3 "the Debian archive has no linux-source-$series that can be" \
            "downloaded; give --kernel-src=DIR"
    printf '%s\n' "$SOURCE_DIR"
}
