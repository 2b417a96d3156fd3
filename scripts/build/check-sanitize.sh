#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Unit tests with ThreadSanitizer, and qtests and guest tests with
# AddressSanitizer, UBSan and ThreadSanitizer on our part of QEMU:
# check-sanitize.sh. The unit tests of make check-unit have AddressSanitizer and
# UBSan always.

. "$(dirname "$0")/common.sh"

UNIT=$BUILD/sanitize/unit-thread
RUN=("$PYTHON" "$TOP/scripts/build/run-tests" --build)
mkdir -p "$UNIT"
cp "$BUILD/config.sh" "$UNIT/config.sh"
if [ ! -f "$UNIT/build.ninja" ]; then
    # With the sanitizer, gcc takes what g_assert_true() sets for uninitialized.
    run_logged "$CACHE/log/setup-sanitize.log" 'set up unit tests with TSan' \
        "$MESON" setup -Dsanitizer=thread -Dwerror=false \
        -Dc_args=-Wno-maybe-uninitialized "$UNIT" "$TOP"
fi
status=0
# run-tests has the reason.
export G_SLICE=always-malloc
# Some tests fork, and start threads in the child, before this process has any
# thread but that of QEMU's RCU.
TSAN_OPTIONS="die_after_fork=0:suppressions=$TOP/scripts/build/sanitizers/thread-unit.txt" \
    "${RUN[@]}" "$UNIT" unit || status=1
"${RUN[@]}" "$BUILD" sanitize || status=1
exit "$status"
