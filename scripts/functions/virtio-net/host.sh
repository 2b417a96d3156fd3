# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host's virtio_net against a network device: pings, data with checksums at both
# usual MTUs, the link down and up.

. "/pciep/functions/$FUNCTION/virtio.sh"
. "/pciep/functions/$FUNCTION/net.sh"

# host_netdev: prints the name of the network device.
host_netdev() {
    for _n in "$(virtio_device)"/net/*; do
        [ -d "$_n" ] && basename "$_n" && return
    done
    return 1
}

# host_carrier 0|1: whether the network device has a carrier.
host_carrier() { [ "$(cat "/sys/class/net/$(host_netdev)/carrier" 2>/dev/null)" = "$1" ]; }

function_setup() {
    virtio_setup virtio_net
    wait_for 10 host_netdev
    cable_up "$(host_netdev)" "$(net_address 1)"
    wait_for 10 host_carrier 1
}

# host_passed REQUEST...: the endpoint guest says that a request succeeded.
host_passed() { net_ask "$@" </dev/null | tee /dev/stderr | grep -q passed; }

net_ping() { ping -c 10 -i 0.1 -W 5 "$(net_address 2)"; }
net_ping_back() { host_passed ping 5; }

# net_flood: the program is named by its path, since ping of busybox, which is found
# first, has no option -f.
net_flood() {
    /bin/ping -f -q -c "$OPT_PINGS" "$(net_address 2)" >"/tmp/flood.$TAG" 2>&1
    tail -n 5 "/tmp/flood.$TAG"
    grep -q " $OPT_PINGS received, 0% packet loss" "/tmp/flood.$TAG" && return
    grep -hE "$(host_netdev)|^Icmp:" /proc/net/dev /proc/net/snmp
    return 1
}

# net_mtu MTU: sets it at both ends.
net_mtu() { host_passed mtu "$1" && ip link set mtu "$1" dev "$(host_netdev)"; }

# net_largest MTU: packets of that size go through, unfragmented.
net_largest() { /bin/ping -M "do" -c 2 -i 0.2 -W 5 -s $(($1 - 28)) "$(net_address 2)"; }

# net_same SUM SUM: are two check sums equal?
net_same() {
    echo "$*"
    [ -n "$1" ] && [ "$1" = "$2" ]
}

net_send() {
    _sum=$(net_data "$OPT_DATA" | sha256sum)
    net_same "$_sum" "$(net_data "$OPT_DATA" | net_ask sum)"
}

net_receive() {
    _sum=$(net_ask sum-of-data "$OPT_DATA" </dev/null)
    net_same "$_sum" "$(net_ask data "$OPT_DATA" </dev/null | sha256sum)"
}

# net_both MTU: data goes both ways with that MTU.
net_both() { net_mtu "$1" && net_largest "$1" && net_send && net_receive; }

# net_link: the link of the endpoint goes down and comes up again.  The connection of
# the request ends when it is up.
net_link() {
    net_ask bounce </dev/null &
    wait_for 10 host_carrier 0 && wait_for 10 host_carrier 1 && net_ping
}

function_run() {
    say "TAP version 13"
    TAP_N=0
    # shellcheck disable=SC2034 # net.sh uses it
    NET_BLOB=/tmp/net-blob.$TAG
    check PING_ENDPOINT net_ping
    check PING_HOST net_ping_back
    check DATA_MTU_1500 net_both 1500
    [ "$OPT_MTU" -lt 9000 ] || check DATA_MTU_9000 net_both 9000
    check FLOOD_PING net_flood
    check LINK net_link
    say "1..$TAP_N"
    return $FAILED
}
