# SPDX-License-Identifier: GPL-2.0-or-later
"""A directory with the cells of a matrix: go on, merge, compare."""

from dataclasses import dataclass, field
import json
import os
import shutil
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .. import CannotRun
from ..run import rundir
from . import cell as cells
from .cell import Outcome
from .spec import Cell, Spec

RESULTS = 'results.json'
STATE = 'matrix.json'  # which matrix and shard a directory has
CELLS = 'cells'  # the directory with a directory for each
Outcomes = Dict[str, Outcome]


@dataclass
class Changes:
    """
    What differs from an earlier run, as names of cells.

    :param broken: They pass no more.
    :param still: They do not pass, now as before.
    :param mended: They pass now.
    :param tests: {cell: [test, status before, status now]}, the first ones.
    """
    broken: List[str] = field(default_factory=list)
    still: List[str] = field(default_factory=list)
    mended: List[str] = field(default_factory=list)
    tests: Dict[str, List[Tuple[str, str, str]]] = field(default_factory=dict)


def _write(path: str, content: Any) -> None:
    with open(f'{path}.part', 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=1)
        file.write('\n')
    os.replace(f'{path}.part', path)


def _read(path: str) -> Any:
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CannotRun(f'cannot read {path}: {error}; remove it') from error


class Store:
    """
    A directory with the results of a matrix.

    :param path: The directory, which is made.
    :param spec: The matrix.
    :param mine: Cells of this shard.

    :ivar outcomes: Outcomes of the cells that have run.
    """

    def __init__(self, path: str, spec: Spec, mine: Sequence[Cell]) -> None:
        self.path, self.spec, self.mine = path, spec, mine
        self.outcomes: Outcomes = {}
        _, self._lock = rundir.claim(path, True)

    def directory(self, ident: str) -> str:
        """Return the directory of a cell."""
        return os.path.join(self.path, CELLS, ident)

    def begin(self, again: bool) -> None:
        """
        Read the cells that have run, or remove them.

        Raises CannotRun if the directory has other cells.
        """
        state = {'digest': self.spec.digest,
                 'cells': [cell.ident for cell in self.mine]}
        path = os.path.join(self.path, STATE)
        if again:
            shutil.rmtree(os.path.join(self.path, CELLS), ignore_errors=True)
        elif _read(path) not in (None, state):
            raise CannotRun(
                f'{self.path} has results of another matrix or shard: choose '
                'another --output, or remove them with --again')
        _write(path, state)
        for cell in self.mine:
            outcome = cells.load(self.directory(cell.ident), cell.args)
            if outcome:
                self.outcomes[cell.ident] = outcome

    def left(self) -> List[Cell]:
        """Return the cells that have to run."""
        return [c for c in self.mine if c.ident not in self.outcomes]

    def add(self, cell: Cell, outcome: Outcome) -> None:
        """Keep the outcome of a cell."""
        cells.save(self.directory(cell.ident), cell.args, outcome)
        self.outcomes[cell.ident] = outcome

    def write(self) -> None:
        """Write results.json."""
        _write(os.path.join(self.path, RESULTS), {
            'spec': self.spec.to_json(),
            'cells': {cell.ident: self.outcomes[cell.ident].to_json()
                      for cell in self.spec.cells
                      if cell.ident in self.outcomes}})


def read(path: str) -> Tuple[Spec, Outcomes]:
    """Return the matrix in a directory, and the outcomes of its cells."""
    file = os.path.join(path, RESULTS)
    content = _read(file)
    try:
        return Spec.from_json(content['spec']), {
            ident: Outcome.from_json(outcome)
            for ident, outcome in content['cells'].items()}
    except (KeyError, TypeError, ValueError) as error:
        raise CannotRun(f'{path} has no results of a matrix: name a directory '
                        f'with {RESULTS}') from error


def _take(source: str, target: str) -> None:
    """Link the files of a cell, or copy them to another file system."""
    os.makedirs(target, exist_ok=True)
    for name in [*cells.LINKS, cells.FILE]:
        path, place = os.path.join(source, name), os.path.join(target, name)
        if not os.path.exists(path):
            continue
        if os.path.exists(place):
            os.unlink(place)
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)


def merge(output: str, parts: Sequence[str]) -> Store:
    """Return a new directory with the cells of all parts."""
    found = [(part, *read(part)) for part in parts]
    spec = found[0][1]
    for part, other, _ in found:
        if other.digest != spec.digest:
            raise CannotRun(f'{part} has another matrix than {parts[0]}: '
                            'merge shards of one file')
        if os.path.realpath(part) == os.path.realpath(output):
            raise CannotRun(f'{part} is the output as well: choose another '
                            '--output')
    store = Store(output, spec, spec.cells)
    store.begin(True)
    for part, _, outcomes in found:
        for cell in spec.cells:
            if cell.ident in outcomes:
                _take(os.path.join(part, CELLS, cell.ident),
                      store.directory(cell.ident))
                store.outcomes[cell.ident] = outcomes[cell.ident]
    return store


def compare(now: Outcomes, before: Outcomes) -> Changes:
    """Return what became of the cells that both runs have."""
    changes = Changes()
    for ident, outcome in now.items():
        old: Optional[Outcome] = before.get(ident)
        if not old:
            continue
        bad, was = (x.verdict in cells.BAD for x in (outcome, old))
        if bad:
            (changes.still if was else changes.broken).append(ident)
        elif was:
            changes.mended.append(ident)
        names = dict.fromkeys([*old.tests, *outcome.tests])
        tests = [(name, old.tests.get(name, 'absent'),
                  outcome.tests.get(name, 'absent')) for name in names
                 if old.tests.get(name) != outcome.tests.get(name)]
        if tests:
            changes.tests[ident] = tests
    return changes
