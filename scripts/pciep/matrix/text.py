# SPDX-License-Identifier: GPL-2.0-or-later
"""A matrix as a table of words, for the terminal."""

import itertools
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from ..run import tap
from . import cell as cells
from .cell import Outcome
from .spec import Cell, Spec
from .store import Changes, Outcomes

NOTHING = '-'  # a cell that the file leaves out
Row = Tuple[Tuple[str, ...], List[Optional[Cell]]]


def grid(spec: Spec) -> Iterator[Row]:
    """
    Return the rows of the table.

    Each is its values, and a cell for each value of the columns, None for
    one that is left out.
    """
    names = list(spec.axes)
    at = {tuple(zip(names, cell.values)): cell for cell in spec.cells}
    single = {axis: values[0] for axis, values in spec.axes.items()
              if axis not in (*spec.rows, spec.columns)}
    for row in itertools.product(*(spec.axes[axis] for axis in spec.rows)):
        found = []
        for column in spec.axes[spec.columns]:
            values = {**single, **dict(zip(spec.rows, row)),
                      spec.columns: column}
            found.append(at.get(tuple((axis, values[axis])
                                      for axis in names)))
        if any(found):
            yield row, found


def short(outcome: Optional[Outcome]) -> str:
    """Return what the table says of a cell."""
    if not outcome:
        return cells.WORDS[cells.ABSENT]
    word = cells.WORDS[outcome.verdict]
    failed, passed = (outcome.count(kind) for kind in (tap.FAIL, tap.PASS))
    if outcome.verdict == cells.PASSED:
        return f'{word} {passed}'
    if outcome.verdict == cells.FAILED and failed:
        return f'{word} {failed}'
    return word


def table(spec: Spec, outcomes: Outcomes) -> List[str]:
    """Return the lines of the table."""
    lines = [[*spec.rows, *spec.axes[spec.columns]]]
    for row, found in grid(spec):
        lines.append([*row, *(short(outcomes.get(cell.ident)) if cell
                              else NOTHING for cell in found)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    return ['  '.join(map(str.ljust, line, widths)).rstrip()
            for line in lines]


def describe(spec: Spec, cell: Cell) -> str:
    """Return a cell in words: the values of the axes that differ."""
    return ' '.join(value for axis, value in zip(spec.axes, cell.values)
                    if len(spec.axes[axis]) > 1) or cell.ident


def order(spec: Spec, outcomes: Outcomes,
          changes: Optional[Changes]) -> List[Cell]:
    """Return the cells that do not pass, what is new among them first."""
    broken = set(changes.broken) if changes else set()
    bad = [cell for cell in spec.cells if cell.ident in outcomes
           and outcomes[cell.ident].verdict in cells.BAD]
    return sorted(bad, key=lambda cell: cell.ident not in broken)


def counts(spec: Spec, outcomes: Outcomes) -> Dict[str, int]:
    """Return how many cells there are of each verdict."""
    found = [outcomes[cell.ident].verdict if cell.ident in outcomes
             else cells.ABSENT for cell in spec.cells]
    return {verdict: found.count(verdict) for verdict in cells.WORDS}


def total(numbers: Mapping[str, int]) -> str:
    """Return the counts in words."""
    return ', '.join(f'{number} {cells.WORDS[verdict]}'
                     for verdict, number in numbers.items()
                     if number) or 'no cell'


def summary(spec: Spec, outcomes: Outcomes, changes: Optional[Changes],
            mine: Sequence[Cell]) -> List[str]:
    """Return the lines at the end of a run."""
    lines = ['', *table(spec, outcomes), '']
    broken = set(changes.broken) if changes else set()
    for cell in order(spec, outcomes, changes):
        outcome = outcomes[cell.ident]
        new = 'new: ' if cell.ident in broken else ''
        lines.append(f'  {new}{describe(spec, cell)}: {outcome.why}')
    if changes:
        lines.append(f'  compared: {len(changes.broken)} pass no more, '
                     f'{len(changes.still)} still do not, '
                     f'{len(changes.mended)} pass now')
    numbers = counts(spec, outcomes)
    elsewhere = len(spec.cells) - len(mine)
    if elsewhere:
        numbers[cells.ABSENT] -= elsewhere
        lines.append(f'  {elsewhere} cells belong to other shards')
    return [*lines, f'  {total(numbers)}']
