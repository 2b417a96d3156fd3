# SPDX-License-Identifier: GPL-2.0-or-later
"""
Logs of what is traced: bounded, whatever the guest does.

QEMU writes to a pipe.  A thread empties it, so that QEMU does not wait while
the launcher does something else, as waiting for a slow terminal.  What is
beyond the limit is read and thrown away.
"""

import fcntl
import os
import threading
from typing import BinaryIO, List, Optional, Sequence


PIPE_SIZE = 1 << 20
LIMIT = 32 << 20  # bytes of one guest
END_SECONDS = 10  # for the thread, once QEMU has ended


class Log:
    """
    A log that several QEMUs, one after the other, write to.

    :param filename: The log.
    :param option: The option that chooses what is in it.
    :param limit: Bytes that it may have.
    """

    def __init__(self, filename: str, option: str, limit: int = LIMIT) -> None:
        self.filename = filename
        self._option = option
        self._limit = limit
        self._file: BinaryIO = open(filename, 'wb', buffering=0)
        self._left = limit
        self._full = False
        self._thread: Optional[threading.Thread] = None

    def arguments(self, fd: int) -> List[str]:
        """Return the arguments for a QEMU that has got the descriptor."""
        raise NotImplementedError

    def open(self) -> int:
        """Return the descriptor that the next QEMU writes to."""
        ours, theirs = os.pipe()
        fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        self._thread = threading.Thread(target=self._drain, args=(ours,),
                                        daemon=True)
        self._thread.start()
        return theirs

    def end(self) -> None:
        """Take what the QEMU that has ended wrote last."""
        if self._thread:
            self._thread.join(END_SECONDS)
            self._thread = None

    def close(self) -> None:
        """Write no more."""
        self.end()
        self._file.close()

    @property
    def note(self) -> str:
        """A line that says what is missing, or nothing."""
        if not self._full:
            return ''
        name = os.path.basename(self.filename)
        size = f'{self._limit >> 20} MiB'
        return (f'{name} ends early, at its limit of {size}: choose fewer '
                f'events with {self._option}')

    def _drain(self, fd: int) -> None:
        """Read until the other end is closed."""
        rest = b''
        with open(fd, 'rb', buffering=0) as pipe:
            while data := pipe.read(65536):
                whole = data.rfind(b'\n') + 1
                if whole:
                    self._write(rest + data[:whole])
                    rest = b''
                # A line of QEMU is shorter.
                rest = (rest + data[whole:])[-65536:]
        if rest:
            self._write(rest + b'\n')

    def _write(self, data: bytes) -> None:
        """Write whole lines, as far as they may be written."""
        if len(data) > self._left:
            self._full = True
            data = data[:data.rfind(b'\n', 0, self._left) + 1]
            self._left = len(data)
        try:
            if data:
                self._file.write(data)
                self._left -= len(data)
        except (OSError, ValueError):
            # A full disk must not stop QEMU, nor a log that was closed.
            self._full, self._left = True, 0


class TraceLog(Log):
    """
    The trace events of a QEMU.

    :param patterns: Trace events that are enabled.
    """

    def __init__(self, filename: str, patterns: Sequence[str],
                 limit: int = LIMIT) -> None:
        super().__init__(filename, '--trace-events', limit)
        self._patterns = patterns

    def arguments(self, fd: int) -> List[str]:
        """
        Return the arguments for a QEMU that has got the descriptor.

        With time stamps in messages the log has them as well.
        """
        args = ['-msg', 'timestamp=on', '-D', f'/dev/fd/{fd}']
        for pattern in self._patterns:
            args += ['-trace', f'enable={pattern}']
        return args


class FtraceLog(Log):
    """What the kernel of a guest traces: see guest/ftrace.sh."""

    def __init__(self, filename: str, limit: int = LIMIT) -> None:
        super().__init__(filename, '--ftrace', limit)

    def arguments(self, fd: int) -> List[str]:
        """Return the arguments for a QEMU that has got the descriptor."""
        return ['-chardev', f'file,id=ftrace,path=/dev/fd/{fd}',
                '-device', 'virtio-serial-pci,id=ftrace0',
                '-device', 'virtserialport,bus=ftrace0.0,chardev=ftrace,'
                'name=pci-ep.ftrace']
