# SPDX-License-Identifier: GPL-2.0-or-later
"""
How long the monitors take to answer.

Each QEMU is asked again and again by a thread of its own. The time that its
threads waited for a processor does not count. One more QEMU, which has no
guest, is the yardstick for what else the machine that runs the tests adds.
"""

import json
import os
import socket
import struct
import threading
import time

from lib import process

from .processor import waited, waits

PAUSE = 0.025
# A silent monitor is asked again after this, in a new connection.
PATIENCE = 90
ASK = b'{"execute": "query-status"}\n'
PEER = struct.Struct('3i')  # pid, uid, gid: unix(7), SO_PEERCRED


class Monitor(threading.Thread):
    """
    Asks the QEMU that listens on a socket, and keeps the longest answer.

    :param path: Its QMP socket. It may come and go.
    """

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.arguments = ['-qmp', f'unix:{path},server=on,wait=off']
        self.worst = 0.0
        self._asked = None  # when the question was sent that is not answered
        self._pid = 0
        self._waits = {}  # of its threads when that question was sent
        self._end = threading.Event()

    def reset(self):
        """Forget what was measured so far, a question under way included."""
        self._asked = None
        self.worst = 0.0

    def seen(self):
        """Return the longest answer, in seconds; one under way counts."""
        asked = self._asked
        return max(self.worst, self._took(asked) if asked else 0.0)

    def _took(self, asked):
        """Return the time since a question, less waits for a processor."""
        took = time.monotonic() - asked
        if took <= self.worst:
            return took
        return max(took - waited(self._pid, self._waits, waits(self._pid)), 0)

    def stop(self):
        """End the thread at its next question."""
        self._end.set()

    def run(self):
        """Ask until stop(); a QEMU that is not there has no answer."""
        while not self._end.wait(PAUSE):
            try:
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.settimeout(PATIENCE)
                    sock.connect(self.path)
                    self._pid = PEER.unpack(sock.getsockopt(
                        socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[0]
                    with sock.makefile('rwb') as file:
                        self._converse(file)
            except (OSError, ValueError):
                self._asked = None

    def _converse(self, file):
        file.readline()
        self._ask(file, b'{"execute": "qmp_capabilities"}\n')
        while not self._end.wait(PAUSE):
            self._waits = waits(self._pid)
            asked = self._asked = time.monotonic()
            self._ask(file, ASK)
            # reset() while this waited: the answer belongs to the past.
            if self._asked == asked:
                self.worst = max(self.worst, self._took(asked))
            self._asked = None

    @staticmethod
    def _ask(file, text):
        file.write(text)
        file.flush()
        for line in file:
            if 'event' not in json.loads(line):
                return
        raise ValueError('QEMU ended')


class Monitors:
    """
    The monitors of all guests of a bed and of the yardstick.

    It changes the bed's command lines, so it comes before the bed starts.

    :param bed: The guests.
    """

    def __init__(self, bed):
        directory = os.path.dirname(bed.host.spec.socket)
        self.guests = {}
        for name, guest in bed.guests.items():
            self.guests[name] = Monitor(os.path.join(directory, f'mon-{name}'))
            guest.spec.extra = guest.spec.extra + self.guests[name].arguments
        self._idle = Monitor(os.path.join(directory, 'mon-idle'))
        self._process = process.spawn([
            bed.host.spec.qemu, '-M', 'none', '-nodefaults', '-display', 'none'
        ] + self._idle.arguments)
        for monitor in self._all():
            monitor.start()

    def _all(self):
        return [*self.guests.values(), self._idle]

    def reset(self):
        """Begin to measure."""
        for monitor in self._all():
            monitor.reset()

    def seen(self, names):
        """Return the longest answers of these guests, and the yardstick's."""
        return ({name: self.guests[name].seen() for name in names},
                self._idle.seen())

    def stop(self):
        """End the threads and the yardstick."""
        for monitor in self._all():
            monitor.stop()
        process.end([self._process])
