# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Finds the test endpoint and runs the kernel's own test against it.

TEST_DEV=/dev/pci-endpoint-test.0

function_setup() {
    say "TAP version 13"
    state "waiting for the endpoint"
    wait_for "$LINK_WAIT" endpoint "$ENDPOINT"
    _status=$?
    tap_result $_status endpoint.ENUMERATE
    if [ $_status != 0 ]; then
        say "# no $ENDPOINT after $LINK_WAIT s; PCI functions in the host:"
        pci_list | while read -r _line; do say "#   $_line"; done
        say "!exit 1"
        exit 1
    fi
    state "endpoint at $(endpoint "$ENDPOINT")"
    load pci_endpoint_test || need "the host kernel did not take pci_endpoint_test, see host.log"
    [ -d /sys/bus/pci/drivers/pci-endpoint-test ] || need "the host kernel has no" \
        "pci_endpoint_test: set CONFIG_PCI_ENDPOINT_TEST=m and pass its modules with --host-modules"
    wait_for 20 test -c "$TEST_DEV"
    _status=$?
    tap_result $_status endpoint.DRIVER_BOUND
    say "1..$TAP_N"
    [ $_status = 0 ] || { say "!exit 1"; exit 1; }
}

# Names of tests that are there but were left out, with the reason.
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

# selftest OPTIONS...: one run of the kernel's test
selftest() {
    /pciep/bin/pci_endpoint_test "$@" >&3 2>"/dev/$CONSOLE"
}

# Without a DMA channel the kernel waits for ever in the tests with DMA.
selftest_all() {
    case $DMA in
    1)
        selftest
        ;;
    2)
        selftest -V dma
        _first=$?
        selftest -T COPY_TEST -v dma && return $_first
        ;;
    *)
        selftest -V dma
        ;;
    esac
}

function_run() {
    state "testing"
    # See ep-test.sh
    DMA=$(($(cat "/sys/bus/pci/devices/$(endpoint "$ENDPOINT")/subsystem_device")))
    case $TOOL in
    selftest)
        selftest_all
        _status=$?
        ;;
    pcitest)
        . /pciep/host-pcitest.sh
        pcitest_all
        _status=$?
        ;;
    *)
        need "no test program for the host kernel: run make"
        ;;
    esac
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
    return $_status
}
