#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# own-read.sh NAME SEEN ENDED: passes on what a test command prints, for own_run.  A line in
# descriptor 7 says that it came to an end.

# A line that never ends must not take the memory of the guest, in KiB.
# shellcheck disable=SC3045 # busybox has it
ulimit -v 131072
tr '\000-\010\013\014\016-\037' '?' |
    awk -v name="$1" -v seen="$2" -v ended="$3" -f /pciep/own-read.awk >&3
cat >/dev/null
echo >&7
