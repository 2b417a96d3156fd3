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
        load "$_module" || refused "$FUNCTION: the host kernel did not take the module $_module," \
            "see the last lines of host.log"
    done 5<"/pciep/own/$TAG.modules"
}

# own_errors: prints what the kernel said about errors of the function, such as one that
# probe() returned.
own_errors() {
    dmesg | sed -n "s/^\[[^]]*\] \(.*$(own_endpoint).*error.*\)/\1/p" | tail -n 5
}

# own_no_match FILE: succeeds when no module in FILE can bind to the function, and
# prints why.  A line of FILE is "MODULE PATTERN IDS", for each entry of an id table;
# the pattern is that of MODULE_DEVICE_TABLE for the file modalias in sysfs.
own_no_match() {
    [ -s "$1" ] || return
    _alias=$(cat "$(own_device)/modalias") || return
    _tables=
    while read -r _module _pattern _ids <&5; do
        # shellcheck disable=SC2254 # a pattern
        case $_alias in
        $_pattern) return 1 ;;
        esac
        _tables="$_tables${_tables:+, }$_ids in $_module"
    done 5<"$1"
    _ids=$(sed s/0x// "$(own_device)/vendor"):$(sed s/0x// "$(own_device)/device")
    echo "the function has the ids $_ids, the id tables have $_tables"
}

# own_bound_or_never FILE: ends the wait for a driver that cannot come.
own_bound_or_never() {
    own_bound || own_no_match "/pciep/own/$TAG.ids"
}

# own_binds: waits for the driver.  The result has the errors of the kernel, and says
# which driver is bound instead, or which ids do not match.
own_binds() {
    wait_for 20 own_bound_or_never
    own_bound
    _status=$?
    [ $_status = 0 ] || {
        own_errors | while read -r _line; do say "# $_line"; done
        _why=$(own_no_match "/pciep/own/$TAG.ids")
        _driver=$(own_driver 2>/dev/null)
        say "# ${_driver:-no driver} is bound to the function, expected $OWN_DRIVER" \
            "(host.driver in function.toml)${_why:+: $_why}"
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
