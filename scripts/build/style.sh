#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Checks on the text of our files, as TAP: checkpatch of QEMU and of Linux, shell
# and Python scripts, licence lines, file sizes; which room includes what, names of
# static functions, locks.

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
# MAINTAINERS: ours is checked by checks/docs.py
# errno: replies of the vfio-user protocol carry it as a positive number

# The same of Linux's checkpatch, by type
# kzalloc_obj() is not in Linux 6.12
KERNEL_EXCLUDED=FILE_PATH_CHANGES,ALLOC_WITH_SIZEOF

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

# checkpatch takes a member with an annotation of hw/pci-ep/wire/locks.h for the
# declaration of a function
without_annotations() {
    local file line text
    while IFS= read -r text; do
        IFS=: read -r file line _ <<< "$text"
        case $text in
        *'externs should be avoided'*)
            sed -n "${line}p" "$file" | grep -q 'EP_GUARDED_BY(' && continue
            ;;
        esac
        printf '%s\n' "$text"
    done
}

check_qemu_style() {
    local file output
    local script=$QEMU/scripts/checkpatch.pl
    while IFS= read -r file; do
        # It ends with status 1 when it has something to say
        output=$(perl "$script" --no-tree --no-signoff --terse --no-summary \
            -f "$file" 2>&1 | grep -E ': (ERROR|WARNING): |^Can|rror at' |
            grep -vE -f <(excluded "$QEMU_EXCLUDED") | without_annotations ||
            true)
        result "QEMU checkpatch: $file" "$output"
    done < <(ours 'hw/*.[ch]' 'include/*.h' 'tests/*.[ch]')
}

check_kernel_style() {
    local file output
    while IFS= read -r file; do
        output=$(perl "$KERNEL/scripts/checkpatch.pl" --strict --no-tree \
            --terse --no-summary --ignore "$KERNEL_EXCLUDED" -f "$file" 2>&1 |
            grep -E ': (ERROR|WARNING|CHECK): |^Can|rror at' || true)
        result "kernel checkpatch --strict: $file" "$output"
    done < <(ours 'linux/*.[ch]' 'examples/*.[ch]')
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
    if len(text) > 79:
        print(f'{name}:{number}: line over 79 characters')
EOF
        )
        result "python: $file" "$output"
    done < <({ scripts_of python; ours '*.py'; } | sort -u)
    check_python_types
}

# pyproject.toml has the options of mypy, "strict" above all.
check_python_types() {
    local output file
    if ! command -v mypy > /dev/null; then
        skip 'mypy --strict' 'the package mypy is not installed'
        return
    fi
    # A directory with a dash is no package, so its file has the name of the others.
    output=$({ mypy --exclude '/[a-z]+-[a-z]+/' scripts/pciep scripts/functions \
            scripts/build/run-tests
        mypy scripts/build/fuzz
        for file in scripts/functions/*-*/function.py; do mypy "$file"; done; } 2>&1 |
        grep -v '^Success: ' || true)
    result 'mypy --strict' "$output"
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

check_structure() {
    result 'includes go one way between the rooms' \
        "$("$PYTHON" scripts/build/checks/rooms.py 2>&1)"
    result 'static functions have names of their own' \
        "$("$PYTHON" scripts/build/checks/names.py 2>&1)"
    result 'trace events have one form' \
        "$("$PYTHON" scripts/build/checks/traces.py 2>&1)"
    result 'what may end QEMU or wait for long is in docs/devel/aborts.rst and waits.rst' \
        "$("$PYTHON" scripts/build/checks/places.py 2>&1)"
}

# The oldest clang whose analysis knows members of a structure in C
CLANG_MIN=22

find_clang() {
    local name version
    for name in clang $(compgen -c clang- | grep -xE 'clang-[0-9]+' | sort -rV); do
        version=$("$name" -dumpversion 2>/dev/null || true)
        if [ "${version%%.*}" -ge "$CLANG_MIN" ] 2>/dev/null; then
            printf '%s\n' "$name"
            return
        fi
    done
}

check_thread_safety() {
    local name='the annotations of locks hold' clang tree
    clang=$(find_clang)
    tree=$(scripts/build/qemu.sh build-directory)
    if [ -z "$clang" ]; then
        skip "$name" "there is no clang $CLANG_MIN or newer"
    elif [ ! -f "$tree/compile_commands.json" ]; then
        skip "$name" 'QEMU is not built here: run make'
    else
        result "$name" "$("$PYTHON" scripts/build/checks/thread_safety.py \
            "$clang" "$tree" 2>&1)"
    fi
}

check_docs() {
    local directory output
    directory=$(mktemp -d)
    if "$PYTHON" -c 'import sphinx' 2>/dev/null; then
        output=$(scripts/build/docs.sh "$directory" 2>&1 || true)
        result 'docs: Sphinx has no warnings' "$output"
    else
        skip 'docs: Sphinx has no warnings' \
            'the package python3-sphinx is not installed'
    fi
    rm -rf "$directory"
    output=$("$PYTHON" scripts/build/checks/docs.py 2>&1 || true)
    result 'docs: files, functions and locks that pages name exist' "$output"
}

QEMU=$(qemu_source)
KERNEL=$(kernel_source 7)
check_structure
check_thread_safety
check_qemu_style
check_kernel_style
check_shell
check_python
check_licence
check_size
check_whitespace
check_docs
printf '1..%d\n' "$COUNT"
exit "$FAILED"
