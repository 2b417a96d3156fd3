# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What the launcher asks for on the results port: commands whose input and output are
# bytes, for pci-ep-run exec and cp, and the shell that attach finds on the console.
# The other ends are vm/guest.py and vm/execute.py of the launcher.

EXECUTE=/tmp/exec # how the files of a command begin

# execute_take VERB ID COUNT: keeps so many bytes of standard input, a part of the text
# or of the input of a command.  The answer lets the launcher send more.
execute_take() {
    dd bs="$3" count=1 iflag=fullblock 2>/dev/null >>"$EXECUTE.$2.$1" ||
        : >"$EXECUTE.$2.full"
    say "!taken"
}

# execute_send FILE ID STREAM: sends standard input to the launcher, as soon as there is
# some.  A line is shorter than a buffer of awk, so that no other line gets into it.
execute_send() {
    while dd bs=65536 count=1 2>/dev/null >"$1.$3" && [ -s "$1.$3" ]; do
        base64 -w 3000 <"$1.$3" | awk "{ print \"!data $2 $3 \" \$0; fflush() }" >&3
    done
}

# execute_run FILE ID: runs the command in a session of its own.  Descriptor 4 is where
# its standard error goes.
execute_run() {
    cd || return
    setsid sh -c 'echo $$ >"$1.pid"; exec sh "$1.cmd"' sh "$1" <"$1.in" 2>&4 3>&- 4>&-
    echo $? >"$1.status"
}

# execute ID: runs a command, all of whose blocks have come, and sends its output and
# its exit status.
execute() {
    say "!taken"
    _x=$EXECUTE.$1
    if [ -e "$_x.full" ]; then
        echo "/tmp of this guest is full: give it more memory, or use --share" |
            execute_send "$_x" "$1" 2
    elif touch "$_x.in"; then
        { { execute_run "$_x" | execute_send "$_x" "$1" 1; } 4>&1 |
            execute_send "$_x" "$1" 2; }
    fi
    _status=$(cat "$_x.status" 2>/dev/null)
    rm -f "$_x".*
    say "!done $1 ${_status:-1}"
}

# execute_end ID: ends a command that nobody waits for any more.
execute_end() {
    _leader=$(cat "$EXECUTE.$1.pid" 2>/dev/null)
    [ -n "$_leader" ] || { rm -f "$EXECUTE.$1".*; return; }
    kill -TERM "-$_leader" 2>/dev/null
    sleep 2
    kill -KILL "-$_leader" 2>/dev/null
}

# console_shell: a shell on the console, unless there is one.
console_shell() {
    mkdir /tmp/shell.busy 2>/dev/null || return
    interactive
    rmdir /tmp/shell.busy
}

# console_size ROWS COLUMNS: the size of the terminal that shows the console
console_size() { stty -F "/dev/$CONSOLE" rows "$1" cols "$2"; }

# listen: serves the launcher, whose lines come on standard input.  Each command is a
# grandchild: SIGCHLD of a child would interrupt read, which then loses a part of the
# line.
listen() {
    while read -r verb id cmd; do
        case $verb in
        run)
            (serve "$id" "$cmd" </dev/null &)
            ;;
        cmd | in)
            execute_take "$verb" "$id" "$cmd"
            ;;
        exec)
            (execute "$id" </dev/null &)
            ;;
        end)
            (execute_end "$id" </dev/null &)
            ;;
        shell)
            # The role of an interactive guest opens the first one.
            if [ -z "$INTERACTIVE" ] || [ -e /tmp/role.ended ]; then
                (console_shell </dev/null &)
            fi
            ;;
        size)
            (console_size "$id" "$cmd" </dev/null &)
            ;;
        finish)
            (finish </dev/null &)
            ;;
        esac
    done
    # The results port is closed, so the launcher has ended.
    poweroff -f
}
