# SPDX-License-Identifier: GPL-2.0-or-later
"""
A matrix as one page of HTML, without scripts and without a server.

Links are relative, and no time of day is on it: shards that are merged give
the page that one run gives.
"""

from html import escape
import os
from typing import Iterator, List, Optional
import urllib.parse

from . import cell as cells, text
from .cell import Outcome
from .spec import Cell, Spec
from .store import CELLS, Changes, Outcomes

FILE = 'index.html'
_TESTS = 12  # changes of tests that are shown of a cell
_STYLE = '''
:root { color-scheme: light; }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem;
  max-width: 76rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 1.6rem 0 .5rem; }
a { color: #0a4fa3; }
table { border-collapse: collapse; width: 100%; }
th, td { border: 1px solid #c6ccd3; padding: .35rem .5rem; text-align: left; }
thead th { background: #eef1f4; }
td a { display: block; color: inherit; text-decoration: none; }
td a:hover { text-decoration: underline; }
.passed { background: #d9f2df; } .failed { background: #ffd7d5;
  font-weight: 600; }
.cannot { background: #ffe6b8; } .skipped { background: #e6e9ee; }
.absent, .none { color: #57606a; }
.new::before { content: "new "; font-weight: 700; color: #a40e26; }
details { border: 1px solid #c6ccd3; border-radius: 4px; margin: .4rem 0;
  padding: .3rem .6rem; }
summary { cursor: pointer; overflow-wrap: anywhere; }
pre { background: #f4f6f8; padding: .5rem; font-size: .85rem;
  white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }
code { font-size: .85rem; overflow-wrap: anywhere; }
p, li { overflow-wrap: anywhere; }
.links a { margin-right: .8rem; display: inline-block; }
@media (max-width: 640px) {
  thead { display: none; }
  tr, td, tbody th { display: block; }
  tbody th { border: 0; padding: .1rem .5rem; }
  tbody th::before { content: attr(data-axis) ": "; font-weight: 400; }
  tr { border: 1px solid #c6ccd3; margin-bottom: .6rem; }
  td { border: 0; border-top: 1px solid #c6ccd3; }
  td::before { content: attr(data-column); float: left; min-width: 8rem;
    margin-right: .5rem; color: #57606a; font-weight: 400; }
}
'''


def _anchor(ident: str) -> str:
    return 'cell-' + urllib.parse.quote(ident, safe='')


def _td(spec: Spec, column: str, cell: Optional[Cell], outcomes: Outcomes,
        broken: List[str]) -> str:
    """Return a cell of the table."""
    head = f'data-column="{escape(column)}"'
    if not cell:
        return f'<td class="none" {head}>{text.NOTHING}</td>'
    outcome = outcomes.get(cell.ident)
    words = escape(text.short(outcome))
    kind = outcome.verdict if outcome else cells.ABSENT
    if not outcome:
        return f'<td class="{kind}" {head}>{words}</td>'
    new = ' class="new"' if cell.ident in broken else ''
    return (f'<td class="{kind}" {head}><a{new} href="#{_anchor(cell.ident)}" '
            f'title="{escape(text.describe(spec, cell))}">{words}</a></td>')


def _grid(spec: Spec, outcomes: Outcomes, broken: List[str]) -> Iterator[str]:
    columns = spec.axes[spec.columns]
    yield '<table>\n<thead><tr>' + ''.join(
        f'<th scope="col">{escape(name)}</th>'
        for name in (*spec.rows, *columns)) + '</tr></thead>\n<tbody>'
    for row, found in text.grid(spec):
        yield '<tr>' + ''.join(
            f'<th scope="row" data-axis="{escape(axis)}">{escape(value)}</th>'
            for axis, value in zip(spec.rows, row)) + ''.join(
                _td(spec, column, cell, outcomes, broken)
                for column, cell in zip(columns, found)) + '</tr>'
    yield '</tbody>\n</table>'


def _failures(outcome: Outcome) -> Iterator[str]:
    for failure in outcome.failures:
        lines = [f'not ok {failure.name}']
        if failure.reason:
            lines[0] += f': {failure.reason}'
        yield f'<pre>{escape(chr(10).join(lines + failure.lines))}</pre>'


def _detail(spec: Spec, cell: Cell, outcome: Outcome,
            changes: Optional[Changes]) -> Iterator[str]:
    """Return what the page has of a cell."""
    bad = outcome.verdict in cells.BAD
    new = changes and cell.ident in changes.broken
    yield (f'<details id="{_anchor(cell.ident)}"{" open" if bad else ""}>'
           f'<summary class="{"new" if new else ""}">'
           f'{escape(text.describe(spec, cell))}: '
           f'<span class="{outcome.verdict}">{escape(text.short(outcome))}'
           f'</span>, {outcome.seconds:.0f} s</summary>')
    if outcome.why:
        yield f'<p>{escape(outcome.why)}</p>'
    yield from _failures(outcome)
    tests = changes.tests.get(cell.ident, []) if changes else []
    if tests:
        lines = [f'{name}: {before}, now {now}'
                 for name, before, now in tests[:_TESTS]]
        if len(tests) > _TESTS:
            lines.append(f'and {len(tests) - _TESTS} more')
        yield ('<p>Compared with the earlier run:</p><pre>'
               f'{escape(chr(10).join(lines))}</pre>')
    place = urllib.parse.quote(f'{CELLS}/{cell.ident}')
    links = ''.join(f'<a href="{place}/{name}">{name}</a>'
                    for name in outcome.files)
    yield f'<p class="links">{links}</p>'
    args = ' '.join(cell.args)
    yield f'<p><code>pci-ep-run {escape(args)}</code></p></details>'


def _changes(spec: Spec, changes: Changes) -> Iterator[str]:
    """Return what became of cells since the earlier run."""
    by_ident = {cell.ident: cell for cell in spec.cells}
    yield '<h2>Compared with the earlier run</h2>\n<ul>'
    for words, idents in (('pass no more', changes.broken),
                          ('still do not pass', changes.still),
                          ('pass now', changes.mended)):
        links = ', '.join(
            f'<a href="#{_anchor(ident)}">'
            f'{escape(text.describe(spec, by_ident[ident]))}</a>'
            for ident in idents if ident in by_ident)
        yield (f'<li>{len(idents)} {words}'
               + (f': {links}' if links else '') + '</li>')
    yield '</ul>'


def html(title: str, spec: Spec, outcomes: Outcomes,
         changes: Optional[Changes]) -> str:
    """Return the page."""
    broken = changes.broken if changes else []
    first = text.order(spec, outcomes, changes)
    rest = [cell for cell in spec.cells
            if cell.ident in outcomes and cell not in first]
    single = [f'{axis} {values[0]}' for axis, values in spec.axes.items()
              if len(values) == 1]
    total = text.total(text.counts(spec, outcomes))
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, '
        'initial-scale=1">',
        f'<title>{escape(title)}: {escape(total)}</title>',
        f'<style>{_STYLE}</style>\n</head>\n<body>',
        f'<h1>{escape(title)}</h1>',
        f'<p>{escape("; ".join([total, *single]))}</p>',
        *(_changes(spec, changes) if changes else ()),
        '<h2>Verdicts</h2>',
        *_grid(spec, outcomes, broken),
    ]
    for heading, some in (('What did not pass', first), ('The others', rest)):
        if some:
            parts.append(f'<h2>{heading}</h2>')
        for cell in some:
            parts += _detail(spec, cell, outcomes[cell.ident], changes)
    return '\n'.join([*parts, '</body>\n</html>\n'])


def write(directory: str, title: str, spec: Spec, outcomes: Outcomes,
          changes: Optional[Changes]) -> str:
    """Write the page, and return its path."""
    path = os.path.join(directory, FILE)
    with open(f'{path}.part', 'w', encoding='utf-8') as file:
        file.write(html(title, spec, outcomes, changes))
    os.replace(f'{path}.part', path)
    return path
