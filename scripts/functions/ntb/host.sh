# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's ntb_hw_epf in two hosts: a network between them.  The first host
# runs the test, and the second one serves its requests.

. /pciep/ntb.sh

function_setup() { ntb_host_setup; }

ntb_peer() {
    load ntb_transport ntb_netdev && ntb_up $NTB_PEER || return
    ntb_listen
    state "network up, serving"
}

function_run() {
    if [ "$GUEST" != host ]; then
        ntb_peer
        return
    fi
    say "TAP version 13"
    TAP_N=0
    check LINK_UP ntb_link
    check PING_HOST2 ntb_ping
    check PING_BACK ntb_ping_back
    check DATA_TO_HOST2 ntb_send
    check DATA_FROM_HOST2 ntb_receive
    check FLOOD_PING ntb_flood
    say "1..$TAP_N"
    return $FAILED
}
