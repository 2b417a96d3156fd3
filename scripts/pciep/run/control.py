# SPDX-License-Identifier: GPL-2.0-or-later
"""
Serves other terminals while a run goes on: attach, exec, cp, stop, list.

A client sends one line of JSON, a request, and gets one back.  Then follow
for "attach" the bytes of the console, in both directions.  For "exec" the
client sends the input of the command in lines of base64, and an empty line
at its end; the answers are lines of JSON with "out" (1 or 2) and "data" in
base64, or with "status".  A client that closes the connection ends what it
has asked for.

Nothing here blocks.  A client that does not read loses its connection when
BACKLOG bytes wait for it.
"""

import base64
import json
import os
import socket
from typing import Any, Callable, Dict, List, Mapping, Optional

from .. import CannotRun
from ..vm import sockets
from ..vm.execute import Execution
from ..vm.guest import Guest
from ..vm.testbed import Testbed


BACKLOG = 64 << 20
REQUEST_LIMIT = 1 << 20
# Blocks that wait for a guest, above which we read no more input for it
INPUT_BLOCKS = 64
CLIENTS = 64

Request = Mapping[str, Any]


class _Client:
    """One connection; .input takes what the client sends after its line."""

    def __init__(self, control: 'Control', sock: socket.socket) -> None:
        self.control = control
        self.sock = sock
        self.input: Optional[Callable[[bytes], object]] = None
        self.on_close: Optional[Callable[[], object]] = None
        # Whether a command waits for the guest to boot; called each turn
        self.waiting: Optional[Callable[[], bool]] = None
        self.execution: Optional[Execution] = None
        self._request = b''
        self._out = bytearray()
        self._last = False  # It is closed when all of _out is sent.
        self._reading = True
        control.bed.loop.add(sock, self._readable)

    def answer(self, **values: object) -> None:
        """Send a line of JSON."""
        self.send(json.dumps(values).encode() + b'\n')

    def finish(self, **values: object) -> None:
        """Send a line of JSON, the last one."""
        self.answer(**values)
        self._last = True
        self.turn()

    def send(self, data: bytes) -> None:
        """Send bytes, now or later."""
        self._out += data
        self.turn()

    def turn(self) -> None:
        """Send what the client takes now, and go on with what waits."""
        try:
            while self._out:
                del self._out[:self.sock.send(self._out[:1 << 16])]
        except (BlockingIOError, InterruptedError):
            if len(self._out) > BACKLOG:
                self.close()
            return
        except OSError:
            self.close()
            return
        if self._last:
            self.close()
        elif self.waiting and self.waiting():
            self.waiting = None
        self._pace()

    def _pace(self) -> None:
        """Read input no faster than the guest takes it."""
        execution = self.execution
        if not execution or not self.input or self.sock.fileno() < 0:
            return
        if self._reading and execution.waiting > INPUT_BLOCKS:
            self.control.bed.loop.remove(self.sock)
            self._reading = False
        elif not self._reading and execution.waiting <= INPUT_BLOCKS:
            self.control.bed.loop.add(self.sock, self._readable)
            self._reading = True

    def _readable(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b''
        if self.input:
            self.input(data)
        elif not data or len(self._request) > REQUEST_LIMIT:
            self.close()
        else:
            self._request += data
            line, end, rest = self._request.partition(b'\n')
            if end:
                self.control.serve(self, line)
                if self.input and rest:
                    self.input(rest)
        self._pace()

    def close(self) -> None:
        """End the connection."""
        if self.sock.fileno() < 0:
            return
        self.control.bed.loop.remove(self.sock)
        self.sock.close()
        self.control.forget(self)
        self.waiting = None
        if self.on_close:
            self.on_close()


class Control:
    """
    The control socket of a run.

    :param bed: Its guests, which are prepared.
    :param about: What "list" shows: name, rundir, command.
    :param stop: Called when a client wants the run to end.
    """

    def __init__(self, bed: Testbed, about: Mapping[str, str],
                 stop: Callable[[], object]) -> None:
        self.bed = bed
        self._about = about
        self._stop = stop
        self._clients: List[_Client] = []
        self._requests: Dict[str, Callable[[_Client], None]] = {
            'info': self._info,
            'stop': self._on_stop,
        }
        self._guest_requests: Dict[
            str, Callable[[_Client, Guest, Request], None]] = {
            'attach': self._attach,
            'size': self._size,
            'exec': self._exec,
        }
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(os.path.join(bed.sockets, sockets.CONTROL))
        except OSError as error:
            self._listener.close()
            raise CannotRun(f'no control socket in {bed.sockets}: '
                            f'{error.strerror}; set '
                            'PCI_EP_RUNTIME_DIR') from error
        self._listener.listen(16)
        self._listener.setblocking(False)
        bed.loop.add(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            sock = self._listener.accept()[0]
        except OSError:
            return
        sock.setblocking(False)
        if len(self._clients) >= CLIENTS:
            sock.close()
            return
        self._clients.append(_Client(self, sock))

    def forget(self, client: _Client) -> None:
        """Take a connection off the list, if it is on it."""
        if client in self._clients:
            self._clients.remove(client)

    def turn(self) -> None:
        """Go on with what waits; the session calls this each turn."""
        for client in list(self._clients):
            client.turn()

    def close(self) -> None:
        """End all connections."""
        for client in list(self._clients):
            client.close()
        self.bed.loop.remove(self._listener)
        self._listener.close()

    # Requests

    def serve(self, client: _Client, line: bytes) -> None:
        """Carry a request out."""
        try:
            request = json.loads(line)
            if request['do'] in self._requests:
                self._requests[request['do']](client)
            else:
                serve = self._guest_requests[request['do']]
                guest = self._guest(client, request)
                if guest:
                    serve(client, guest, request)
        except (ValueError, KeyError, TypeError):
            client.finish(error='this launcher does not know that request: '
                          'use the pci-ep-run that started the run')

    def _guest(self, client: _Client, request: Request) -> Optional[Guest]:
        """Return the guest that a request names, or refuse it."""
        name = request.get('guest')
        guest = self.bed.guests.get(str(name))
        if not guest:
            names = ' or '.join(self.bed.guests)
            client.finish(error=f'no guest {name} in this run: write {names}')
        elif not guest.alive and guest.state != 'not started':
            client.finish(error=f'the {name} guest has ended')
        else:
            return guest
        return None

    def _info(self, client: _Client) -> None:
        client.finish(**self._about, sockets=self.bed.sockets, guests={
            name: guest.state for name, guest in self.bed.guests.items()})

    def _on_stop(self, client: _Client) -> None:
        client.finish(ok=True)
        self._stop()

    def _size(self, client: _Client, guest: Guest,
              request: Request) -> None:
        guest.show_size(int(request['rows']), int(request['columns']))
        client.finish(ok=True)

    def _attach(self, client: _Client, guest: Guest,
                _request: Request) -> None:
        def typed(data: bytes) -> None:
            if data:
                guest.type(data)
            else:
                client.close()

        def booted() -> bool:
            if guest.release:
                guest.open_shell()
            elif not guest.alive and guest.state == 'ended':
                client.close()
            return bool(guest.release)

        client.input, client.waiting = typed, booted
        client.on_close = lambda: guest.watchers.remove(client.send)
        guest.watchers.append(client.send)
        client.answer(ok=True)
        client.send(''.join(f'{line}\r\n' for line in guest.console.tail)
                    .encode())

    def _exec(self, client: _Client, guest: Guest,
              request: Request) -> None:
        execution = guest.execute(
            str(request['command']),
            lambda stream, data: client.answer(
                out=stream, data=base64.b64encode(data).decode()),
            lambda status: client.finish(status=status))
        part = b''

        def take(data: bytes) -> None:
            nonlocal part
            if not data:
                client.close()
                return
            lines = (part + data).split(b'\n')
            part = lines.pop()
            for line in lines:
                if line:
                    execution.feed(base64.b64decode(line))
                else:
                    execution.finish()

        client.input, client.execution = take, execution
        client.on_close = lambda: guest.abort(execution)
        client.answer(ok=True)
