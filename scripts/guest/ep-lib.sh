# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# shellcheck disable=SC2034 # lib.sh uses PREFIX
# The endpoint guest: inserts the controller's driver and sets functions up through
# configfs.

CFS=/sys/kernel/config/pci_ep
EPC_PATH=

# epc_path [N]: sets EPC_PATH to the directory of controller N, 0 by default.
# Controllers are numbered in the order of QEMU's options.
epc_path() {
    _n=0
    for EPC_PATH in "$CFS"/controllers/*; do
        [ -d "$EPC_PATH" ] || return
        [ "$_n" = "${1:-0}" ] && return
        _n=$((_n + 1))
    done
    return 1
}

# ep_link 0|1: takes the links of all controllers down or up.
ep_link() {
    for _c in "$CFS"/controllers/*; do
        [ -d "$_c" ] || continue
        echo "$1" >"$_c/start" || return
    done
}

ep_start() { ep_link 1; }
ep_stop() { ep_link 0; }

# dma_mode_file, dma_mode: print the file that chooses the kind of DMA channels,
# and the kind that the driver gives out now.
dma_mode_file() { echo "/sys/bus/pci/devices/$(basename "$EPC_PATH")/dma_mode"; }
dma_mode() { sed -n 's/.*\[\(.*\)\].*/\1/p' "$(dma_mode_file)" 2>/dev/null; }
# set_dma_mode MODE: the function that is set up next gets channels of that kind,
# from the controller EPC_PATH.  A function takes a channel of any controller, but
# each controller reaches its own host only.  So the others give out none now.
set_dma_mode() {
    _file=$(dma_mode_file)
    for _c in "$CFS"/controllers/*; do
        [ "$_c" = "$EPC_PATH" ] || echo off >"/sys/bus/pci/devices/${_c##*/}/dma_mode"
    done
    [ -z "$1" ] || [ "$1" = "$(dma_mode)" ] || echo "$1" >"$_file" ||
        need "the controller has no DMA channels of the kind $1, which $FUNCTION needs"
    # Slave channels that are requested after this are for this function.
    echo "$FN" >"${_file%mode}function" 2>/dev/null || [ "$FN" = 0 ] || [ "$1" != slave ] ||
        need "pcie-qemu-ep is older than this launcher: run make"
}

# ep_disk: prints the disk that the launcher made of a file for the function
# (scripts/pciep/disk.py).
ep_disk() {
    for _d in /sys/block/vd*; do
        [ "$(cat "$_d/serial" 2>/dev/null)" = "$TAG" ] && echo "/dev/${_d##*/}" && return
    done
    return 1
}

# role_prepare: waits until the driver has all controllers.  Otherwise the run ends
# with the reason.
role_prepare() {
    [ -n "$NOLINK" ] && return
    [ -d "$CFS" ] || need "the endpoint kernel $(uname -r) has no endpoint support: set" \
        "CONFIG_PCI_ENDPOINT=y and CONFIG_PCI_ENDPOINT_CONFIGFS=y, or use a kernel built by make"
    load pcie-qemu-ep || need "the endpoint kernel $(uname -r) did not take pcie-qemu-ep.ko" \
        "(see ep.log): build linux/ against this kernel and pass it with --ep-driver"
    wait_for 10 epc_path $((CONTROLLERS - 1)) || need "not all endpoint controllers in the" \
        "endpoint guest: the driver pcie-qemu-ep is missing or did not bind, see ep.log"
    epc_path
    state "controller $(basename "$EPC_PATH") ready"
}

# choose TAG: reads settings and scripts of an instance of a function.
choose() {
    # shellcheck source=/dev/null
    . "/pciep/instances/$1"
    [ -z "$OWN" ] || . /pciep/own-ep.sh
    # shellcheck source=/dev/null
    [ ! -f "/pciep/functions/$FUNCTION/ep.sh" ] || . "/pciep/functions/$FUNCTION/ep.sh"
}

# role_setup: sets all functions up, and takes the links up.
role_setup() {
    [ -n "$NOLINK" ] && return
    epc_path
    _usual=$(dma_mode)
    _names=
    for _tag in $FUNCTIONS; do
        choose "$_tag"
        epc_path "$CONTROLLER"
        set_dma_mode "${DMA_MODE:-$_usual}"
        function_setup || refused "$FUNCTION: function_setup in ep.sh ended with status $?," \
            "see the last lines of ep.log"
        _names="$_names $FUNCTION"
    done
    ep_start || refused "the endpoint controller refused to start:" \
        "see ep.log for the reason the driver gives"
    state "function$_names set up, link started"
}

# role_run: the host runs the test.  Functions of a user may have test commands
# for this guest as well, and the launcher then waits for their end.
role_run() {
    [ -n "$EP_TESTS" ] || exit 0
    _failed=0
    for _tag in $FUNCTIONS; do
        choose "$_tag"
        [ -n "$OWN" ] || continue
        PREFIX=ep.
        [ "$FUNCTIONS" = "$_tag" ] || PREFIX="$_tag.ep."
        EPF_DIR="$CFS/functions/$OWN_FUNCTION/$TAG"
        export EPF_DIR
        function_test || _failed=1
    done
    return $_failed
}

# role_finish: takes the links down and the functions apart.  role_setup can set them
# up again.
role_finish() {
    [ -d "$CFS/controllers" ] || return
    ep_stop
    for _f in "$CFS"/controllers/*/*; do
        [ -L "$_f" ] && rm "$_f"
    done
    for _f in "$CFS"/functions/*/*/*; do
        [ -L "$_f" ] && rm "$_f" # a virtual function
    done
    for _f in "$CFS"/functions/*/*; do
        # A function with two controllers stays, see functions/ntb/ep.sh.
        [ -L "$(echo "$_f"/secondary/*)" ] && continue
        [ -d "$_f" ] && rmdir "$_f"
    done
    for _tag in $FUNCTIONS; do
        (
            choose "$_tag"
            command -v function_finish >/dev/null || exit 0
            function_finish
        )
    done
}
