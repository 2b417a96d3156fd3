# SPDX-License-Identifier: GPL-2.0-or-later
"""
Many runs of pci-ep-run: pci-ep-matrix.

    cli        options of pci-ep-matrix
    spec       the file that says which cells there are
    cell       what one run came to
    store      a directory with cells: go on, merge, compare
    runner     runs cells, as many at once as fit
    text       the table for the terminal
    page       the same as HTML

It starts the launcher as a program, and imports of run/ only what reads
results.
"""
