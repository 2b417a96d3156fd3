# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# An NVMe controller: nvmet with a namespace on a disk of this guest, and a port of
# the type that makes a PCI function of it.

NVMET=/sys/kernel/config/nvmet

# ram_disk_kib: prints the size of the largest RAM disk, in KiB.  The module brd
# has one size for all.
ram_disk_kib() {
    _kib=0
    for _t in $FUNCTIONS; do
        _s=$(. "/pciep/instances/$_t"; [ "$FUNCTION" = nvme ] && echo "$OPT_SIZE")
        case $_s in
        *K) _s=${_s%K} ;;
        *M) _s=$((${_s%M} * 1024)) ;;
        *G) _s=$((${_s%G} * 1048576)) ;;
        *) _s=0 ;;
        esac
        [ "$_s" -le "$_kib" ] || _kib=$_s
    done
    echo "$_kib"
}

# disk: prints the block device to serve.
disk() {
    case $OPT_DISK in
    ram)
        [ -d /sys/module/brd ] ||
            insmod "$(cat /pciep/load/brd)" "rd_size=$(ram_disk_kib)" rd_nr=8
        [ -b "/dev/ram$INDEX" ] && echo "/dev/ram$INDEX"
        ;;
    file)
        load virtio_blk && wait_for 10 ep_disk && ep_disk
        ;;
    esac
}

# serve NAME DEVICE PORT: makes a subsystem with one namespace, which any host may
# use.
serve() {
    _s=$NVMET/subsystems/$1
    mkdir "$_s" && echo 1 >"$_s/attr_allow_any_host" &&
        echo 0x1af4 >"$_s/attr_vendor_id" && echo 0x1af4 >"$_s/attr_subsys_vendor_id" &&
        mkdir "$_s/namespaces/1" && echo "$2" >"$_s/namespaces/1/device_path" &&
        echo 1 >"$_s/namespaces/1/enable" &&
        mkdir "$NVMET/ports/$3" && echo pci >"$NVMET/ports/$3/addr_trtype" &&
        ln -s "$_s" "$NVMET/ports/$3/subsystems/"
}

function_setup() {
    load nvmet_pci_epf && [ -d "$CFS/functions/nvmet_pci_epf" ] ||
        need "the endpoint kernel has no nvmet-pci-epf: use one since 6.14 with" \
            "CONFIG_NVME_TARGET_PCI_EPF=m and pass its modules with --ep-modules"
    grep -q O /sys/module/nvmet_pci_epf/taint 2>/dev/null &&
        state "nvmet-pci-epf is corrected, as fixes=on asks for"
    _disk=$(disk)
    [ -b "$_disk" ] || need "no $OPT_DISK disk in the endpoint guest, see ep.log"
    _port=$((INDEX + 1))
    serve "$TAG" "$_disk" "$_port" || refused "nvmet refused the disk $_disk, see ep.log"
    _f="$CFS/functions/nvmet_pci_epf/$TAG"
    mkdir "$_f" || refused "cannot create the function nvmet_pci_epf, see ep.log"
    echo "${ENDPOINT#*:}" >"$_f/deviceid"
    echo 8 >"$_f/msix_interrupts"
    echo "$_port" >"$_f/nvme/portid"
    echo "$TAG" >"$_f/nvme/subsysnqn"
    ln -s "$_f" "$EPC_PATH/" || refused "the controller refused the function, see ep.log"
}

# function_finish: takes down what serve made.
function_finish() {
    _s=$NVMET/subsystems/$TAG
    _p=$NVMET/ports/$((INDEX + 1))
    [ -d "$_p" ] || return 0
    rm "$_p/subsystems/$TAG" && rmdir "$_p" && rmdir "$_s/namespaces/1" && rmdir "$_s"
}
