# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# A login shell on an end of the console, for either guest.

# console_shell NODE: runs one after the other while there is the node.  The first
# open() of a session gives it the tty.
console_shell() {
    while [ -c "$1" ]; do
        # shellcheck disable=SC2016 # for the shell that this runs
        setsid sh -c 'exec <>"$0" >&0 2>&1 && stty sane && exec sh -il' "$1" 3>&- 4>&-
        sleep 0.5
    done
}
