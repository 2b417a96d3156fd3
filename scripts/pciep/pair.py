# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that are linked: composes, starts, waits, ends; nothing survives "with"."""

import copy
import os
import shlex
import shutil
import tempfile
import time

from . import CannotRun, functions, initramfs, kernels, machine, programs
from .console import load_allowed
from .guest import Guest
from .loop import Loop

HERE = os.path.dirname(os.path.realpath(__file__))
SOCKET_PATH_MAX = 100  # sun_path has 108, some of it for .N
BUSY_TURN = 0.1


class TimeLimit(Exception):
    """A wait was longer than it may be; the text says for what."""


class Side:
    """How one guest is to be."""

    def __init__(
        self,
        kernel,
        cpus=2,
        mem=None,
        append='',
        files=(),
        modules=(),
        cmd=None,
        extra=(),
        net=False,
        interactive=False,
        idle=False,
        shared=True,
        iommu='none',
        programs=(),
    ):
        self.kernel, self.cpus, self.mem, self.append = kernel, cpus, mem, append
        self.files, self.modules, self.cmd, self.extra = (
            list(files),
            list(modules),
            cmd,
            list(extra),
        )
        self.net, self.interactive, self.idle, self.shared = (
            net,
            interactive,
            idle,
            shared,
        )
        self.iommu, self.programs = iommu, list(programs)
        self.env = {}


def _socket_dir():
    """A private directory with a short path; those of dead launchers are removed."""
    for base in (os.environ.get('XDG_RUNTIME_DIR'), os.environ.get('TMPDIR'), '/tmp'):
        if not base or not os.path.isdir(base) or not os.access(base, os.W_OK):
            continue
        _sweep(base)
        try:
            path = tempfile.mkdtemp(prefix=f'pci-ep-{os.getpid()}-', dir=base)
        except OSError:
            continue
        if len(path) + len('/link-0') <= SOCKET_PATH_MAX:
            return path
        os.rmdir(path)
    raise CannotRun(
        'no directory for the link socket: make /tmp writable, or set TMPDIR to a '
        'directory with a short path'
    )


def _sweep(base):
    for name in os.listdir(base):
        part = name.split('-')
        if not (name.startswith('pci-ep-') and len(part) == 4 and part[2].isdigit()):
            continue
        path = os.path.join(base, name)
        try:
            if os.stat(path).st_uid == os.getuid() and not os.path.exists(
                f'/proc/{part[2]}'
            ):
                shutil.rmtree(path, ignore_errors=True)
        except OSError:
            pass


def split_file(spec):
    """SRC[:DST] of --host-file and --ep-file; DST defaults to /root/NAME."""
    src, _, dst = spec.partition(':')
    src = src.rstrip('/') or '/'
    if not os.path.exists(src):
        raise CannotRun(f'no file {src}: check --host-file and --ep-file')
    if not dst:
        dst = '/root/'
    if dst.endswith('/'):
        dst += os.path.basename(src)
    return src, dst


def _settings(env):
    return ''.join(f'{k}={shlex.quote(str(v))}\n' for k, v in env.items())


def kind(guest):
    """Of which role a guest is: all but the endpoint guest are hosts."""
    return 'ep' if guest == 'ep' else 'host'


class Pair:
    """An endpoint guest and its host; functions with two hosts get another like it."""

    def __init__(
        self,
        rundir,
        qemu,
        accel,
        host,
        ep,
        arch='x86_64',
        functions=(),
        msix=64,
        msi=32,
        link=True,
        link_wait=60,
        first=None,
        delay=0.0,
        on_tap=None,
        on_console=None,
        interactive=None,
    ):
        self.rundir, self.qemu, self.accel, self.arch = (
            os.path.abspath(rundir),
            qemu,
            accel,
            arch,
        )
        self.functions = list(functions)  # functions.Instance
        self.interactive = interactive  # a guest
        self.sides = self._sides(host, ep)
        self.msix, self.msi = msix, msi
        self.link, self.link_wait, self.first, self.delay = link, link_wait, first, delay
        self.on_tap, self.on_console = on_tap, on_console
        self.loop = Loop()
        self.guests = {}
        self.socket_dir = None
        self.closed = False
        self.on_turn = None  # called about ten times a second

    def _sides(self, host, ep):
        sides = {'host': host}
        for name in functions.hosts(self.functions)[1:]:
            sides[name] = copy.copy(host)
            sides[name].cmd = None
            sides[name].interactive = self.interactive == name
        return {**sides, 'ep': ep}

    # -- composing

    def _env(self, guest, side):
        a, role = machine.ARCH[self.arch], kind(guest)
        env = {
            'ROLE': role,
            'GUEST': guest,
            'CONSOLE': a['console'],
            'RESULTS': a['results'],
            'CONTROLLERS': len(functions.controllers(self.functions)),
            'FUNCTIONS': ' '.join(
                tag
                for i in self.functions
                for tag in (i.tests() if role == 'host' else [i.tag])
            ),
            'ENDPOINT': self.functions[0].function.endpoint if self.functions else '',
            'MSI': self.msi,
            'MSIX': self.msix,
            'LINK_WAIT': self.link_wait,
            'LOAD': ' '.join(side.modules),
            'NET': '1' if side.net else '',
            'INTERACTIVE': '1' if side.interactive else '',
            'IDLE': '1' if side.idle else '',
            'NOLINK': '' if self.link else '1',
            'MESSAGES': '1' if self.sides['host'].iommu in a['silent_iommu'] else '',
            'TOOL': functions.test_tool(side.kernel)[0] if role == 'host' else '',
        }
        env.update(side.env)
        return _settings(env)

    def _compose(self, guest):
        side, role = self.sides[guest], kind(guest)
        archive = initramfs.base(os.path.join(HERE, '../guest'))
        archive.data('pciep/env', self._env(guest, side))
        programs.add(archive, side.programs)
        wanted, files = list(side.modules), []
        for i in self.functions:
            for tag, more in i.tests().items():
                env = {**i.env(guest), **more}
                archive.data(f'pciep/functions/{tag}', _settings(env))
            wanted += i.function.modules[role]
            programs.add(archive, i.function.programs[role])
        if side.net:
            wanted += ['virtio_pci', 'virtio_net']
        if role == 'ep' and self.link:
            wanted.append(kernels.DRIVER)
            driver = side.kernel.driver()
            files += [driver] if driver else []
            side.kernel.correct(functions.corrected(self.functions))
            own = [m for i in self.functions for m in i.own_modules]
            files += [side.kernel.beside_driver(m) for m in dict.fromkeys(own)]
        kernels.add_modules(archive, side.kernel, wanted, files)
        if role == 'host' and any(i.name == 'test' for i in self.functions):
            program = functions.test_tool(side.kernel)[1]
            path = side.kernel.program(program)
            if path:
                archive.file(f'pciep/bin/{program}', path)
            elif self.link and not side.cmd and not side.interactive and not side.idle:
                raise CannotRun(
                    f'no {program} for the host kernel {side.kernel.release} in '
                    f'{side.kernel.bindir}: run "make"'
                )
        if side.cmd:
            archive.data('pciep/cmd', side.cmd + '\n')
        for spec in side.files:
            src, dst = split_file(spec)
            archive.file(dst, src)
        path = os.path.join(self.rundir, f'{guest}.initramfs')
        archive.write(path)
        return path

    def prepare(self):
        """Everything but starting: archives, command lines, scripts to run by hand."""
        try:
            os.makedirs(self.rundir, exist_ok=True)
            allowed = load_allowed(os.path.join(HERE, 'allow.txt'))
            self.socket_dir = _socket_dir()
            for guest, side in self.sides.items():
                role, extra = kind(guest), []
                if role == 'ep':
                    for i in self.functions:
                        extra += i.function.ep_machine(i, self.rundir)
                side.mem = side.mem or functions.memory(role, self.functions)
                spec = machine.Spec(
                    role,
                    self.arch,
                    self.qemu,
                    os.path.abspath(side.kernel.image),
                    self._compose(guest),
                    self.accel,
                    side.cpus,
                    side.mem,
                    os.path.join(self.socket_dir, 'link') if self.link else None,
                    side.net,
                    side.shared,
                    side.append,
                    extra + side.extra,
                    name=guest,
                    iommu=side.iommu,
                    links=functions.links(self.functions, guest),
                )
                script = os.path.join(self.rundir, f'{guest}.sh')
                with open(script, 'w') as out:
                    out.write(spec.script(self.rundir))
                os.chmod(script, 0o755)
                live = (
                    (lambda line, g=guest: self.on_console(g, line))
                    if self.on_console
                    else None
                )
                self.guests[guest] = Guest(
                    guest,
                    spec,
                    os.path.join(self.rundir, f'{guest}.log'),
                    allowed,
                    self._tap,
                    live,
                )
        except OSError as e:
            raise CannotRun(
                f'cannot write the files of the run: {e}; choose another --log-dir'
            ) from e

    def _tap(self, guest, line):
        if self.on_tap:
            self.on_tap(guest.role, line)

    @property
    def host(self):
        return self.guests['host']

    @property
    def ep(self):
        return self.guests['ep']

    # -- running

    def start(self):
        """All at once, or the role in .first and the other .delay seconds later."""
        order = ['ep', 'host'] if self.first != 'host' else ['host', 'ep']
        for i, role in enumerate(order):
            if i and self.delay:
                self.pump(self.delay)
            for name, guest in self.guests.items():
                if kind(name) == role:
                    guest.start(self.loop)

    def turn(self, seconds=BUSY_TURN):
        self.loop.turn(seconds)
        for g in self.guests.values():
            g.flush()
        if self.on_turn:
            self.on_turn()

    def pump(self, seconds):
        """Serves both guests for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(min(left, BUSY_TURN))

    def wait(self, condition, seconds, what):
        """Serves both guests until @condition(); TimeLimit names @what after @seconds."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() >= end:
                raise TimeLimit(f'{what}: not within {seconds:g} s')
            self.turn()

    def run(self, role, command, seconds=30):
        """A shell command in a guest: (status, output)."""
        guest = self.guests[role]
        cmd = guest.command(command)
        self.wait(
            lambda: cmd.status is not None or not guest.alive,
            seconds,
            f'{role}: {command}',
        )
        if cmd.status is None:
            raise TimeLimit(f'{role}: {command}: the guest ended meanwhile')
        return cmd.status, cmd.output

    def finish(self, seconds=5):
        """Asks the guests to let go of everything, so that faults in that show too."""
        up = [g for g in self.guests.values() if g.alive and g.release]
        for g in up:
            g.send('finish')
        try:
            self.wait(
                lambda: all(g.finished or not g.alive for g in up), seconds, 'finish'
            )
            self.pump(0.2)
            return True
        except TimeLimit:
            return False

    def close(self):
        if self.closed:
            return
        self.closed = True
        for g in self.guests.values():
            g.stop()
            g.console.close()
        self.loop.close()
        if self.socket_dir:
            shutil.rmtree(self.socket_dir, ignore_errors=True)
            self.socket_dir = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
