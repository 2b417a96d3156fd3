# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What has the sectors of the device.

# blk_backing: prints the path of a file in memory, or of a disk of this guest.
blk_backing() {
    case $OPT_DISK in
    memory)
        truncate -s "$OPT_SIZE" "/tmp/$TAG.disk" && echo "/tmp/$TAG.disk"
        ;;
    file)
        load virtio_blk && wait_for 10 ep_disk && ep_disk
        ;;
    esac
}

virtio_type() {
    _disk=$(blk_backing)
    [ -e "$_disk" ] || need "no disk $OPT_DISK in the endpoint guest, see ep.log"
    virtio_set backing "$_disk"
    virtio_set read_only "$OPT_READ_ONLY"
}
