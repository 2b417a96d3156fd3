# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What both ends of an NTB share: the network device on it, data with known sums.

NTB_HOST=10.98.0.1
NTB_EP=10.98.0.2
NTB_PORT=5000
NTB_BLOB=/tmp/ntb-blob
NTB_BLOB_MIB=4

# The network device of ntb_netdev
ntb_net() {
    for _d in /sys/class/net/*; do
        case $(readlink -f "$_d/device") in
        *ntb*) basename "$_d" && return ;;
        esac
    done
    return 1
}

# ntb_up ADDRESS: waits for the device, gives it the address.  A buffer has the size of
# the largest packet, 64 KiB if not told, and a socket such as that of ping then has
# room for only one: what comes close behind is dropped there.
ntb_up() {
    wait_for 20 ntb_net || return
    ip link set mtu 8000 dev "$(ntb_net)"
    ip link set lo up
    ip addr add "$1/24" dev "$(ntb_net)"
    ip link set "$(ntb_net)" up
}

ntb_carrier() { [ "$(cat "/sys/class/net/$(ntb_net)/carrier" 2>/dev/null)" = 1 ]; }

# ntb_data SIZE: so much of it on standard output, random but for its repetition
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

# What happened to packets on this side
ntb_stats() {
    grep -hE '_(pkts|err|full)' /sys/kernel/debug/ntb_transport/*/qp*/stats
    grep "$(ntb_net)" /proc/net/dev
    grep '^Icmp:' /proc/net/snmp
}

# ntb_serve: one request of the other side; standard input and output are its socket.
ntb_serve() {
    read -r _verb _arg
    case $_verb in
    sum) sha256sum ;;
    data) ntb_data "$_arg" ;;
    sum-of-data) ntb_data "$_arg" | sha256sum ;;
    stats) ntb_stats ;;
    ping) ping -c "$_arg" -W 5 $NTB_HOST 2>&1 && echo passed ;;
    esac
}

# ntb_ask REQUEST: what the other side answers; standard input goes along
ntb_ask() {
    { echo "$*"; cat; } | nc -w 10 $NTB_EP $NTB_PORT
}
