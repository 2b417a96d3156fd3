# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# The host's virtio_console against a console, with a shell at the endpoint.

. "/pciep/functions/$FUNCTION/virtio.sh"
. "/pciep/functions/$FUNCTION/console.sh"

# console_node: prints the node of the console.  The kernel gives each virtio console
# a number from 1 on, and the terminals of these are numbered from 0 on.
console_node() {
    _port=$(virtio_device) && _port=$(ls "$_port/virtio-ports") || return
    _number=$(sed -n 's/^console_vtermno: //p' "/sys/kernel/debug/virtio-ports/$_port")
    [ -c "/dev/hvc$((_number - 1))" ] && echo "/dev/hvc$((_number - 1))"
}

function_setup() {
    virtio_setup virtio_console || return
    wait_for 10 console_node || need "the host has no /dev/hvc0: see host.log"
    [ "$OPT_SHELL" != host ] || console_shell "$(console_node)" &
}

# console_open: descriptor 5 is the console, without echo.  What came before the
# echo was off has returned to the shell, so the first line is not a command.
console_open() {
    _node=$(console_node) || return
    exec 5<>"$_node" || return
    stty raw -echo <&5 || return
    echo >&5
    console_line 'echo begin$((40 + 2))' begin42
}

# console_line COMMAND WORD: gives the shell a command, and prints the first line after
# it that has the word, which is not in the command.
console_line() {
    [ -z "$1" ] || printf '%s\n' "$1" >&5
    # shellcheck disable=SC3045 # the shell of the guests knows -t
    while IFS= read -t 20 -r _line <&5; do
        case $_line in
        *"$2"*)
            echo "$_line" | tr -d '\r'
            return
            ;;
        esac
    done
    echo "no answer '$2' to: $1"
    return 1
}

console_shell_answers() {
    console_open && console_line 'echo "$0 $(tty) on $((6 * 7))"' ' on 42' | grep /dev/ttyVEP
}

# console_to_ep: what the endpoint gets has the sum of what was sent.
console_to_ep() {
    console_open || return
    _bytes=$(numeric "$OPT_DATA")
    _data=/tmp/console.$TAG
    head -c "$_bytes" /dev/urandom >"$_data"
    console_line "stty raw -echo; echo go\$((1 + 1)); head -c $_bytes | md5sum; stty sane" go2 ||
        return
    cat "$_data" >&5
    console_line '' '  -' >"$_data.sum" || return
    diff "$_data.sum" - <<END
$(md5sum <"$_data")
END
}

# console_from_ep: the same for the other direction.
console_from_ep() {
    console_open || return
    _bytes=$(numeric "$OPT_DATA")
    _data=/tmp/console.$TAG
    console_line "head -c $_bytes /dev/urandom >$_data; md5sum <$_data" '  -' >"$_data.sum" &&
        console_line "stty raw -echo; echo go\$((1 + 1)); cat $_data; stty sane" go2 || return
    timeout 60 head -c "$_bytes" <&5 | md5sum | diff "$_data.sum" -
}

# console_size: the host gets the size that the endpoint's terminal has.
console_size() {
    console_open && console_line 'stty rows 43 cols 132; echo set$((1 + 1))' set2 || return
    wait_for 5 console_has_size 43 132
    _status=$?
    stty size <&5
    return $_status
}

console_has_size() { [ "$(stty size <&5)" = "$1 $2" ]; }

function_run() {
    [ "$OPT_SHELL" = ep ] || return 0
    say "TAP version 13"
    TAP_N=0
    check SHELL console_shell_answers
    check TO_ENDPOINT console_to_ep
    check FROM_ENDPOINT console_from_ep
    check SIZE console_size
    say "1..$TAP_N"
    return $FAILED
}
