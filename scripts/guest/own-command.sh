#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# own-command.sh TAG FILE: runs a test command for own_run, in a session of its own.

. /pciep/env
. /pciep/lib.sh
# shellcheck source=/dev/null
. "/pciep/$ROLE-lib.sh"
# shellcheck disable=SC2034 # load uses it
LOAD_STRICT=1
# What the command leaves running must not keep these open.
exec 5<&- 6<&- 7<&-
set -a
choose "$1"
# shellcheck source=/dev/null
. "$2"
