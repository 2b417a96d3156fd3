# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# shellcheck disable=SC2034 # lib.sh and functions use PORT, PREFIX and FAILED
# A host guest: waits for the endpoint behind its root port, and runs the tests of
# the functions.

# root_port N: prints the directory of root port N, in the order of QEMU's options.
root_port() {
    grep -l '^0x060400' /sys/bus/pci/devices/*/class | sed -n "s,/class,,;$(($1 + 1))p"
}

# pci_ids VENDOR:DEVICE: prints the ids as sysfs has them, 0x1af4:0x10f1.  They are
# given like that or as lspci prints them, 1af4:10f1.
pci_ids() {
    _id=$(echo "$1" | tr A-FX a-fx | sed -n \
        's/^\(0x\)\{0,1\}\([0-9a-f]\{4\}\):\(0x\)\{0,1\}\([0-9a-f]\{4\}\)$/0x\2:0x\4/p')
    [ -n "$_id" ] && echo "$_id" && return
    echo "'$1' is not VENDOR:DEVICE: write it as lspci does, 1af4:10f1" >&2
    return 2
}

# endpoint VENDOR:DEVICE [N [PORT]]: prints the address of the first such PCI
# function.  N is its function number and PORT its root port, if they matter.
endpoint() {
    _wanted=$(pci_ids "$1") || return
    _of=${2:-?}
    _under=/sys/bus/pci/devices
    [ -z "$3" ] || _under=$(root_port "$3")
    for _d in "$_under"/????:??:*.$_of; do
        [ "$(cat "$_d/vendor" 2>/dev/null):$(cat "$_d/device" 2>/dev/null)" = "$_wanted" ] || continue
        basename "$_d"
        return 0
    done
    return 1
}

no_endpoint() { pci_ids "$1" >/dev/null && ! endpoint "$1"; }

# port_function PORT [N]: prints the address of the first PCI function behind a root
# port, or of the one with function number N.
port_function() {
    for _d in "$(root_port "$1")"/????:??:*.${2:-?}; do
        [ -e "$_d/device" ] && basename "$_d" && return
    done
    return 1
}

# offered [any]: prints the first function behind each root port, and fails when a
# port has none, or with "any" when no port has one.
offered() {
    _n=0
    _some=
    while [ -n "$(root_port $_n)" ]; do
        if port_function $_n; then
            _some=1
        elif [ "$1" != any ]; then
            return 1
        fi
        _n=$((_n + 1))
    done
    [ -n "$_some" ]
}

# vf_of ADDRESS N: prints the address of virtual function N, if it is enabled.
vf_of() {
    _link=$(readlink "/sys/bus/pci/devices/$1/virtfn$(($2 - 1))") && basename "$_link"
}

# own_endpoint: prints the address of the function that choose chose.  VF is 0 or
# the number of one of its virtual functions.
own_endpoint() {
    _pf=$(endpoint "$ENDPOINT" "$FN" "$CONTROLLER") || return
    if [ "${VF:-0}" = 0 ]; then echo "$_pf"; else vf_of "$_pf" "$VF"; fi
}

# pci_list: prints address, ids and driver of each PCI function.
pci_list() {
    for _d in /sys/bus/pci/devices/*; do
        echo "$(basename "$_d") $(sed s/0x// "$_d/vendor"):$(sed s/0x// "$_d/device")" \
            "$(basename "$(readlink "$_d/driver" 2>/dev/null)" 2>/dev/null)"
    done
}

# role_prepare: a command of the user runs when there is a function behind each root
# port, whatever its ids, and with the drivers of the user's functions.  A command in
# the endpoint guest may offer functions on some ports only.  A test waits for its
# function itself.
role_prepare() {
    [ -n "$NOLINK" ] && return
    [ -f /pciep/cmd ] || return
    if [ "$LINK_WAIT" != none ]; then
        state "waiting for the endpoint"
        wait_for "$LINK_WAIT" offered ${EP_CMD:+any} ||
            log "no function after $LINK_WAIT s, running the command all the same"
    fi
    for _tag in $FUNCTIONS; do
        [ ! -f "/pciep/own/$_tag.modules" ] || (choose "$_tag" && own_load)
    done
}

# choose TAG: reads settings and scripts of an instance of a function, for
# function_setup and function_run.
choose() {
    # shellcheck source=/dev/null
    . "/pciep/instances/$1"
    [ -z "$OWN" ] || . /pciep/own-host.sh
    # shellcheck source=/dev/null
    [ ! -f "/pciep/functions/$FUNCTION/host.sh" ] || . "/pciep/functions/$FUNCTION/host.sh"
    [ "$FUNCTIONS" = "$1" ] || PREFIX="$1."
}

# own_place: succeeds when the function is there, or one with other ids is where it
# should be.
own_place() {
    own_endpoint || { [ "${VF:-0}" = 0 ] && port_function "$CONTROLLER" "$FN"; }
}

# function_appears: waits for the function.  If it does not come, or has other ids,
# the result lists the PCI functions that there are.
function_appears() {
    say "TAP version 13"
    TAP_N=0
    state "waiting for $FUNCTION"
    _since=$(cut -d. -f1 /proc/uptime)
    wait_for "$LINK_WAIT" own_place
    own_endpoint >/dev/null
    _status=$?
    [ $_status = 0 ] || {
        say "# no function $(pci_ids "$ENDPOINT" | sed s/0x//g) after" \
            "$(($(cut -d. -f1 /proc/uptime) - _since)) s; PCI functions in the host:"
        pci_list | while read -r _line; do say "#   $_line"; done
    }
    tap_result $_status endpoint.ENUMERATE
    [ $_status = 0 ] && return
    say "1..$TAP_N"
    return 1
}

# function_binds COMMAND...: waits for the driver of the function.  The command
# succeeds when the driver is bound.
function_binds() {
    wait_for 20 "$@"
    _status=$?
    tap_result $_status endpoint.DRIVER_BOUND
    say "1..$TAP_N"
    return $_status
}

# check NAME COMMAND...: the command is one result.  If it fails its output is the
# explanation.
FAILED=0
check() {
    _check=$1
    shift
    state "$FUNCTION: $_check"
    _since=$(cut -d. -f1 /proc/uptime)
    ("$@") >"/tmp/check.$TAG" 2>&1
    _status=$?
    [ $_status = 0 ] || {
        FAILED=1
        tail -n 80 "/tmp/check.$TAG" | sed 's/^/# /' >&3
    }
    say "# $_check: $(($(cut -d. -f1 /proc/uptime) - _since)) s"
    tap_result $_status "$FUNCTION.$_check"
}

# role_setup: has the driver of each function bind to it.
role_setup() {
    [ -n "$NOLINK" ] || [ "$LINK_WAIT" = none ] && return
    for _tag in $FUNCTIONS; do
        choose "$_tag"
        function_setup || return
    done
}

# role_run: tests all functions at the same time.  Each of several functions
# reports to a file, and these are sent one after the other.  Descriptor 4 is the
# results port for those.
role_run() {
    [ -n "$NOLINK" ] && return 0
    case $FUNCTIONS in
    *" "*) ;;
    *)
        function_run
        return
        ;;
    esac
    exec 4>&3
    PORT=4
    for _tag in $FUNCTIONS; do
        (
            exec 3>"/tmp/tap.$_tag"
            choose "$_tag"
            function_run
            echo $? >"/tmp/status.$_tag"
        ) &
    done
    wait
    _all=0
    for _tag in $FUNCTIONS; do
        cat "/tmp/tap.$_tag" >&3
        [ "$(cat "/tmp/status.$_tag")" = 0 ] || _all=1
    done
    return $_all
}

role_finish() { :; }
