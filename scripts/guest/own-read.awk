# SPDX-License-Identifier: GPL-2.0-or-later
# Passes the TAP of a test command on, with "name" before each test and the plan at the
# end.  Other output explains the next result.  The file "seen" gets a line for each
# result.  Nothing that is printed can be a line for the launcher, and of long output
# only as much is passed on as the launcher keeps (NOTES_LIMIT in run/tap.py).

function out(text) { print substr(text, 1, 4000); fflush() }
function begin() { if (!begun) out("TAP version 13"); begun = 1 }
function end() { if (planned != "") out("1.." planned); begun = count = bailed = 0; planned = "" }
function tap(head, text) {
    begin()
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
/^[# ]+((not )?ok |1\.\.[0-9]|K?TAP version |Bail out!|# Subtest)|^ +\.\.\.$/ { out($0); next }
notes++ < 200 { out(/^[# ]/ ? $0 : "# " $0) }
END { end() }
