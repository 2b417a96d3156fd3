# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-ntb with the identity that the ntb_hw_epf of both hosts knows.  It takes
# BARs 0 to 2 in that order.  role_finish leaves it linked: when a controller is
# unlinked the framework has the function release all it has, and it would do so
# again for the second controller.

ntb_settings() { set -- "$_f"/pci_epf_ntb.*; [ -d "$1" ] && echo "$1"; }

function_setup() {
    load pci_epf_ntb && [ -d "$CFS/functions/pci_epf_ntb" ] ||
        need "the endpoint kernel has no pci-epf-ntb: set CONFIG_PCI_EPF_NTB=m" \
            "and pass its modules with --ep-modules"
    _f="$CFS/functions/pci_epf_ntb/$TAG"
    mkdir "$_f" && wait_for 5 ntb_settings ||
        refused "cannot create the function pci_epf_ntb, see ep.log"
    echo "${ENDPOINT%:*}" >"$_f/vendorid"
    echo "${ENDPOINT#*:}" >"$_f/deviceid"
    _v=$(ntb_settings)
    while read -r _name _value; do
        echo "$_value" >"$_v/$_name" || refused "pci-epf-ntb does not take $_name=$_value"
    done <<-END
	db_count 4
	spad_count 64
	num_mws 1
	mw1 0x100000
	END
    epc_path "$CONTROLLER"
    ln -s "$EPC_PATH" "$_f/primary/" || refused "the controller refused the function, see ep.log"
    epc_path $((CONTROLLER + 1))
    ln -s "$EPC_PATH" "$_f/secondary/" ||
        refused "the second controller refused the function, see ep.log"
}
