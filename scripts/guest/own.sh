# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# shellcheck disable=SC2034,SC3045 # lib.sh uses TAP_N; busybox has read -t
# Functions that their author describes with function.toml, both guests: runs the
# test commands.  /pciep/own/TAG.ROLE has a line "NAME FILE" for each, in order.

OWN_LIST=
OWN_READ=5 # seconds to read what is left of the output of a command that has ended

# own_tests TAG: are there test commands for this guest?
own_tests() {
    OWN_LIST=/pciep/own/$1.$ROLE
    [ -s "$OWN_LIST" ]
}

# own_result STATUS NAME [COMMENT]: one result, as a stream of its own.
own_result() {
    say "TAP version 13"
    TAP_N=0
    tap_result "$@"
    say "1..1"
}

# own_stack PID: explains where a process is.
own_stack() {
    read -r _line <"/proc/$1/stat" || return
    read -r _name <"/proc/$1/comm"
    _line=${_line##*) }
    say "# process $_name, state ${_line%% *}, is in the kernel at:"
    while read -r _line; do say "#   $_line"; done <"/proc/$1/stack"
} 2>/dev/null

# own_stacks GROUP: explains where the processes of a command are that did not end.
# Those that have children in the group come last: they are shells that wait.
own_stacks() {
    _pids=
    _parents=" "
    for _p in /proc/[0-9]*; do
        read -r _line <"$_p/stat" || continue
        # The fields behind the name are state, parent and group.
        _line=${_line##*) }
        case $_line in
        ?" "*" $1 "*) ;;
        *) continue ;;
        esac
        _line=${_line#? }
        _pids="$_pids ${_p#/proc/}"
        _parents="$_parents${_line%% *} "
    done 2>/dev/null
    _shells=
    for _p in $_pids; do
        case $_parents in
        *" $_p "*) _shells="$_shells $_p" ;;
        *) own_stack "$_p" ;;
        esac
    done
    for _p in $_shells; do own_stack "$_p"; done
}

# own_run NAME FILE: runs a test command.  A command that prints no results is one
# result: 0 passed, 4 and 77 skipped.
#
# Each command and the reader of its output have a process group.  A process that the
# kernel holds does not end when it is killed, so nothing here waits for one: each end
# is a line in a FIFO, which is read with a time limit.
own_run() {
    _base=/tmp/own.$TAG
    _seen=$_base.seen
    rm -f "$_base".*
    : >"$_seen"
    mkfifo "$_base.out" "$_base.status" "$_base.read"
    exec 6<>"$_base.status" 7<>"$_base.read"
    state "$FUNCTION: $1"
    # They are no children of this shell, since SIGCHLD would interrupt read, which then
    # loses a part of the line.
    (
        setsid /pciep/own-read.sh "$PREFIX$1" "$_seen" "$_base.ended" <"$_base.out" &
        echo $! >"$_base.reader"
        # shellcheck disable=SC2016 # expanded there; the command may kill its shell
        setsid sh -c '/pciep/own-command.sh "$0" "$1"; _s=$?; echo $_s >"$2"; echo $_s >&6' \
            "$TAG" "$2" "$_base.ended" >"$_base.out" 2>&1 </dev/null &
        echo $! >"$_base.group"
    )
    _group=$(cat "$_base.group")
    read -r -t "$OWN_SECONDS" _status <&6 || {
        _status=late
        echo late >"$_base.ended"
        own_stacks "$_group"
    }
    # This ends also what the command left running.
    kill -KILL "-$_group" 2>/dev/null
    read -r -t "$OWN_READ" _ <&7 || kill -KILL "-$(cat "$_base.reader")"
    own_judge "$1"
}

# own_judge NAME: turns the end of a command into a result, unless its own results say
# it all.
own_judge() {
    _more=
    [ ! -s "$_seen" ] || _more=y
    case $_status in
    late)
        own_result 1 "$1${_more:+.time_limit}" "# TIMEOUT no end within $OWN_SECONDS s"
        return 1
        ;;
    4|77)
        [ -n "$_more" ] || own_result 0 "$1" "# SKIP exit status $_status"
        _status=0
        ;;
    0) [ -n "$_more" ] || own_result 0 "$1" ;;
    *)
        grep -q '^not ok' "$_seen" || {
            say "# exit status $_status"
            own_result 1 "$1${_more:+.exit_status}"
        }
        ;;
    esac
    ! grep -q '^not ok' "$_seen" && [ "$_status" = 0 ]
}

# own_run_all: runs all test commands of the instance TAG.
own_run_all() {
    _all=0
    own_tests "$TAG" || return 0
    while read -r _name _file <&5; do
        own_run "$_name" "$_file" || _all=1
    done 5<"$OWN_LIST"
    return $_all
}
