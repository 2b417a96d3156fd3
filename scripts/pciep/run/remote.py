# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs that go on, as another terminal sees them; control.py serves it."""

import base64
from dataclasses import dataclass
import json
import os
import socket
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from .. import CannotRun
from ..vm import sockets


TIMEOUT = 5  # seconds for an answer
ENDED = 'the run has ended'


class Connection:
    """A connection to the launcher of a run."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT)
        try:
            self.sock.connect(path)
        except OSError as error:
            self.sock.close()
            raise CannotRun(f'no answer on {path}: {error.strerror}; '
                            '"pci-ep-run list" shows what runs') from error
        self._file = self.sock.makefile('rb', buffering=0)
        self._part = b''

    def ask(self, **request: object) -> Dict[str, Any]:
        """Send a request, and return the answer."""
        try:
            self.sock.sendall(json.dumps(request).encode() + b'\n')
            answer = self.line()
        except OSError as error:
            raise CannotRun(f'the launcher does not answer: {error}; try '
                            'again') from error
        self.sock.settimeout(None)
        if answer is None:
            raise CannotRun(ENDED)
        if 'error' in answer:
            raise CannotRun(str(answer['error']))
        return answer

    def line(self) -> Optional[Dict[str, Any]]:
        """Return the next line of JSON, None when there is no other."""
        while b'\n' not in self._part:
            data = self.sock.recv(1 << 16)
            if not data:
                return None
            self._part += data
        line, _, self._part = self._part.partition(b'\n')
        value: Dict[str, Any] = json.loads(line)
        return value

    def rest(self) -> bytes:
        """Return what has come after the last line."""
        data, self._part = self._part, b''
        return data

    def close(self) -> None:
        """End the connection."""
        self.sock.close()

    def __enter__(self) -> 'Connection':
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


@dataclass(frozen=True)
class Run:
    """
    A run that goes on.

    :param pid: Its launcher.
    :param path: Its control socket.
    :param about: What the launcher says of it: name, rundir, guests.
    """
    pid: int
    path: str
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.about['name'])

    def connect(self) -> Connection:
        """Return a new connection to it."""
        return Connection(self.path)


def runs() -> List[Run]:
    """Return the runs of this user that go on."""
    found = []
    for pid, path in sockets.controls():
        try:
            with Connection(path) as connection:
                found.append(Run(pid, path, connection.ask(do='info')))
        except CannotRun:
            pass  # It ends, or has just begun.
    return found


def choose(wanted: Optional[str], checkout: str) -> Run:
    """
    Return the run with that name or process id, or the only one.

    :param checkout: That of this launcher.  A run of another one has to be
                     named: the user may not know of it.
    """
    every = runs()
    found = [run for run in every
             if wanted is None or wanted in (run.name, str(run.pid))]
    if len(found) == 1:
        other = found[0].about.get('checkout')
        if wanted is None and other != checkout:
            raise CannotRun(f'the run {found[0].name} that goes on is of '
                            f'{other}: choose it with --run {found[0].name}')
        return found[0]
    if not every:
        raise CannotRun('no run goes on: start one with "pci-ep-run '
                        '--interactive both"')
    if not found:
        raise CannotRun(f'no run {wanted} goes on: "pci-ep-run list" shows '
                        'those that do')
    names = ', '.join(run.name if [r.name for r in found].count(run.name) == 1
                      else f'{run.pid} ({run.name})' for run in found)
    raise CannotRun(f'several runs go on: choose one of {names} with --run')


class Command:
    """
    A shell command in a guest.

    :param run: The run.
    :param guest: Name of the guest.
    :param command: The command; it runs after finish().
    """

    def __init__(self, run: Run, guest: str, command: str) -> None:
        self._connection = run.connect()
        self.status: Optional[int] = None
        self._connection.ask(do='exec', guest=guest, command=command)

    def write(self, data: bytes) -> int:
        """Send input to the command."""
        try:
            self._connection.sock.sendall(base64.b64encode(data) + b'\n'
                                          if data else b'')
        except OSError as error:
            raise CannotRun(ENDED) from error
        return len(data)

    def finish(self) -> None:
        """Have the command run: that was all of its input."""
        try:
            self._connection.sock.sendall(b'\n')
        except OSError as error:
            raise CannotRun(ENDED) from error

    def output(self) -> Iterator[Tuple[int, bytes]]:
        """Return output, each time with 1 or 2; .status is set behind it."""
        while self.status is None:
            answer = self._connection.line()
            if answer is None:
                raise CannotRun(ENDED)
            if 'status' in answer:
                self.status = int(answer['status'])
            else:
                yield int(answer['out']), base64.b64decode(answer['data'])

    def show(self) -> int:
        """Show the output, and return the exit status."""
        for stream, data in self.output():
            write_all(stream, data)
        assert self.status is not None
        return self.status

    def close(self) -> None:
        """End the command, unless it has ended."""
        self._connection.close()

    def __enter__(self) -> 'Command':
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes; nobody who reads them any more is no error."""
    try:
        while data:
            data = data[os.write(descriptor, data):]
    except BrokenPipeError:
        sys.exit(1)
