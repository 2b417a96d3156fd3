#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build a sample of libvfio-user, whose source comes with that of QEMU:
#
#   libvfio-user.sh SAMPLE FILE
#
# FILE is then a program that serves the device of samples/SAMPLE.c.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/sources.sh"

[ $# = 2 ] || die 2 "usage: libvfio-user.sh SAMPLE FILE"
load_config
"$TOP/scripts/build/packages.sh" peers
FROM=$(qemu_source)/subprojects/libvfio-user
[ -f "$FROM/samples/$1.c" ] ||
    die 2 "no sample $1 of libvfio-user in $FROM: choose another QEMU source"
LIBRARY=()
for part in dma irq libvfio-user migration pci pci_caps tran tran_sock; do
    LIBRARY+=("$FROM/lib/$part.c")
done
read -ra JSON <<< "$(pkg-config --cflags --libs json-c)"
cc -O1 -w -D_GNU_SOURCE -I "$FROM/include" -I "$FROM/lib" "${LIBRARY[@]}" \
    "$FROM/samples/$1.c" -o "$2" "${JSON[@]}"
