# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of a matrix: its axes, what is left out, and so its cells."""

from dataclasses import dataclass
import hashlib
import itertools
import json
import re
import tomllib
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from .. import CannotRun, did_you_mean
from ..run.cli import SCENARIOS

LIMIT = 7200  # seconds for one cell; a build of its kernel is among them
MOST = 10000  # cells
COLUMNS = 'scenario'  # the axis that the table has as columns
NONE = 'none'
RUN, EXCLUDE, AXES = 'run', 'exclude', 'axes'


def _scenario(value: str) -> List[str]:
    """Return the arguments for a scenario, or for functions with a +."""
    if value in SCENARIOS:
        return [value]
    return [f'--function={name}' for name in value.split('+')]


def _option(name: str) -> Callable[[str], List[str]]:
    return lambda value: [f'--{name}={value}']


# Axes whose values pci-ep-run knows, and the arguments for one
KNOWN: Dict[str, Callable[[str], List[str]]] = {
    'kernel': _option('kernel-name'),
    'host-arch': _option('host-arch'),
    'ep-arch': _option('ep-arch'),
    'scenario': _scenario,
    'host-iommu': _option('host-iommu'),
    'profile': lambda value: [] if value == NONE else [f'--profile={value}'],
}


@dataclass(frozen=True)
class Cell:
    """
    One run.

    :param ident: Its name, that of its directory.
    :param values: Its value of each axis, in their order.
    :param args: Arguments of pci-ep-run.
    """
    ident: str
    values: Tuple[str, ...]
    args: Tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Spec:
    """
    A matrix.

    :param axes: All axes with their values.
    :param cells: All cells, in the order in which they begin.
    :param limit: Seconds that a cell may take.
    """
    axes: Mapping[str, Sequence[str]]
    cells: Sequence[Cell]
    limit: float = LIMIT

    @property
    def digest(self) -> str:
        """A name for all that its results depend on."""
        text = json.dumps([dict(self.axes), [
            [cell.ident, cell.args] for cell in self.cells]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def columns(self) -> str:
        """The axis that the table has as columns."""
        if len(self.axes.get(COLUMNS, ())) > 1:
            return COLUMNS
        return max(self.axes, key=lambda axis: len(self.axes[axis]))

    @property
    def rows(self) -> List[str]:
        """The other axes that have more than one value."""
        return [axis for axis, values in self.axes.items()
                if axis != self.columns and len(values) > 1]

    def shard(self, number: int, count: int) -> List[Cell]:
        """Return every cell that belongs to a shard, from 1 to count."""
        return list(self.cells[number - 1::count])

    def to_json(self) -> Dict[str, Any]:
        """Return it for from_json()."""
        return {'axes': {name: list(v) for name, v in self.axes.items()},
                'limit': self.limit,
                'cells': [[c.ident, c.values, c.args] for c in self.cells]}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> 'Spec':
        """Return the matrix that to_json() was called for."""
        return Spec(axes=content['axes'], limit=content['limit'], cells=[
            Cell(ident, tuple(values), tuple(args))
            for ident, values, args in content['cells']])


def _wrong(path: str, text: str) -> CannotRun:
    return CannotRun(f'{path}: {text}')


def _strings(path: str, what: str, value: object) -> List[str]:
    """Return a list of strings, which a single one is as well."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found \
            or not all(isinstance(word, str) for word in found):
        raise _wrong(path, f'{what}: write a list of strings')
    return found


def _keys(path: str, where: str, table: object,
          known: Sequence[str]) -> Dict[str, Any]:
    """Return a table, or raise CannotRun if it has other keys."""
    if not isinstance(table, dict):
        raise _wrong(path, f'{where} is no table: write [{where}]')
    for key in table:
        if key not in known:
            raise _wrong(path, f'[{where}] has no key {key}: '
                         + did_you_mean(key, known)
                         + f'write {", ".join(known)}')
    return table


def _axes(path: str, content: Mapping[str, Any]) -> Dict[str, List[str]]:
    table = content.get(AXES)
    if not isinstance(table, dict) or not table:
        raise _wrong(path, 'no axes: write [axes] and lines such as '
                     'kernel = ["6.12", "7"]')
    axes = {name: _strings(path, f'axes.{name}', values)
            for name, values in table.items()}
    for name, values in axes.items():
        if len(set(values)) < len(values):
            raise _wrong(path, f'axes.{name} has a value twice')
    for name in content:
        if name not in (AXES, EXCLUDE, RUN, *axes):
            known = [AXES, EXCLUDE, RUN, *axes]
            raise _wrong(path, f'[{name}] is no axis: '
                         + did_you_mean(name, known)
                         + f'write {", ".join(known)}')
    return axes


def _arguments(path: str, content: Mapping[str, Any], axis: str,
               value: str) -> List[str]:
    """Return the arguments for a value of an axis."""
    own = content.get(axis, {})
    if isinstance(own, dict) and value in own:
        where = f'{axis}.{value}'
        table = _keys(path, where, own[value], ['args'])
        return _strings(path, f'{where}.args', table.get('args'))
    if axis in KNOWN:
        return KNOWN[axis](value)
    raise _wrong(path, f'{axis} is no axis that pci-ep-run has: '
                 + did_you_mean(axis, KNOWN)
                 + f'write [{axis}.{value}] with args = [...]')


def _excluded(path: str, axes: Mapping[str, Sequence[str]],
              rules: object) -> Callable[[Mapping[str, str]], bool]:
    """Return what says whether a cell is left out."""
    if not isinstance(rules, list):
        raise _wrong(path, 'exclude is no list of tables: write [[exclude]]')
    parsed = []
    for rule in rules:
        table = _keys(path, EXCLUDE, rule, list(axes))
        parsed.append({axis: _strings(path, f'exclude.{axis}', values)
                       for axis, values in table.items()})
        for axis, values in parsed[-1].items():
            for value in values:
                if value not in axes[axis]:
                    raise _wrong(path, f'exclude: {axis} has no {value}: '
                                 + did_you_mean(value, axes[axis])
                                 + f'write {", ".join(axes[axis])}')
    return lambda cell: any(
        rule and all(cell[axis] in values for axis, values in rule.items())
        for rule in parsed)


def parse(path: str, text: str) -> Spec:
    """Return the matrix that a text describes; the path is for errors."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, f'{error}; see docs/system/ci.rst') from error
    axes = _axes(path, content)
    run = _keys(path, RUN, content.get(RUN, {}), ['args', 'limit'])
    more = _strings(path, 'run.args', run['args']) if 'args' in run else []
    limit = run.get('limit', LIMIT)
    if not isinstance(limit, (int, float)) or limit <= 0:
        raise _wrong(path, 'run.limit: write a number of seconds')
    excluded = _excluded(path, axes, content.get(EXCLUDE, []))
    args = {(axis, value): _arguments(path, content, axis, value)
            for axis, values in axes.items() for value in values}
    cells: Dict[str, Cell] = {}
    for values in itertools.islice(itertools.product(*axes.values()),
                                   MOST + 1):
        pairs = list(zip(axes, values))
        if excluded(dict(pairs)):
            continue
        ident = re.sub(r'[^A-Za-z0-9._,+-]', '_', ','.join(values))
        if ident in cells:
            raise _wrong(path, f'two cells have the name {ident}: choose '
                         'values that differ in letters or digits')
        cells[ident] = Cell(ident, values, tuple(
            [*more, *(word for pair in pairs for word in args[pair])]))
    if not 0 < len(cells) <= MOST:
        raise _wrong(path, f'{len(cells) or "no"} cells are left: 1 to {MOST} '
                     'make a matrix')
    return Spec(axes=axes, cells=list(cells.values()), limit=limit)


def read(path: str) -> Spec:
    """Return the matrix that a file describes."""
    try:
        with open(path, encoding='utf-8') as file:
            return parse(path, file.read())
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRun(f'cannot read {path}: {error}; check the '
                        'path') from error
