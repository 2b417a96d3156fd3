# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The endpoint guest's end of the cable, which serves the host.

# shellcheck source=/dev/null
. "/pciep/functions/$FUNCTION/net.sh"

virtio_type() {
    virtio_set queue_pairs "$OPT_QUEUE_PAIRS"
    virtio_set mtu "$OPT_MTU"
    [ -z "$OPT_MAC" ] || virtio_set mac "$OPT_MAC"
    virtio_set netdev "$(net_netdev)"
}

virtio_linked() {
    cable_up "$(net_netdev)" "$(net_address 2)" ||
        need "no network device in the endpoint guest, see ep.log"
    net_listen
}
