# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# shellcheck disable=SC2034 # PORT, PREFIX and FAILED are for lib.sh and host-NAME.sh
# The host guest: waits for the endpoint behind the root port, then runs the function's test.

# Root port N, in the order of QEMU's options
root_port() {
    grep -l '^0x060400' /sys/bus/pci/devices/*/class | sed -n "s,/class,,;$(($1 + 1))p"
}

# endpoint VENDOR:DEVICE [N [PORT]]: prints the address of the first such PCI function,
# or of that with function number N, behind root port PORT.
endpoint() {
    _of=${2:-?}
    _under=/sys/bus/pci/devices
    [ -z "$3" ] || _under=$(root_port "$3")
    for _d in "$_under"/????:??:*.$_of; do
        [ "$(cat "$_d/vendor" 2>/dev/null):$(cat "$_d/device" 2>/dev/null)" = "$1" ] || continue
        basename "$_d"
        return 0
    done
    return 1
}

no_endpoint() { ! endpoint "$1"; }

# vf_of ADDRESS N: its virtual function N, when that is enabled
vf_of() {
    _link=$(readlink "/sys/bus/pci/devices/$1/virtfn$(($2 - 1))") && basename "$_link"
}

# The function that choose chose, with VF=0 or the number of a virtual function of it
own_endpoint() {
    _pf=$(endpoint "$ENDPOINT" "$FN" "$CONTROLLER") || return
    if [ "${VF:-0}" = 0 ]; then echo "$_pf"; else vf_of "$_pf" "$VF"; fi
}

# One line for each PCI function, for the log when something is missing.
pci_list() {
    for _d in /sys/bus/pci/devices/*; do
        echo "$(basename "$_d") $(cat "$_d/vendor"):$(cat "$_d/device")" \
            "$(basename "$(readlink "$_d/driver" 2>/dev/null)" 2>/dev/null)"
    done
}

role_prepare() {
    [ -n "$NOLINK" ] && return
    [ -f /pciep/cmd ] || return
    state "waiting for the endpoint"
    [ -z "$ENDPOINT" ] || wait_for "$LINK_WAIT" endpoint "$ENDPOINT" ||
        log "no endpoint $ENDPOINT after $LINK_WAIT s, running the command all the same"
}

# choose TAG: what function_setup and function_run are about
choose() {
    # shellcheck source=/dev/null
    . "/pciep/functions/$1"
    # shellcheck source=/dev/null
    . "/pciep/host-$FUNCTION.sh"
    [ "$FUNCTIONS" = "$1" ] || PREFIX="$1."
}

# The function is there, or the reader learns what is instead.
function_appears() {
    say "TAP version 13"
    TAP_N=0
    state "waiting for $FUNCTION"
    wait_for "$LINK_WAIT" own_endpoint
    _status=$?
    tap_result $_status endpoint.ENUMERATE
    [ $_status = 0 ] && return
    say "# no $ENDPOINT after $LINK_WAIT s; PCI functions in the host:"
    pci_list | while read -r _line; do say "#   $_line"; done
    say "1..$TAP_N"
    return 1
}

# function_binds COMMAND...: its driver has it when the command succeeds
function_binds() {
    wait_for 20 "$@"
    _status=$?
    tap_result $_status endpoint.DRIVER_BOUND
    say "1..$TAP_N"
    return $_status
}

# check NAME COMMAND...: one result; what a command that failed said is its notes
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

role_setup() {
    [ -n "$NOLINK" ] && return
    for _tag in $FUNCTIONS; do
        choose "$_tag"
        function_setup || return
    done
}

# Several functions are tested at the same time; what they report waits its turn.
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
