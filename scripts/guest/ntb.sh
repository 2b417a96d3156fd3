# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# A network over an NTB, for the functions vntb and ntb: the network device,
# data with known sums, and the checks of the guest that runs the test.  Each
# side has an address; the side NTB_PEER serves the requests of NTB_TESTER.

NTB_TESTER=10.98.0.1
NTB_PEER=10.98.0.2
NTB_PORT=5000
NTB_BLOB=/tmp/ntb-blob
NTB_BLOB_MIB=4

# ntb_net: prints the network device that ntb_netdev made.
ntb_net() {
    for _d in /sys/class/net/*; do
        case $(readlink -f "$_d/device") in
        *ntb*) basename "$_d" && return ;;
        esac
    done
    return 1
}

# ntb_up ADDRESS: waits for the network device and gives it the address.
# A receive buffer of ntb_netdev has the size of the largest packet, which is
# 64 KiB by default.  A socket such as that of ping has room for one buffer of
# that size only, and drops a second packet that arrives before the first one
# is read.  So the largest packet has 8000 bytes.
ntb_up() {
    wait_for 20 ntb_net || return
    ip link set mtu 8000 dev "$(ntb_net)"
    ip link set lo up
    ip addr add "$1/24" dev "$(ntb_net)"
    ip link set "$(ntb_net)" up
}

# ntb_restart ADDRESS: has the transport of this side begin anew.  A peer that
# crashed has not taken the link down, so this side goes on with the places in
# the ring that it had reached, and would write to the memory that the peer had
# named.
ntb_restart() {
    rmmod ntb_netdev ntb_transport && load ntb_transport ntb_netdev && ntb_up "$1"
}

# ntb_renew: an NTB that appears after ntb_netdev was loaded gets no network device,
# since ntb_transport_register_client_dev() makes one for those that there are.  So
# ntb_netdev is loaded anew.
ntb_renew() {
    [ -d /sys/module/ntb_netdev ] || return 0
    ntb_net >/dev/null || { rmmod ntb_netdev && load ntb_netdev; }
}

ntb_carrier() { [ "$(cat "/sys/class/net/$(ntb_net)/carrier" 2>/dev/null)" = 1 ]; }

# ntb_data SIZE: prints that many random bytes, which repeat after
# NTB_BLOB_MIB.
ntb_data() {
    _mib=${1%[MG]}
    case $1 in
    *K) echo "size $1: at least 1M" >&2; return 1 ;;
    *G) _mib=$((_mib * 1024)) ;;
    esac
    [ -f $NTB_BLOB ] || head -c $((NTB_BLOB_MIB << 20)) /dev/urandom >$NTB_BLOB
    while [ "$_mib" -gt 0 ]; do
        _n=$((_mib < NTB_BLOB_MIB ? _mib : NTB_BLOB_MIB))
        head -c $((_n << 20)) $NTB_BLOB
        _mib=$((_mib - _n))
    done
}

# ntb_stats: prints the counters of the packets of this side.
ntb_stats() {
    grep -hE '_(pkts|err|full)' /sys/kernel/debug/ntb_transport/*/qp*/stats
    grep "$(ntb_net)" /proc/net/dev
    grep '^Icmp:' /proc/net/snmp
}

# ntb_listen: serves requests of the other side in the background.
ntb_listen() {
    nc -ll -p $NTB_PORT -e /pciep/ntb-serve.sh </dev/null >/dev/null 2>&1 3>&- &
}

# ntb_serve: one request.  Standard input and output are the connection.
ntb_serve() {
    read -r _verb _arg
    case $_verb in
    sum) sha256sum ;;
    data) ntb_data "$_arg" ;;
    sum-of-data) ntb_data "$_arg" | sha256sum ;;
    stats) ntb_stats ;;
    ping) ping -c "$_arg" -W 5 $NTB_TESTER 2>&1 && echo passed ;;
    esac
}

# ntb_ask REQUEST...: prints the answer of the other side to a request.
# Standard input is sent along.
ntb_ask() {
    { echo "$*"; cat; } | nc -w 10 $NTB_PEER $NTB_PORT
}

# The rest is for host.sh of the guest that runs the test.

ntb_bound() {
    [ "$(basename "$(readlink "/sys/bus/pci/devices/$(own_endpoint)/driver")")" = \
        ntb_hw_epf ]
}

# ntb_host_setup: waits for the function and has ntb_hw_epf take it.
ntb_host_setup() {
    function_appears || return
    load ntb_hw_epf || refused "the host kernel did not take ntb_hw_epf, see host.log"
    [ -d /sys/bus/pci/drivers/ntb_hw_epf ] || need "the host kernel has no ntb_hw_epf: set" \
        "CONFIG_NTB_EPF=m and pass its modules with --host-modules"
    function_binds ntb_bound
}

ntb_link() {
    load ntb_transport ntb_netdev && ntb_up $NTB_TESTER && wait_for 20 ntb_carrier
}

ntb_ping() { ping -c 10 -i 0.1 -W 5 $NTB_PEER; }
ntb_ping_back() { ntb_ask ping 5 </dev/null | tee /dev/stderr | grep -q passed; }

# ntb_flood: the program is named by its path, since ping of busybox, which is
# found first, has no option -f.
ntb_flood() {
    /bin/ping -f -q -c "$OPT_PINGS" $NTB_PEER >/tmp/flood 2>&1
    tail -n 5 /tmp/flood
    grep -q " $OPT_PINGS received, 0% packet loss" /tmp/flood && return
    echo "transport, device and ICMP counters, of this side and then of the other one:"
    ntb_stats
    ntb_ask stats </dev/null
    return 1
}

# ntb_same SUM SUM: are two check sums equal?
ntb_same() {
    echo "$*"
    [ -n "$1" ] && [ "$1" = "$2" ]
}

ntb_send() {
    _sum=$(ntb_data "$OPT_DATA" | sha256sum)
    ntb_same "$_sum" "$(ntb_data "$OPT_DATA" | ntb_ask sum)"
}

ntb_receive() {
    _sum=$(ntb_ask sum-of-data "$OPT_DATA" </dev/null)
    ntb_same "$_sum" "$(ntb_ask data "$OPT_DATA" </dev/null | sha256sum)"
}
