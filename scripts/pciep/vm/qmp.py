# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions to a QEMU over QMP: a socket, one command at a time."""

from io import BufferedRWPair
import json
import os
import socket
from typing import Any, List, Mapping, Optional

from .. import CannotRun


TIMEOUT = 10  # seconds for an answer


class Qmp:
    """
    A QMP client.

    Add .arguments to QEMU's command line.  The first command connects, so
    it must come when QEMU runs.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        # Names of events that came before the last answer
        self.events: List[str] = []
        self.arguments = ['-qmp', f'unix:{path},server=on,wait=off']
        self._file: Optional[BufferedRWPair] = None

    def get(self, path: str, name: str) -> Any:
        """Return a property of the object with that QOM path or id."""
        return self.command('qom-get', path=path, property=name)

    def set(self, path: str, name: str, value: object) -> None:
        """Set a property of the object with that QOM path or id."""
        self.command('qom-set', path=path, property=name, value=value)

    def command(self, name: str, **arguments: object) -> Any:
        """Return the answer to a command; CannotRun if there is none."""
        try:
            if not self._file:
                self._file = self._connect()
                self._ask(self._file, 'qmp_capabilities', {})
            return self._ask(self._file, name, arguments)
        except (OSError, ValueError) as error:
            # An answer that comes late belongs to this connection.
            self._disconnect()
            raise CannotRun(
                f'no answer on {self.path} to {name}: {error}') from error

    def _connect(self) -> BufferedRWPair:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(self.path)
            # The file keeps the socket open.
            file = sock.makefile('rwb')
        file.readline()  # the greeting
        return file

    def _ask(self, file: BufferedRWPair, name: str,
             arguments: Mapping[str, object]) -> Any:
        text = json.dumps({'execute': name, 'arguments': arguments})
        file.write(text.encode() + b'\n')
        file.flush()
        for line in file:
            answer = json.loads(line)
            if 'error' in answer:
                raise CannotRun(f'QMP: {name}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']
            self.events.append(answer['event'])
        raise ValueError('QEMU ended')

    def _disconnect(self) -> None:
        file, self._file = self._file, None
        try:
            if file:
                file.close()
        except OSError:
            pass  # QEMU has ended, and what was not sent is lost.

    def close(self) -> None:
        """Disconnect, and remove the socket."""
        self._disconnect()
        if os.path.exists(self.path):
            os.unlink(self.path)
