# SPDX-License-Identifier: GPL-2.0-or-later
"""What one run of a matrix came to."""

from dataclasses import asdict, dataclass, field
import json
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence
from xml.etree import ElementTree

from ..run import status, tap

FILE = 'cell.json'
OUTPUT = 'output.log'  # what the launcher printed
# Verdicts, the worst one first, and what the table says
FAILED, CANNOT, ABSENT, SKIPPED, PASSED = (
    'failed', 'cannot', 'absent', 'skipped', 'passed')
WORDS = {FAILED: 'FAILED', CANNOT: 'not possible', ABSENT: 'not run',
         SKIPPED: 'skipped', PASSED: 'passed'}
BAD = (FAILED, CANNOT, ABSENT)
_FAILURES = 3  # that are kept of a run
_LINES = 8  # of each
# Files of a run that people look at, in this order
LINKS = ('results.tap', 'junit.xml', 'host.log', 'host2.log', 'ep.log',
         OUTPUT, 'timeline.txt', 'timeline.json', 'link.pcapng',
         'faults.json', 'kcidb.json')


@dataclass
class Failure:
    """
    A test that failed.

    :param name: Its name.
    :param reason: Why, '' if nobody says so.
    :param lines: What else is known.
    """
    name: str
    reason: str
    lines: List[str]


@dataclass(kw_only=True)
class Outcome:
    """
    What a run came to.

    :param verdict: One of WORDS.
    :param why: Why it did not pass, in a line.
    :param seconds: How long it took, as the launcher says.
    :param tests: {name of a test: its status}.
    :param failures: Of these the first that failed.
    :param files: Which files there are to look at.
    """
    verdict: str
    why: str = ''
    seconds: float = 0.0
    tests: Dict[str, str] = field(default_factory=dict)
    failures: List[Failure] = field(default_factory=list)
    files: List[str] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """Return how many tests ended that way."""
        return sum(found == kind for found in self.tests.values())

    def to_json(self) -> Dict[str, Any]:
        """Return it for from_json()."""
        return asdict(self)

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> 'Outcome':
        """Return the outcome that to_json() was called for."""
        values: Dict[str, Any] = dict(content)
        values['failures'] = [Failure(**one) for one in content['failures']]
        return Outcome(**values)


def _last_line(path: str) -> str:
    """Return the last line of a log, without the name of the program."""
    try:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = file.read().strip().splitlines()
    except OSError:
        return ''
    return lines[-1].removeprefix('pci-ep-run: ') if lines else ''


def _results(directory: str) -> List[tap.Result]:
    try:
        with open(os.path.join(directory, 'results.tap'), encoding='utf-8',
                  errors='replace') as file:
            return tap.read(file.read())
    except OSError:
        return []


def _seconds(directory: str) -> float:
    """Return how long a run took; a build is not among it."""
    try:
        suite = ElementTree.parse(
            os.path.join(directory, 'junit.xml')).getroot().find('testsuite')
        return float(suite.get('time', '0')) if suite is not None else 0.0
    except (OSError, ElementTree.ParseError, ValueError):
        return 0.0


def _failure(result: tap.Result) -> Failure:
    lines = [note.lstrip('# ') for note in result.notes if note.strip('# ')]
    reason = result.reason or (lines[0] if lines else '')
    return Failure(result.name, reason, [
        line for line in lines if line != reason][:_LINES])


def judge(directory: str, code: int, late: str = '') -> Outcome:
    """
    Return what a run came to.

    :param directory: Its results.
    :param code: Exit status of the launcher.
    :param late: Why the run was ended, '' if it ended by itself.
    """
    results = _results(directory)
    whole = [r for r in results if r.name == 'run']
    tests = {r.name: r.status for r in results if r.name != 'run'}
    real = [kind for name, kind in tests.items()
            if not name.startswith('console.')]
    failed = [r for r in results if r.status == tap.FAIL and r.name != 'run']
    if late:
        verdict = FAILED
    elif code == status.PASSED:
        verdict = SKIPPED if real and set(real) == {tap.SKIP} else PASSED
    else:
        verdict = FAILED if code == status.FAILED else CANNOT
    why = late
    if not why and verdict in BAD:
        why = _last_line(os.path.join(directory, OUTPUT))
        if verdict == FAILED and whole:
            notes = [note.lstrip('# ') for note in whole[-1].notes]
            why = whole[-1].reason or (notes[0] if notes else why)
    return Outcome(
        verdict=verdict, why=why, seconds=_seconds(directory), tests=tests,
        failures=[_failure(result) for result in failed[:_FAILURES]],
        files=[name for name in LINKS
               if os.path.exists(os.path.join(directory, name))])


def load(directory: str, args: Sequence[str]) -> Optional[Outcome]:
    """Return the outcome in a directory, None if it has none for these."""
    try:
        with open(os.path.join(directory, FILE), encoding='utf-8') as file:
            content = json.load(file)
        if list(content['args']) == list(args):
            return Outcome.from_json(content['outcome'])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def save(directory: str, args: Sequence[str], outcome: Outcome) -> None:
    """Write an outcome so that it is there as a whole or not at all."""
    path = os.path.join(directory, FILE)
    with open(f'{path}.part', 'w', encoding='utf-8') as file:
        json.dump({'args': list(args), 'outcome': outcome.to_json()}, file,
                  indent=1)
        file.write('\n')
    os.replace(f'{path}.part', path)
