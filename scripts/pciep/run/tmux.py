# SPDX-License-Identifier: GPL-2.0-or-later
"""The consoles of all guests in tmux, one below the other."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import List, Optional, Sequence


START = 2  # seconds in which tmux says that the terminal does not do


def find() -> Optional[str]:
    """Return the path of tmux, if it is on this machine."""
    return shutil.which('tmux')


class Tmux:
    """
    A session of tmux on this terminal, with its own server.

    :param program: tmux.
    :param directory: Where its socket may be.
    :param guests: Names of the guests, the uppermost first.
    """

    def __init__(self, program: str, directory: str,
                 guests: Sequence[str]) -> None:
        self._base = [program, '-S', os.path.join(directory, 'tmux')]
        words: List[str] = []
        for name in guests:
            command = shlex.join([
                sys.executable, os.path.abspath(sys.argv[0]), 'attach', name,
                '--run', str(os.getpid())])
            # Ctrl-] in one of them ends the run.
            command += '; tmux kill-session'
            words += ['new-session' if not words else 'split-window',
                      command, ';']
        words += ['select-layout', 'even-vertical', ';',
                  'set', '-g', 'mouse', 'on', ';',
                  'set', '-g', 'status-right',
                  'Ctrl-] ends the run ']
        env = {key: value for key, value in os.environ.items()
               if key != 'TMUX'}
        self._started = time.monotonic()
        self._lasted: Optional[float] = None  # seconds
        self._process = subprocess.Popen([*self._base, *words], env=env)

    @property
    def ended(self) -> bool:
        """Whether it shows nothing any more."""
        if self._lasted is None and self._process.poll() is not None:
            self._lasted = time.monotonic() - self._started
        return self._lasted is not None

    @property
    def failed(self) -> bool:
        """Whether it could not use this terminal."""
        return (self.ended and self._lasted is not None
                and self._lasted < START and bool(self._process.returncode))

    def close(self) -> None:
        """End it."""
        subprocess.run([*self._base, 'kill-server'], check=False,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=10)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
