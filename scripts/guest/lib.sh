# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Helpers of the scripts inside the guests.  File descriptor 3 is the results
# port: lines that begin with "!" are for the launcher, the others are TAP.

say() { printf '%s\n' "$*" >&3; }
# For the launcher, also where descriptor 3 leads elsewhere
tell() { printf '%s\n' "$*" >&"${PORT:-3}"; }
log() { printf '%s\n' "pci-ep: $*" >/dev/kmsg; }
state() { log "$*"; tell "!state $*"; }

# The run makes no sense; the text says what to do.  Ends the script.
need() {
    log "cannot run: $*"
    tell "!need $*"
    exit 2
}

# wait_for SECONDS COMMAND...: tries until it succeeds or the time is over.
wait_for() {
    _end=$(($(cut -d. -f1 /proc/uptime) + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -ge "$_end" ] && return 1
        sleep 0.1
    done
}

# Parameters of a module on the kernel's command line, as modprobe finds them
module_parameters() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1\.//p"; }

# load MODULE...: inserts each with what it depends on; built-in ones are fine.
load() {
    for _m in "$@"; do
        _m=$(echo "$_m" | tr - _)
        [ -d "/sys/module/$_m" ] && continue
        [ -f "/pciep/load/$_m" ] || continue
        while read -r _file; do
            _n=$(basename "$_file" .ko | tr - _)
            [ -d "/sys/module/$_n" ] && continue
            # shellcheck disable=SC2046 # one word for each
            insmod "$_file" $(module_parameters "$_n") || return 1
        done <"/pciep/load/$_m"
    done
}

# serve ID COMMAND: a command of the launcher.  Its output goes back line by line.
serve() {
    sh -c ". /pciep/env; . /pciep/lib.sh; . /pciep/$ROLE-lib.sh; $2" \
        >"/tmp/out.$1" 2>&1 </dev/null
    _status=$?
    while IFS= read -r _line || [ -n "$_line" ]; do
        say "!out $1 $_line"
    done <"/tmp/out.$1"
    rm -f "/tmp/out.$1"
    say "!done $1 $_status"
}

# finish: the end of the run; lets go of everything so that faults in it show.
finish() {
    # shellcheck source=/dev/null
    ( . "/pciep/$ROLE-lib.sh"; role_finish ) 2>&1 | while IFS= read -r _line; do log "$_line"; done
    say "!finished"
}

net_up() {
    ip link set lo up
    load virtio_pci virtio_net
    wait_for 5 test -d /sys/class/net/eth0 || {
        log "no network interface: the kernel needs CONFIG_VIRTIO_NET"
        return
    }
    ip link set eth0 up
    ip addr add 10.0.2.15/24 dev eth0
    ip route add default via 10.0.2.2
    echo nameserver 10.0.2.3 >/etc/resolv.conf
}

# tap_result STATUS NAME [COMMENT]: one TAP result; TAP_N counts, PREFIX tells
# functions apart when there are several.
PREFIX=
TAP_N=0
tap_result() {
    TAP_N=$((TAP_N + 1))
    if [ "$1" = 0 ]; then
        say "ok $TAP_N $PREFIX$2${3:+ $3}"
    else
        say "not ok $TAP_N $PREFIX$2${3:+ $3}"
    fi
}

interactive() {
    log "shell on the console; Ctrl-] ends the run"
    cd /root || return
    # Functions do not survive exec; an interactive shell reads what ENV names.
    echo ". /pciep/env; . /pciep/lib.sh; . /pciep/$ROLE-lib.sh" >/tmp/shell
    ENV=/tmp/shell setsid cttyhack sh -l <"/dev/$CONSOLE" >"/dev/$CONSOLE" 2>&1
}
