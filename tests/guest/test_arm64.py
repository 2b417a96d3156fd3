# SPDX-License-Identifier: GPL-2.0-or-later
"""
Guests of arm64 on either side of the link, after "make aarch64".

The long ones with pages of 64 KiB or the older kernel need "make aarch64
KERNEL=7-64k" or "make aarch64 KERNEL=6.12" as well.
"""

from lib import Skipped, arm64, contains, equal, lacks, limit, long
from pciep import CannotRun
from pciep.arch import ARCH
from pciep.image import kernels, programs
from pciep.vm import machine
from test_selftest import (CONSECUTIVE, COPIES, DYNAMIC, MSIX, PASS, SKIP,
                           SUBRANGE, judge)

# Under TCG an arm64 guest on x86 boots as fast as one of x86.
SECONDS = 400


def needs_arm64(t, *names):
    """Skip the test unless all that arm64 guests need is built."""
    try:
        machine.find_qemu(t.build, 'arm64')
        programs.sysroot(t.build, 'arm64')
        for name in names or ['7']:
            kernels.built(t.build, f'{name}-arm64').driver()
    except CannotRun as error:
        raise Skipped(str(error)) from None


def launch(t, *args, needs=()):
    """
    Run pci-ep-run, and return its exit status and its output.

    :param needs: Names of kernels of arm64.
    """
    needs_arm64(t, *needs)
    return t.launch('--no-console', f'--timeout={SECONDS - 30}', *args,
                    seconds=SECONDS - 15)


def selftest(t, *args, skipped=(), needs=()):
    """The whole selftest passes, but for tests that skip with a reason."""
    status, out = launch(t, '--function=test', *args, needs=needs)
    judge(t, status, out, [name for name in PASS if name not in skipped],
          {**SKIP, **dict(skipped)})


def function_passes(t, name, *args, needs=()):
    """The test of a function of an arm64 endpoint passes."""
    status, out = launch(t, '--ep-arch=arm64', f'--function={name}', *args,
                         needs=needs)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


def console(t, guest, arch):
    """A guest has booted a kernel of that architecture."""
    lines = {'arm64': r'Machine model: linux,dummy-virt',
             'x86_64': r'DMI: QEMU Standard PC'}
    contains(t.read(f'{guest}.log'), lines[arch], f'{guest}.log')


@arm64
@limit(SECONDS)
def test_endpoint(t):
    """An x86-64 host and an arm64 endpoint, what most real users have."""
    selftest(t, '--ep-arch=arm64')
    console(t, 'host', 'x86_64')
    console(t, 'ep', 'arm64')
    # DOORBELL_TEST had an interrupt of the ITS.
    lacks(t.read('ep.log'), 'embedded', 'ep.log')


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


# Pages of 64 KiB on one side

PAGES = '7-64k'


@long
@limit(SECONDS)
def test_pages_endpoint(t):
    selftest(t, '--ep-arch=arm64', f'--ep-kernel-name={PAGES}', needs=[PAGES])
    console(t, 'ep', 'arm64')


@long
@limit(SECONDS)
def test_pages_host(t):
    selftest(t, '--host-arch=arm64', f'--host-kernel-name={PAGES}',
             needs=[PAGES])
    console(t, 'host', 'arm64')


@long
@limit(SECONDS)
def test_pages_smmu(t):
    """The IOMMU of the host has another granule than the endpoint's pages."""
    selftest(t, '--host-arch=arm64', f'--host-kernel-name={PAGES}',
             '--host-iommu=smmuv3', needs=[PAGES],
             skipped=dict.fromkeys(COPIES, '^not run: the host.s IOMMU'))


@long
@limit(SECONDS)
def test_pages_both(t):
    selftest(t, '--host-arch=arm64', '--ep-arch=arm64',
             f'--kernel-name={PAGES}', needs=[PAGES])


@long
@limit(2 * SECONDS)
def test_pages_functions(t):
    for name in ('nvme', 'vntb', 'virtio-blk', 'virtio-net'):
        function_passes(t, name, f'--ep-kernel-name={PAGES}', needs=[PAGES])


# Two series

OLD = '6.12'


@long
@limit(SECONDS)
def test_old_endpoint(t):
    """The host of 7 skips what the endpoint of 6.12 cannot do."""
    status, out = launch(t, '--function=test', '--ep-arch=arm64',
                         f'--ep-kernel-name={OLD}', needs=[OLD])
    judge(t, status, out, [name for name in PASS if name not in DYNAMIC],
          {**SKIP, **dict.fromkeys(SUBRANGE, '^Subrange map is not supp'),
           DYNAMIC[-1]: '^Doorbell test is not supported'})


@long
@limit(SECONDS)
def test_old_host(t):
    """The tests of 6.12 are fewer."""
    status, out = launch(t, '--function=test', '--ep-arch=arm64',
                         f'--host-kernel-name={OLD}')
    judge(t, status, out, [name for name in PASS
                           if name not in DYNAMIC + CONSECUTIVE],
          {MSIX: SKIP[MSIX]})


@long
@limit(2 * SECONDS)
def test_old_functions(t):
    """
    Either side is the older one.

    As an endpoint it has no nvmet-pci-epf, and no pci-epf-vntb that is told
    which BARs to take.
    """
    for name in ('virtio-blk', 'virtio-net'):
        function_passes(t, name, f'--ep-kernel-name={OLD}', needs=[OLD])
    for name in ('nvme', 'vntb', 'virtio-blk', 'virtio-net'):
        function_passes(t, name, f'--host-kernel-name={OLD}')
