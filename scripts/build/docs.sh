#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# docs.sh [DIRECTORY]: builds docs/ with Sphinx. HTML goes to DIRECTORY/html, the
# man page pci-ep-run(1) to DIRECTORY/man; DIRECTORY is build/docs by default.
# A warning of Sphinx, such as a broken reference, fails the build.

. "$(dirname "$0")/common.sh"

OUTPUT=${1:-$BUILD/docs}

"$PYTHON" -c 'import sphinx' 2>/dev/null ||
    die 2 "Sphinx is missing; install it as root, then try again:
    apt-get install --no-install-recommends python3-sphinx"

mkdir -p "$OUTPUT"
for builder in html man; do
    "$PYTHON" -m sphinx -q -W --keep-going -n -b "$builder" \
        -d "$OUTPUT/doctrees" "$TOP/docs" "$OUTPUT/$builder"
done
[ -n "${1:-}" ] || say "documentation: $OUTPUT/html/index.html" \
    "and $OUTPUT/man/pci-ep-run.1"
