# SPDX-License-Identifier: GPL-2.0-or-later
"""How the launcher reads functions, and its command lines for QEMU."""

import os
import re
from unittest import mock

from lib import Skipped, check, contains, equal, functions
from pciep.arch import ARCH
from pciep.image.kernels import Kernel
from pciep.vm import ticks
from pciep.vm.machine import MachineSpec
from pciep.vm.setup import GuestOptions, Setup

FUNCTION = '''
from pciep.functions import Function, Option
FUNCTION = Function(
    about='a function of the test',
    endpoint='0x1af4:0x1234',
    options={'size': Option(default='1M', kind='size', about='its size')},
)
'''


def refused(pattern, *texts):
    """The request is refused, and the error matches the pattern."""
    try:
        functions.instances(texts)
    except ValueError as error:
        contains(str(error), pattern, f'error for {texts}')
        return
    check(False, f'{texts} was accepted')


def setup_for(*texts):
    """Return the setup of a run with these functions."""
    found = functions.instances(texts)
    kernel = Kernel(image='bzImage', release='7.0.0')
    names = functions.hosts(found) + ['ep']
    return Setup(rundir='/run', qemu='/qemu', accel='tcg', functions=found,
                 guests=[GuestOptions(name=n, kernel=kernel) for n in names])


def devices(setup, name):
    """Return the -device arguments that are ends of links."""
    options = setup.guest(name)
    spec = MachineSpec(name=name, role=options.role, arch=options.kernel.arch,
                       qemu=setup.qemu, kernel='k', initramfs='i',
                       accel='tcg', socket='/s', links=setup.links(name))
    return [word for word in spec.command('/s', [])
            if word.startswith(('pci-epc,', 'epf-bridge,'))]


def test_functions_are_complete(t):
    """
    Each directory in scripts/functions has what a function needs.

    Some have what several functions share, and are named by them.
    """
    names = {n for n in os.listdir(functions.DIRECTORY) if n[0] not in '_.'}
    available = functions.available()
    shared = {f.shared for f in available.values() if f.shared}
    equal({*available, *shared}, names, 'functions')
    for name in available:
        found, = functions.instances([name])
        missing = {'ep.sh', 'host.sh'} - set(found.scripts())
        equal(missing, set(), f'scripts that {name} lacks')


def test_function_is_found_by_its_directory(t):
    """Adding a function takes a directory and nothing else."""
    directory = os.path.join(t.rundir, 'functions')
    os.makedirs(os.path.join(directory, 'mine'), exist_ok=True)
    t.file('functions/mine/function.py', FUNCTION)
    t.file('functions/mine/ep.sh', '')
    with mock.patch.object(functions, 'DIRECTORY', directory):
        functions.available.cache_clear()
        found = functions.instances(['mine,size=4K'])[0]
        equal(found.options, {'size': '4K'}, 'options')
        equal(list(functions.scripts('mine')), ['ep.sh'], 'scripts')
    functions.available.cache_clear()


def test_requests_that_make_no_sense(t):
    refused('no function none; there is test', 'none')
    refused('test has no option size', 'test,size=1M')
    refused('vfs=many: write a number', 'test,vfs=many')
    refused('disk=tape: write ram or file', 'nvme,disk=tape')
    refused('size=0M: write a size such as', 'nvme,size=0M')
    refused('controller=8: at most 7', 'test,controller=8')
    refused('0 functions on controller 0', 'test,controller=1')
    refused('9 functions on controller 0', *['test'] * 9)
    refused('only the first function', 'nvme', 'test,vfs=1')
    refused('has 8 of both together', 'test,vfs=7', 'test')
    refused('give no other function', 'ntb', 'test')


def test_links(t):
    """Each link has its ends in the endpoint guest and in one host."""
    one = setup_for('test', 'nvme')
    equal(devices(one, 'ep'), ['pci-epc,id=epc0,functions=2,socket=/s'],
          'device of the endpoint')
    equal(devices(one, 'host'),
          ['epf-bridge,id=rp0,chassis=1,slot=1,socket=/s'],
          'device of the host')

    two = setup_for('test', 'test,controller=1')
    equal(devices(two, 'ep'),
          ['pci-epc,id=epc0,socket=/s', 'pci-epc,id=epc1,socket=/s-1'],
          'devices of the endpoint with two controllers')
    equal(len(devices(two, 'host')), 2, 'root ports of the host')

    hosts = setup_for('ntb')
    equal([g.name for g in hosts.guests], ['host', 'host2', 'ep'], 'guests')
    equal(devices(hosts, 'host'),
          ['epf-bridge,id=rp0,chassis=1,slot=1,socket=/s'],
          'device of the first host')
    equal(devices(hosts, 'host2'),
          ['epf-bridge,id=rp1,chassis=2,slot=2,socket=/s-1'],
          'device of the second host')


def test_memory(t):
    """A guest has what its functions need in addition."""
    found = functions.instances(['nvme,disk=ram,size=1G'])
    equal(functions.memory('ep', found), '1536M', 'memory of the endpoint')
    equal(functions.memory('host', found), '768M', 'memory of the host')
    found = functions.instances(['nvme,disk=file'])
    equal(functions.memory('ep', found), '512M', 'memory with a file')


def test_iommus(t):
    """Every word of --host-iommu makes a command line."""
    for arch, iommu, what in ((arch, iommu, what) for arch in ARCH
                              for iommu, what in
                              ARCH[arch].host_iommu.items()):
        spec = MachineSpec(name='host', role='host', arch=arch, qemu='q',
                           kernel='k', initramfs='i', accel='tcg',
                           iommu=iommu)
        words = spec.command(None, [])
        check(not what.device or what.device in words,
              f'{iommu}: no {what.device} in {words}')
        check(what.machine in words[words.index('-M') + 1],
              f'{iommu}: no {what.machine} in {words}')
        append = words[words.index('-append') + 1]
        check(append.endswith(what.append), f'{iommu}: arguments {append}')


def test_kernel_knows_frequency(t):
    """A guest under TCG need not measure the time stamp counter."""
    bed = t.testbed()
    if bed.setup.accel != 'tcg' or not ticks.tsc_khz():
        raise Skipped('only x86 guests under TCG on x86 are told')
    with bed:
        bed.boot('host')
        out = bed.run('host', 'dmesg')[1]
    # First what it has measured for the processor, and then, if it differs,
    # what it takes for the counter.
    seen = re.findall(r'tsc: Detected ([0-9.]+) MHz', out)
    equal(seen and float(seen[-1]), ticks.tsc_khz() / 1000,
          'MHz that the kernel takes')
