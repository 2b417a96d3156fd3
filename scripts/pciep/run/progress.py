# SPDX-License-Identifier: GPL-2.0-or-later
"""Which test ran at a moment, for what a kernel reported then."""

import re
from typing import Dict, List, Tuple

from . import tap


KEPT = 10000  # changes of one run

# What kselftest_harness.h prints before a test, and behind the command
_RUN = re.compile(r'#[ #]* RUN +(\S+) \.\.\.')
# Guests say "FUNCTION: COMMAND" while they run one.
_COMMAND = re.compile(r'\S+: (\S+)$')


class Progress:
    """
    Keeps what ran when.

    :ivar commands: The test command that each guest runs, '' between them.
    """

    def __init__(self) -> None:
        self.commands: Dict[str, str] = {}
        self._states: Dict[str, str] = {}
        self._tests: Dict[str, str] = {}  # by guest: words on the test
        self._changes: List[Tuple[float, str]] = []

    def state(self, guest: str, state: str, now: float) -> None:
        """A guest may do something else."""
        if self._states.get(guest) == state:
            return
        self._states[guest] = state
        match = _COMMAND.match(state)
        self.commands[guest] = match[1] if match else ''
        self._tests[guest] = match[1] if match else ''
        self._changed(now)

    def line(self, guest: str, line: str, now: float) -> None:
        """A guest printed a line of TAP; it may be that a test begins."""
        match = _RUN.match(line)
        command = self.commands.get(guest)
        if match and command:
            test = match[1].replace('global.', '', 1)
            self._tests[guest] = f'{command}.{test}'
            self._changed(now)

    def result(self, guest: str, result: tap.Result, now: float) -> None:
        """A test of a guest has ended."""
        command = self.commands.get(guest)
        if command and not f'.{result.name}'.endswith(f'.{command}'):
            self._tests[guest] = f'{command}, after {result.name},'
            self._changed(now)

    def _changed(self, now: float) -> None:
        words = ' and '.join(filter(None, self._tests.values()))
        if len(self._changes) < KEPT:
            self._changes.append((now, words))

    def at(self, when: float) -> str:
        """Return "while TEST ran", '' if none ran at that time."""
        words = ''
        for since, text in self._changes:
            if since > when:
                break
            words = text
        return f'while {words} ran' if words else ''
