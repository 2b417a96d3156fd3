# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host side of a function that its author describes with function.toml.
# host.sh beside that file is read after this one, and may replace function_setup
# or function_run.

. /pciep/own.sh

# own_device: prints the directory of the function in sysfs.
own_device() { echo "/sys/bus/pci/devices/$(own_endpoint)"; }

# own_driver: prints the name of the driver that is bound to the function.
own_driver() { basename "$(readlink "$(own_device)/driver")"; }

own_bound() { [ "$(own_driver)" = "$OWN_DRIVER" ]; }

# own_node: prints the device node that a driver made for the function.
own_node() {
    for _u in "$(own_device)"/*/*/uevent; do
        _n=$(sed -n 's/^DEVNAME=//p' "$_u" 2>/dev/null)
        [ -z "$_n" ] || { echo "/dev/$_n"; return; }
    done
    return 1
}

own_load() {
    while read -r _module <&5; do
        load "$_module" || need "$FUNCTION: the host kernel did not take the module $_module," \
            "see the last lines of host.log"
    done 5<"/pciep/own/$TAG.modules"
}

# own_errors: prints what the kernel said about errors of the function, such as one that
# probe() returned.
own_errors() {
    dmesg | sed -n "s/^\[[^]]*\] \(.*$(own_endpoint).*error.*\)/\1/p" | tail -n 5
}

# own_binds: waits for the driver.  The result has the errors of the kernel, and says
# which driver is bound instead.
own_binds() {
    wait_for 20 own_bound
    _status=$?
    [ $_status = 0 ] || {
        own_errors | while read -r _line; do say "# $_line"; done
        _driver=$(own_driver 2>/dev/null)
        say "# ${_driver:-no driver} is bound to the function, expected $OWN_DRIVER" \
            "(host.driver in function.toml)"
    }
    tap_result $_status endpoint.DRIVER_BOUND
    say "1..$TAP_N"
    return $_status
}

function_setup() {
    function_appears || return
    own_load
    if [ -n "$OWN_DRIVER" ]; then
        own_binds
    else
        say "1..$TAP_N"
    fi
}

# function_run: runs the test commands.  DEVICE is the PCI address, SYSFS its
# directory in sysfs, NODE the device node if the driver made one.
function_run() {
    DEVICE=$(own_endpoint)
    SYSFS=$(own_device)
    NODE=$(own_node)
    export DEVICE SYSFS NODE
    own_run_all
}
