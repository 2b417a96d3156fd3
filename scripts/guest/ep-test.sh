# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-test with the identity the host's pci_endpoint_test binds to.

function_setup() {
    load pci_epf_test || need "the endpoint kernel did not take pci_epf_test, see ep.log"
    [ -d "$CFS/functions/pci_epf_test" ] || need "the endpoint kernel has no pci-epf-test:" \
        "set CONFIG_PCI_EPF_TEST=m and pass its modules with --ep-modules"
    _f="$CFS/functions/pci_epf_test/func1"
    mkdir "$_f" || need "cannot create the function pci_epf_test, see ep.log"
    echo 0x104c >"$_f/vendorid"
    echo 0xb500 >"$_f/deviceid"
    echo "$MSI" >"$_f/msi_interrupts"
    echo "$MSIX" >"$_f/msix_interrupts"
    ln -s "$_f" "$EPC_PATH/" || need "the controller refused the function, see ep.log"
}
