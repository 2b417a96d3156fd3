# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Finds the function and runs the kernel's own test against it.

# The device node that the test programs open by default
TEST_DEV=/dev/pci-endpoint-test.0

# test_node: prints the device node that the driver gave this function.
test_node() {
    for _n in "/sys/bus/pci/devices/$(own_endpoint)"/misc/pci-endpoint-test.*; do
        [ -c "/dev/${_n##*/}" ] && echo "/dev/${_n##*/}" && return
    done
    return 1
}

function_setup() {
    function_appears || return
    state "endpoint at $(own_endpoint)"
    load pci_endpoint_test || refused "the host kernel did not take pci_endpoint_test, see host.log"
    [ -d /sys/bus/pci/drivers/pci-endpoint-test ] || need "the host kernel has no" \
        "pci_endpoint_test: set CONFIG_PCI_ENDPOINT_TEST=m and pass its modules with --host-modules"
    function_binds test_node || return
    [ "$OPT_VFS" = 0 ] || [ "$VF" != 0 ] || enable_vfs
}

# enable_vfs: the driver of function 0 enables its virtual functions, and is then
# the driver of these, too.
enable_vfs() {
    say "TAP version 13"
    TAP_N=0
    _status=0
    echo "$OPT_VFS" >"/sys/bus/pci/devices/$(own_endpoint)/sriov_numvfs" || _status=1
    tap_result $_status endpoint.VFS_ENABLED
    say "1..1"
    return $_status
}

# not_run REASON TEST...: reports tests that were left out as skipped.
not_run() {
    _reason=$1
    shift
    say "TAP version 13"
    TAP_N=0
    for _t in "$@"; do
        tap_result 0 "$_t" "# SKIP not run: $_reason"
    done
    say "1..$TAP_N"
}

# selftest OPTIONS...: one run of the kernel's test.  The endpoint framework gives
# doorbells to function 0 only, so the others leave that test out.
selftest() {
    [ "$FN" = 0 ] || set -- "$@" -T DOORBELL_TEST
    # No virtual function has INTx.
    [ "$VF" = 0 ] || set -- -T LEGACY_IRQ_TEST "$@"
    if [ -z "$PREFIX" ]; then
        /pciep/bin/pci_endpoint_test "$@" >&3 2>"/dev/$CONSOLE"
        return
    fi
    # The program opens a fixed name.  In a mount namespace of its own that name is
    # the node of this function.
    unshare -m sh -c 'mount --bind "$0" "$1" && shift && exec "$@"' "$(test_node)" \
        "$TEST_DEV" /pciep/bin/pci_endpoint_test "$@" >"/tmp/selftest.$TAG" 2>"/dev/$CONSOLE"
    _selftest=$?
    sed "s/^\(ok\|not ok\) \([0-9]*\) /&$PREFIX/" "/tmp/selftest.$TAG" >&3
    return $_selftest
}

# selftest_all OPTIONS...: all tests that can pass.  Tests with DMA are left out
# without a DMA channel, since the kernel waits for ever in them.  Copies by the
# endpoint's CPU are left out where each access is a message, since 1 MB takes
# longer than the 30 s that the program allows.
selftest_all() {
    [ -z "$MESSAGES" ] || set -- -V memcpy
    case $DMA in
    1)
        selftest "$@"
        ;;
    2)
        selftest "$@" -V dma
        _first=$?
        selftest -T COPY_TEST -v dma && return $_first
        ;;
    *)
        selftest "$@" -V dma
        ;;
    esac
}

function_run() {
    state "testing"
    # dma_channels in ep.sh says what the numbers mean.
    DMA=$(($(cat "/sys/bus/pci/devices/$(own_endpoint)/subsystem_device")))
    case $TOOL in
    pci_endpoint_test)
        selftest_all
        _status=$?
        ;;
    pcitest)
        . /pciep/functions/test/pcitest.sh
        pcitest_all
        _status=$?
        ;;
    *)
        need "no test program for the host kernel: run make"
        ;;
    esac
    [ "$VF" = 0 ] || not_run "virtual functions have no INTx" pci_ep_basic.LEGACY_IRQ_TEST
    case $DMA in
    1) ;;
    2)
        not_run "slave channels do not copy within the host" \
            pci_ep_data_transfer.dma.COPY_TEST
        ;;
    *)
        not_run "no DMA channel for the function" pci_ep_data_transfer.dma.READ_TEST \
            pci_ep_data_transfer.dma.WRITE_TEST pci_ep_data_transfer.dma.COPY_TEST
        ;;
    esac
    [ -z "$MESSAGES" ] || [ "$TOOL" = pcitest ] ||
        not_run "the host's IOMMU does not tell what it maps, each 4 bytes are a message" \
            pci_ep_data_transfer.memcpy.READ_TEST \
            pci_ep_data_transfer.memcpy.WRITE_TEST \
            pci_ep_data_transfer.memcpy.COPY_TEST
    return $_status
}
