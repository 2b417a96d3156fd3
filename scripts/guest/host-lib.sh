# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host guest: waits for the endpoint behind the root port, then runs the function's test.

# endpoint VENDOR:DEVICE: prints the address of the first such PCI function.
endpoint() {
    for _d in /sys/bus/pci/devices/*; do
        [ "$(cat "$_d/vendor" 2>/dev/null):$(cat "$_d/device" 2>/dev/null)" = "$1" ] || continue
        basename "$_d"
        return 0
    done
    return 1
}

no_endpoint() { ! endpoint "$1"; }

# One line for each PCI function, for the log when something is missing.
pci_list() {
    for _d in /sys/bus/pci/devices/*; do
        echo "$(basename "$_d") $(cat "$_d/vendor"):$(cat "$_d/device")" \
            "$(basename "$(readlink "$_d/driver" 2>/dev/null)" 2>/dev/null)"
    done
}

role_prepare() {
    [ -n "$NOLINK" ] && return
    # shellcheck source=/dev/null
    [ -n "$FUNCTION" ] && [ -f "/pciep/host-$FUNCTION.sh" ] && . "/pciep/host-$FUNCTION.sh"
    [ -f /pciep/cmd ] || return
    state "waiting for the endpoint"
    [ -z "$ENDPOINT" ] || wait_for "$LINK_WAIT" endpoint "$ENDPOINT" ||
        log "no endpoint $ENDPOINT after $LINK_WAIT s, running the command all the same"
}

role_setup() { [ -n "$NOLINK" ] || function_setup; }

role_run() {
    [ -n "$NOLINK" ] && return 0
    function_run
}

role_finish() { :; }
