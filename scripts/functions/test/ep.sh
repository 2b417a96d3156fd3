# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-test with the identity the host's pci_endpoint_test binds to.

# dma_channels: prints what the host may test with DMA, which it reads from the
# subsystem id: 0 nothing, 1 all, 2 all but copies within the host.
dma_channels() {
    case $(dma_mode) in
    memcpy) echo 1 ;;
    slave) echo 2 ;;
    *) echo 0 ;;
    esac
}

# identify DIRECTORY DMA: writes the ids that pci_endpoint_test and host.sh expect.
identify() {
    echo "${ENDPOINT%:*}" >"$1/vendorid"
    echo "${ENDPOINT#*:}" >"$1/deviceid"
    echo 0x1af4 >"$1/subsys_vendor_id"
    echo "$2" >"$1/subsys_id"
    echo "$MSI" >"$1/msi_interrupts"
    echo "$MSIX" >"$1/msix_interrupts"
}

# virtual_functions DIRECTORY: gives a function its virtual functions.  The
# framework binds them together with the function, so this comes before the link.
virtual_functions() {
    [ "$OPT_VFS" != 0 ] || return 0
    load pci_epf_vf_test || refused "the endpoint kernel did not take pci-epf-vf-test.ko, see ep.log"
    # pci-epf-vf-test takes memcpy channels only.
    case $(dma_mode) in
    memcpy) _dma=1 ;;
    *) _dma=0 ;;
    esac
    for _k in $(seq "$OPT_VFS"); do
        _v="$CFS/functions/pci_epf_vf_test/${TAG}v$_k"
        mkdir "$_v" && identify "$_v" $_dma && ln -s "$_v" "$1/" ||
            refused "cannot create virtual function $_k, see ep.log"
    done
}

function_setup() {
    load pci_epf_test || refused "the endpoint kernel did not take pci_epf_test, see ep.log"
    [ -d "$CFS/functions/pci_epf_test" ] || need "the endpoint kernel has no pci-epf-test:" \
        "set CONFIG_PCI_EPF_TEST=m and pass its modules with --ep-modules"
    _f="$CFS/functions/pci_epf_test/$TAG"
    mkdir "$_f" || refused "cannot create the function pci_epf_test, see ep.log"
    identify "$_f" "$(dma_channels)"
    virtual_functions "$_f"
    ln -s "$_f" "$EPC_PATH/" || refused "the controller refused the function, see ep.log"
}
