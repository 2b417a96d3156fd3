# SPDX-License-Identifier: GPL-2.0-or-later
"""What can run between the guests.  A function NAME also has ep-NAME.sh and
host-NAME.sh in scripts/guest; both get its options as OPT_NAME."""

import os
import re

from . import CannotRun

# The kernel's selftest and its errno results came with 6.14; pcitest was before.
SELFTEST_SINCE = (6, 14)
MEMORY = 512  # MiB of a guest when nothing needs more
UNITS = {'K': 10, 'M': 20, 'G': 30}


class Option:
    """@kind: the words it may be, or "size", "number" or "path"."""

    def __init__(self, default, kind, about):
        self.default, self.kind, self.about = default, kind, about

    def check(self, name, text):
        if isinstance(self.kind, tuple):
            good, hint = text in self.kind, ' or '.join(self.kind)
        elif self.kind == 'size':
            good = re.fullmatch(r'[1-9]\d*[KMG]', text)
            hint = 'a size such as 64M or 1G'
        elif self.kind == 'number':
            good, hint = re.fullmatch(r'\d+', text), 'a number'
        else:
            good, hint = text, 'a path'
        if not good:
            raise ValueError(f'{name}={text}: write {hint}')
        return text


def size_of(text):
    return int(text[:-1]) << UNITS[text[-1]]


class Function:
    """@endpoint: vendor and device id that the host looks for.
    @dma_mode: what kind of DMA channel it has to find; None: what the driver offers.
    @remapping: its host driver needs interrupt remapping, for several MSI vectors.
    @corrected: modules of the endpoint's kernel that fixes=on replaces.
    @ep_memory: more memory of the endpoint guest, MiB, from the options.
    @ep_machine: more arguments of its QEMU, from the options and a directory.
    @vf_modules: modules of this project that implement its virtual functions.
    @hosts: host guests, each on a controller of its own.
    """

    def __init__(
        self,
        about,
        endpoint,
        host_modules=(),
        ep_modules=(),
        host_programs=(),
        host_memory=0,
        dma_mode=None,
        remapping=False,
        seconds=300,
        options=None,
        corrected=(),
        ep_memory=lambda options: 0,
        ep_machine=lambda instance, directory: [],
        vf_modules=(),
        hosts=1,
    ):
        self.about, self.endpoint, self.dma_mode = about, endpoint, dma_mode
        self.remapping = remapping
        self.modules = {'host': list(host_modules), 'ep': list(ep_modules)}
        self.programs = {'host': list(host_programs), 'ep': []}
        self.host_memory, self.seconds = host_memory, seconds
        self.options, self.corrected = options or {}, corrected
        self.ep_memory, self.ep_machine = ep_memory, ep_machine
        self.vf_modules = list(vf_modules)
        self.hosts = hosts


def _nvme_memory(options):
    if options['disk'] != 'ram':
        return 0
    return size_of(options['size']) >> 20


def _nvme_disk(instance, directory):
    """The file that the endpoint guest serves, as a disk of that guest."""
    o = instance.options
    if o['disk'] != 'file':
        return []
    path = o['path'] or os.path.join(directory, f'{instance.tag}.disk')
    try:
        with open(path, 'ab') as f:
            if not o['path']:
                f.truncate(0)
                f.truncate(size_of(o['size']))
    except OSError as e:
        raise CannotRun(
            f'cannot write the disk {path}: {e.strerror}; check path= of nvme'
        ) from e
    name = path.replace(',', ',,')
    return [
        '-drive',
        f'if=none,id={instance.tag},format=raw,file={name}',
        '-device',
        f'virtio-blk-pci,drive={instance.tag},serial={instance.tag}',
    ]


def _vf_machine(instance, directory):
    """A setting of the controller, whose own line is made elsewhere."""
    if not instance.vfs:
        return []
    return ['-set', f'device.epc{instance.controller}.vfs={instance.vfs}']


FUNCTIONS = {
    'test': Function(
        'pci-epf-test, driven by the kernel\'s pci_endpoint selftest',
        '0x104c:0xb500',
        ['pci_endpoint_test'],
        ['pci_epf_test'],
        options={
            'vfs': Option('0', 'number', 'virtual functions, each with the same test'),
        },
        ep_machine=_vf_machine,
        vf_modules=['pci-epf-vf-test'],
    ),
    'nvme': Function(
        'nvmet-pci-epf: an NVMe controller for the host\'s nvme driver',
        '0x1af4:0x10f1',
        ['nvme', 'ext4'],
        ['nvmet_pci_epf', 'brd', 'virtio_blk'],
        ['fio', 'mkfs.ext4', 'fsck.ext4'],
        host_memory=256,
        dma_mode='slave',
        seconds=600,
        options={
            'disk': Option('ram', ('ram', 'file'), 'what the controller serves'),
            'size': Option('128M', 'size', 'of that'),
            'path': Option('', 'path', 'file to serve, kept as it is; default a new one'),
            'data': Option('64M', 'size', 'written and read back at each queue depth'),
            'files': Option('1000', 'number', 'files in the file system'),
            'resets': Option('0', 'number', 'controller resets under load'),
            'fixes': Option(
                'off', ('on', 'off'), 'take nvmet-pci-epf with errors corrected'
            ),
        },
        corrected=['nvmet_pci_epf'],
        ep_memory=_nvme_memory,
        ep_machine=_nvme_disk,
    ),
    'vntb': Function(
        'pci-epf-vntb: a network between the guests, with ntb_hw_epf in the host',
        '0x1957:0x0809',
        ['ntb_hw_epf', 'ntb_transport', 'ntb_netdev'],
        ['pci_epf_vntb', 'ntb_transport', 'ntb_netdev'],
        ['ping'],
        remapping=True,
        options={
            'data': Option('16M', 'size', 'sent each way'),
            'pings': Option('1000', 'number', 'of a flood, none may be lost'),
        },
    ),
    'ntb': Function(
        'pci-epf-ntb: a network between two host guests, with ntb_hw_epf in both',
        '0x104c:0xb00d',
        ['ntb_hw_epf', 'ntb_transport', 'ntb_netdev'],
        ['pci_epf_ntb'],
        ['ping'],
        hosts=2,
        options={
            'data': Option('2M', 'size', 'sent each way'),
            'pings': Option('1000', 'number', 'of a flood, none may be lost'),
        },
    ),
}


CONTROLLERS = 8
CONTROLLER_FUNCTIONS = 8
CONTROLLER = Option('0', 'number', 'which controller of the endpoint guest it is on')


class Instance:
    """A function as the user asked for it: NAME or NAME,OPTION=VALUE,..."""

    def __init__(self, text):
        self.name, *settings = text.split(',')
        if self.name not in FUNCTIONS:
            raise ValueError(
                f'no function {self.name}; there is {", ".join(FUNCTIONS)}'
            )
        self.function = FUNCTIONS[self.name]
        known = {**self.function.options, 'controller': CONTROLLER}
        self.options = {k: v.default for k, v in known.items()}
        for setting in settings:
            name, _, value = setting.partition('=')
            if name not in known:
                names = ', '.join(known)
                raise ValueError(f'{self.name} has no option {name}; it has {names}')
            self.options[name] = known[name].check(name, value)
        self.controller = int(self.options.pop('controller'))
        if self.controller >= CONTROLLERS:
            raise ValueError(f'controller={self.controller}: at most {CONTROLLERS - 1}')
        self.number = 0  # on its controller, and so in the host
        self.index = 0  # of all functions
        self.tag = 'fn0'

    @property
    def vfs(self):
        return int(self.options.get('vfs', 0))

    @property
    def own_modules(self):
        """Modules of this project, beside the driver, that the endpoint needs."""
        return self.function.vf_modules if self.vfs else []

    def tests(self):
        """What the host tests: tag -> more for its scripts."""
        found = {self.tag: {}}
        for vf in range(1, self.vfs + 1):
            found[f'{self.tag}v{vf}'] = {'TAG': f'{self.tag}v{vf}', 'VF': vf}
        return found

    def env(self, guest):
        """What the scripts in a guest know about it."""
        env = {f'OPT_{k.upper()}': v for k, v in self.options.items()}
        env.update(
            FUNCTION=self.name,
            FN=self.number,
            INDEX=self.index,
            CONTROLLER=0 if guest == 'host2' else self.controller,
            TAG=self.tag,
            ENDPOINT=self.function.endpoint,
            VF=0,
            DMA_MODE=self.function.dma_mode or '',
        )
        return env


def instances(texts):
    """Function N of a controller is the Nth that was asked for."""
    found = [Instance(t) for t in texts]
    for index, i in enumerate(found):
        i.index, i.tag = index, f'fn{index}'
        i.number = sum(i.controller == other.controller for other in found[:index])
        if i.function.hosts > 1 and len(found) > 1:
            raise ValueError(f'{i.name} needs both host guests: give no other function')
    for n, count in enumerate(controllers(found)):
        if not 1 <= count <= CONTROLLER_FUNCTIONS:
            raise ValueError(
                f'{count} functions on controller {n}: give each controller up to '
                f'{CONTROLLER_FUNCTIONS}, and number controllers from 0'
            )
        for i in found:
            if i.controller == n and i.vfs:
                _check_vfs(i, count)
    return found


def _check_vfs(instance, functions):
    if instance.number:
        raise ValueError('vfs: only the first function of a controller has them')
    if functions + instance.vfs > CONTROLLER_FUNCTIONS:
        raise ValueError(
            f'vfs={instance.vfs} beside {functions} functions: a controller has '
            f'{CONTROLLER_FUNCTIONS} of both together'
        )


def controllers(found):
    """How many functions each controller has."""
    last = max([i.controller + i.function.hosts - 1 for i in found], default=0)
    counts = [
        sum(i.controller <= n < i.controller + i.function.hosts for i in found)
        for n in range(last + 1)
    ]
    return counts if found else [1]


def corrected(found):
    """Modules of the endpoint's kernel that are replaced: some function asks for it."""
    return {
        name
        for i in found
        for name in i.function.corrected
        if i.options.get('fixes') == 'on'
    }


def hosts(found):
    """Names of the host guests."""
    return ['host', 'host2'] if any(i.function.hosts > 1 for i in found) else ['host']


def links(found, guest):
    """The controllers that are in or linked to a guest: {number: functions}."""
    every = dict(enumerate(controllers(found)))
    if guest == 'ep' or len(hosts(found)) == 1:
        return every
    n = hosts(found).index(guest)
    return {n: every[n]}


def memory(role, found):
    """What a guest needs for these functions, as QEMU writes it."""
    if role == 'ep':
        more = sum(i.function.ep_memory(i.options) for i in found)
    else:
        more = sum(i.function.host_memory for i in found)
    return f'{MEMORY + more}M'


def test_tool(kernel):
    """Name of the test program that fits the host kernel's ioctls."""
    if kernel.version == (0, 0) or kernel.version >= SELFTEST_SINCE:
        return 'selftest', 'pci_endpoint_test'
    return 'pcitest', 'pcitest'
