# SPDX-License-Identifier: GPL-2.0-or-later
"""The results as a table for people and as bench.json for programs."""

import json
import os
import platform

from measures import median, spread


def number(value):
    if value is None:
        return '-'
    if value == 0 or isinstance(value, int):
        return f'{value:.0f}'
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def between(values):
    s = spread(values)
    return f'{number(s[0])}..{number(s[1])}' if s and len(values) > 1 else ''


def verdict(row):
    return {None: 'not built yet', True: 'met', False: 'MISSED'}[row.met]


def table(rows):
    quartiles = 'quartiles'
    head = ('', 'value', quartiles, 'yardstick', quartiles, 'ratio', quartiles,
            'target', '')
    lines = [head]
    for r in rows:
        lines.append(
            (r.name,
             f'{number(median(r.values))} {r.unit}' if r.built else '-',
             between(r.values), number(median(r.yards)), between(r.yards),
             f'{median(r.ratios):.2f}' if r.ratios else '-',
             '{:.2f}..{:.2f}'.format(*spread(r.ratios)) if r.ratios else '',
             r.goal(), verdict(r)))
    width = [max(len(ln[i]) for ln in lines) for i in range(len(head))]
    out = []
    for ln in lines:
        cells = [c.rjust(w) for c, w in zip(ln, width)]
        cells[0], cells[-1] = ln[0].ljust(width[0]), ln[-1]
        out.append('  '.join(cells).rstrip())
    return '\n'.join(out)


def axis(name):
    """Return what grows in a chart."""
    if name.startswith('map'):
        return 'live'
    return 'channels' if name.startswith('channels') else 'bytes'


def growth_table(growth):
    out = []
    for name, points in growth.items():
        out.append(f'{name}: {axis(name)}, us, us of the yardstick, ratio')
        for n, value, yard in points:
            rest = ''
            if yard:
                rest = f'{yard / 1000:>12.3f}  {yard / value:>6.2f}'
            out.append(f'  {n:>10}  {value / 1000:>12.3f}  {rest}'.rstrip())
    return '\n'.join(out)


def write_json(path, tools, rows, growth, control, functions):
    data = {
        'accelerator': tools.accel,
        'kernel': tools.kernel.release,
        'machine': f'{platform.machine()}, {os.cpu_count()} CPUs',
        'load': os.getloadavg()[0],
        'rows': [r.data() for r in rows],
        'growth': {
            name: [{'at': n, 'ns': v, 'yardstick_ns': y}
                   for n, v, y in points]
            for name, points in growth.items()
        },
        'functions': functions,
        'control': {'config_writes': control[0], 'messages': control[1]},
    }
    with open(path + '.part', 'w') as f:
        json.dump(data, f, indent=1)
        f.write('\n')
    os.replace(path + '.part', path)
