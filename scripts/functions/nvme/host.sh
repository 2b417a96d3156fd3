# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The kernel's nvme driver against the NVMe endpoint: data, a file system, resets.

# The function's PCI directory, its controller (nvme0) and its disk (nvme0n1)
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
    load nvme || need "the host kernel did not take nvme, see host.log"
    [ -d /sys/bus/pci/drivers/nvme ] || need "the host kernel has no nvme driver: set" \
        "CONFIG_BLK_DEV_NVME=m and pass its modules with --host-modules"
    function_binds nvme_disk
}

# nvme_verify DEPTH SIZE: blocks of 128 KiB with checksums, written, then read back
nvme_verify() {
    fio --name=verify --filename="$(nvme_disk)" --direct=1 --ioengine=libaio \
        --rw=write --bs=128k --iodepth="$1" --size="$2" --verify=crc32c --do_verify=1 \
        --verify_fatal=1 --randrepeat=0
}

# A partition, a file system, many files, all intact after unmounting, nothing to repair
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

# Resets while blocks with checksums are written and read back: none may be lost.
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

# The driver goes and comes back; the data is still there.
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
    [ "$OPT_RESETS" = 0 ] || check RESETS_UNDER_LOAD nvme_resets
    case $FUNCTIONS in
    *" "*) ;; # others may use the driver
    *) check DRIVER_RELOAD nvme_reload ;;
    esac
    say "1..$TAP_N"
    return $FAILED
}
