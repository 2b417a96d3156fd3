# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Helpers of all scripts in the guests.  File descriptor 3 is the results port.
# Lines that begin with "!" are for the launcher, the others are TAP.

# say TEXT...: writes a line to the results port.
say() { printf '%s\n' "$*" >&3; }
# say_launcher TEXT...: the same where descriptor 3 is a file, see role_run.
say_launcher() { printf '%s\n' "$*" >&"${PORT:-3}"; }
log() { printf '%s\n' "pci-ep: $*" >/dev/kmsg; }
# state TEXT...: what this guest does now, for the log and the launcher
state() { log "$*"; say_launcher "!state $*"; }

# need TEXT...: ends the script and the run, since it makes no sense here.  The
# text says what to do.
need() {
    log "cannot run: $*"
    say_launcher "!need $*"
    exit 2
}

# refused TEXT...: the same, since the kernel refused what the run is to test.
refused() {
    log "cannot run: $*"
    say_launcher "!refused $*"
    exit 2
}

# wait_for SECONDS COMMAND...: repeats a command until it succeeds.  When the time is
# over it fails, with what the command wrote to standard error.
wait_for() {
    case $1 in
    "" | *[!0-9]*)
        echo "wait_for: $1 is no number of seconds: write wait_for SECONDS COMMAND..." >&2
        return 2
        ;;
    esac
    _end=$(($(cut -d. -f1 /proc/uptime) + $1))
    shift
    while ! "$@" >/dev/null 2>"/tmp/wait_for.$$"; do
        [ "$(cut -d. -f1 /proc/uptime)" -ge "$_end" ] || { sleep 0.1; continue; }
        cat "/tmp/wait_for.$$" >&2
        return 1
    done
}

# module_parameters NAME: prints the parameters of a module on the kernel's
# command line, as modprobe finds them.
module_parameters() { tr ' ' '\n' </proc/cmdline | sed -n "s/^$1\.//p"; }

# built_in MODULE: whether the kernel contains it, also when nobody knows.
built_in() { [ ! -f /pciep/builtin ] || grep -qx "$1" /pciep/builtin; }

# load MODULE...: inserts modules with all they depend on.  A module that does not
# exist is an error with LOAD_STRICT.  Without it this goes on, since scripts of a
# function have a better message than this.
load() {
    for _m in "$@"; do
        _m=$(basename "$_m" .ko | tr - _)
        [ -d "/sys/module/$_m" ] && continue
        [ -f "/pciep/load/$_m" ] || {
            built_in "$_m" || [ -z "$LOAD_STRICT" ] || {
                echo "load: no module $_m in this guest; pass --$ROLE-module if it should" \
                    "have one" >&2
                return 1
            }
            continue
        }
        while read -r _file; do
            _n=$(basename "$_file" .ko | tr - _)
            [ -d "/sys/module/$_n" ] && continue
            # shellcheck disable=SC2046 # one word for each
            insmod "$_file" $(module_parameters "$_n") || return 1
        done <"/pciep/load/$_m"
    done
}

# serve ID COMMAND: runs a command of the launcher, and sends its output and its
# exit status back.
serve() {
    sh -c ". /pciep/env; . /pciep/lib.sh; . /pciep/$ROLE-lib.sh; LOAD_STRICT=1; $2" \
        >"/tmp/out.$1" 2>&1 </dev/null
    _status=$?
    while IFS= read -r _line || [ -n "$_line" ]; do
        say "!out $1 $_line"
    done <"/tmp/out.$1"
    rm -f "/tmp/out.$1"
    say "!done $1 $_status"
}

# finish: takes down what the role has set up, so that faults in that show, too.
finish() {
    # shellcheck source=/dev/null
    ( . "/pciep/$ROLE-lib.sh"; . /pciep/ftrace.sh; role_finish; ftrace_end ) 2>&1 | while IFS= read -r _line; do log "$_line"; done
    say "!finished"
}

# net_up: user networking of QEMU, with its fixed addresses
net_up() {
    ip link set lo up
    load virtio_pci virtio_net
    wait_for 5 test -d /sys/class/net/eth0 || {
        # This runs in init, which must not end as need would have it.
        say "!need the kernel of $GUEST has no network interface: set CONFIG_VIRTIO_PCI and" \
            "CONFIG_VIRTIO_NET, or leave out --net"
        return
    }
    ip link set eth0 up
    ip addr add 10.0.2.15/24 dev eth0
    ip route add default via 10.0.2.2
    echo nameserver 10.0.2.3 >/etc/resolv.conf
}

# shares_up: mounts the directories of --share.
shares_up() {
    [ -s /pciep/shares ] || return
    load virtio_pci 9pnet_virtio 9p
    while read -r _tag _directory; do
        mkdir -p "$_directory"
        mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 "$_tag" "$_directory" || {
            # This runs in init as well.
            say "!need the kernel of $GUEST cannot mount $_directory: set CONFIG_NET_9P_VIRTIO" \
                "and CONFIG_9P_FS, or leave out --share"
            return
        }
    done </pciep/shares
}

# tap_result STATUS NAME [COMMENT]: one result.  TAP_N is its number.  PREFIX is
# the name of the function if there are several.
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

# help: lists the commands of this guest.
help() {
    while IFS='|' read -r _name _guest _arguments _text; do
        case $_guest in
        all | "$ROLE")
            printf '%s\n    %s\n' "$_name${_arguments:+ $_arguments}" "$_text"
            ;;
        esac
    done </pciep/commands.txt
}

# interactive: a shell on the console
interactive() {
    log "shell on the console; help lists commands"
    cd /root || return
    # Functions do not survive exec; an interactive shell reads what ENV names.
    echo ". /pciep/env; . /pciep/lib.sh; . /pciep/$ROLE-lib.sh; LOAD_STRICT=1" >/tmp/shell
    _shell="sh"
    [ ! -x /bin/bash ] || _shell="bash"
    ENV=/tmp/shell setsid cttyhack "$_shell" -l <"/dev/$CONSOLE" >"/dev/$CONSOLE" 2>&1
}
