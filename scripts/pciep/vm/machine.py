# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU command line of a guest."""

from dataclasses import dataclass, field
import os
import shlex
from typing import List, Optional, Sequence

from .. import CannotRun
from ..arch import ARCH
from ..functions import Link
from . import ticks
from .setup import DEADLINE


# The serial number by which a guest finds the disk with its root file system
ROOTFS = 'pci-ep-root'


@dataclass(kw_only=True)
class MachineSpec:
    """
    The machine of one guest.

    :param name: Name of the guest.
    :param role: "host" or "ep".
    :param arch: Key of ARCH.
    :param qemu: The QEMU binary.
    :param kernel: Kernel image.
    :param initramfs: The archive that it boots into.
    :param accel: "kvm" or "tcg".
    :param cpus: Number of vCPUs.
    :param mem: Memory, as QEMU writes it.
    :param socket: Path of the socket of link 0, None without a link.  That
                   of link N ends in -N.
    :param links: The links that this guest is an end of.
    :param net: User networking.
    :param ssh: Port of this machine for ssh, with net.
    :param rootfs: A disk that it may change without changing the file, ''
                   for none.
    :param shares: Directories of this machine that it may use.
    :param shared: Whether the other end may map the memory.
    :param append: More kernel arguments.
    :param extra: More arguments for QEMU.
    :param iommu: Key of Arch.host_iommu, for a host.
    :param deadline: As Setup.deadline.
    :param reboot: A reset starts the guest again instead of ending QEMU.
    """
    name: str
    role: str
    arch: str
    qemu: str
    kernel: str
    initramfs: str
    accel: str
    cpus: int = 2
    mem: str = '512M'
    socket: Optional[str] = None
    links: Sequence[Link] = ()
    net: bool = False
    ssh: Optional[int] = None
    rootfs: str = ''
    shares: Sequence[str] = ()
    shared: bool = True
    append: str = ''
    extra: List[str] = field(default_factory=list)
    iommu: str = 'none'
    deadline: int = DEADLINE
    reboot: bool = False

    def _links(self, socket: Optional[str]) -> List[str]:
        if not socket:
            return []
        device = 'pci-epc' if self.role == 'ep' else 'epf-bridge'
        args = ['-global', f'{device}.deadline-ms={self.deadline}']
        if self.role == 'host':
            for setting in ARCH[self.arch].bridge:
                args += ['-global', f'{device}.{setting}']
        for link in self.links:
            n = link.number
            path = f'{socket}-{n}' if n else socket
            args.append('-device')
            if self.role == 'ep':
                more = ''
                if link.functions > 1:
                    more = f'functions={link.functions},'
                args.append(f'pci-epc,id=epc{n},{more}socket={path}')
            else:
                port = f'chassis={n + 1},slot={n + 1}'
                args.append(f'epf-bridge,id=rp{n},{port},socket={path}')
        return args

    def _firmware(self) -> List[str]:
        """-L for the directories of firmware that this QEMU may need."""
        here = os.path.dirname(os.path.realpath(self.qemu))
        args = []
        for path in (os.path.join(here, 'share'),
                     os.path.join(here, '../share/qemu'),
                     '/usr/share/seabios', '/usr/share/qemu'):
            if os.path.isdir(path):
                args += ['-L', os.path.normpath(path)]
        return args

    def command(self, socket: Optional[str], chardevs: Sequence[str],
                monitor: Sequence[str] = ()) -> List[str]:
        """
        Return the command line.

        :param socket: As MachineSpec.socket, which this overrides.
        :param chardevs: Arguments that make the character devices "console"
                         and "results".
        :param monitor: Arguments that make a monitor.
        """
        arch = ARCH[self.arch]
        machine = arch.machine + ',memory-backend=ram0'
        if self.accel == 'kvm' and arch.machine_kvm:
            machine += ',' + arch.machine_kvm
        accel = 'tcg,thread=multi' if self.accel == 'tcg' else self.accel
        backend = f'memory-backend-ram,id=ram0,size={self.mem}'
        if self.shared:
            backend = f'memory-backend-memfd,id=ram0,size={self.mem},share=on'
        append = [arch.append]
        if self.accel == 'tcg' and arch.knows_tsc:
            append += ticks.kernel_arguments()
        args = [self.qemu, '-name', f'pci-ep-{self.name}', '-nodefaults',
                '-no-user-config', '-display', 'none']
        if not self.reboot:
            args.append('-no-reboot')
        if self.role == 'host':
            iommu = arch.host_iommu[self.iommu]
            machine = ','.join(filter(None, [machine, iommu.machine]))
        args += self._firmware()
        args += ['-M', machine, '-accel', accel,
                 '-cpu', arch.cpu[self.accel], '-smp', str(self.cpus),
                 '-m', self.mem, '-object', backend]
        if self.role == 'host':
            args += arch.host_args
            if iommu.device:
                args += ['-device', iommu.device]
            append += filter(None, [arch.append_host, iommu.append])
        if self.append:
            append.append(self.append)
        args += ['-kernel', self.kernel, '-initrd', self.initramfs,
                 '-append', ' '.join(append)]
        args += chardevs
        for chardev in ('console', 'results'):
            args += [word.replace('CHARDEV', chardev)
                     for word in arch.serial]
        args += monitor
        if self.net:
            forward = ''
            if self.ssh:
                forward = f',hostfwd=tcp:127.0.0.1:{self.ssh}-:22'
            args += ['-netdev', f'user,id=net0{forward}',
                     '-device', 'virtio-net-pci,netdev=net0,romfile=']
        if self.rootfs:
            path = self.rootfs.replace(',', ',,')
            args += ['-drive', f'if=none,id=rootfs,file={path},format=raw,'
                     'snapshot=on', '-device',
                     f'virtio-blk-pci,drive=rootfs,serial={ROOTFS}']
        return args + self._shares() + self._links(socket) + self.extra

    def _shares(self) -> List[str]:
        """Directories by 9P; the guest sees their files as ours."""
        args = []
        for number, path in enumerate(self.shares):
            # QEMU takes two commas for one.
            name, path = f'share{number}', path.replace(',', ',,')
            args += ['-fsdev', f'local,id={name},path={path},'
                     'security_model=none,multidevs=remap',
                     '-device', f'virtio-9p-pci,fsdev={name},'
                     f'mount_tag={name}']
        return args

    def script(self, rundir: str) -> str:
        """Return a shell script that starts this guest on a terminal."""
        args = self.command(
            '@SOCKET@' if self.socket else None,
            ['-chardev', 'stdio,id=console,mux=on,signal=off', '-chardev',
             f'file,id=results,path={rundir}/{self.name}.results'],
            ['-mon', 'chardev=console,mode=readline'])
        words = []
        for arg in args:
            word = shlex.quote(arg)
            if '@SOCKET@' in arg:
                word = '"' + arg.replace('@SOCKET@', '$SOCKET') + '"'
            words.append(word)
        lines, line = [], ''
        for word in words[1:]:
            if word.startswith('-') and line:
                lines.append(line)
                line = word
            else:
                line = (line + ' ' + word).strip()
        lines += [line, '"$@"']
        body = ' \\\n    '.join([f'exec {words[0]}'] + lines)
        base = os.path.basename(rundir)
        return f'''#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Starts the {self.name} guest of this run.  Start the scripts of all its
# guests, each in a terminal, in any order.  The console is on this
# terminal, Ctrl-A X ends QEMU.  TAP goes to {self.name}.results in this
# directory.  PCI_EP_SOCKET names another socket; arguments of this script
# go to QEMU.
DIR=${{TMPDIR:-/tmp}}/pci-ep-$(id -u)
mkdir -p -m 700 "$DIR"
SOCKET=${{PCI_EP_SOCKET:-$DIR/{base}.sock}}
{body}
'''


def find_qemu(build: str, arch: str, named: Optional[str] = None) -> str:
    """Return the QEMU binary: the one named, else the one "make" built."""
    here = ARCH[arch]
    if named:
        if os.path.isdir(named):
            named = os.path.join(named, os.path.basename(here.qemu))
        if not os.access(named, os.X_OK):
            raise CannotRun(
                f'no QEMU at {named}: check the path given to --qemu')
        return os.path.abspath(named)
    path = os.path.join(build, here.qemu)
    if not os.access(path, os.X_OK):
        raise CannotRun(f'no QEMU at {path}: run "{here.make}" first, or '
                        'name one with --qemu')
    return path
