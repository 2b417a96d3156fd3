# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# Kernels before 6.14 have no selftest.  This runs pcitest of tools/pci and reports
# under the names of the selftest, so that results can be compared.

SIZES="1 1024 1025 1024000 1024001"
FAILED=0

# call ARGS...: runs the program on this function; report shows its output.
call() { /pciep/bin/pcitest -D "$(test_node)" "$@" >"/tmp/pcitest.$TAG" 2>&1; }

# call_test NAME ARGS...: one call is one result.
call_test() {
    _name=$1
    shift
    call "$@"
    report $? "$_name"
}

# report STATUS NAME [COMMENT]: one result, with the output of call if it failed
report() {
    [ "$1" = 0 ] || {
        FAILED=1
        sed 's/^/# /' "/tmp/pcitest.$TAG" >&3
    }
    tap_result "$1" "$2" "$3"
}

# vectors NAME TYPE FLAG CONFIGURED MOST WORD: raises vectors 1, 2, ...  The first
# one that fails must be the one behind CONFIGURED.
vectors() {
    call -i "$2" || { report 1 "$1"; return; }
    _i=1
    while [ "$_i" -le "$5" ]; do
        call "$3" "$_i" || break
        _i=$((_i + 1))
    done
    if [ "$_i" -gt "$5" ]; then
        report 0 "$1"
    elif [ "$_i" -eq $(($4 + 1)) ]; then
        tap_result 0 "$1" "# SKIP $6$_i is disabled"
    else
        report 1 "$1"
    fi
}

# transfer VARIANT NAME OPTIONS...: copies of all sizes are one result.
transfer() {
    _name=pci_ep_data_transfer.$1.$2_TEST
    shift 2
    _status=0
    for _size in $SIZES; do
        call "$@" -s "$_size" || { _status=1; break; }
    done
    report $_status "$_name"
}

pcitest_all() {
    say "TAP version 13"
    TAP_N=0
    # The BARs of our virtual functions, which have no INTx
    _bars="0 1 2 4"
    [ "$VF" != 0 ] || _bars="0 1 2 3 4 5"
    for _bar in $_bars; do
        call_test "pci_ep_bar.BAR$_bar.BAR_TEST" -b $_bar
    done
    call -i 0
    [ "$VF" != 0 ] || call_test pci_ep_basic.LEGACY_IRQ_TEST -l
    vectors pci_ep_basic.MSI_TEST 1 -m "$MSI" 32 MSI
    vectors pci_ep_basic.MSIX_TEST 2 -x "$MSIX" 2048 MSI-X
    call -i 1
    transfer memcpy READ -r
    transfer memcpy WRITE -w
    transfer memcpy COPY -c
    if [ "$DMA" != 0 ]; then
        transfer dma READ -d -r
        transfer dma WRITE -d -w
    fi
    [ "$DMA" != 1 ] || transfer dma COPY -d -c
    say "1..$TAP_N"
    return $FAILED
}
