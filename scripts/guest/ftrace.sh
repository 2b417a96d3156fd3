# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh
# What --ftrace asks for.  /pciep/ftrace has a line "event SYSTEM:EVENT" or "graph
# NAME" for each.  The trace goes to a port of virtio-serial as it is made, so it is
# not lost when the kernel crashes.

TRACING=/sys/kernel/tracing

# ftrace_port: prints the device that the trace goes to.
ftrace_port() {
    _name=$(grep -lx pci-ep.ftrace /sys/class/virtio-ports/*/name 2>/dev/null) &&
        echo "/dev/$(basename "${_name%/name}")"
}

# ftrace_graph NAME: traces the calls in a module, which is loaded now, or in
# functions by a pattern.  A module that this guest does not have is the other's.
ftrace_graph() {
    case $1 in
    *[*?]*) _filter=$1 ;;
    *)
        [ -f "/pciep/load/$1" ] || return 0
        load "$1" || need "--ftrace: could not insert the module $1"
        _filter="*:mod:$1"
        ;;
    esac
    echo "$_filter" >>"$TRACING/set_ftrace_filter" ||
        need "--ftrace: the kernel $(uname -r) can trace no function $1"
    GRAPH=function_graph
}

# ftrace_start: begins to trace.
ftrace_start() {
    [ -f /pciep/ftrace ] || return 0
    load virtio_pci virtio_console
    mount -t tracefs tracefs "$TRACING" 2>/dev/null
    [ -f "$TRACING/trace_pipe" ] && wait_for 5 ftrace_port ||
        need "--ftrace needs CONFIG_FTRACE and CONFIG_VIRTIO_CONSOLE: use --kernel-name 7-trace"
    GRAPH=
    echo 8192 >"$TRACING/buffer_size_kb"
    while read -r _kind _what; do
        if [ "$_kind" = graph ]; then
            ftrace_graph "$_what"
        else
            echo "$_what" >>"$TRACING/set_event" ||
                need "--ftrace: the kernel $(uname -r) has no event $_what;" \
                    "graph:NAME traces functions"
        fi
    done </pciep/ftrace
    for _option in funcgraph-abstime funcgraph-proc funcgraph-retval; do
        echo 1 >"$TRACING/options/$_option"
    done 2>/dev/null
    [ -z "$GRAPH" ] || echo "$GRAPH" >"$TRACING/current_tracer"
    cat "$TRACING/trace_pipe" >"$(ftrace_port)" &
}

ftrace_empty() { ! grep -qx 'entries: *[1-9][0-9]*' "$TRACING"/per_cpu/cpu*/stats; }

# ftrace_end: waits until all is sent.
ftrace_end() {
    [ -f "$TRACING/tracing_on" ] || return 0
    echo 0 >"$TRACING/tracing_on"
    wait_for 3 ftrace_empty
}
