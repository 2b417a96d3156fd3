# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's ntb_hw_epf in two hosts: a network between them.  The second one serves
# what the first asks for.

. /pciep/host-vntb.sh

ntb_peer() {
    load ntb_transport ntb_netdev && ntb_up $NTB_EP || return
    nc -ll -p $NTB_PORT -e /pciep/ntb-serve.sh </dev/null >/dev/null 2>&1 3>&- &
    state "network up, serving"
}

function_run() {
    if [ "$GUEST" != host ]; then
        ntb_peer
        return
    fi
    say "TAP version 13"
    TAP_N=0
    check LINK_UP vntb_link
    check PING_HOST2 vntb_ping
    check PING_BACK vntb_ping_back
    check DATA_TO_HOST2 vntb_to_endpoint
    check DATA_FROM_HOST2 vntb_from_endpoint
    check FLOOD_PING vntb_flood
    say "1..$TAP_N"
    return $FAILED
}
