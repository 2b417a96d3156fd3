#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Checks on the text of our files, as TAP: checkpatch of QEMU and of Linux, shell
# and Python scripts, licence lines, file sizes.

. "$(dirname "$0")/common.sh"
. "$TOP/scripts/build/sources.sh"
load_config
cd "$TOP"

# What QEMU's checkpatch says that does not apply here, one per line:
# extended regular expression on "FILE:LINE: TYPE: text"
QEMU_EXCLUDED='
line over 80 characters
compat\.h:.*architecture specific defines should be avoided
added, moved or deleted file\(s\), does MAINTAINERS need updating
return of an errno should typically be -ve
'
# line over 80: QEMU's own limit is 90, 80 is its advice
# compat.h: __has_include tells where a header of QEMU is
# MAINTAINERS: there is none here
# errno: replies of the vfio-user protocol carry it as a positive number

MAX_LINES=700
COUNT=0
FAILED=0

# result NAME OUTPUT: a test passes when the check had nothing to say
result() {
    COUNT=$((COUNT + 1))
    if [ -z "$2" ]; then
        printf 'ok %d - %s\n' "$COUNT" "$1"
    else
        printf 'not ok %d - %s\n' "$COUNT" "$1"
        printf '%s\n' "$2" | sed 's/^/# /'
        FAILED=1
    fi
}

skip() {
    COUNT=$((COUNT + 1))
    printf 'ok %d - %s # SKIP %s\n' "$COUNT" "$1" "$2"
}

# Files git knows or would add
ours() { git ls-files --cached --others --exclude-standard -- "$@" |
    while IFS= read -r file; do [ ! -f "$file" ] || echo "$file"; done; }

excluded() { printf '%s\n' "$1" | sed '/^$/d'; }

check_qemu_style() {
    local file output
    local script=$QEMU/scripts/checkpatch.pl
    while IFS= read -r file; do
        # It ends with status 1 when it has something to say
        output=$(perl "$script" --no-tree --no-signoff --terse --no-summary \
            -f "$file" 2>&1 | grep -E ': (ERROR|WARNING): |^Can|rror at' |
            grep -vE -f <(excluded "$QEMU_EXCLUDED") || true)
        result "QEMU checkpatch: $file" "$output"
    done < <(ours 'hw/*.[ch]' 'include/*.h' 'tests/*.[ch]')
}

check_kernel_style() {
    local file output
    while IFS= read -r file; do
        output=$(perl "$KERNEL/scripts/checkpatch.pl" --strict --no-tree \
            --terse --no-summary --ignore FILE_PATH_CHANGES -f "$file" 2>&1 |
            grep -E ': (ERROR|WARNING|CHECK): |^Can|rror at' || true)
        result "kernel checkpatch --strict: $file" "$output"
    done < <(ours 'linux/*.[ch]')
}

# Files whose first line names that interpreter
scripts_of() {
    local file
    ours | while IFS= read -r file; do
        case $file in
        *.md | *.rst | *.txt) continue ;;
        esac
        head -n 1 "$file" | grep -aqE "^#!.*($1)" && printf '%s\n' "$file"
    done || true
}

# SC1090, SC1091: files that exist only in a guest or by a computed name
check_shell() {
    local file output
    if ! command -v shellcheck > /dev/null; then
        skip shellcheck 'the package shellcheck is not installed'
        return
    fi
    while IFS= read -r file; do
        output=$(shellcheck -x -P SCRIPTDIR -P . -S warning -e SC1090,SC1091 "$file" 2>&1 || true)
        result "shellcheck: $file" "$output"
    done < <({ scripts_of 'bash|/sh|busybox'; ours 'scripts/*.sh'; } | sort -u)
}

check_python() {
    local file output
    while IFS= read -r file; do
        output=$("$PYTHON" -W error::SyntaxWarning - "$file" <<'EOF' 2>&1 || true
import ast, sys
name = sys.argv[1]
with open(name, encoding='utf-8') as file:
    source = file.read()
tree = compile(source, name, 'exec', ast.PyCF_ONLY_AST)
imported, used = {}, set()
for node in ast.walk(tree):
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            imported[(alias.asname or alias.name).split('.')[0]] = node.lineno
    elif isinstance(node, ast.Name):
        used.add(node.id)
exported = {getattr(e, 'value', '') for n in tree.body
            if isinstance(n, ast.Assign) and n.targets[0].__class__ is ast.Name
            and n.targets[0].id == '__all__' for e in n.value.elts}
for module, line in imported.items():
    if module not in used | exported | {'*', 'annotations'} \
            and not name.endswith('__init__.py'):
        print(f'{name}:{line}: {module} is imported and not used')
for number, text in enumerate(source.splitlines(), 1):
    if len(text) > 90:
        print(f'{name}:{number}: line over 90 characters')
EOF
        )
        result "python: $file" "$output"
    done < <({ scripts_of python; ours '*.py'; } | sort -u)
}

check_licence() {
    local file bad=''
    while IFS= read -r file; do
        case $file in
        COPYING* | LICENSE* | .gitignore | */.gitignore) continue ;;
        *.json | *.hex | *.bin) continue ;;
        esac
        head -n 5 "$file" | grep -q 'SPDX-License-Identifier: ' ||
            bad+="$file: no SPDX-License-Identifier in the first lines"$'\n'
    done < <(ours)
    result 'every file has an SPDX line' "$bad"
}

check_size() {
    local file lines bad=''
    while IFS= read -r file; do
        case $file in
        COPYING*) continue ;;
        esac
        lines=$(wc -l < "$file")
        [ "$lines" -le "$MAX_LINES" ] ||
            bad+="$file: $lines lines, more than $MAX_LINES: split it"$'\n'
    done < <(ours)
    result "no file is longer than $MAX_LINES lines" "$bad"
}

check_whitespace() {
    local output
    output=$(ours | grep -v '^COPYING' | xargs -d '\n' grep -nI '[[:blank:]]$' \
        2>/dev/null | head -n 20 || true)
    result 'no blanks at the end of a line' "$output"
}

QEMU=$(qemu_source)
KERNEL=$(kernel_source 7)
check_qemu_style
check_kernel_style
check_shell
check_python
check_licence
check_size
check_whitespace
printf '1..%d\n' "$COUNT"
exit "$FAILED"
