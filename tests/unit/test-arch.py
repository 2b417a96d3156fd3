#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of guests of another architecture; nothing of it is built."""

import os
import struct
import subprocess
import sys
import tempfile

from python_tests import contains, equal, main, raises
from pciep import CannotRun
from pciep.arch import ARCH, of_kernel
from pciep.image import kernels, programs, variants
from pciep.image.initramfs import Archive, find_busybox
from pciep.image.kernels import Kernel
from pciep.vm import accel, machine
from pciep.vm.machine import MachineSpec
from pciep.vm.setup import GuestOptions, Setup

LIBRARY = 'int mine(void) { return 1; }\n'
PROGRAM = 'int mine(void);\nint main(void) { return mine(); }\n'
X86_64, ARM64 = 62, 183  # e_machine


def write(path, data, mode=0o644):
    """Write a file, and return its path."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)
    os.chmod(path, mode)
    return path


def image(arch):
    """Return the begin of a kernel image."""
    head = bytearray(0x400)
    if arch == 'arm64':
        head[0x38:0x3c] = b'ARM\x64'
        return bytes(head) + b'Linux version 7.1.2-arm64 (somebody) '
    head[0x202:0x206] = b'HdrS'
    struct.pack_into('<H', head, 0x20e, 0x100)
    head[0x300:0x306] = b'7.1.2 '
    return bytes(head)


def elf(number):
    """Return the begin of a static program for a machine."""
    return b'\x7fELF\x02\x01' + bytes(12) + struct.pack('<H', number) \
        + bytes(44)


def words(arch, role, iommu='none'):
    """Return the command line of a guest under TCG."""
    spec = MachineSpec(name=role, role=role, arch=arch, qemu='q', kernel='k',
                       initramfs='i', accel='tcg', iommu=iommu)
    return spec.command('socket', [])


def test_kernel_names():
    """The name of a kernel in build/ tells its architecture."""
    for name, arch in (('7', 'x86_64'), ('7-debug', 'x86_64'),
                       ('7-arm64', 'arm64'), ('6.12-arm64', 'arm64'),
                       ('7-64k-arm64', 'arm64'),
                       ('7-arm64-0123abcd', 'arm64')):
        equal(of_kernel(name), arch, name)
    wanted = variants.Wanted(name='7', arch='arm64')
    equal(wanted.label, '7-arm64', 'label')
    equal(list(wanted.arguments), ['--as', '7-arm64', '7-arm64'], 'arguments')
    equal(variants.Wanted(name='7').label, '7', 'label of x86')


def test_images():
    """Release and architecture are read from an image of either kind."""
    with tempfile.TemporaryDirectory() as top:
        for arch, release in (('x86_64', '7.1.2'), ('arm64', '7.1.2-arm64')):
            path = write(f'{top}/{arch}', image(arch))
            equal(kernels.read_release(path), release, arch)
        kernel = kernels.custom(top, '7-arm64', image=f'{top}/arm64')
        equal(kernel.arch, 'arm64', 'architecture')
        contains(raises(CannotRun, lambda: kernels.custom(
            top, '7-arm64', image=f'{top}/x86_64')),
            'is a kernel for x86_64 and the guest is arm64', 'the line')


def test_driver():
    """A driver for the other architecture is none."""
    with tempfile.TemporaryDirectory() as top:
        for name in ('7', '7-arm64'):
            write(f'{top}/modules-{name}/{kernels.DRIVER}.ko',
                  b'\0vermagic=7.1.2 SMP\0')
        for name, other in (('7', 'x86_64'), ('7-arm64', 'arm64')):
            path = write(f'{top}/{other}', image(other))
            found = kernels.custom(top, name, image=path)
            equal(found.drivers,
                  [f'{top}/modules-{name}/{kernels.DRIVER}.ko'], name)


def test_not_built():
    """Each part that is not there is named with what builds it."""
    with tempfile.TemporaryDirectory() as top:
        for name, make in (('7-arm64', 'make aarch64"'),
                           ('6.12-arm64', 'make aarch64 KERNEL=6.12"')):
            contains(raises(CannotRun, kernels.built, top, name),
                     f'no guest kernel "{name}" .*run "{make} first', name)
        contains(raises(CannotRun, machine.find_qemu, top, 'arm64'),
                 'no QEMU at .*: run "make aarch64" first', 'QEMU')
        contains(raises(CannotRun, programs.sysroot, top, 'arm64'),
                 'no programs for arm64 .*run "make aarch64"', 'programs')
        equal(programs.sysroot(top, 'x86_64'), '', 'root of x86')


def test_libraries():
    """The libraries of a program are found in the root, at their paths."""
    with tempfile.TemporaryDirectory() as top:
        root, build = f'{top}/root', f'{top}/build'
        place = f'{root}/usr/lib/some-linux-gnu'
        os.makedirs(place)
        os.makedirs(f'{root}/lib')
        write(f'{build}/mine.c', LIBRARY.encode())
        write(f'{build}/main.c', PROGRAM.encode())
        subprocess.run(['cc', '-shared', '-nostdlib', '-o',
                        f'{place}/libmine.so', f'{build}/mine.c'], check=True)
        subprocess.run(['cc', '-nostdlib', '-o', f'{build}/program',
                        f'{build}/main.c', f'-L{place}', '-lmine'],
                       stderr=subprocess.DEVNULL, check=True)
        found = programs.foreign_libraries(f'{build}/program', root)
        equal(found[1:], ['/usr/lib/some-linux-gnu/libmine.so'], 'libraries')
        contains(found[0], '^/lib.*/ld-', 'loader')
        # One that is elsewhere, where the program says
        os.mkdir(f'{place}/own')
        os.rename(f'{place}/libmine.so', f'{place}/own/libmine.so')
        subprocess.run(['cc', '-nostdlib', '-o', f'{build}/knows',
                        f'{build}/main.c', f'-L{place}/own', '-lmine',
                        '-Wl,-rpath,/usr/lib/some-linux-gnu/own'],
                       stderr=subprocess.DEVNULL, check=True)
        equal(programs.foreign_libraries(f'{build}/knows', root)[1:],
              ['/usr/lib/some-linux-gnu/own/libmine.so'], 'libraries')
        contains(raises(CannotRun, programs.foreign_libraries,
                        f'{build}/program', root),
                 'needs libmine.so, which .* does not have', 'the line')


def test_programs():
    """Programs come from the root, and those of this machine do not fit."""
    with tempfile.TemporaryDirectory() as top:
        root = f'{top}/{ARCH["arm64"].sysroot}'
        write(f'{root}/usr/bin/lspci', elf(ARM64), 0o755)
        equal(programs.tools(root), ['lspci'], 'tools')
        archive = Archive()
        programs.add(archive, ['lspci'], root)
        equal(archive.entries['bin/lspci'].data, elf(ARM64), 'the program')
        contains(raises(CannotRun, programs.find, 'sh', root),
                 'no program sh for the guest', 'the line')
        own = write(f'{top}/own', elf(X86_64), 0o755)
        contains(raises(CannotRun, programs.add, archive, [own], root),
                 'own is a program for x86_64 and the guest is arm64: build '
                 'it with aarch64-linux-gnu-gcc', 'the line')
        contains(raises(CannotRun, find_busybox, root),
                 'no static busybox in .*make aarch64', 'the line')
        write(f'{root}/bin/busybox', elf(ARM64), 0o755)
        equal(find_busybox(root), f'{root}/bin/busybox', 'busybox')


def test_command_lines():
    """What knows one architecture is in no command line of the other."""
    arm = ' '.join(words('arm64', 'host'))
    contains(arm, '-M virt,gic-version=3,memory-backend=ram0 ', 'machine')
    contains(arm, '-serial chardev:console -serial chardev:results',
             'serial ports')
    contains(arm, 'console=ttyAMA0', 'kernel arguments')
    contains(arm, '-global epf-bridge.intx-hold-us=', 'property of the port')
    equal([word for word in ('isa-', 'ICH9', 'intel', 'tsc', 'ttyS')
           if word in arm], [], 'words of x86')
    x86 = ' '.join(words('x86_64', 'host'))
    equal([word for word in ('virt,', 'smmu', 'ttyAMA', 'hpmmio', 'intx')
           if word in x86], [], 'words of arm64')
    contains(' '.join(words('arm64', 'host', 'smmuv3')), 'iommu=smmuv3',
             'machine')
    equal('hpmmio' in ' '.join(words('arm64', 'ep')), False,
          'whether the endpoint has arguments of the host')


def test_mixed():
    """Each guest has its own QEMU and accelerator."""
    guests = [GuestOptions(name='host', kernel=Kernel(image='k', release='7')),
              GuestOptions(name='ep', kernel=Kernel(
                  image='k', release='7', arch='arm64'),
                  qemu='other', accel='tcg')]
    setup = Setup(rundir='', qemu='q', accel='kvm', guests=guests)
    equal(setup.accels, 'host kvm, ep tcg', 'accelerators')
    equal([g.arch.console for g in guests], ['ttyS0', 'ttyAMA0'], 'consoles')


def test_accelerator():
    """KVM runs guests of this machine only."""
    said = []
    foreign = 'arm64' if os.uname().machine == 'x86_64' else 'x86_64'
    equal(accel.choose('auto', '/none', '/none', foreign, said.append), 'tcg',
          'accelerator')
    equal(said, [], 'what it says')
    contains(raises(CannotRun, accel.choose, 'kvm', '/none', '/none', foreign,
                    said.append), f'a guest is {foreign}; leave out --accel',
             'the line')


if __name__ == '__main__':
    sys.exit(main(globals()))
