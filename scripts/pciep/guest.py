# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest: its QEMU, its console and its results port.

The results port is a serial line of its own, so nothing the kernel prints can
get between the results.  Lines that begin with "!" are for the launcher:

    !ready RELEASE      init runs
    !state TEXT         what the guest does now
    !need TEXT          the run makes no sense here, TEXT says what to do
    !exit STATUS        the role has ended
    !out ID LINE        a line of output of command ID
    !done ID STATUS     command ID has ended
    !finished           everything was let go

The launcher sends "run ID COMMAND" and "finish".  All other lines are TAP.
"""

import fcntl
import os
import re
import subprocess

from . import process
from .console import Console

F_SETPIPE_SZ = 1031  # <fcntl.h>; Python has it from 3.10
PIPE_SIZE = 1 << 20
CHANNEL_LINE = 8192
CHANNEL_LIMIT = 32 << 20  # a guest that floods the results port is not heard any more
OUTPUT_LIMIT = 8 << 20  # of one command

_QEMU_HINTS = (
    (
        re.compile(r"'(pci-epc|epf-bridge)' is not a valid device model"),
        'this QEMU has no such device: use the one "make" builds, or build yours with '
        'our tree',
    ),
    (
        re.compile(
            r'(invalid|not a|Unsupported|unknown).*(kernel|bzImage|format)|'
            r'linux kernel too old|'
            r'kernel.*(too old|does not support)',
            re.I,
        ),
        'check the image given to --host-kernel or --ep-kernel: a bzImage is expected',
    ),
    (
        re.compile(r'cannot (allocate|set up guest) memory|Cannot allocate memory', re.I),
        'not enough memory: lower --host-mem and --ep-mem',
    ),
    (
        re.compile(r'[Aa]ddress already in use'),
        'another QEMU listens on that socket: end it',
    ),
)


class Command:
    """A command that runs in a guest."""

    def __init__(self, ident):
        self.id = ident
        self.lines = []
        self.size = 0
        self.status = None

    @property
    def output(self):
        return '\n'.join(self.lines)


class Guest:
    def __init__(self, role, spec, log, allowed, on_line, on_console=None):
        """@on_line(guest, line) gets what is not understood here: TAP."""
        self.role = role
        self.spec = spec
        self.console = Console(log, allowed, on_console)
        self.on_line = on_line
        self.process = None
        self.release = None  # set when init runs
        self.state = 'not started'
        self.need = None  # "could not run" text from inside
        self.status = None  # of the role
        self.finished = False
        self.commands = {}
        self.raw = None  # interactive: takes console bytes
        self._fds = []
        self._err = None
        self._err_lines = []
        self._err_part = b''
        self._channel = b''
        self._heard = 0
        self._next = 0
        self._out = b''  # not yet taken by the guest

    # -- life

    def start(self, loop):
        # Pipes, as a UNIX socket is full after a few hundred single bytes, and
        # the kernel drops console output that does not go away at once.
        chardevs, theirs, ours = [], [], []
        for name in ('console', 'results'):
            rd, wr = os.pipe()
            their_rd, our_wr = os.pipe()
            fcntl.fcntl(rd, F_SETPIPE_SZ, PIPE_SIZE)
            os.set_blocking(rd, False)
            os.set_blocking(our_wr, False)
            ours += [rd, our_wr]
            theirs += [their_rd, wr]
            chardevs += [
                '-chardev',
                f'file,id={name},path=/dev/fd/{wr},input-path=/dev/fd/{their_rd}',
            ]
        args = self.spec.command(self.spec.socket, chardevs)
        try:
            self.process = process.spawn(args, stderr=subprocess.PIPE, pass_fds=theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        (
            self._console_rd,
            self._console_wr,
            self._results_rd,
            self._results_wr,
        ) = self._fds = ours
        self._err = self.process.stderr
        os.set_blocking(self._err.fileno(), False)
        loop.add(self._console_rd, self._console_data)
        loop.add(self._results_rd, self._results_data)
        loop.add(self._err, self._err_data)
        self.release, self.status, self.need, self.finished = None, None, None, False
        self._err_lines, self._channel, self._out, self.commands = [], b'', b'', {}
        self._err_part = b''
        self._loop = loop
        self.state = 'booting'

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """Ends QEMU if it runs, takes what it still said, closes all descriptors."""
        process.end([self.process])
        if self._fds:
            for read in (self._console_data, self._results_data, self._err_data):
                for _ in range(1000):
                    if not read():
                        break
            for fd in self._fds:
                self._loop.remove(fd)
                os.close(fd)
            self._loop.remove(self._err)
            self._err.close()
        self._fds, self._err = [], None
        self.state = 'ended'

    def kill(self):
        """As a crash of QEMU."""
        self.process.kill()
        self.process.wait()
        self.stop()

    def why_ended(self):
        """One line on a QEMU that ended by itself."""
        code = self.process.returncode
        lines = [ln for ln in self._err_lines if ln.strip()]
        text = (
            lines[-1]
            if lines
            else (f'killed by signal {-code}' if code < 0 else f'exit status {code}')
        )
        hint = next((h for r, h in _QEMU_HINTS if r.search(text)), None)
        return text + (f' ({hint})' if hint else '')

    # -- input

    def _read(self, fd):
        try:
            data = os.read(fd, 65536)
        except (BlockingIOError, InterruptedError):
            return b''
        except OSError:
            data = b''
        if not data:
            self._loop.remove(fd)
        return data

    def _console_data(self):
        data = self._read(self._console_rd)
        if data:
            self.console.feed(data)
            if self.raw:
                self.raw(data)
        return len(data)

    def _err_data(self):
        data = self._read(self._err.fileno())
        lines = (self._err_part + data).split(b'\n')
        self._err_part = lines.pop() if data else b''
        for raw in lines[:1000]:
            line = raw[:CHANNEL_LINE].decode('utf-8', 'replace')
            ours = f'terminating on signal 15 from pid {os.getpid()}' in line
            if ours or not line:
                continue
            self._err_lines = self._err_lines[-50:] + [line]
            self.console.note(f'qemu: {line}')
        return len(data)

    def _results_data(self):
        data = self._read(self._results_rd)
        self._heard += len(data)
        if self._heard > CHANNEL_LIMIT:
            return len(data)
        lines = (self._channel + data).split(b'\n')
        self._channel = lines.pop()[:CHANNEL_LINE]
        for raw in lines:
            self._line(raw[:CHANNEL_LINE].decode('utf-8', 'replace').rstrip('\r'))
        return len(data)

    def _line(self, line):
        if not line.startswith('!'):
            self.on_line(self, line)
            return
        verb, _, rest = line[1:].partition(' ')
        if verb == 'ready':
            self.release, self.state = rest, 'up'
        elif verb == 'state':
            self.state = rest
        elif verb == 'need':
            self.need = self.need or rest
        elif verb == 'exit':
            self.status = int(rest) if rest.isdigit() else 1
        elif verb == 'finished':
            self.finished = True
        elif verb in ('out', 'done'):
            ident, _, rest = rest.partition(' ')
            cmd = self.commands.get(ident)
            if cmd and verb == 'out' and cmd.size < OUTPUT_LIMIT:
                cmd.lines.append(rest)
                cmd.size += len(rest)
            elif cmd and verb == 'done':
                cmd.status = int(rest) if rest.isdigit() else 255
                del self.commands[ident]

    # -- output

    def send(self, line):
        self._out += line.encode() + b'\n'
        self.flush()

    def flush(self):
        """Sends what the guest takes now; the event loop calls again."""
        while self._out and self._fds:
            try:
                n = os.write(self._results_wr, self._out)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._out = b''
                return
            self._out = self._out[n:]

    def type(self, data):
        """Keys for the console."""
        try:
            os.write(self._console_wr, data)
        except OSError:
            pass

    def command(self, text):
        """Starts a one-line shell command; wait for .status in the event loop."""
        self._next += 1
        cmd = Command(f'{self._next}')
        self.commands[cmd.id] = cmd
        self.send(f'run {cmd.id} {text}')
        return cmd
