# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests of arm64 on either side of the link, after "make aarch64"."""

from lib import Skipped, contains, equal, limit, long
from pciep import CannotRun
from pciep.arch import ARCH
from pciep.image import kernels, programs
from pciep.vm import machine
from test_selftest import COPIES, PASS, SKIP, judge

# Under TCG an arm64 guest on x86 boots as fast as one of x86.
SECONDS = 400


def needs_arm64(t):
    """Skip the test unless all that arm64 guests need is built."""
    try:
        machine.find_qemu(t.build, 'arm64')
        programs.sysroot(t.build, 'arm64')
        kernels.built(t.build, '7-arm64').driver()
    except CannotRun as error:
        raise Skipped(str(error)) from None


def launch(t, *args):
    """Run pci-ep-run, and return its exit status and its output."""
    needs_arm64(t)
    return t.launch('--no-console', f'--timeout={SECONDS - 30}', *args,
                    seconds=SECONDS - 15)


def selftest(t, *args, skipped=()):
    """The whole selftest passes, but for tests that skip with a reason."""
    status, out = launch(t, '--function=test', *args)
    judge(t, status, out, [name for name in PASS if name not in skipped],
          {**SKIP, **dict(skipped)})


def function_passes(t, name):
    """The test of a function of an arm64 endpoint passes."""
    status, out = launch(t, '--ep-arch=arm64', f'--function={name}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


def console(t, guest, arch):
    """A guest has booted a kernel of that architecture."""
    lines = {'arm64': r'Machine model: linux,dummy-virt',
             'x86_64': r'DMI: QEMU Standard PC'}
    contains(t.read(f'{guest}.log'), lines[arch], f'{guest}.log')


@long
@limit(SECONDS)
def test_endpoint(t):
    """An x86-64 host and an arm64 endpoint, what most real users have."""
    selftest(t, '--ep-arch=arm64')
    console(t, 'host', 'x86_64')
    console(t, 'ep', 'arm64')


@long
@limit(SECONDS)
def test_host(t):
    selftest(t, '--host-arch=arm64')
    console(t, 'host', 'arm64')
    console(t, 'ep', 'x86_64')


@long
@limit(SECONDS)
def test_both(t):
    selftest(t, '--host-arch=arm64', '--ep-arch=arm64')
    for guest in ('host', 'ep'):
        console(t, guest, 'arm64')


@long
@limit(SECONDS)
def test_smmu(t):
    """The endpoint reaches the host's memory by message."""
    selftest(t, '--host-arch=arm64', '--host-iommu=smmuv3',
             skipped=dict.fromkeys(COPIES, '^not run: the host.s IOMMU'))
    contains(t.read('host.log'), r'arm-smmu-v3 .*: oas', 'host.log')


@long
@limit(SECONDS)
def test_virtio_iommu(t):
    selftest(t, '--host-arch=arm64', '--host-iommu=virtio')
    contains(t.read('host.log'), r'virtio_iommu virtio\d+: page mask',
             'host.log')


@long
@limit(SECONDS)
def test_programs(t):
    """Programs of Debian run in an arm64 guest; others are refused."""
    status, out = launch(t, '--no-link', '--host-arch=arm64',
                         '--host-prog=fio', '--host-cmd',
                         'lspci -nn && fio --version')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('host.log') + out, r'fio-\d', 'what fio prints')
    status, out = launch(t, '--no-link', '--host-arch=arm64',
                         '--host-prog=gdb', '--host-cmd=true')
    equal(status, 2, 'exit status without the program')
    contains(out, rf'no program gdb .*{ARCH["arm64"].sysroot} has none',
             'the line')


@long
@limit(SECONDS)
def test_nvme(t):
    """A disk of an arm64 endpoint, whose driver is one of x86-64."""
    function_passes(t, 'nvme')


@long
@limit(SECONDS)
def test_vntb(t):
    function_passes(t, 'vntb')


@long
@limit(SECONDS)
def test_virtio_blk(t):
    function_passes(t, 'virtio-blk')


@long
@limit(SECONDS)
def test_virtio_net(t):
    function_passes(t, 'virtio-net')
