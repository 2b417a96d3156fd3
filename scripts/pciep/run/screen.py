# SPDX-License-Identifier: GPL-2.0-or-later
"""What the person at the terminal sees while the guests run."""

import os
import sys
import time
from typing import Dict, Mapping, Optional, Tuple

from ..vm.guest import Guest
from . import tap


CONSOLE_RATE = 1000  # lines of a console shown in a second

_RED, _GREEN, _YELLOW, _MAGENTA, _CYAN = 31, 32, 33, 35, 36
_COLORS = {tap.PASS: _GREEN, tap.FAIL: _RED, tap.SKIP: _YELLOW}


class Screen:
    """
    Writes to the terminal.

    :param consoles: Show the consoles of the guests.
    :param quiet: Show the verdict only.
    :param raw: The terminal is in raw mode.
    """

    def __init__(self, *, consoles: bool, quiet: bool, raw: bool) -> None:
        self.raw = raw
        self._quiet = quiet
        self._consoles = consoles and not quiet
        self._progress_on = sys.stderr.isatty() and not quiet and not raw
        self._color = sys.stdout.isatty() and 'NO_COLOR' not in os.environ
        self._progress = ''  # what the line for progress shows
        self._progress_at = 0.0
        # By guest: the second, and how many lines were shown in it
        self._shown: Dict[str, Tuple[int, int]] = {}
        self._started = time.monotonic()

    def _paint(self, text: str, color: int) -> str:
        return f'\033[{color}m{text}\033[0m' if self._color else text

    def line(self, text: str, always: bool = False) -> None:
        """Show a line; always means also when quiet."""
        if self._quiet and not always:
            return
        self.end()
        try:
            sys.stdout.write(text + ('\r\n' if self.raw else '\n'))
            sys.stdout.flush()
        except BrokenPipeError:
            # Nobody reads this any more, but the run goes on.
            self._quiet = True
            sys.stdout = open(os.devnull, 'w', encoding='utf-8')

    def console(self, guest: str, text: str) -> None:
        """Show a line of a guest's console; the log has all of them."""
        if not self._consoles:
            return
        second, shown = self._shown.get(guest, (0, 0))
        now = int(time.monotonic())
        if now != second:
            if shown > CONSOLE_RATE:
                self.line(f'{guest:<4} | ... {shown - CONSOLE_RATE} lines '
                          f'more, see {guest}.log')
            shown = 0
        self._shown[guest] = (now, shown + 1)
        if shown < CONSOLE_RATE:
            color = _MAGENTA if guest == 'ep' else _CYAN
            self.line(self._paint(f'{guest:<4} |', color) + f' {text}')

    def tap(self, result: Optional[tap.Result], raw: str) -> None:
        """Show a line of TAP, with the result that it holds if any."""
        if result:
            self.line(self._paint(raw, _COLORS[result.status]))
        elif raw.startswith('#'):
            self.line(raw)

    def progress(self, guests: Mapping[str, Guest]) -> None:
        """Show time and what each guest does, in a line written over."""
        now = time.monotonic()
        if not self._progress_on or now - self._progress_at < 0.2:
            return
        self._progress_at = now
        text = f'[{now - self._started:5.1f} s] ' + '   '.join(
            f'{name}: {guest.state}' for name, guest in guests.items())
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:
            width = 80
        text = text[:width - 1]
        if text != self._progress:
            sys.stderr.write('\r\033[K' + text)
            sys.stderr.flush()
            self._progress = text

    def end(self) -> None:
        """Remove the line for progress."""
        if self._progress:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()
            self._progress = ''
