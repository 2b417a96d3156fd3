# SPDX-License-Identifier: GPL-2.0-or-later
"""
The host guest translates the endpoint's DMA with its virtual IOMMU.

test_several.py has this with several functions at once.
"""

import test_vntb
import test_nvme
from lib import contains, copies, equal, lacks, limit, long

TRANSFERS = [
    f'pci_ep_data_transfer.{how}.{what}_TEST' for how in ('memcpy', 'dma')
    for what in ('READ', 'WRITE', 'COPY')
]
OTHERS = [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)
          ] + ['pci_ep_basic.LEGACY_IRQ_TEST', 'pci_ep_basic.MSI_TEST']
# What the host QEMU warns of when the endpoint must use messages
BY_MESSAGE = 'IOMMU does not announce its mappings'
IOMMU_FAULT = r'DMAR: \[DMA'


def run(t, iommu, *more, kernel='7'):
    t.kernel(kernel)
    status, out = t.launch('--function=test', '--no-console', '--kernel-name',
                           kernel, '--host-iommu', iommu,
                           '--host-qemu-arg=-trace',
                           '--host-qemu-arg=epf_bridge_iommu_add', *more,
                           seconds=170)
    contains(t.read('host.log'), 'epf_bridge_iommu_add',
             'the function is behind the IOMMU')
    return status, out


@limit(180)
def test_caching_mode(t):
    """Every mapping is announced, so memory is mapped: all tests pass."""
    status, out = run(t, 'intel-cm')
    results = t.results()
    for name in OTHERS + TRANSFERS:
        equal(results.get(name), ('pass', ''), name)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('host.log')
    lacks(log, BY_MESSAGE, 'host.log')
    lacks(log, IOMMU_FAULT, 'host.log')


@limit(180)
def test_no_caching_mode(t):
    """Nothing is announced: maps trap, and all other tests pass as ever."""
    status, out = run(t, 'intel')
    results = t.results()
    for name in OTHERS + [n for n in TRANSFERS if '.dma.' in n]:
        equal(results.get(name), ('pass', ''), name)
    for name in (n for n in TRANSFERS if '.memcpy.' in n):
        verdict, reason = results.get(name, ('', ''))
        equal(verdict, 'skip', name)
        contains(reason, "^not run: the host's IOMMU does not tell", name)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('ep.log')
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 1024001 B, DMA: YES',
                 f'ep.log, {what}')
    lacks(log, 'ailed to map', 'ep.log')
    contains(t.read('host.log'), BY_MESSAGE + r'.*\n.*caching-mode=on',
             'advice of the host QEMU')
    lacks(t.read('host.log'), IOMMU_FAULT, 'host.log')


@long
@limit(180)
def test_no_caching_mode_copies(t):
    """The endpoint's CPU copies, and each access is a message."""
    status, out = run(t, 'intel', '--host-cmd', copies('7000 4097 1'),
                      kernel='6.12')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('ep.log')
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 7000 B, DMA: NO', f'ep.log, {what}')
    lacks(t.read('host.log'), IOMMU_FAULT, 'host.log')


@limit(180)
def test_virtio(t):
    """Mappings are announced; 32 MSI vectors need interrupt remapping."""
    status, out = run(t, 'virtio')
    results = t.results()
    for name in OTHERS[:-1] + TRANSFERS:
        equal(results.get(name), ('pass', ''), name)
    equal(
        results.get(OTHERS[-1], ('', ''))[0] in ('pass', 'skip'), True,
        OTHERS[-1])
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('host.log')
    contains(log, 'virtio_iommu.*aperture|Adding to iommu group', 'host.log')
    lacks(log, BY_MESSAGE, 'host.log')


DISK_FILE = f'disk=file,size=64M,{test_nvme.SHORT}'


def nvme(t, iommu, options=test_nvme.SHORT):
    test_nvme.passes(t, options, '--host-iommu', iommu)
    lacks(t.read('host.log'), IOMMU_FAULT, 'host.log')


@limit(180)
def test_nvme_no_caching_mode(t):
    nvme(t, 'intel')
    contains(t.read('host.log'), BY_MESSAGE, 'warning of the host QEMU')


@long
@limit(180)
def test_nvme_virtio(t):
    nvme(t, 'virtio')


@long
@limit(180)
def test_nvme_file_caching_mode(t):
    nvme(t, 'intel-cm', DISK_FILE)


@long
@limit(180)
def test_nvme_file_no_caching_mode(t):
    nvme(t, 'intel', DISK_FILE)


@long
@limit(180)
def test_nvme_file_virtio(t):
    nvme(t, 'virtio', DISK_FILE)


@long
@limit(180)
def test_vntb_no_caching_mode(t):
    """Nothing is announced, so each 4 bytes are a message."""
    test_vntb.passes(t, 'data=2M,pings=100', '--host-iommu=intel')
    contains(t.read('host.log'), BY_MESSAGE, 'warning of the host QEMU')


@limit(60)
def test_vntb_virtio(t):
    """The host's driver needs four MSI vectors, and so interrupt remapping."""
    t.kernel('7')
    status, out = t.launch('--function=vntb', '--host-iommu=virtio',
                           seconds=50)
    equal(status, 2, f'exit status; output:\n{out}')
    contains(out, 'needs several MSI vectors.*use intel-cm', 'what to do')
