#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A connection of the host to the endpoint guest over an NTB.

. /pciep/lib.sh
. /pciep/ntb-lib.sh
ntb_serve
