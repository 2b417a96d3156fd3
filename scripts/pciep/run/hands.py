# SPDX-License-Identifier: GPL-2.0-or-later
"""What lets people use the guests of a run, from this and other terminals."""

from typing import Callable, Mapping, Optional

from ..vm.testbed import Testbed
from .control import Control
from .terminal import Terminal
from .tmux import Tmux, find


BOTH = 'both'


class Hands:
    """
    The control socket of a run, and in an interactive run this terminal.

    :param bed: The guests, which are prepared.
    :param about: What other terminals see of the run: name, rundir, command.
    :param end: Called when the person at this terminal ends the run.
    :param stop: Called when another terminal ends it.
    """

    def __init__(self, bed: Testbed, about: Mapping[str, str],
                 end: Callable[[], object],
                 stop: Callable[[], object]) -> None:
        self._bed = bed
        self._end = end
        self._control = Control(bed, about, stop)
        self._terminal: Optional[Terminal] = None
        self._tmux: Optional[Tmux] = None

    def take_terminal(self, guest: str) -> None:
        """Show a guest on this terminal, or BOTH."""
        program = find() if guest == BOTH else None
        if program:
            self._tmux = Tmux(program, self._bed.sockets,
                              list(self._bed.guests))
        else:
            self._terminal = Terminal(
                self._bed, 'host' if guest == BOTH else guest, self._end)

    def turn(self) -> None:
        """Go on with what waits; the session calls this each turn."""
        self._control.turn()
        if self._terminal:
            self._terminal.turn()
        if self._tmux and self._tmux.failed:
            # One terminal for both, and a key, is what it does without tmux.
            self._tmux = None
            self._terminal = Terminal(self._bed, 'host', self._end)
        elif self._tmux and self._tmux.ended:
            self._end()

    def close(self) -> None:
        """Give the terminal back, and end all connections."""
        if self._terminal:
            self._terminal.close()
        if self._tmux:
            self._tmux.close()
        self._terminal = self._tmux = None
        self._control.close()
