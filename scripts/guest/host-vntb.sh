# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's ntb_hw_epf against the NTB endpoint: a network between the guests.

. /pciep/ntb-lib.sh

ntb_bound() {
    [ "$(basename "$(readlink "/sys/bus/pci/devices/$(own_endpoint)/driver")")" = \
        ntb_hw_epf ]
}

function_setup() {
    function_appears || return
    load ntb_hw_epf || need "the host kernel did not take ntb_hw_epf, see host.log"
    [ -d /sys/bus/pci/drivers/ntb_hw_epf ] || need "the host kernel has no ntb_hw_epf: set" \
        "CONFIG_NTB_EPF=m and pass its modules with --host-modules"
    function_binds ntb_bound
}

vntb_link() {
    load ntb_transport ntb_netdev && ntb_up $NTB_HOST && wait_for 20 ntb_carrier
}

vntb_ping() { ping -c 10 -i 0.1 -W 5 $NTB_EP; }
vntb_ping_back() { ntb_ask ping 5 </dev/null | tee /dev/stderr | grep -q passed; }

# busybox has a ping of its own, which does not flood.
vntb_flood() {
    /bin/ping -f -q -c "$OPT_PINGS" $NTB_EP >/tmp/flood 2>&1
    tail -n 5 /tmp/flood
    grep -q " $OPT_PINGS received, 0% packet loss" /tmp/flood && return
    echo "transport, device and ICMP counters, host and then endpoint:"
    ntb_stats
    ntb_ask stats </dev/null
    return 1
}

same() {
    echo "$*"
    [ -n "$1" ] && [ "$1" = "$2" ]
}

vntb_to_endpoint() {
    _sum=$(ntb_data "$OPT_DATA" | sha256sum)
    same "$_sum" "$(ntb_data "$OPT_DATA" | ntb_ask sum)"
}

vntb_from_endpoint() {
    _sum=$(ntb_ask sum-of-data "$OPT_DATA" </dev/null)
    same "$_sum" "$(ntb_ask data "$OPT_DATA" </dev/null | sha256sum)"
}

function_run() {
    say "TAP version 13"
    TAP_N=0
    check LINK_UP vntb_link
    check PING_ENDPOINT vntb_ping
    check PING_HOST vntb_ping_back
    check DATA_TO_ENDPOINT vntb_to_endpoint
    check DATA_FROM_ENDPOINT vntb_from_endpoint
    check FLOOD_PING vntb_flood
    say "1..$TAP_N"
    return $FAILED
}
