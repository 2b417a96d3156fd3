# SPDX-License-Identifier: GPL-2.0-or-later
"""The host guest translates the endpoint's DMA with its virtual IOMMU."""

from lib import check, contains, equal, limit

TRANSFERS = [
    f'pci_ep_data_transfer.{how}.{what}_TEST'
    for how in ('memcpy', 'dma')
    for what in ('READ', 'WRITE', 'COPY')
]
OTHERS = [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)] + [
    'pci_ep_basic.LEGACY_IRQ_TEST',
    'pci_ep_basic.MSI_TEST',
]
TOLD = 'IOMMU does not tell what it maps'


def run(t, iommu, *more):
    t.kernel('7')
    status, out = t.launch(
        '--function',
        'test',
        '--no-console',
        '--host-iommu',
        iommu,
        '--host-qemu-arg=-trace',
        '--host-qemu-arg=epf_iommu_add',
        *more,
        seconds=170,
    )
    contains(t.read('host.log'), 'epf_iommu_add', 'the function is behind the IOMMU')
    return status, out


@limit(180)
def test_caching_mode(t):
    """Every mapping is told: the whole selftest passes, memory is mapped in place."""
    status, out = run(t, 'intel-cm')
    results = t.results()
    for name in OTHERS + TRANSFERS:
        equal(results.get(name), ('pass', ''), name)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('host.log')
    check(TOLD not in log, 'no warning that the endpoint has to use messages')
    check('DMAR: [DMA' not in log, 'no fault of the IOMMU')


@limit(180)
def test_no_caching_mode(t):
    """Nothing is told: what maps host memory fails cleanly, the rest passes."""
    status, out = run(t, 'intel')
    results = t.results()
    for name in OTHERS:
        equal(results.get(name), ('pass', ''), name)
    for name in TRANSFERS:
        equal(results.get(name, ('', ''))[0], 'fail', name)
    equal(status, 1, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('ep.log'), 'host memory cannot be mapped', 'the driver says why')
    contains(
        t.read('host.log'),
        TOLD + '.*caching-mode=on',
        'the host QEMU names what to use',
    )
