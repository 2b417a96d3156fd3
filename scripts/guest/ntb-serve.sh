#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Serves one connection of the other side of an NTB, see ntb_listen.

. /pciep/lib.sh
. /pciep/ntb.sh
ntb_serve
