#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What this guest does: as its role says, then the command, shell or test asked for.

. /pciep/env
. /pciep/lib.sh
# shellcheck source=/dev/null
. "/pciep/$ROLE-lib.sh"

# shellcheck disable=SC2086 # a list of names
load $LOAD || need "could not insert the modules $LOAD, see the console of $ROLE"

if [ -f /pciep/cmd ]; then
    role_prepare
    state "running the command"
    sh -c '. /pciep/env; . /pciep/lib.sh; . "/pciep/$ROLE-lib.sh"; . /pciep/cmd' \
        </dev/null >"/dev/$CONSOLE" 2>&1
    status=$?
elif [ -n "$INTERACTIVE" ]; then
    ( role_prepare; role_setup )
    state "interactive"
    interactive
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
say "!exit $status"
