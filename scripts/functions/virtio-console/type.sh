# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The tty of the device.

. "/pciep/functions/$FUNCTION/console.sh"

console_ttys() { for _t in /sys/class/tty/ttyVEP*; do echo "${_t##*/}"; done; }

virtio_type() { CONSOLE_BEFORE=$(console_ttys); }

# The tty has come with the link of the function to the controller.
virtio_linked() {
    [ "$OPT_SHELL" = ep ] || return 0
    for _tty in $(console_ttys); do
        echo "$CONSOLE_BEFORE" | grep -qx "$_tty" || console_shell "/dev/$_tty" &
    done
}
