# SPDX-License-Identifier: GPL-2.0-or-later
"""The guests of a run in one event loop; none survives the "with" block."""

from functools import partial
import os
import shutil
import time
from typing import Callable, Dict, List, Optional, Tuple

from .. import CannotRun, functions
from . import sockets
from .compose import write_initramfs
from .console import Allowed, load_allowed
from .guest import Guest
from .loop import Loop
from .machine import MachineSpec
from .qmp import Qmp
from .setup import UNTIL_LINK, GuestOptions, Setup
from .tracelog import FtraceLog, TraceLog


ALLOWED = os.path.abspath(
    os.path.join(os.path.dirname(__file__), '../allow.txt'))
BUSY_TURN = 0.1
# Seconds for an endpoint guest to start the link.  The others start then in
# any case, and the run says what is wrong.
LINK_STARTS = 120

OnLine = Callable[[str, str], None]  # name of a guest, line


class TimeLimit(Exception):
    """A wait was longer than it may be; the text says for what."""


class Testbed:
    """
    The guests of a run, linked as the setup says.

    :param setup: How they are to be.
    :param on_tap: Called with each line of TAP, and of the output of a
                   command of the user.
    :param on_console: Called with each line of a console.
    """

    def __init__(self, setup: Setup, on_tap: Optional[OnLine] = None,
                 on_console: Optional[OnLine] = None) -> None:
        self.setup = setup
        setup.rundir = os.path.abspath(setup.rundir)
        self.loop = Loop()
        self.guests: Dict[str, Guest] = {}
        # Called about ten times a second
        self.on_turn: Optional[Callable[[], None]] = None
        self._on_tap = on_tap
        self._on_console = on_console
        self._socket_dir: Optional[str] = None
        self._closed = False

    @property
    def host(self) -> Guest:
        """The first host guest."""
        return self.guests['host']

    @property
    def ep(self) -> Guest:
        """The endpoint guest."""
        return self.guests['ep']

    @property
    def sockets(self) -> str:
        """The private directory for sockets, once prepare() has made it."""
        assert self._socket_dir
        return self._socket_dir

    def prepare(self) -> None:
        """Do all but start: archives, command lines, scripts."""
        try:
            os.makedirs(self.setup.rundir, exist_ok=True)
            allowed = load_allowed(ALLOWED)
            self._socket_dir = sockets.make_directory()
            for options in self.setup.guests:
                self.guests[options.name] = self._prepare(options, allowed)
        except OSError as error:
            raise CannotRun(f'cannot write the files of the run: {error}; '
                            'choose another --log-dir') from error

    def _prepare(self, options: GuestOptions,
                 allowed: List[Allowed]) -> Guest:
        setup, name = self.setup, options.name
        assert self._socket_dir
        extra: List[str] = []
        if options.role == 'ep':
            for instance in setup.functions:
                extra += instance.ep_machine(setup.rundir)
        if not options.mem:
            options.mem = functions.memory(options.role, setup.functions)
        spec = MachineSpec(
            name=name,
            role=options.role,
            arch=options.kernel.arch,
            qemu=options.qemu or setup.qemu,
            kernel=os.path.abspath(options.kernel.image),
            initramfs=write_initramfs(setup, options),
            accel=options.accel or setup.accel,
            cpus=options.cpus,
            mem=options.mem,
            socket=((setup.device or os.path.join(self._socket_dir, 'link'))
                    if setup.link else None),
            links=setup.links(name),
            net=options.net,
            ssh=options.ssh,
            rootfs=setup.rootfs,
            shares=[path for path, _ in setup.shares],
            shared=options.shared,
            append=options.append,
            extra=extra + options.extra,
            deadline=setup.deadline,
            iommu=options.iommu,
        )
        script = os.path.join(setup.rundir, f'{name}.sh')
        with open(script, 'w', encoding='utf-8') as out:
            out.write(spec.script(setup.rundir))
        os.chmod(script, 0o755)
        live = partial(self._on_console, name) if self._on_console else None
        trace = None
        if setup.trace:
            trace = TraceLog(os.path.join(setup.rundir, f'{name}.trace'),
                             setup.trace)
        guest = Guest(name, spec, os.path.join(setup.rundir, f'{name}.log'),
                      allowed, self._tap, live, trace,
                      FtraceLog(os.path.join(setup.rundir, f'{name}.ftrace'))
                      if options.ftrace else None)
        if setup.gdb == name:
            guest.gdb_socket = os.path.join(self._socket_dir, 'gdb')
        if setup.monitors:
            guest.monitor = Qmp(os.path.join(self._socket_dir,
                                             f'{name}.qmp'))
        guest.monitor_path = os.path.join(self._socket_dir, f'{name}.monitor')
        return guest

    def monitor(self, name: str) -> Qmp:
        """Return the monitor of a guest, which Setup.monitors has made."""
        monitor = self.guests[name].monitor
        assert monitor
        return monitor

    def _tap(self, guest: str, line: str) -> None:
        if self._on_tap:
            self._on_tap(guest, line)

    # Running

    def start(self) -> None:
        """Start all guests, those of the role Setup.first before others."""
        roles = ['host', 'ep'] if self.setup.first == 'host' \
            else ['ep', 'host']
        for role in roles:
            if role != roles[0]:
                self._delay()
            for guest in self.guests.values():
                if guest.spec.role == role:
                    guest.start(self.loop)

    def _delay(self) -> None:
        """Let the guests that start first have the time that they should."""
        if self.setup.delay != UNTIL_LINK:
            self.pump(self.setup.delay)
            return
        ep, end = self.ep, time.monotonic() + LINK_STARTS
        while (ep.alive and not ep.need and 'link started' not in ep.state
               and time.monotonic() < end):
            self.turn()

    def boot(self, *names: str, seconds: float = 60) -> None:
        """
        Start guests, and wait until they have booted.

        :param names: The guests, all by default.
        :param seconds: How long each may take.
        """
        if names:
            for name in names:
                self.guests[name].start(self.loop)
        else:
            self.start()
        for name in names or self.guests:
            self.wait_booted(name, seconds)

    def wait_booted(self, name: str, seconds: float = 60) -> None:
        """
        Wait until a guest has set up what its options ask for.

        An idle guest says so, and the endpoint guest starts the link.  Of
        other guests this waits for init only.
        """
        guest, options = self.guests[name], self.setup.guest(name)
        word = ''
        if options.idle:
            word = 'idle'
        elif options.role == 'ep' and self.setup.link:
            word = 'link started'
        self.wait(
            lambda: guest.need or not guest.alive or (
                guest.release and word in guest.state),
            seconds, f'{name} boots')
        if guest.need:
            raise CannotRun(f'{name}: {guest.need}')
        if not guest.alive:
            raise CannotRun(f'{name} ended: {guest.why_ended()}')

    def turn(self, seconds: float = BUSY_TURN) -> None:
        """Serve what the guests send, and wait for it at most that long."""
        self.loop.turn(seconds)
        for guest in self.guests.values():
            guest.flush()
        if self.on_turn:
            self.on_turn()

    def pump(self, seconds: float) -> None:
        """Serve the guests for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(min(left, BUSY_TURN))

    def wait(self, condition: Callable[[], object], seconds: float,
             what: str) -> None:
        """Serve the guests until a condition holds, else raise TimeLimit."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                raise TimeLimit(f'{what}: not within {seconds:g} s')
            self.turn()

    def run(self, name: str, command: str,
            seconds: float = 30) -> Tuple[int, str]:
        """Return status and output of a shell command in a guest."""
        guest = self.guests[name]
        running = guest.command(command)
        self.wait(lambda: running.status is not None or not guest.alive,
                  seconds, f'{name}: {command}')
        if running.status is None:
            raise TimeLimit(f'{name}: {command}: the guest ended meanwhile')
        return running.status, running.output

    def finish(self, seconds: float = 20) -> bool:
        """
        Have the guests take down what they set up.

        So faults in that show, too.  With nvme it takes more than 4 s: stop()
        of the driver waits that long for link_down() of nvmet-pci-epf, which
        waits for the lock of the controller (linux/controller/notify.c).

        :return: Whether all did within that time.
        """
        up = [g for g in self.guests.values() if g.alive and g.release]
        for guest in up:
            guest.send('finish')
        try:
            self.wait(lambda: all(g.finished or not g.alive for g in up),
                      seconds, 'finish')
            self.pump(0.2)
            return True
        except TimeLimit:
            return False

    def close(self) -> None:
        """End all guests, and remove the sockets."""
        if self._closed:
            return
        self._closed = True
        for guest in self.guests.values():
            guest.stop()
            guest.console.close()
            for log in guest.logs:
                log.close()
        self.loop.close()
        if self._socket_dir:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None

    def __enter__(self) -> 'Testbed':
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
