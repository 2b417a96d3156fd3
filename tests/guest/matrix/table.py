# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of the cells as one table, for people and for docs/devel."""

import json
import os

from .faults import FAULTS
from .loads import LOADS

WIDTH = 22


def read_cells(directory):
    """Return {test name: what its cell.json has}."""
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name, 'cell.json')
        if name.startswith('faults.') and os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                found[name] = json.load(file)
    return found


def describe(status, cell):
    """Return what the table says of a cell."""
    if status is None:
        return '-'
    if status != 'pass':
        return status.upper()
    late = max(cell['monitors'].values(), default=0)
    text = f'{cell["recovery"]:.1f} s, {late * 1000:.0f} ms'
    return (text + (' (T)' if cell['waits'] else '')
            + (' (K)' if cell['reset'] else ''))


def write(results, directory):
    """
    Return the lines of the table.

    :param results: {test name: "pass", "fail" or "skip"}.
    :param directory: Where each test has its directory.
    """
    cells = read_cells(directory)
    head = ['side', 'fault'] + [load.name for load in LOADS]
    widths = [5, 15] + [WIDTH] * len(LOADS)
    bar = '  '.join('=' * width for width in widths)
    rows = [bar, '  '.join(map(str.ljust, head, widths)).rstrip(), bar]
    for fault in FAULTS:
        words = [fault.side, fault.name]
        for load in LOADS:
            name = f'faults.{fault.side}_{fault.name}_{load.name}'
            words.append(describe(results.get(name), cells.get(name)))
        rows.append('  '.join(map(str.ljust, words, widths)).rstrip())
    return rows + [bar]
