# SPDX-License-Identifier: GPL-2.0-or-later
"""Questions to a QEMU over QMP: a socket, one command at a time."""

import json
import os
import socket

from . import CannotRun

TIMEOUT = 10  # seconds for an answer


class Qmp:
    """Add .arguments to the command line, then .get() once QEMU runs."""

    def __init__(self, path):
        self.path, self._file = path, None
        self.events = []  # names of those that came before the last answer
        self.arguments = ['-qmp', f'unix:{path},server=on,wait=off']

    def get(self, path, name):
        """The property @name of the object at @path, or of the device with that id."""
        return self.command('qom-get', path=path, property=name)

    def command(self, name, **arguments):
        try:
            if not self._file:
                self._connect()
            return self._ask(name, arguments)
        except (OSError, ValueError) as e:
            raise CannotRun(f'no answer on {self.path} to {name}: {e}') from e

    def _connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
        sock.connect(self.path)
        self._file = sock.makefile('rwb')
        sock.close()  # the file keeps it open
        self._file.readline()  # greeting
        self._ask('qmp_capabilities', {})

    def _ask(self, name, arguments):
        text = json.dumps({'execute': name, 'arguments': arguments})
        self._file.write(text.encode() + b'\n')
        self._file.flush()
        for line in self._file:
            answer = json.loads(line)
            if 'error' in answer:
                raise CannotRun(f'QMP: {name}: {answer["error"]["desc"]}')
            if 'return' in answer:
                return answer['return']
            self.events.append(answer['event'])
        raise ValueError('QEMU ended')

    def close(self):
        if self._file:
            self._file.close()
            self._file = None
        if os.path.exists(self.path):
            os.unlink(self.path)
