# SPDX-License-Identifier: GPL-2.0-or-later
# Passes the TAP of a test command on, with "name" before each test and the plan at the
# end.  Other output explains the next result.  The file "seen" gets a line for each
# result.  The file "ended" has the exit status of the command, or "late" if own_run kills
# it.  Nothing that is printed can be a line for the launcher, and of long output only as
# much is passed on as the launcher keeps (NOTES_LIMIT in run/tap.py).

function out(text) { print substr(text, 1, 4000); fflush() }
function begin() { begun = 1 }
function head_line() { if (!shown) out("TAP version 13"); shown = 1 }
function end() {
    if (begun) head_line()
    if (planned != "") out("1.." planned)
    begun = shown = count = bailed = 0
    planned = ""
}
# Ends a stream whose command was killed.  One result says that, and not the plan, which
# does not fit; that of "late" comes from own_judge.
function cut(    how) {
    if ((getline how <ended) <= 0 || !begun || bailed) return
    if (how == "late" && !shown) {
        begun = 0
        planned = ""
    } else if (how == "late" && count) {
        planned = count
    } else if ((how == "late" || (how > 128 && how <= 192)) && (!count || count != planned)) {
        how = how == "late" ? "" : " by signal " how - 128
        tap("not ok", name ".killed # ERROR killed" how " after " count + 0 " tests")
        planned = count
    }
}
function tap(head, text) {
    begin()
    head_line()
    out(head " " ++count " " text)
    print head >seen
    fflush(seen)
    notes = 0
}

# Most lines of a long output
/^[^nokKTB1# ]/ || /^$/ { if (notes++ < 200) out("# " $0); next }
/^K?TAP version [0-9]+ *$/ { if (count) end(); begin(); next }
/^1\.\.0+ *(#.*)?$/ && !count {
    sub(/^1\.\.0+ *(# *SKIP *)?/, "")
    tap("ok", name " # SKIP " $0)
    planned = 1
    next
}
/^1\.\.[0-9]+ *$/ { begin(); if (!bailed) planned = substr($0, 4) + 0; next }
/^Bail out!/ && begun {
    sub(/^Bail out! */, "")
    tap("not ok", name ".bailed_out # ERROR " $0)
    bailed = 1
    planned = count # Those that are missing need no second report.
    next
}
/^(not )?ok( |$)/ && (begun || /^(not )?ok +[0-9]/) && !bailed {
    head = /^not/ ? "not ok" : "ok"
    sub(/^(not )?ok */, "")
    number = $0
    sub(/[^0-9].*/, "", number)
    sub(/^[0-9]* *(- *)?/, "")
    if ($0 == "" || /^#/) $0 = (number == "" ? count + 1 : number) " " $0
    tap(head, name "." $0)
    next
}
# Subtests, and the end of a block of YAML
/^[# ]+((not )?ok |1\.\.[0-9]|K?TAP version |Bail out!|# Subtest)|^ +\.\.\.$/ {
    if (begun) head_line()
    out($0)
    next
}
notes++ < 200 { out(/^[# ]/ ? $0 : "# " $0) }
END { cut(); end() }
