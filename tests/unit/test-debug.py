#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of run/debug.py: what --gdb and --ftrace make of a kernel."""

import argparse
import os
import sys
import tempfile

from python_tests import contains, equal, main, raises
from pciep import CannotRun
from pciep.image.kernels import Kernel
from pciep.run import debug
from pciep.vm.setup import GuestOptions, Setup


class Guest:
    """What run/debug.py needs of a guest."""

    def __init__(self, socket):
        self.gdb_socket = socket


class Place:
    """A kernel with symbols, and the setup of a run."""

    def __init__(self, directory):
        self.directory = directory
        for name in ('out/vmlinux', 'ours/pcie-qemu-ep.ko', 'own/mine.ko',
                     'theirs/pcie_qemu_ep.ko', 'theirs/pci-epf-test.ko'):
            self.write(name)
        self.kernel = Kernel(
            image='none', release='7.0', vmlinux=self.path('out/vmlinux'),
            symbols=[self.path('ours'), self.path('theirs'),
                     self.path('missing')],
            symbol_files={'mine': self.path('own/mine.ko')})
        os.makedirs(self.path('sockets'))
        os.makedirs(self.path('run'))
        self.setup = Setup(
            rundir=self.path('run'), qemu='', accel='tcg', gdb='ep',
            guests=[GuestOptions(name='host', kernel=self.kernel),
                    GuestOptions(name='ep', kernel=self.kernel)])
        self.guests = {'ep': Guest(self.path('sockets/gdb'))}

    def path(self, name):
        """Return the path of a file."""
        return os.path.join(self.directory, name)

    def write(self, name, text=''):
        """Write a file."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), 'w', encoding='utf-8') as file:
            file.write(text)

    def gdb(self):
        """Return what is said, and the commands for gdb."""
        said = []
        debug.prepare(self, said.append)
        with open(self.path('run/ep.gdb'), encoding='utf-8') as file:
            return said, [line for line in file.read().splitlines()
                          if line[0] != '#']


def with_place(test):
    """Decorator: the test gets a Place, outside tmux."""
    def run():
        os.environ.pop('TMUX', None)
        with tempfile.TemporaryDirectory() as directory:
            test(Place(directory))
    return run


@with_place
def test_gdb(place):
    place.write('out/vmlinux-gdb.py')
    said, commands = place.gdb()
    symbols = place.path('sockets/symbols')
    equal(commands, [
        f'file {place.path("out/vmlinux")}', f'cd {symbols}',
        f'source {place.path("out/vmlinux-gdb.py")}',
        f'target remote {place.path("sockets/gdb")}',
        f'lx-symbols {symbols}'], 'the commands')
    equal({name: os.readlink(os.path.join(symbols, name))
           for name in os.listdir(symbols)},
          {'pcie_qemu_ep.ko': place.path('ours/pcie-qemu-ep.ko'),
           'pci_epf_test.ko': place.path('theirs/pci-epf-test.ko'),
           'mine.ko': place.path('own/mine.ko')}, 'files with symbols')
    contains(said[-1], f'gdb -q -x {place.path("run/ep.gdb")}$', 'the line')


@with_place
def test_gdb_without_scripts_of_the_kernel(place):
    commands = place.gdb()[1]
    equal([line.split()[0] for line in commands], ['file', 'cd', 'target'],
          'the commands')


@with_place
def test_gdb_is_not_installed(place):
    path, os.environ['PATH'] = os.environ['PATH'], place.directory
    try:
        said = place.gdb()[0]
    finally:
        os.environ['PATH'] = path
    contains(said[0], 'gdb is not installed: apt-get install gdb', 'the hint')
    equal(len(said), 2, 'the command is printed as well')


@with_place
def test_tmux(place):
    """A window opens once the guests have booted, and no line is printed."""
    for name in ('gdb', 'tmux'):
        place.write(f'bin/{name}', '#!/bin/sh\nprintf "%s|" "$@" >'
                    f'{place.path("called")}\n')
        os.chmod(place.path(f'bin/{name}'), 0o755)
    path, os.environ['PATH'] = os.environ['PATH'], place.path('bin')
    os.environ['TMUX'] = 'here'
    try:
        said = place.gdb()[0]
        equal(said, [], 'what is said before')
        debug.begin(place, said.append)
        place.write('bin/tmux', '#!/bin/sh\nexit 1\n')
        debug.begin(place, said.append)
    finally:
        os.environ['PATH'] = path
        del os.environ['TMUX']
    script = place.path('run/ep.gdb')
    with open(place.path('called'), encoding='utf-8') as file:
        equal(file.read(), f'new-window|-d|-n|gdb ep|gdb -q -x {script}|',
              'arguments of tmux')
    equal(said, ['gdb runs in the tmux window "gdb ep"',
                 'tmux does not open a window; in another terminal: '
                 f'gdb -q -x {script}'], 'what is said')


def test_what_is_traced():
    for text, line in (('pci:*', 'event pci:*'),
                       ('irq:irq_*_exit', 'event irq:irq_*_exit'),
                       ('graph:pci-epf-test', 'graph pci_epf_test'),
                       ('graph:pci_epc_*', 'graph pci_epc_*')):
        equal(debug.traced(text), line, text)
    for text in ('pci', 'graph:', ':x', 'a:b:c', 'graph:a b', 'x:y z'):
        contains(raises(argparse.ArgumentTypeError, debug.traced, text),
                 'write an event such as', text)


@with_place
def test_kernel_lacks_something(place):
    options = argparse.Namespace(
        ftrace=['event pci:*'], host_ftrace=[], ep_ftrace=['graph mine'],
        gdb='host')
    kernels = {'host': place.kernel, 'ep': place.kernel}
    # Nothing is known about the configuration.
    debug.check_kernels(options, kernels)
    place.kernel.config = place.path('config')
    place.write('config', 'CONFIG_EVENT_TRACING=y\nCONFIG_VIRTIO_CONSOLE=m\n'
                '# CONFIG_DYNAMIC_FTRACE is not set\n')
    contains(raises(CannotRun, debug.check_kernels, options, kernels),
             'needs CONFIG_FUNCTION_GRAPH_TRACER and CONFIG_DYNAMIC_FTRACE, '
             'which the ep kernel 7.0 does not have: add --kernel-name '
             '7-trace', 'the error')
    options.ep_ftrace = []
    debug.check_kernels(options, kernels)
    place.kernel.vmlinux = ''
    contains(raises(CannotRun, debug.check_kernels, options, kernels),
             '--gdb needs debug information.* the host kernel', 'the error')


@with_place
def test_module_that_no_guest_has(place):
    for line in ('event pci:*', 'graph mine', 'graph pcie_qemu_ep',
                 'graph any*'):
        place.setup.guests[1].ftrace = [line]
        debug.check_ftrace(place.setup)
    place.setup.guests[1].ftrace = ['graph mien']
    contains(raises(CannotRun, debug.check_ftrace, place.setup),
             'graph:mien: no guest has such a module', 'the error')


if __name__ == '__main__':
    sys.exit(main(globals()))
