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

unpack_qemu() {
    local version=$1 dir=$CACHE/src/qemu_${1//[:~\/]/-} dsc tmp
    if [ ! -d "$dir" ]; then
        say "downloading the source package of QEMU $version"
        dsc=$(apt_download_source qemu "$version")
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
    printf '%s\n' "$dir"
}

# The version of QEMU's source package for the series, from the nearest suite
find_qemu() {
    local series=${QEMU_SERIES//./[.]} version scope
    for scope in near far; do
        apt_private "$scope"
        version=$(apt_best_source qemu "^([0-9]+:)?${series}[.]")
        [ -z "$version" ] || { printf '%s\n' "$scope $version"; return; }
        # The default series leaves the archive one day
        if [ "$QEMU_SERIES" = 10.0 ]; then
            version=$(apt_best_source qemu '^([0-9]+:)?10[.]')
            [ -z "$version" ] || { printf '%s\n' "$scope $version"; return; }
        fi
    done
    die 3 "no suite of the Debian archive has QEMU $QEMU_SERIES; give another" \
        "--qemu-version or --qemu-src=DIR"
}

# Print the directory of the QEMU source. Call it in $(), which ends its lock.
qemu_source() {
    local found
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
    found=$(find_qemu)
    apt_private "${found%% *}"
    unpack_qemu "${found#* }"
}

unpack_kernel() {
    local package=$1 version=$2 dir deb tmp
    dir=$CACHE/src/linux_${version//[:~\/]/-}
    if [ ! -d "$dir" ]; then
        say "downloading $package $version"
        deb=$(apt_download_binary "$package" "$version")
        say "unpacking $package $version"
        temp_dir "$CACHE/src"
        tmp=$TEMP
        dpkg-deb --fsys-tarfile "$deb" |
            tar -xO "./usr/src/$package.tar.xz" | tar -xJ -C "$tmp"
        mv "$tmp/$package" "$dir"
        rm -rf "$CACHE/dl/$package"
    fi
    remember "linux-${3}" "$(basename "$dir")"
    printf '%s\n' "$dir"
}

# kernel_source SERIES: print the directory of a 7 or 6.12 kernel source.
# Call it in $(), which ends its lock.
kernel_source() {
    local series=$1 package version
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
    apt_private near
    case $series in
    *.*) package=linux-source-$series ;;
    *)
        package=$(apt-cache "${APT_OPTS[@]}" pkgnames "linux-source-$series." |
            sort -V | tail -n 1)
        ;;
    esac
    version=$(apt-cache "${APT_OPTS[@]}" madison "${package:-none}" \
        2>/dev/null | awk -F ' *[|] *' '/ Packages$/ { print $2 }' |
        newest_version)
    [ -n "$version" ] ||
        die 3 "no suite of the Debian archive has linux-source-$series;" \
            "give --kernel-src=DIR"
    unpack_kernel "$package" "$version" "$series"
}
