# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# pci-epf-vntb with the identity and the BARs that the host's ntb_hw_epf knows,
# and a network over it.

. /pciep/ntb.sh

vntb_settings() { set -- "$_f"/pci_epf_vntb.*; [ -d "$1" ] && echo "$1"; }

function_setup() {
    load pci_epf_vntb && [ -d "$CFS/functions/pci_epf_vntb" ] ||
        need "the endpoint kernel has no pci-epf-vntb: set CONFIG_PCI_EPF_VNTB=m" \
            "and pass its modules with --ep-modules"
    [ "$FN" = 0 ] || need "vntb must be the first function: pci-epf-vntb retargets" \
        "a BAR of function 0, whatever its own number is"
    _f="$CFS/functions/pci_epf_vntb/$TAG"
    mkdir "$_f" && wait_for 5 vntb_settings ||
        refused "cannot create the function pci_epf_vntb, see ep.log"
    echo "${ENDPOINT%:*}" >"$_f/vendorid"
    echo "${ENDPOINT#*:}" >"$_f/deviceid"
    _v=$(vntb_settings)
    while read -r _name _value; do
        echo "$_value" >"$_v/$_name" || refused "pci-epf-vntb does not take $_name=$_value"
    done <<-END
	db_count 4
	spad_count 64
	num_mws 1
	mw1 0x100000
	ctrl_bar 0
	db_bar 2
	mw1_bar 4
	vntb_vid 0x1957
	vntb_pid 0x080a
	vbus_number 0xfe
	END
    ln -s "$_f" "$EPC_PATH/" || refused "the controller refused the function, see ep.log"
    load ntb_transport ntb_netdev || refused "the endpoint kernel did not take ntb_netdev, see ep.log"
    ntb_up $NTB_PEER || refused "no network device on the NTB in the endpoint guest, see ep.log"
    ntb_listen
}
