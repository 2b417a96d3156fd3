# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The endpoint guest: controller driver, then a function through configfs.

CFS=/sys/kernel/config/pci_ep
EPC_PATH=

# epc_path [N]: EPC_PATH is controller N, in the order of QEMU's options.
epc_path() {
    _n=0
    for EPC_PATH in "$CFS"/controllers/*; do
        [ -d "$EPC_PATH" ] || return
        [ "$_n" = "${1:-0}" ] && return
        _n=$((_n + 1))
    done
    return 1
}

# All controllers at once
ep_link() {
    for _c in "$CFS"/controllers/*; do
        echo "$1" >"$_c/start" || return
    done
}

ep_start() { ep_link 1; }
ep_stop() { ep_link 0; }

# The kind of DMA channel the driver gives out next.
dma_mode_file() { echo "/sys/bus/pci/devices/$(basename "$EPC_PATH")/dma_mode"; }
dma_mode() { sed -n 's/.*\[\(.*\)\].*/\1/p' "$(dma_mode_file)" 2>/dev/null; }
# Functions that copy take a channel of any controller, but each reaches its own host
# only: the others have none to give out now.
set_dma_mode() {
    _file=$(dma_mode_file)
    for _c in "$CFS"/controllers/*; do
        [ "$_c" = "$EPC_PATH" ] || echo off >"/sys/bus/pci/devices/${_c##*/}/dma_mode"
    done
    [ -z "$1" ] || [ "$1" = "$(dma_mode)" ] || echo "$1" >"$_file" ||
        need "the controller has no DMA channels of the kind $1, which $FUNCTION needs"
    # Slave channels that are requested from now on are for this function.
    echo "$FN" >"${_file%mode}function" 2>/dev/null || [ "$FN" = 0 ] || [ "$1" != slave ] ||
        need "pcie-qemu-ep is older than this launcher: run make"
}

# The driver has a controller, or the user learns why not.
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

role_setup() {
    [ -n "$NOLINK" ] && return
    epc_path
    _usual=$(dma_mode)
    _names=
    for _tag in $FUNCTIONS; do
        # shellcheck source=/dev/null
        . "/pciep/functions/$_tag"
        # shellcheck source=/dev/null
        . "/pciep/ep-$FUNCTION.sh"
        epc_path "$CONTROLLER"
        set_dma_mode "${DMA_MODE:-$_usual}"
        function_setup
        _names="$_names $FUNCTION"
    done
    ep_start || need "the endpoint controller refused to start:" \
        "see ep.log for the reason the driver gives"
    state "function$_names set up, link started"
}

# Nothing more to do here: the host decides when it is over.
role_run() { exit 0; }

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
        # What has two controllers stays, see ep-ntb.sh.
        [ -L "$(echo "$_f"/secondary/*)" ] && continue
        [ -d "$_f" ] && rmdir "$_f"
    done
}
