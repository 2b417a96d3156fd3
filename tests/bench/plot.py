# SPDX-License-Identifier: GPL-2.0-or-later
"""The plot: ratios against targets, and how cost grows, as SVG."""

import math
import os
from html import escape

from measures import COST, SPEED, median

WIDTH, PAD, TOP, HEIGHT = 440, 60, 40, 240
COLORS = ('#1f77b4', '#ff7f0e', '#2ca02c', '#d62728')


def text(x, y, words, anchor='middle', size=11, fill='#222'):
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
        f'font-size="{size}" '
        f'fill="{fill}">{escape(words)}</text>')


def line(x1, y1, x2, y2, color, extra=''):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{color}" {extra}/>')


def short(value, units):
    """Return 1048576 as 1M."""
    for factor, unit in units:
        if value >= factor:
            return f'{value / factor:g}{unit}'
    return f'{value:g}'


BYTES = ((1 << 20, 'M'), (1 << 10, 'K'))
TIMES = ((1e9, ' s'), (1e6, ' ms'), (1e3, ' us'), (1, ' ns'))
MEMORY = ((1, ' MiB'),)


class LogChart:
    """Lines over two logarithmic axes."""

    def __init__(self, left, top, title, points, x_units, y_units=TIMES):
        self.left, self.top, self.out = left, top, []
        self.x_units, self.y_units = x_units, y_units
        xs = [p[0] for p in points]
        ys = [v for p in points for v in p[1:] if v]
        self.x0, self.x1 = math.log10(min(xs)), math.log10(max(xs))
        self.y0 = math.floor(math.log10(min(ys)))
        self.y1 = max(math.ceil(math.log10(max(ys))), self.y0 + 1)
        self.out.append(text(left + PAD + WIDTH / 2, top + 20, title, size=13))
        self._axes(xs)

    def x(self, value):
        part = (math.log10(value) - self.x0) / max(self.x1 - self.x0, 1e-9)
        return self.left + PAD + part * WIDTH

    def y(self, value):
        part = (math.log10(value) - self.y0) / (self.y1 - self.y0)
        return self.top + TOP + (1 - part) * HEIGHT

    def _axes(self, xs):
        bottom = self.top + TOP + HEIGHT
        for power in range(self.y0, self.y1 + 1):
            y = self.y(10**power)
            right = self.left + PAD + WIDTH
            self.out.append(line(self.left + PAD, y, right, y, '#ddd'))
            self.out.append(
                text(self.left + PAD - 6, y + 4,
                     short(10**power, self.y_units), 'end'))
        for x in sorted(set(xs)):
            self.out.append(
                text(self.x(x), bottom + 16, short(x, self.x_units)))

    def series(self, name, pairs, color, row, dash=False):
        path = ' '.join(f'{self.x(x):.1f},{self.y(v):.1f}' for x, v in pairs)
        style = ' stroke-dasharray="5 4"' if dash else ''
        self.out.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" '
            f'stroke-width="1.6"{style}/>')
        y = self.top + TOP + 14 + 15 * row
        x = self.left + PAD + 8
        self.out.append(line(x, y - 4, x + 24, y - 4, color, style))
        self.out.append(text(x + 30, y, name, 'start'))


def ratios(rows, left, top):
    """A bar for each row, up to its target when it just meets it."""
    shown = [r for r in rows if r.ratios and r.kind in (SPEED, COST)]
    title = 'ratio to the yardstick (line: target)'
    out = [text(left + PAD + WIDTH / 2, top + 20, title, size=13)]
    most = max([1.0] + [max(median(r.ratios), r.target) for r in shown]) * 1.1
    pitch = min(26, HEIGHT / max(len(shown), 1))
    for i, r in enumerate(shown):
        y = top + TOP + i * pitch
        x = left + 190
        scale = (WIDTH + PAD - 190) / most
        ratio = median(r.ratios)
        color = COLORS[2] if r.met else COLORS[3]
        sign = '>=' if r.kind == SPEED else '<='
        out.append(text(x - 8, y + pitch / 2, r.name, 'end'))
        out.append(f'<rect x="{x}" y="{y:.1f}" width="{ratio * scale:.1f}" '
                   f'height="{pitch - 8:.1f}" fill="{color}"/>')
        at = x + r.target * scale
        out.append(
            line(at, y - 3, at, y + pitch - 5, '#000', 'stroke-width="2"'))
        words = f'{ratio:.2f} ({sign} {r.target})'
        right = left + PAD + WIDTH
        out.append(text(right + 4, y + pitch / 2, words, 'start'))
    return out


def copies(growth, side, left, top):
    names = [n for n in growth if n.startswith(side)]
    points = [p for n in names for p in growth[n]]
    chart = LogChart(left, top, f'{side}: time of one copy by size', points,
                     BYTES)
    for i, name in enumerate(names):
        pairs = growth[name]
        chart.series(name, [p[:2] for p in pairs], COLORS[i], 2 * i)
        yards = [(p[0], p[2]) for p in pairs]
        chart.series(f'{name}, yardstick', yards, COLORS[i + 2], 2 * i + 1,
                     True)
    return chart.out


def channels(growth, left, top):
    names = [n for n in growth if n.startswith('channels')]
    points = [p for n in names for p in growth[n]]
    chart = LogChart(left, top, 'DMA: time of 1 MiB by channels', points,
                     BYTES)
    for i, name in enumerate(names):
        words = name.partition(', ')[2]
        chart.series(words, [p[:2] for p in growth[name]], COLORS[i], i)
    return chart.out


def maps(growth, left, top):
    name = 'map_addr + unmap_addr'
    points = growth[name]
    chart = LogChart(left, top, f'{name} by maps that are live', points, BYTES)
    chart.series('time of a pair', [p[:2] for p in points], COLORS[0], 0)
    return chart.out


def by_functions(title, series, left, top, units):
    """Draw a chart; @series has lists of (functions, value) by name."""
    points = [p for pairs in series.values() for p in pairs]
    chart = LogChart(left, top, title, points, BYTES, units)
    for i, (name, pairs) in enumerate(series.items()):
        chart.series(name, pairs, COLORS[i], i)
    return chart.out


def function_times(functions, left, top):
    series = {
        'start to bound': [
            (f['functions'], f['appear'] * 1e6) for f in functions],
        'MSI-X to the host': [
            (f['functions'], f['msix'] * 1e3) for f in functions],
        'DMA of 1 MiB, all at once': [
            (f['functions'], (1 << 20) * 1e3 / f['dma']) for f in functions],
    }
    return by_functions('time by functions behind one link', series, left, top,
                        TIMES)


def function_memory(functions, left, top):
    series = {
        f'{words} QEMU': [(f['functions'], f[role]) for f in functions]
        for role, words in (('host', 'host'), ('ep', 'endpoint'))
    }
    return by_functions('own memory by functions', series, left, top, MEMORY)


def write(path, rows, growth, functions, accel):
    column = WIDTH + PAD + 120
    high = TOP + HEIGHT + 50
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * column}" '
        f'height="{4 * high + 30}" font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        text(column, 22, f'pci-ep benchmark, {accel}', size=15)
    ]
    out += ratios(rows, 0, 30)
    out += maps(growth, column, 30)
    out += copies(growth, 'BAR', 0, 30 + high)
    out += copies(growth, 'window', column, 30 + high)
    out += copies(growth, 'DMA', 0, 30 + 2 * high)
    out += channels(growth, column, 30 + 2 * high)
    out += function_times(functions, 0, 30 + 3 * high)
    out += function_memory(functions, column, 30 + 3 * high)
    out.append('</svg>')
    with open(path + '.part', 'w') as f:
        f.write('\n'.join(out) + '\n')
    os.replace(path + '.part', path)
