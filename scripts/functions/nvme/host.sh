# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's nvme driver against the NVMe endpoint: data, a file system, resets.

# These print the PCI directory of the function, its NVMe controller (nvme0) and
# the node of its disk (/dev/nvme0n1).
nvme_pci() { echo "/sys/bus/pci/devices/$(own_endpoint)"; }

nvme_controller() {
    for _c in "$(nvme_pci)"/nvme/nvme*; do
        [ -d "$_c" ] && echo "${_c##*/}" && return
    done
    return 1
}

nvme_disk() {
    for _c in "$(nvme_pci)"/nvme/nvme*/nvme*n1; do
        [ -b "/dev/${_c##*/}" ] && echo "/dev/${_c##*/}" && return
    done
    return 1
}

function_setup() {
    function_appears || return
    load nvme || refused "the host kernel did not take nvme, see host.log"
    [ -d /sys/bus/pci/drivers/nvme ] || need "the host kernel has no nvme driver: set" \
        "CONFIG_BLK_DEV_NVME=m and pass its modules with --host-modules"
    function_binds nvme_disk
}

# nvme_verify DEPTH SIZE [OPTION...]: writes blocks of 128 KiB with check sums and
# reads them back.
nvme_verify() {
    _depth=$1
    _size=$2
    shift 2
    fio --name=verify --filename="$(nvme_disk)" --allow_file_create=0 --direct=1 \
        --ioengine=libaio --rw=write --bs=128k --iodepth="$_depth" --size="$_size" \
        --verify=crc32c --do_verify=1 --verify_fatal=1 --randrepeat=0 "$@"
}

# nvme_verify_odd SIZE: the same from buffers that begin at odd places of a page.
# dma_alignment of the disk is 3, so multiples of 4 are allowed.
nvme_verify_odd() {
    for _at in 4 500 2048 4092; do
        nvme_verify 4 "$1" --mem_align=$_at || return
    done
}

# nvme_filesystem: makes a partition, a file system and many files.  These are the
# same after an unmount, and fsck finds nothing to repair.
nvme_filesystem() (
    set -e
    disk=$(nvme_disk)
    dir=/tmp/mnt.$TAG
    sums=/tmp/sums.$TAG
    trap 'umount "$dir" 2>/dev/null || :' EXIT
    load ext4
    printf 'o\nn\np\n1\n\n\nw\n' | fdisk "$disk" >/dev/null
    wait_for 10 test -b "${disk}p1"
    mkfs.ext4 -q -F "${disk}p1"
    mkdir -p "$dir"
    mount -t ext4 "${disk}p1" "$dir"
    for n in $(seq "$OPT_FILES"); do
        head -c $((n * 13)) /dev/urandom >"$dir/file.$n"
    done
    (cd "$dir" && sha256sum file.* >"$sums")
    umount "$dir"
    echo 3 >/proc/sys/vm/drop_caches
    mount -t ext4 "${disk}p1" "$dir"
    (cd "$dir" && sha256sum -c "$sums" >/dev/null && [ "$(wc -l <"$sums")" = "$OPT_FILES" ])
    umount "$dir"
    fsck.ext4 -f -n "${disk}p1"
)

# nvme_resets: resets the controller while blocks with check sums are written and
# read back.  None may be lost.
nvme_resets() {
    _done=/tmp/resets.$TAG
    rm -f "$_done"
    while [ ! -e "$_done" ]; do
        nvme_verify 32 "$OPT_DATA" || exit 1
    done &
    _load=$!
    _n=0
    while [ "$_n" -lt "$OPT_RESETS" ]; do
        sleep 0.5
        kill -0 $_load || break
        echo 1 >"/sys/class/nvme/$(nvme_controller)/reset_controller" || break
        _n=$((_n + 1))
    done
    : >"$_done"
    wait $_load || return 1
    echo "$_n of $OPT_RESETS resets"
    [ "$_n" = "$OPT_RESETS" ]
}

# nvme_reload: removes the driver and inserts it again.  The data is the same.
nvme_reload() {
    _before=$(dd if="$(nvme_disk)" bs=1M count=8 2>/dev/null | sha256sum)
    rmmod nvme
    [ -z "$(nvme_disk)" ] || return 1
    load nvme && wait_for 20 nvme_disk || return 1
    _after=$(dd if="$(nvme_disk)" bs=1M count=8 2>/dev/null | sha256sum)
    echo "before $_before after $_after"
    [ "$_before" = "$_after" ]
}

function_run() {
    say "TAP version 13"
    TAP_N=0
    check VERIFY_DEPTH_1 nvme_verify 1 "$OPT_DATA"
    check VERIFY_DEPTH_32 nvme_verify 32 "$OPT_DATA"
    check FILESYSTEM nvme_filesystem
    # The kernel's own function fails this, see kernel-findings.
    [ "$OPT_FIXES" = off ] || check VERIFY_ODD_BUFFERS nvme_verify_odd 1M
    [ "$OPT_RESETS" = 0 ] || check RESETS_UNDER_LOAD nvme_resets
    case $FUNCTIONS in
    *" "*) ;; # Other functions may use the driver.
    *) check DRIVER_RELOAD nvme_reload ;;
    esac
    say "1..$TAP_N"
    return $FAILED
}
