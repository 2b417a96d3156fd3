# SPDX-License-Identifier: GPL-2.0-or-later
"""
A command in a guest whose input and output are bytes.

Its text and its input go to the guest in blocks of bytes behind a line with
their number, the output comes back in lines of base64; guest/listen.sh is the
other end.  The serial port has no flow control, so the guest answers each
block, and no more than WINDOW of them are on their way.
"""

import base64
import binascii
import collections
from typing import Callable, Deque, Dict


BLOCK = 16384
WINDOW = 2  # blocks; the tty of the guest keeps 64 KiB

OnData = Callable[[int, bytes], object]  # 1 or 2 as the descriptor, bytes
OnEnd = Callable[[int], object]  # exit status


class Execution:
    """
    One command.

    :param ident: What names it.
    :param command: A shell command.
    :param on_data: Called with output.
    :param on_end: Called when the command has ended.
    """

    def __init__(self, ident: str, command: str, on_data: OnData,
                 on_end: OnEnd) -> None:
        self.id = ident
        self.on_data = on_data
        self.on_end = on_end
        self.begun = False  # The guest knows of it.
        self._blocks: Deque[bytes] = collections.deque()
        self._part = b''  # input that does not fill a block
        self._add('cmd', command.encode('utf-8', 'surrogateescape'))

    def _add(self, verb: str, data: bytes) -> None:
        for at in range(0, len(data), BLOCK):
            block = data[at:at + BLOCK]
            self._blocks.append(f'{verb} {self.id} {len(block)}\n'.encode()
                                + block)

    def feed(self, data: bytes) -> None:
        """Take more input; the command runs after finish()."""
        data = self._part + data
        whole = len(data) - len(data) % BLOCK
        self._add('in', data[:whole])
        self._part = data[whole:]

    def finish(self) -> None:
        """Have the command run: the input is complete."""
        self._add('in', self._part)
        self._part = b''
        self._blocks.append(f'exec {self.id}\n'.encode())

    @property
    def waiting(self) -> int:
        """Number of blocks that the guest has not been sent."""
        return len(self._blocks)

    def take(self) -> bytes:
        """Return the next block for the guest, b'' if there is none."""
        if not self._blocks:
            return b''
        self.begun = True
        return self._blocks.popleft()


class Executions:
    """All commands of one guest."""

    def __init__(self) -> None:
        self._all: Dict[str, Execution] = {}
        self._unanswered = 0

    def add(self, execution: Execution) -> None:
        """Take a command, whose blocks next() returns from now on."""
        self._all[execution.id] = execution

    def next(self) -> bytes:
        """Return what the guest can take now."""
        blocks = b''
        for execution in self._all.values():
            while self._unanswered < WINDOW:
                block = execution.take()
                if not block:
                    break
                blocks += block
                self._unanswered += 1
        return blocks

    def drop(self, ident: str) -> bool:
        """Forget a command; return whether it runs in the guest."""
        execution = self._all.pop(ident, None)
        return execution is not None and execution.begun

    def end(self, last: bool) -> None:
        """
        Take it that all commands in the guest have ended.

        :param last: The guest does not boot again, so those that wait for it
                     end as well.
        """
        ended = [execution for execution in self._all.values()
                 if last or execution.begun]
        self._unanswered = 0
        for execution in ended:
            del self._all[execution.id]
            execution.on_end(255)

    def event(self, verb: str, text: str) -> bool:
        """Take a line of the guest; return whether it was for a command."""
        ident, _, rest = text.partition(' ')
        if verb == 'taken':
            self._unanswered = max(self._unanswered - 1, 0)
            return True
        execution = self._all.get(ident)
        if not execution:
            return False
        if verb == 'data':
            stream, _, data = rest.partition(' ')
            try:
                execution.on_data(2 if stream == '2' else 1,
                                  base64.b64decode(data, validate=True))
            except binascii.Error:
                pass  # The guest may write what it likes.
        elif verb == 'done':
            del self._all[ident]
            execution.on_end(int(rest) if rest.isdigit() else 255)
        return True
