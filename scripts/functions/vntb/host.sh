# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's ntb_hw_epf against the NTB endpoint: a network between the host
# and the endpoint guest.

. /pciep/ntb.sh

function_setup() { ntb_host_setup; }

function_run() {
    say "TAP version 13"
    TAP_N=0
    check LINK_UP ntb_link
    check PING_ENDPOINT ntb_ping
    check PING_HOST ntb_ping_back
    check DATA_TO_ENDPOINT ntb_send
    check DATA_FROM_ENDPOINT ntb_receive
    check FLOOD_PING ntb_flood
    say "1..$TAP_N"
    return $FAILED
}
