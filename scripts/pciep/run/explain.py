# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a test failed: what it said, and both consoles while it ran."""

import re
from typing import (
    Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple)

from ..vm.console import FAULT, Console
from . import tap


# Console and results come through different pipes, so the lines of a console
# that belong to a result may arrive this much later, in seconds.
LATE = 0.2
# Or this much earlier: a result passes through programs of the guest, and a
# line of its kernel does not.
EARLY = 0.2
FIRST, LAST = 30, 50  # lines of a console that a result gets

_PLACE = re.compile(r'\b[\w/.-]+\.(c|h|cc|cpp|py|sh|rs):\d+\b')
_TELLING = re.compile(r'expect|fail|error|assert|mismatch|timed out|message:',
                      re.I)
_TAP = re.compile(r'\s*(not )?ok \d+ |\s*1\.\.\d+$|\s*K?TAP version |'
                  r'\s*# Subtest: ')
_STATUS = re.compile(r'exit status \d+$')
_FRAME = re.compile(r'\s*(RUN|OK|FAIL|PASSED|FAILED|Totals|timeout set)\b')

Consoles = Callable[[], Dict[str, Console]]
Decode = Callable[[str, Sequence[str]], List[str]]  # name of a guest, lines


def telling(notes: Sequence[str]) -> str:
    """Return the note that says most, without its "#", or ''."""
    lines: List[str] = []
    details: List[str] = []  # which are indented
    status: List[str] = []
    for note in notes:
        line = note.lstrip('# ').strip()
        if line and not _FRAME.match(line):
            kind = status if _STATUS.match(line) else \
                details if note.startswith('#  ') else lines
            kind.append(line)
    for pattern in (_PLACE, _TELLING):
        for line in lines + details:
            if pattern.search(line):
                return line
    return (lines or details or status or [''])[-1]


class _Failure(NamedTuple):
    """A result that waits for the last lines of the consoles."""
    result: tap.Result
    marks: Dict[str, int]
    due: float


class Explainer:
    """
    Adds reason and consoles to results that failed.

    What the event loop reads from the pipes of consoles and results has no
    order.  So a test gets all lines that were read since a moment before the
    end of the test before.

    :param consoles: Returns the consoles of all guests, by name.
    :param in_turn: Each result ends one test.  Otherwise tests run at the
                    same time, and each gets the lines since the start.
    :param decode: Adds file and line to addresses in lines of a console.
    """

    def __init__(self, consoles: Consoles, in_turn: bool,
                 decode: Decode = lambda _name, lines: list(lines)) -> None:
        self._consoles = consoles
        self._decode = decode
        self._in_turn = in_turn
        # Lines of each console: before this test, and after each turn that
        # ended in the last moments, the first of them before that
        self._marks: Dict[str, int] = {}
        self._turns: List[Tuple[float, Dict[str, int]]] = []
        self._waiting: List[_Failure] = []

    def _counts(self) -> Dict[str, int]:
        return {name: console.count
                for name, console in self._consoles().items()}

    def begin(self) -> None:
        """The first test begins now."""
        self._marks = self._counts()
        self._turns = [(float('-inf'), self._marks)]

    def add(self, result: tap.Result, now: float) -> None:
        """A test came to an end."""
        if result.status == tap.FAIL:
            result.reason = result.reason or telling(result.notes)
            self._waiting.append(_Failure(result, self._marks, now + LATE))
        if self._in_turn and self._turns:
            self._forget_turns(now)
            self._marks = self._turns[0][1]

    def turn(self, now: float) -> None:
        """A turn ends: explain the failures whose lines have come."""
        self._forget_turns(now)
        self._turns.append((now, self._counts()))
        while self._waiting and self._waiting[0].due <= now:
            self._explain(self._waiting.pop(0))

    def _forget_turns(self, now: float) -> None:
        """Keep one turn of those that ended before the last moments."""
        while len(self._turns) > 1 and self._turns[1][0] <= now - EARLY:
            self._turns.pop(0)

    @property
    def waiting(self) -> bool:
        """Whether lines of a failure are still to come."""
        return bool(self._waiting)

    def end(self) -> None:
        """Explain all that is left."""
        self.turn(float('inf'))

    def _explain(self, failure: _Failure) -> None:
        result = failure.result
        said = set(result.notes)
        for name, console in self._consoles().items():
            # A command's TAP is in the log, too.
            since = failure.marks.get(name, 0)
            lines = [line for line in console.since(since)
                     if line.strip() not in said and not _TAP.match(line)]
            if not result.reason:
                known = console.since(since, excused=False)
                result.reason = next(filter(FAULT.search, known), '') \
                    or _said(lines)
            lines = self._decode(name, list(_cut(lines)))
            result.notes += [f'# {name:<4} | {line}' for line in lines]


def _said(lines: Sequence[str]) -> str:
    """Return where the test failed, if it said so on standard error."""
    # A line of the kernel begins with the time.
    return next((line.lstrip('# ') for line in lines
                 if line[:1] != '[' and _PLACE.search(line)), '')


def _cut(lines: Sequence[str]) -> Iterator[str]:
    """Return the first and the last lines."""
    left = len(lines) - FIRST - LAST
    if left <= 0:
        yield from lines
        return
    yield from lines[:FIRST]
    yield f'... {left} lines left out, the log has them'
    yield from lines[-LAST:]
