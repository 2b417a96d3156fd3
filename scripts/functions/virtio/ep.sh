# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-virtio as a device of the type that the name of the function ends in.

# virtio_set NAME VALUE: writes an attribute of the function.
virtio_set() {
    echo "$2" >"$_f/virtio/$1" || refused "pci-epf-virtio does not take $1=$2, see ep.log"
}

# virtio_type: sets the attributes that only this type has.  Its type.sh defines it.
virtio_type() { :; }
# virtio_linked: does what this type needs when the controller has the function.
virtio_linked() { :; }
# shellcheck source=/dev/null
[ ! -f "/pciep/functions/$FUNCTION/type.sh" ] || . "/pciep/functions/$FUNCTION/type.sh"

function_setup() {
    load pci_epf_virtio || refused "the endpoint kernel did not take pci-epf-virtio.ko, see ep.log"
    _f="$CFS/functions/pci_epf_virtio/$TAG"
    mkdir "$_f" && wait_for 5 test -d "$_f/virtio" ||
        refused "cannot create the function pci_epf_virtio, see ep.log"
    virtio_set type "${FUNCTION#virtio-}"
    virtio_type
    virtio_set queue_size "$OPT_QUEUE_SIZE"
    virtio_set trap_delay_us "$OPT_TRAP_DELAY_US"
    virtio_set trap "$OPT_TRAP"
    virtio_set doorbells "$OPT_DOORBELLS"
    virtio_set notification_data "$OPT_NOTIFICATION_DATA"
    virtio_set access_platform "$OPT_ACCESS_PLATFORM"
    virtio_set capabilities "$OPT_CAPABILITIES"
    ln -s "$_f" "$EPC_PATH/" || refused "the controller refused the function, see ep.log"
    virtio_linked
}

# virtio_state: prints what the function has counted, with several functions of
# the first one.
virtio_state() { cat /sys/kernel/debug/pci_epf_virtio/*/state; }
