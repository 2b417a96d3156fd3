# SPDX-License-Identifier: GPL-2.0-or-later
"""The person's terminal while it shows the console of a guest."""

import os
import signal
import sys
import termios
import tty
from types import FrameType
from typing import Any, Callable, List, Optional, Tuple

from ..vm.testbed import Testbed


ESCAPE = b'\x1d'  # Ctrl-]
SWITCH = b'\x1c'  # Ctrl-\
KEYS = 'Ctrl-] ends the run, Ctrl-\\ shows the other guest'


def size() -> Optional[Tuple[int, int]]:
    """Return rows and columns of the terminal, if there is one."""
    try:
        columns, rows = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


class Raw:
    """The terminal in raw mode, until restore() is called."""

    def __init__(self) -> None:
        self._settings: List[Any] = termios.tcgetattr(sys.stdin)
        # Whether the size may have changed since somebody looked
        self.resized = True
        self._old = signal.signal(signal.SIGWINCH, self._on_resize)
        tty.setraw(sys.stdin)

    def _on_resize(self, _number: int, _frame: Optional[FrameType]) -> None:
        self.resized = True

    def restore(self) -> None:
        """Leave raw mode."""
        signal.signal(signal.SIGWINCH, self._old)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)


def show(data: bytes) -> None:
    """Write to the terminal."""
    while data:
        data = data[os.write(sys.stdout.fileno(), data):]


class Terminal:
    """
    Shows one guest of a run at a time.

    :param bed: The guests.
    :param guest: The one to begin with.
    :param end: Called when the person ends the run.
    """

    def __init__(self, bed: Testbed, guest: str,
                 end: Callable[[], object]) -> None:
        self._bed = bed
        self._end = end
        self._names = list(bed.guests)
        self._name = guest
        self._shell = False  # It has been asked for.
        self._raw = Raw()
        bed.loop.add(sys.stdin, self._keys)
        show(f'{guest} guest; {KEYS}\r\n'.encode())
        bed.guests[guest].watchers.append(show)

    def _keys(self) -> None:
        data = os.read(sys.stdin.fileno(), 1024)
        before, escape, _ = data.partition(ESCAPE)
        first, *others = before.split(SWITCH)
        self._type(first)
        for typed in others:
            self._switch()
            self._type(typed)
        if escape or not data:
            self._bed.loop.remove(sys.stdin)
            self._end()

    def _type(self, data: bytes) -> None:
        if data:
            self._bed.guests[self._name].type(data)

    def _switch(self) -> None:
        self._bed.guests[self._name].watchers.remove(show)
        at = self._names.index(self._name) + 1
        self._name = self._names[at % len(self._names)]
        guest = self._bed.guests[self._name]
        show(f'\r\n--- {self._name} guest; {KEYS} ---\r\n'.encode())
        show(''.join(f'{line}\r\n' for line in guest.console.tail).encode())
        guest.watchers.append(show)
        self._shell, self._raw.resized = False, True
        self.turn()

    def turn(self) -> None:
        """Tell the guest what it has to know of the terminal."""
        guest = self._bed.guests[self._name]
        if not guest.release:
            return
        if not self._shell:
            guest.open_shell()
            self._shell = True
        found = size() if self._raw.resized else None
        self._raw.resized = False
        if found:
            guest.show_size(*found)

    def close(self) -> None:
        """Give the terminal back."""
        self._bed.loop.remove(sys.stdin)
        for guest in self._bed.guests.values():
            if show in guest.watchers:
                guest.watchers.remove(show)
        self._raw.restore()
