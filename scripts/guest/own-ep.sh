# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The endpoint side of a function that its author describes with function.toml.
# ep.sh beside that file is read after this one, and may replace function_setup or
# function_attributes.

. /pciep/own.sh

# own_attribute NAME VALUE: writes an attribute below the directory of the function.
# NAME may have wildcards, for directories that the function makes itself.
own_attribute() {
    # shellcheck disable=SC2086 # wildcards
    wait_for 5 ls -d "$EPF_DIR"/$1 ||
        need "$FUNCTION: $OWN_FUNCTION has no attribute $1: see" \
            "[ep.attributes] in function.toml, and ep.log"
    for _attr in "$EPF_DIR"/$1; do
        { echo "$2" >"$_attr"; } 2>/dev/null ||
            need "$FUNCTION: $OWN_FUNCTION does not take $1 = $2, see ep.log"
    done
}

# function_attributes: writes ids, numbers of interrupts, and what the file says.
function_attributes() {
    own_attribute vendorid "${ENDPOINT%:*}"
    own_attribute deviceid "${ENDPOINT#*:}"
    own_attribute msi_interrupts "${OWN_MSI:-$MSI}"
    own_attribute msix_interrupts "${OWN_MSIX:-$MSIX}"
    while read -r _name _value <&5; do
        own_attribute "$_name" "$_value"
    done 5<"/pciep/own/$TAG.attributes"
}

# own_load: inserts the modules of the file, in its order.
own_load() {
    while read -r _module <&5; do
        load "$_module" || refused "$FUNCTION: the endpoint kernel did not take the module" \
            "$_module, see the last lines of ep.log"
    done 5<"/pciep/own/$TAG.modules"
}

# own_probed: has each function a driver?  configfs creates one whose probe fails, and
# the framework warns when that is linked.
own_probed() {
    for _d in /sys/bus/pci-epf/devices/*; do
        [ -e "$_d/driver" ] || return 1
    done
}

function_setup() {
    own_load
    [ -d "$CFS/functions/$OWN_FUNCTION" ] ||
        need "$FUNCTION: no endpoint driver has the name $OWN_FUNCTION in its id_table;" \
            "there is $(ls -x "$CFS/functions") (ep.function in function.toml)"
    EPF_DIR="$CFS/functions/$OWN_FUNCTION/$TAG"
    { mkdir "$EPF_DIR" && own_probed; } ||
        refused "$FUNCTION: cannot create the function: $OWN_FUNCTION failed in probe, see ep.log"
    function_attributes
    ln -s "$EPF_DIR" "$EPC_PATH/" 2>/dev/null ||
        refused "$FUNCTION: $OWN_FUNCTION failed in bind, or the controller refused it, see ep.log"
}

# function_test: runs the test commands of this side.
function_test() { own_run_all; }
