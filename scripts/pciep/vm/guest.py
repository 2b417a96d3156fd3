# SPDX-License-Identifier: GPL-2.0-or-later
"""
One guest: its QEMU, its console and its results port.

The results port is a serial line of its own, so nothing the kernel prints
can get between the results.  Lines that begin with "!" are for the
launcher:

    !ready RELEASE      init runs
    !state TEXT         what the guest does now
    !need TEXT          the run makes no sense here, TEXT says what to do
    !refused TEXT       the same, since the kernel refused what is tested
    !exit STATUS        the role has ended
    !out ID LINE        a line of output of command ID
    !data ID 1|2 BASE64 a piece of the output of command ID
    !done ID STATUS     command ID has ended
    !taken              a block of a command or of its input has arrived
    !finished           the guest has taken down what it had set up

The launcher sends "run ID COMMAND" and "finish"; "cmd ID COUNT" and "in ID
COUNT", each with so many bytes behind the line, "exec ID" and "end ID", see
execute.py; "shell" and "size ROWS COLUMNS" for the console.  All other lines
are TAP, or the output of a command of the user, which may be.
"""

import fcntl
import os
import re
import subprocess
from typing import IO, Callable, Dict, List, Optional, Sequence, Tuple

from .. import BadFunction, BadKernel, CannotRun
from . import process
from .console import Allowed, Console
from .execute import Execution, Executions, OnData, OnEnd
from .loop import Loop
from .machine import MachineSpec
from .qmp import Qmp
from .tracelog import FtraceLog, Log, TraceLog


PIPE_SIZE = 1 << 20
CHANNEL_LINE = 8192
# Bytes after which lines that are not for the launcher are left out
CHANNEL_LIMIT = 32 << 20
OUTPUT_LIMIT = 8 << 20  # of one command

_QEMU_HINTS = (
    (re.compile(r"'(pci-epc|epf-bridge)' is not a valid device model"),
     'this QEMU has no such device: use the one "make" builds, or build '
     'yours with our tree'),
    (re.compile(
        r'(invalid|not a|Unsupported|unknown).*(kernel|bzImage|format)|'
        r'linux kernel too old|kernel.*(too old|does not support)', re.I),
     'check the image given to --host-kernel or --ep-kernel: a bzImage is '
     'expected, or for arm64 an Image'),
    (re.compile(r'cannot (allocate|set up guest) memory|'
                r'Cannot allocate memory', re.I),
     'not enough memory: lower --host-mem and --ep-mem'),
    (re.compile(r"'virtio-9p-pci' is not a valid|no option group 'fsdev'"),
     'this QEMU cannot share directories: use the one "make" builds, or '
     'build yours with --enable-virtfs'),
    (re.compile(r'[Aa]ddress already in use'),
     'another QEMU listens on that socket: end it'),
)


class Command:
    """A command that runs in a guest; .status is None until it ends."""

    def __init__(self, ident: str) -> None:
        self.id = ident
        self.status: Optional[int] = None
        self._lines: List[str] = []
        self._size = 0

    def add(self, line: str) -> None:
        """Take a line of output, unless there is too much already."""
        if self._size < OUTPUT_LIMIT:
            self._lines.append(line)
            self._size += len(line)

    @property
    def output(self) -> str:
        """What it printed so far."""
        return '\n'.join(self._lines)


class Guest:
    """
    A guest that can be started, again and again.

    :param name: Name of the guest, that of its files.
    :param spec: Its machine.
    :param log: File for the console.
    :param allowed: Reports of the kernel that are no faults.
    :param on_line: Called with the name of the guest and a line that is not
                    for the launcher.
    :param on_console: Called with each line of the console.
    :param trace: The log of its trace events.
    :param ftrace: The log of what its kernel traces.
    """

    def __init__(self, name: str, spec: MachineSpec, log: str,
                 allowed: Sequence[Allowed],
                 on_line: Callable[[str, str], None],
                 on_console: Optional[Callable[[str], None]] = None,
                 trace: Optional[TraceLog] = None,
                 ftrace: Optional[FtraceLog] = None) -> None:
        self.name = name
        self.spec = spec
        self.trace = trace
        self.ftrace = ftrace
        self.console = Console(log, allowed, on_console)
        self.process: Optional[process.Process] = None
        # Each is called with bytes of the console, for people who look at it.
        self.watchers: List[Callable[[bytes], object]] = []
        # Where its QEMU listens for gdb, if it does
        self.gdb_socket = ''
        # Its monitor, when the launcher wants one
        self.monitor: Optional[Qmp] = None
        # The path of a monitor for people, if there is one
        self.monitor_path: Optional[str] = None
        self.state = 'not started'
        self._on_line = on_line
        self._loop: Optional[Loop] = None
        self._console_rd = self._console_wr = -1
        self._results_rd = self._results_wr = -1
        self._err: Optional[IO[bytes]] = None
        self._number = 0  # of the last command
        self._reset()

    def _reset(self) -> None:
        """Forget what an earlier QEMU of this guest said."""
        # Set when init runs; a test that reboots the guest clears it.
        self.release: Optional[str] = None
        # Why the run makes no sense
        self.need: Optional[CannotRun] = None
        self.status: Optional[int] = None  # of the role
        self.finished = False
        self.link_started = False
        self._commands: Dict[str, Command] = {}
        self._executions = Executions()
        self._size: Optional[Tuple[int, int]] = None  # of the console
        self._err_lines: List[str] = []
        self._err_part = b''
        self._results_part = b''
        self._results_size = 0
        self._out = b''  # what the guest has not taken yet

    # Life

    def start(self, loop: Loop) -> None:
        """Start QEMU, whose output the loop serves from now on."""
        # These are pipes, since a UNIX socket is full after a few hundred
        # single bytes, and the kernel drops console output that does not
        # go away at once.
        chardevs: List[str] = []
        theirs: List[int] = []
        ours: List[int] = []
        for name in ('console', 'results'):
            our_rd, their_wr = os.pipe()
            their_rd, our_wr = os.pipe()
            fcntl.fcntl(our_rd, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
            os.set_blocking(our_rd, False)
            os.set_blocking(our_wr, False)
            ours += [our_rd, our_wr]
            theirs += [their_rd, their_wr]
            chardevs += ['-chardev',
                         f'file,id={name},path=/dev/fd/{their_wr},'
                         f'input-path=/dev/fd/{their_rd}']
        monitors = self.monitor.arguments if self.monitor else []
        if self.monitor_path:
            monitors = monitors + Qmp(self.monitor_path).arguments
        args = self.spec.command(self.spec.socket, chardevs, monitors)
        if self.gdb_socket:
            args += ['-gdb', f'unix:{self.gdb_socket},server=on,wait=off']
        for log in self.logs:
            theirs.append(log.open())
            args += log.arguments(theirs[-1])
        try:
            self.process = process.spawn(args, stderr=subprocess.PIPE,
                                         pass_fds=theirs)
        except BaseException:
            for fd in ours:
                os.close(fd)
            raise
        finally:
            for fd in theirs:
                os.close(fd)
        self._console_rd, self._console_wr = ours[:2]
        self._results_rd, self._results_wr = ours[2:]
        self._err = self.process.stderr
        assert self._err
        os.set_blocking(self._err.fileno(), False)
        loop.add(self._console_rd, self._console_data)
        loop.add(self._results_rd, self._results_data)
        loop.add(self._err, self._err_data)
        self._loop = loop
        self._reset()
        self.state = 'booting'

    @property
    def logs(self) -> List[Log]:
        """All logs that its QEMU writes to."""
        return [log for log in (self.trace, self.ftrace) if log]

    @property
    def alive(self) -> bool:
        """Whether QEMU runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """Process id of the QEMU that was started last."""
        assert self.process
        return self.process.pid

    def stop(self) -> None:
        """End QEMU if it runs, and take what it has still said."""
        process.end([self.process])
        for log in self.logs:
            log.end()
        if self.monitor:
            self.monitor.close()
        if self._loop and self._err:
            for read in (self._console_data, self._results_data,
                         self._err_data):
                for _ in range(1000):
                    if not read():
                        break
            for fd in (self._console_rd, self._console_wr,
                       self._results_rd, self._results_wr):
                self._loop.remove(fd)
                os.close(fd)
            self._loop.remove(self._err)
            self._err.close()
        self._err = None
        self._executions.end(last=True)
        self.state = 'ended'

    def kill(self) -> None:
        """End QEMU as a crash would."""
        assert self.process
        self.process.kill()
        self.process.wait()
        self.stop()

    def why_ended(self) -> str:
        """Return one line on a QEMU that ended by itself."""
        assert self.process
        code = self.process.returncode
        text = f'exit status {code}'
        if self._err_lines:
            text = self._err_lines[-1]
        elif code is not None and code < 0:
            text = f'killed by signal {-code}'
        for regex, hint in _QEMU_HINTS:
            if regex.search(text):
                return f'{text} ({hint})'
        return text

    # Input

    def _read(self, fd: int) -> bytes:
        try:
            data = os.read(fd, 65536)
        except (BlockingIOError, InterruptedError):
            return b''
        except OSError:
            data = b''
        if not data and self._loop:
            self._loop.remove(fd)
        return data

    def _console_data(self) -> int:
        data = self._read(self._console_rd)
        if data:
            self.console.feed(data)
            for watcher in list(self.watchers):
                watcher(data)
        return len(data)

    def _err_data(self) -> int:
        assert self._err
        data = self._read(self._err.fileno())
        lines = (self._err_part + data).split(b'\n')
        self._err_part = lines.pop() if data else b''
        own = f'terminating on signal 15 from pid {os.getpid()}'
        for raw in lines[:1000]:
            line = raw[:CHANNEL_LINE].decode('utf-8', 'replace')
            if not line.strip() or own in line:
                continue
            self._err_lines = self._err_lines[-50:] + [line]
            self.console.note(f'qemu: {line}')
        return len(data)

    def _results_data(self) -> int:
        data = self._read(self._results_rd)
        self._results_size += len(data)
        lines = (self._results_part + data).split(b'\n')
        self._results_part = lines.pop()[:CHANNEL_LINE]
        for raw in lines:
            line = raw[:CHANNEL_LINE].decode('utf-8', 'replace').rstrip('\r')
            if line.startswith('!'):
                verb, _, rest = line[1:].partition(' ')
                self._event(verb, rest)
            elif self._results_size <= CHANNEL_LIMIT:
                self._on_line(self.name, line)
        return len(data)

    def _event(self, verb: str, text: str) -> None:
        """Take a line for the launcher; one that is not known is ignored."""
        if verb == 'ready':
            self.release, self.state = text, 'up'
            self._size = None
            self._executions.end(last=False)
        elif verb == 'state':
            self.state = text
            self.link_started |= text.endswith('link started')
        elif verb in ('need', 'refused'):
            kind = BadKernel if verb == 'need' else BadFunction
            self.need = self.need or kind(text)
        elif verb == 'exit':
            self.status = int(text) if text.isdigit() else 1
        elif verb == 'finished':
            self.finished = True
        elif self._executions.event(verb, text):
            pass
        elif verb in ('out', 'done'):
            ident, _, rest = text.partition(' ')
            command = self._commands.get(ident)
            if command and verb == 'out':
                command.add(rest)
            elif command:
                command.status = int(rest) if rest.isdigit() else 255
                del self._commands[ident]

    # Output

    def send(self, line: str) -> None:
        """Send a line to the results port."""
        self._out += line.encode() + b'\n'
        self.flush()

    def flush(self) -> None:
        """Send what the guest takes now; the testbed calls this again."""
        if self.release:
            self._out += self._executions.next()
        while self._out and self._err:
            try:
                count = os.write(self._results_wr, self._out)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._out = b''
                return
            self._out = self._out[count:]

    def type(self, data: bytes) -> None:
        """Send keys to the console; what it does not take now is lost."""
        try:
            os.write(self._console_wr, data)
        except OSError:
            pass

    def show_size(self, rows: int, columns: int) -> None:
        """Tell the guest the size of the terminal with its console."""
        if self.release and (rows, columns) != self._size:
            self._size = rows, columns
            self.send(f'size {rows} {columns}')

    def open_shell(self) -> None:
        """Have the guest open a shell on its console, unless it has one."""
        self.send('shell')

    def execute(self, command: str, on_data: OnData,
                on_end: OnEnd) -> Execution:
        """Return a command that runs when its input is finished."""
        self._number += 1
        execution = Execution(f'{self._number}', command, on_data, on_end)
        self._executions.add(execution)
        return execution

    def abort(self, execution: Execution) -> None:
        """End a command, unless it has ended."""
        if self._executions.drop(execution.id):
            self.send(f'end {execution.id}')

    def command(self, text: str) -> Command:
        """Start a shell command of one line, and return at once."""
        self._number += 1
        command = Command(f'{self._number}')
        self._commands[command.id] = command
        self.send(f'run {command.id} {text}')
        return command
