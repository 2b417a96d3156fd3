# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU command line of a guest; what differs per architecture is in ARCH."""

import os
import shlex

from . import CannotRun

# Two guests are much for a small machine, which may do other things as well: an answer
# that comes late does not mean that the other side is gone.  The default is 1000.
DEADLINE = 4000

ARCH = {
    'x86_64': {
        'qemu': 'qemu-system-x86_64',
        # ACPI hot-plug would take the root port's slot away from the kernel's pciehp.
        'machine': 'q35,sata=off,smbus=off,usb=off,vmport=off,hpet=off',
        'machine_kvm': 'kernel-irqchip=split',
        'cpu': {'kvm': 'host', 'tcg': 'max'},
        'append': 'console=ttyS0,115200 panic=-1 no_timer_check tsc=reliable nokaslr '
        'mitigations=off',
        'console': 'ttyS0',
        'results': 'ttyS1',
        'host': [
            '-global',
            'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off',
        ],
        # 32 MSI vectors need interrupt remapping, so even "none" has the device.
        'host_iommu': {
            'none': ('intel-iommu,intremap=on', 'intel_iommu=off'),
            'intel': ('intel-iommu,intremap=on', 'intel_iommu=on iommu.passthrough=0'),
            'intel-cm': (
                'intel-iommu,intremap=on,caching-mode=on',
                'intel_iommu=on iommu.passthrough=0',
            ),
            'virtio': ('virtio-iommu-pci', 'iommu.passthrough=0'),
        },
        # Those that do not tell what they map, those without interrupt remapping
        'silent_iommu': ['intel'],
        'plain_iommu': ['virtio'],
        'serial': lambda chardev: ['-device', f'isa-serial,chardev={chardev}'],
    }
}


class Spec:
    """One guest's machine.  Paths of its chardevs are filled in by whoever starts it."""

    def __init__(
        self,
        role,
        arch,
        qemu,
        kernel,
        initramfs,
        accel,
        cpus,
        mem,
        socket=None,
        net=False,
        shared=True,
        append='',
        extra=(),
        name=None,
        iommu='none',
        links=None,
    ):
        self.role, self.arch, self.qemu = role, ARCH[arch], qemu
        self.kernel, self.initramfs, self.accel = kernel, initramfs, accel
        self.cpus, self.mem, self.socket = cpus, mem, socket
        self.net, self.shared, self.append, self.extra = net, shared, append, list(extra)
        self.name = name or role
        self.iommu = iommu  # of the host
        self.links = links or {0: 1}  # controllers here or linked to: functions of each
        self.reboot = False  # a reset ends the guest

    def link(self, socket):
        device = 'pci-epc' if self.role == 'ep' else 'epf-bridge'
        args = ['-global', f'{device}.deadline-ms={DEADLINE}'] if self.socket else []
        for n, functions in self.links.items() if self.socket else ():
            path = f'{socket}-{n}' if n else socket
            args += ['-device']
            if self.role == 'ep':
                more = f'functions={functions},' if functions > 1 else ''
                args += [f'pci-epc,id=epc{n},{more}socket={path}']
            else:
                port = f'chassis={n + 1},slot={n + 1}'
                args += [f'epf-bridge,id=rp{n},{port},socket={path}']
        return args

    def firmware(self):
        """-L for directories of QEMU's firmware that lie next to the binary."""
        here = os.path.dirname(os.path.realpath(self.qemu))
        dirs = [
            os.path.join(here, 'share'),
            os.path.join(here, '../share/qemu'),
            '/usr/share/seabios',
            '/usr/share/qemu',
        ]
        args = []
        for d in dirs:
            if os.path.isdir(d):
                args += ['-L', os.path.normpath(d)]
        return args

    def command(self, socket, chardevs, monitor=()):
        """@chardevs: the arguments that make the chardevs "console" and "results"."""
        a = self.arch
        machine = a['machine'] + ',memory-backend=ram0'
        if self.accel == 'kvm' and a['machine_kvm']:
            machine += ',' + a['machine_kvm']
        accel = 'tcg,thread=multi' if self.accel == 'tcg' else self.accel
        args = [
            self.qemu,
            '-name',
            f'pci-ep-{self.name}',
            '-nodefaults',
            '-no-user-config',
            '-display',
            'none',
        ]
        if not self.reboot:
            args.append('-no-reboot')
        args += self.firmware()
        args += [
            '-M',
            machine,
            '-accel',
            accel,
            '-cpu',
            a['cpu'][self.accel],
            '-smp',
            str(self.cpus),
            '-m',
            self.mem,
        ]
        if self.shared:
            args += ['-object', f'memory-backend-memfd,id=ram0,size={self.mem},share=on']
        else:
            args += ['-object', f'memory-backend-ram,id=ram0,size={self.mem}']
        append = a['append']
        if self.role == 'host':
            device, words = a['host_iommu'][self.iommu]
            args += a['host'] + ['-device', device]
            append += ' ' + words
        if self.append:
            append += ' ' + self.append
        args += ['-kernel', self.kernel, '-initrd', self.initramfs, '-append', append]
        args += list(chardevs) + a['serial']('console') + a['serial']('results')
        args += list(monitor)
        if self.net:
            args += [
                '-netdev',
                'user,id=net0',
                '-device',
                'virtio-net-pci,netdev=net0,romfile=',
            ]
        args += self.link(socket)
        args += self.extra
        return args

    def script(self, rundir):
        """A shell script that starts this guest by hand, on the terminal it runs on."""
        chardevs = [
            '-chardev',
            'stdio,id=console,mux=on,signal=off',
            '-chardev',
            f'file,id=results,path={rundir}/{self.name}.results',
        ]
        args = self.command(
            '@SOCKET@', chardevs, ['-mon', 'chardev=console,mode=readline']
        )
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
        return f'''#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The {self.name} guest of this run.  Start the scripts of all its guests, each in a
# terminal, in any order.  The console is on this terminal, Ctrl-A X ends QEMU; TAP goes
# to {self.name}.results in this directory.  PCI_EP_SOCKET names another socket; arguments
# of this script go to QEMU.
DIR=${{TMPDIR:-/tmp}}/pci-ep-$(id -u)
mkdir -p -m 700 "$DIR"
SOCKET=${{PCI_EP_SOCKET:-$DIR/{os.path.basename(rundir)}.sock}}
{body}
'''


def find_qemu(build, arch, named=None):
    """The QEMU binary: the one named, else the one "make" built."""
    if named:
        if os.path.isdir(named):
            named = os.path.join(named, ARCH[arch]['qemu'])
        if not os.access(named, os.X_OK):
            raise CannotRun(f'no QEMU at {named}: check the path given to --qemu')
        return os.path.abspath(named)
    path = os.path.join(build, 'qemu', ARCH[arch]['qemu'])
    if not os.access(path, os.X_OK):
        raise CannotRun(f'no QEMU at {path}: run "make" first, or name one with --qemu')
    return path
