#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Unit tests, qtests and the guest tests of vfio-user-pci on another QEMU series:
# check-other-qemu.sh SERIES. A series that cannot be had is skipped.

. "$(dirname "$0")/common.sh"

SERIES=$1
export PCI_EP_BUILD=$BUILD/qemu-$SERIES
status=0
"$TOP/configure" --qemu-version="$SERIES" || status=$?
if [ "$status" -eq 3 ]; then
    mkdir -p "$PCI_EP_BUILD/results"
    say "QEMU $SERIES is not tested: its source is not available"
    echo '0 passed, 0 failed, 1 skipped' |
        tee "$PCI_EP_BUILD/results/summary"
    exit 0
fi
[ "$status" -eq 0 ] || exit "$status"
exec "$PYTHON" "$TOP/scripts/build/run-tests" --build "$PCI_EP_BUILD" \
    unit qtest stock
