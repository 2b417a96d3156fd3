#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A command of commands.txt.  /pciep/bin has a link to this file for each.

. /pciep/env
. /pciep/lib.sh
# shellcheck source=/dev/null
. "/pciep/$ROLE-lib.sh"
[ -e /proc/self/fd/3 ] || exec 3<>"/dev/$RESULTS"
# shellcheck disable=SC2034 # load uses it
LOAD_STRICT=1
"${0##*/}" "$@"
