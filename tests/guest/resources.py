# SPDX-License-Identifier: GPL-2.0-or-later
"""What a QEMU process holds, and whether it holds more than before."""

import os
import sys

from lib import TOP, check

sys.path.insert(0, os.path.join(TOP, 'tests/bench'))
from boots import own_memory  # noqa: E402

# What may be more afterwards than before, and by how much.  The own memory of
# a QEMU is its heap and what TCG keeps for translated code.
MAY_GROW = {'fds': 0, 'mappings': 32, 'threads': 4, 'own KiB': 8 << 10}


def held(pid):
    """Return descriptors, mappings, threads and memory of a process."""
    proc = f'/proc/{pid}'
    with open(f'{proc}/maps', encoding='ascii', errors='replace') as file:
        mappings = len(file.readlines())
    return {
        'fds': len(os.listdir(f'{proc}/fd')),
        'mappings': mappings,
        'threads': len(os.listdir(f'{proc}/task')),
        'own KiB': own_memory(pid) >> 10,
    }


def describe(state):
    """Return a state as words."""
    return ', '.join(f'{name} {value}' for name, value in state.items())


def check_growth(who, before, after):
    """Fail if a process holds more than before by more than it may."""
    for name, may in MAY_GROW.items():
        more = after[name] - before[name]
        check(more <= may,
              f'{who}: {name}: {more} more than before, {may} are allowed '
              f'(before: {describe(before)}; after: {describe(after)})')
