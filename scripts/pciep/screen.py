# SPDX-License-Identifier: GPL-2.0-or-later
"""What the person at the terminal sees while two guests run."""

import os
import sys
import time

CONSOLE_RATE = 1000  # console lines shown per second and guest; the log has them all


class Screen:
    def __init__(self, consoles=True, quiet=False, raw=False):
        self.consoles, self.quiet, self.raw = consoles and not quiet, quiet, raw
        self.progress_on = sys.stderr.isatty() and not quiet and not raw
        self.color = sys.stdout.isatty() and 'NO_COLOR' not in os.environ
        self._progress = ''
        self._shown = {}
        self._last = 0.0
        self.started = time.monotonic()

    def _paint(self, text, code):
        return f'\033[{code}m{text}\033[0m' if self.color else text

    def line(self, text, always=False):
        """One line; @always also when quiet."""
        if self.quiet and not always:
            return
        self._clear()
        end = '\r\n' if self.raw else '\n'
        try:
            sys.stdout.write(text + end)
            sys.stdout.flush()
        except BrokenPipeError:
            self.quiet = True
            sys.stdout = open(os.devnull, 'w')

    def console(self, role, text):
        if not self.consoles:
            return
        second, shown = self._shown.get(role, (0, 0))
        now = int(time.monotonic())
        if now != second:
            if shown > CONSOLE_RATE:
                self.line(
                    f'{role:<4} | ... {shown - CONSOLE_RATE} lines more, see {role}.log'
                )
            shown = 0
        self._shown[role] = (now, shown + 1)
        if shown < CONSOLE_RATE:
            self.line(
                self._paint(f'{role:<4} |', 35 if role == 'ep' else 36) + f' {text}'
            )

    def tap(self, result, raw):
        if result is None:
            if raw.startswith('#'):
                self.line(raw)
            return
        code = {'pass': 32, 'fail': 31, 'skip': 33}[result.status]
        self.line(self._paint(raw, code))

    def _clear(self):
        if self._progress:
            sys.stderr.write('\r\033[K')
            sys.stderr.flush()
            self._progress = ''

    def progress(self, guests):
        """One line that is written over: time and what each guest does."""
        if not self.progress_on or time.monotonic() - self._last < 0.2:
            return
        self._last = time.monotonic()
        text = f'[{self._last - self.started:5.1f} s] ' + '   '.join(
            f'{role}: {g.state}' for role, g in guests.items()
        )
        try:
            width = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:
            width = 80
        text = text[: width - 1]
        if text != self._progress:
            sys.stderr.write('\r\033[K' + text)
            sys.stderr.flush()
            self._progress = text

    def end(self):
        self._clear()
