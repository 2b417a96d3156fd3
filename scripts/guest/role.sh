#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Does what the role of this guest asks for, and then runs the command, the shell
# or the test.  The output of the command goes to the results port, a terminal, so
# programs write whole lines and lose none in a crash.

. /pciep/env
. /pciep/lib.sh
. /pciep/listen.sh
# shellcheck source=/dev/null
. "/pciep/$ROLE-lib.sh"
. /pciep/ftrace.sh

# shellcheck disable=SC2086 # a list of names
load $LOAD || need "could not insert the modules $LOAD, see the console of $ROLE"
ftrace_start

if [ -f /pciep/cmd ]; then
    role_prepare
    state "running the command"
    sh -c '. /pciep/env; . /pciep/lib.sh; . "/pciep/$ROLE-lib.sh"; LOAD_STRICT=1; . /pciep/cmd' \
        </dev/null >&3 2>"/dev/$CONSOLE"
    status=$?
    # The command may have left a line without an end.
    say
elif [ -n "$INTERACTIVE" ]; then
    ( role_prepare; role_setup )
    state "interactive"
    console_shell
    status=0
elif [ -n "$IDLE" ]; then
    role_prepare
    state "idle"
    exit 0
else
    role_prepare
    role_setup && role_run
    status=$?
fi
exit $status
