# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the host does with all virtio devices.

# virtio_device: prints the directory of the device on the virtio bus.
virtio_device() {
    for _d in "/sys/bus/pci/devices/$(own_endpoint)"/virtio*; do
        [ -d "$_d" ] && echo "$_d" && return
    done
    return 1
}

# virtio_ready: the driver of the device has set DRIVER_OK.
virtio_ready() {
    _v=$(virtio_device) && [ -e "$_v/driver" ] && [ $(($(cat "$_v/status") & 4)) != 0 ]
}

# virtio_setup MODULE: waits for the function, and for its driver.
virtio_setup() {
    function_appears || return
    [ -d /sys/bus/pci/drivers/virtio-pci ] || need "the host kernel has no virtio-pci: set" \
        "CONFIG_VIRTIO_PCI=y"
    load "$1" || refused "the host kernel did not take $1, see host.log"
    function_binds virtio_ready
}

# numeric SIZE: prints a size such as 64K in bytes.
numeric() {
    case $1 in
    *K) echo $((${1%K} * 1024)) ;;
    *M) echo $((${1%M} * 1048576)) ;;
    *G) echo $((${1%G} * 1073741824)) ;;
    esac
}
