#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Programs of Debian for guests of another architecture: userland.sh ARCH [STAMP].
# build/userland-ARCH then holds the files of PROGRAMS and of the libraries that
# they need, as the packages have them. Nothing is installed on this machine, and
# its own apt does not learn of the architecture.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/apt.sh"

ARCH=$1
# Part of the result's name: raise it when this script changes what it unpacks
RECIPE=1

# The packages that packages.sh has for tests, and what the guests have as tools
PROGRAMS=(busybox-static e2fsprogs fio iputils-ping pci.ids pciutils strace)

have_apt || die 3 "programs for $ARCH guests come from the Debian archive, and" \
    "this system has no dpkg and apt; run it in a Debian"

# The programs and all libraries that apt would install with them
list_packages() {
    local pattern
    pattern=$(printf '%s|' "${PROGRAMS[@]}")
    apt-get "${APT_OPTS[@]}" -q --simulate --no-install-recommends install \
        "${PROGRAMS[@]}" 2> "$CACHE/log/userland-$ARCH.log" |
        awk -v wanted="^($pattern)\$" '
            $1 == "Inst" && ($2 ~ wanted || $2 ~ /^z?lib/ && $2 !~ /-perl$|python/) {
                print $2
            }'
}

unpack() {
    local deb dir=$CACHE/dl/userland-$ARCH
    local -a packages
    mapfile -t packages < <(list_packages)
    [ "${#packages[@]}" -ge "${#PROGRAMS[@]}" ] || {
        tail -n 5 "$CACHE/log/userland-$ARCH.log" >&2
        die 3 "the Debian archive has no ${PROGRAMS[*]} for $ARCH"
    }
    say "downloading ${#packages[@]} Debian packages for $ARCH guests"
    rm -rf "$dir"
    mkdir -p "$dir"
    (cd "$dir" && apt_log "userland-$ARCH" apt-get "${APT_OPTS[@]}" -q download \
        "${packages[@]}") || {
        grep '^E:' "$CACHE/log/apt-userland-$ARCH.log" >&2 || true
        rm -f "$CACHE/apt/$ARCH/fetched"
        die 3 "could not download the programs for $ARCH guests; try again"
    }
    temp_dir "$CACHE/scratch"
    for deb in "$dir"/*.deb; do
        dpkg-deb -x "$deb" "$TEMP" || die 1 "could not unpack $deb"
    done
    rm -rf "$dir" "$TEMP"/usr/share/{doc,man,locale,info,lintian}
    publish "$TEMP" "$RESULT"
}

mkdir -p "$CACHE/scratch" "$CACHE/log"
RESULT=userland-$ARCH-$(echo "$CODENAME $RECIPE ${PROGRAMS[*]}" | hash_text)
if [ ! -d "$CACHE/out/$RESULT" ]; then
    lock "userland-$ARCH"
    [ -d "$CACHE/out/$RESULT" ] || {
        apt_private "$ARCH"
        unpack
    }
fi
use "$RESULT" "userland-$ARCH"
[ -z "${2:-}" ] || stamp "$2" "$RESULT"
