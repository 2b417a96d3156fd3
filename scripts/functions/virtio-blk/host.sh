# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host's virtio_blk against a block device: data, a file system, what it erases.

. "/pciep/functions/$FUNCTION/virtio.sh"

# blk_disk: prints the node of the disk.
blk_disk() {
    for _b in "$(virtio_device)"/block/vd*; do
        [ -b "/dev/${_b##*/}" ] && echo "/dev/${_b##*/}" && return
    done
    return 1
}

function_setup() {
    virtio_setup virtio_blk
    wait_for 10 blk_disk
}

# blk_verify RW DEPTH [OPTION...]: writes blocks with check sums and reads them back.
blk_verify() {
    _rw=$1
    _depth=$2
    shift 2
    fio --name=verify --filename="$(blk_disk)" --allow_file_create=0 --direct=1 \
        --ioengine=libaio --rw="$_rw" --iodepth="$_depth" --size="$OPT_DATA" \
        --verify=crc32c --do_verify=1 --verify_fatal=1 --randrepeat=0 "$@"
}

blk_depth_1() { blk_verify write 1 --bs=128k; }

# Sizes from a sector to more than the buffer of the device, at random places
blk_random() { blk_verify randwrite 32 --bsrange=512-1m; }

# Half reads and half writes, from several jobs and so through several queues
blk_mixed() {
    fio --name=mixed --filename="$(blk_disk)" --allow_file_create=0 --direct=1 \
        --ioengine=libaio --rw=randrw --bsrange=4k-64k --iodepth=16 --numjobs=2 \
        --size=4m --offset_increment=4m --verify=crc32c --verify_fatal=1 \
        --verify_backlog=64 --randrepeat=0
}

# blk_filesystem: makes a file system and many files.  These are the same after an
# unmount, and fsck finds nothing to repair.
blk_filesystem() (
    set -e
    disk=$(blk_disk)
    dir=/tmp/mnt.$TAG
    sums=/tmp/sums.$TAG
    trap 'umount "$dir" 2>/dev/null || :' EXIT
    load ext4
    mkfs.ext4 -q -F "$disk"
    mkdir -p "$dir"
    mount -t ext4 -o discard "$disk" "$dir"
    for n in $(seq "$OPT_FILES"); do
        head -c $((n * 13)) /dev/urandom >"$dir/file.$n"
    done
    sync
    rm "$dir/file.1"
    (cd "$dir" && sha256sum file.* >"$sums")
    umount "$dir"
    echo 3 >/proc/sys/vm/drop_caches
    mount -t ext4 "$disk" "$dir"
    (cd "$dir" && sha256sum -c "$sums" >/dev/null)
    [ "$(wc -l <"$sums")" = $((OPT_FILES - 1)) ]
    umount "$dir"
    fsck.ext4 -f -n "$disk"
)

# blk_erase COMMAND...: sectors that the command erases read as zeroes, and their
# neighbours stay.
blk_erase() {
    _d=$(blk_disk)
    _random=/tmp/random.$TAG
    head -c 1048576 /dev/urandom >"$_random"
    dd if="$_random" of="$_d" bs=64k oflag=direct || return
    "$@" -o 262144 -l 524288 "$_d" || return
    dd if=/dev/zero of="$_random" bs=64k seek=4 count=8 conv=notrunc || return
    dd if="$_d" bs=64k count=16 iflag=direct | cmp - "$_random"
}

# These make requests WRITE_ZEROES and DISCARD.  The shell has a fallocate of its own.
blk_zeroes() { blk_erase /bin/fallocate -z; }
blk_discard() { blk_erase blkdiscard; }

# blk_read_only: the disk is read-only, and can be read.
blk_read_only() {
    _b=$(blk_disk)
    [ "$(cat "/sys/block/${_b##*/}/ro")" = 1 ] || return
    ! dd if=/dev/zero of="$_b" bs=4k count=1 oflag=direct || return
    dd if="$_b" of=/dev/null bs=64k count=64 iflag=direct
}

function_run() {
    say "TAP version 13"
    TAP_N=0
    if [ "$OPT_READ_ONLY" = on ]; then
        check READ_ONLY blk_read_only
    else
        check VERIFY_DEPTH_1 blk_depth_1
        check VERIFY_RANDOM blk_random
        check VERIFY_MIXED blk_mixed
        check ZEROES blk_zeroes
        check DISCARD blk_discard
        check FILESYSTEM blk_filesystem
    fi
    say "1..$TAP_N"
    return $FAILED
}
