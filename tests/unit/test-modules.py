#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of the modules that a user asks for: image/modfile.py."""

import os
import struct
import sys
import tempfile

from python_tests import contains, equal, main, raises
from pciep import CannotRun
from pciep.image import kernels, modfile
from pciep.image.initramfs import Archive, find_busybox
from pciep.image.kernels import Kernel, Modules

MAGIC = '7.0.0 SMP preempt mod_unload '
X86_64, AARCH64 = 62, 183


def module_bytes(name, depends='', magic=MAGIC, machine=X86_64, bits=64,
                 aliases=()):
    """Return an ELF file with nothing but a section .modinfo."""
    info = b'license=GPL\0' + f'depends={depends}\0'.encode()
    info += b''.join(f'alias={alias}\0'.encode() for alias in aliases)
    info += f'name={name}\0vermagic={magic}\0'.encode()
    names = b'\0.shstrtab\0.modinfo\0'
    head, entry = (64, '<IIQQQQIIQQ') if bits == 64 else (52, '<10I')
    table = head + len(names) + len(info)
    sections = b''.join(
        struct.pack(entry, at, 1, 0, 0, offset, size, 0, 0, 1, 0)
        for at, offset, size in ((0, 0, 0), (1, head, len(names)),
                                 (11, head + len(names), len(info))))
    form = '<HHIQQQIHHHHHH' if bits == 64 else '<HHIIIIIHHHHHH'
    header = struct.pack(form, 1, machine, 1, 0, 0, table, 0, head, 0, 0,
                         struct.calcsize(entry), 3, 1)
    ident = b'\x7fELF' + bytes([2 if bits == 64 else 1, 1, 1]) + bytes(9)
    return ident + header + names + info + sections


class Place:
    """A directory with a kernel's tree and files of a user."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(os.path.join(directory, 'tree', 'kernel'))
        self.write('tree/modules.dep', b'kernel/base.ko:\n'
                   b'kernel/pci-epf-test.ko: kernel/base.ko\n'
                   b'kernel/user.ko: kernel/pci-epf-test.ko kernel/base.ko\n')
        self.write('tree/modules.builtin', b'kernel/pci-epc-core.ko\n')
        for name in ('base', 'pci-epf-test', 'user'):
            self.module(f'tree/kernel/{name}.ko', name.replace('-', '_'))
        self.write('bzImage', b'')
        self.kernel = Kernel(
            image=os.path.join(directory, 'bzImage'), release='7.0.0',
            modules=Modules(os.path.join(directory, 'tree')))

    def write(self, name, data):
        """Write a file, and return its path."""
        path = os.path.join(self.directory, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def module(self, name, *args, **more):
        """Write a module, and return its path."""
        return self.write(name, module_bytes(*args, **more))

    def resolve(self, *texts, own=()):
        """Return names and tree that --ep-module with these values makes."""
        found = modfile.resolve(texts, self.kernel, 'x86_64', 'ep', own)
        return found.load, found.tree

    def refused(self, pattern, *texts):
        """The values are refused in one line that matches the pattern."""
        error = raises(CannotRun, self.resolve, *texts)
        equal(len(error.splitlines()), 1, 'lines of the error')
        contains(error, pattern, 'the error')


def with_place(test):
    """Decorator: the test gets a Place."""
    def run():
        with tempfile.TemporaryDirectory() as directory:
            test(Place(directory))
    return run


@with_place
def test_release_of_an_image(place):
    """It may be far behind the header, as in kernels of Debian."""
    for offset in (0x300, 0x44c0, 0xff00):
        head = bytearray(offset + 0x20000)
        head[0x202:0x206] = b'HdrS'
        struct.pack_into('<H', head, 0x20e, offset - 0x200)
        head[offset:offset + 20] = b'6.1.0-57 (me@there)\0'
        equal(kernels.read_release(place.write('image', bytes(head))),
              '6.1.0-57', f'release at {offset:#x}')
    equal(kernels.read_release(place.write('image', b'text')), '', 'no image')


@with_place
def test_id_tables(place):
    """What binds to a PCI function is known unless a module is built in."""
    one = 'pci:v00001AF4d000010F0sv*sd*bc*sc*i*'
    every = 'pci:v*d*sv*sd*bc01sc08i02*'
    place.module('tree/kernel/user.ko', 'user',
                 aliases=('usb:v1234', one, every))
    tree = place.kernel.modules
    equal(modfile.pci_aliases(['base', 'user'], tree),
          [('user', one, '1af4:10f0'), ('user', every, '*:*')], 'the tables')
    for names, of in ((['base'], tree), (['user', 'pci-epc-core'], tree),
                      (['user', 'none'], tree), (['user'], None), ([], tree)):
        equal(modfile.pci_aliases(names, of), [], f'tables of {names}')


@with_place
def test_soft_dependencies(place):
    """A module gets what modprobe would insert first, unless it is a loop."""
    os.mkdir(f'{place.directory}/soft')
    for name, text in (
            ('dep', 'fs/ext.ko: fs/journal.ko\nfs/journal.ko:\n'
                    'crypto/crc_generic.ko: crypto/base.ko\n'
                    'crypto/base.ko:\n'),
            ('alias', 'alias crypto-crc crc_generic\nalias pci:v* a b\n'),
            ('softdep', '# a comment\nsoftdep ext pre: crypto-crc none\n'
                        'softdep base pre: crc-generic\n'
                        'softdep journal post: crypto-crc\n'
                        'softdep gone pre: crypto-crc\n')):
        place.write(f'soft/modules.{name}', text.encode())
    modules = Modules(f'{place.directory}/soft')
    equal(modules.closure('ext'),
          ['crypto/base.ko', 'crypto/crc_generic.ko', 'fs/journal.ko',
           'fs/ext.ko'], 'what ext needs')
    equal(modules.closure('base'), ['crypto/base.ko'], 'a loop')
    equal(modules.closure('journal'), ['fs/journal.ko'], 'what comes after')


@with_place
def test_names(place):
    names, tree = place.resolve('pci-epf-test', 'pci_epc_core',
                                'pcie-qemu-ep')
    equal(names, ['pci_epf_test', 'pci_epc_core', 'pcie_qemu_ep'], 'names')
    equal(tree is place.kernel.modules, True, 'the tree is the kernel\'s')
    place.refused('no module pci-epf-tst: did you mean pci_epf_test',
                  'pci-epf-tst')
    place.refused('no module none_such: --ep-module takes a FILE.ko',
                  'none_such')
    place.kernel.modules = None
    place.refused('pass --ep-modules DIR', 'pci-epf-test')


@with_place
def test_file_is_added(place):
    mine = place.module('mine.ko', 'mine', 'base,pci_epc_core,other')
    other = place.module('other.ko', 'other')
    names, tree = place.resolve(mine, other)
    equal(names, ['mine', 'other'], 'names')
    equal(tree.closure('mine'),
          ['kernel/base.ko', 'extra/other.ko', 'extra/mine.ko'],
          'what is inserted for it')
    equal(tree.file('extra/mine.ko'), mine, 'its file')
    equal(place.kernel.modules.closure('mine'), None, 'the kernel\'s tree')
    place.refused('needs the module other, which .* pass it with --ep-module',
                  mine)


@with_place
def test_file_replaces(place):
    base = place.module('base.ko', 'base', 'other')
    other = place.module('other.ko', 'other')
    tree = place.resolve(base, other)[1]
    equal(tree.file('kernel/base.ko'), base, 'the file that is taken')
    equal(tree.closure('user'),
          ['extra/other.ko', 'kernel/base.ko', 'kernel/pci-epf-test.ko',
           'kernel/user.ko'], 'what is inserted for a user of it')


@with_place
def test_files_of_functions(place):
    """They are inserted in order, and can be named like those of the tree."""
    own = [place.module(f'{name}.ko', name, needs)
           for name, needs in (('a', 'b,c'), ('b', 'base'), ('c', 'b'))]
    names, tree = place.resolve('c', own=own)
    equal(names, ['c'], 'names')
    equal(tree.closure('a'), ['kernel/base.ko', 'extra/b.ko', 'extra/c.ko',
                              'extra/a.ko'], 'what is inserted for it')
    os.mkdir(os.path.join(place.directory, 'other'))
    same = place.module('other/a.ko', 'a')
    contains(raises(CannotRun, lambda: place.resolve(own=[*own, same])),
             'are modules of one name', 'the error')


@with_place
def test_file_instead_of_a_function_s(place):
    """What the command line names stands for what a function brings."""
    own = place.module('mine.ko', 'mine', 'base')
    os.mkdir(os.path.join(place.directory, 'other'))
    given = place.module('other/mine.ko', 'mine')
    found = modfile.resolve([given], place.kernel, 'x86_64', 'ep', [own])
    equal(found.tree.file('extra/mine.ko'), given, 'the file that is taken')
    equal(found.tree.closure('mine'), ['extra/mine.ko'], 'what is inserted')
    equal(found.replaced, [(own, given)], 'what the user is told')


@with_place
def test_file_without_a_tree(place):
    place.kernel.modules = None
    mine = place.module('mine.ko', 'mine')
    equal(place.resolve(mine)[1].closure('mine'), ['extra/mine.ko'], 'paths')


@with_place
def test_wrong_files(place):
    place.refused('no module file /none/mine.ko: check --ep-module',
                  '/none/mine.ko')
    for data in (b'', b'text', b'\x7fELF\2\1', module_bytes('mine')[:200],
                 module_bytes('mine').replace(b'.modinfo', b'.nothing')):
        place.refused('is no kernel module', place.write('mine.ko', data))
    place.refused('is for aarch64 and the endpoint guest is x86_64',
                  place.module('arm.ko', 'arm', machine=AARCH64))
    place.refused('is for i386',
                  place.module('old.ko', 'old', machine=3, bits=32))
    place.refused("built for '6.12.1 SMP' and the endpoint kernel is "
                  "'7.0.0 SMP preempt mod_unload': build it",
                  place.module('six.ko', 'six', magic='6.12.1 SMP '))
    place.refused('built for', place.module(
        'rt.ko', 'rt', magic='7.0.0 SMP preempt_rt mod_unload '))
    place.refused('--ep-driver', place.module('driver.ko', 'pcie_qemu_ep'))


@with_place
def test_vermagic_of_an_unknown_tree(place):
    place.kernel.modules = None
    place.refused('built for', place.module('six.ko', 'six', magic='6.12.1 '))
    place.kernel.release = ''
    equal(place.resolve(place.module('six.ko', 'six', magic='6.12.1 '))[0],
          ['six'], 'a kernel of unknown release')


@with_place
def test_driver(place):
    """A driver that the user names comes before that of the tree."""
    tree = place.kernel.modules
    tree.add('pcie_qemu_ep', place.module('old.ko', 'pcie_qemu_ep'), [])
    equal(place.kernel.driver(), None, 'the driver of the tree')
    mine = place.module('pcie-qemu-ep.ko', 'pcie_qemu_ep')
    place.kernel.drivers, place.kernel.own_driver = [mine], True
    equal(place.kernel.driver(), mine, 'the driver that is named')


@with_place
def test_last_file_of_a_name(place):
    """Extra files give way to files of the user, and to nothing else."""
    mine = place.module('user.ko', 'user')
    extra = place.module('extra.ko', 'extra')
    tree = place.resolve(mine)[1]
    archive = Archive()
    kernels.add_modules(archive, place.kernel, tree, ['user'],
                        [place.module('tree/user.ko', 'user', 'x'), extra])
    equal(archive.entries['pciep/load/user'].data,
          b'/lib/modules/7.0.0/kernel/user.ko\n', 'user')
    equal(archive.entries['pciep/load/extra'].data,
          b'/lib/modules/extra.ko\n', 'extra')
    equal(archive.entries['pciep/builtin'].data, b'pci_epc_core\n',
          'what is built in')


@with_place
def test_busybox_that_is_named(place):
    os.environ['PCI_EP_BUSYBOX'] = place.directory
    try:
        contains(raises(CannotRun, find_busybox), 'check PCI_EP_BUSYBOX',
                 'error')
    finally:
        del os.environ['PCI_EP_BUSYBOX']


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
