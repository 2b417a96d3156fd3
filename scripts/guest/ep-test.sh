# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-test with the identity the host's pci_endpoint_test binds to.

# What the host may test with DMA, told in the subsystem id: 0 nothing, 1 all,
# 2 all but copies within the host.
dma_channels() {
    case $(dma_mode) in
    memcpy) echo 1 ;;
    slave) echo 2 ;;
    *) echo 0 ;;
    esac
}

function_setup() {
    load pci_epf_test || need "the endpoint kernel did not take pci_epf_test, see ep.log"
    [ -d "$CFS/functions/pci_epf_test" ] || need "the endpoint kernel has no pci-epf-test:" \
        "set CONFIG_PCI_EPF_TEST=m and pass its modules with --ep-modules"
    _f="$CFS/functions/pci_epf_test/$TAG"
    mkdir "$_f" || need "cannot create the function pci_epf_test, see ep.log"
    echo 0x104c >"$_f/vendorid"
    echo 0xb500 >"$_f/deviceid"
    echo 0x1af4 >"$_f/subsys_vendor_id"
    dma_channels >"$_f/subsys_id"
    echo "$MSI" >"$_f/msi_interrupts"
    echo "$MSIX" >"$_f/msix_interrupts"
    ln -s "$_f" "$EPC_PATH/" || need "the controller refused the function, see ep.log"
}
