# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What both ends of the cable need: addresses, data with known sums, and requests of
# the host that the endpoint guest serves.  Each function has a network of its own.

NET_BLOB_MIB=4

# net_number: the number of the function among all of the run.
net_number() { echo $((CONTROLLER * 8 + FN)); }
net_netdev() { echo "epnet$(net_number)"; }
# net_address 1|2: the address of the host, or of the endpoint guest.
net_address() { echo "10.96.$(net_number).$1"; }
net_port() { echo $((5100 + $(net_number))); }

# cable_up NETDEV ADDRESS: gives a network device the address.
cable_up() {
    ip link set lo up
    ip addr add "$2/24" dev "$1" && ip link set "$1" up
}

# net_data SIZE: prints that many random bytes, which repeat after NET_BLOB_MIB.
# NET_BLOB is a file for them, which each function has for itself.
net_data() {
    _mib=${1%[MG]}
    case $1 in
    *K) echo "size $1: at least 1M" >&2; return 1 ;;
    *G) _mib=$((_mib * 1024)) ;;
    esac
    [ -f "$NET_BLOB" ] || head -c $((NET_BLOB_MIB << 20)) /dev/urandom >"$NET_BLOB"
    while [ "$_mib" -gt 0 ]; do
        _n=$((_mib < NET_BLOB_MIB ? _mib : NET_BLOB_MIB))
        head -c $((_n << 20)) "$NET_BLOB"
        _mib=$((_mib - _n))
    done
}

# net_bounce NETDEV: takes the link of the endpoint down, and up again.
net_bounce() {
    ip link set "$1" down
    sleep 3
    ip link set "$1" up
}

# net_listen: serves requests of the host in the background.  The shell that serves
# one has the settings of this function in its environment.
net_listen() {
    NET_NETDEV=$(net_netdev)
    NET_HOST=$(net_address 1)
    NET_SCRIPTS=/pciep/functions/$FUNCTION
    NET_BLOB=/tmp/net-blob.$TAG
    export NET_NETDEV NET_HOST NET_SCRIPTS NET_BLOB
    nc -ll -p "$(net_port)" -e sh "$NET_SCRIPTS/serve.sh" </dev/null >/dev/null 2>&1 3>&- &
}

# net_serve: one request.  Standard input and output are the connection.
net_serve() {
    read -r _verb _arg
    case $_verb in
    sum) sha256sum ;;
    data) net_data "$_arg" ;;
    sum-of-data) net_data "$_arg" | sha256sum ;;
    ping) ping -c "$_arg" -W 5 "$NET_HOST" 2>&1 && echo passed ;;
    mtu) ip link set mtu "$_arg" dev "$NET_NETDEV" && echo passed ;;
    bounce) net_bounce "$NET_NETDEV" ;;
    esac
}

# net_ask REQUEST...: prints the answer of the endpoint guest to a request.  Standard
# input is sent along.
net_ask() {
    { echo "$*"; cat; } | nc -w 10 "$(net_address 2)" "$(net_port)"
}
