# SPDX-License-Identifier: GPL-2.0-or-later
"""
Several functions behind one link, and several controllers in one endpoint.

All are tested at the same time, with each kind of IOMMU in the host.
"""

import re

from lib import check, contains, equal, lacks, limit, long

COPIES = [
    f'pci_ep_data_transfer.memcpy.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')
]
# What every selftest passes here, whatever kind of channels it has
SELFTEST = (
    [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)] +
    [f'pci_ep_data_transfer.dma.{n}_TEST' for n in ('READ', 'WRITE')] + [
        'pci_ep_basic.CONSECUTIVE_BAR_TEST', 'pci_ep_basic.LEGACY_IRQ_TEST',
        'endpoint.ENUMERATE', 'endpoint.DRIVER_BOUND'
    ])
MSI = 'pci_ep_basic.MSI_TEST'
NVME = ['endpoint.DRIVER_BOUND'] + [
    f'nvme.{n}' for n in ('VERIFY_DEPTH_1', 'VERIFY_DEPTH_32', 'FILESYSTEM')
]
DISK = 'nvme,data=4M,files=30,resets=0'


def passes(t, functions, iommu, *args, seconds=280):
    """All functions pass; the log of the endpoint shows them side by side."""
    t.kernel('7')
    options = [o for f in functions for o in ('--function', f)]
    status, out = t.launch(*options, '--no-console', '--host-iommu', iommu,
                           *args, seconds=seconds)
    results = t.results()
    tests = [n for n, f in enumerate(functions) if f.startswith('test')]
    for n in range(len(functions)):
        names = SELFTEST if n in tests else NVME
        # Without interrupt remapping there is one MSI vector.
        names = names + ([MSI] if n in tests and iommu != 'virtio' else [])
        names = names + (COPIES if n in tests and iommu != 'intel' else [])
        for name in names:
            seen = results.get(f'fn{n}.{name}')
            equal(seen, ('pass', ''), f'fn{n}.{name}; output:\n{out[-4000:]}')
    if iommu == 'intel':
        for name in (f'fn{n}.{c}' for n in tests for c in COPIES):
            verdict, reason = results.get(name, ('', ''))
            equal(verdict, 'skip', name)
            contains(reason, "^not run: the host's IOMMU does not tell", name)
    bad = {n for n, (verdict, _) in results.items() if verdict == 'fail'}
    equal(bad, set(), 'tests that failed')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    at_once(t, len(tests))
    lacks(t.read('host.log'), r'DMAR: \[DMA', 'host.log')
    return results


def at_once(t, count):
    """The last test function began to copy before the first one was done."""
    times = {}
    for when, number in re.findall(
            r'^\[ *([\d.]+)\] pci_epf_test pci_epf_test\.(\d+): '
            r'(?:READ|WRITE|COPY) =>', t.read('ep.log'), re.M):
        times.setdefault(number, []).append(float(when))
    equal(len(times), count, 'test functions that copied')
    begin = max(seen[0] for seen in times.values())
    end = min(seen[-1] for seen in times.values())
    check(
        begin < end,
        f'not tested at the same time: one function began at {begin} s, '
        f'when another had ended at {end} s')


def four_controllers(t, iommu):
    passes(t, [f'test,controller={n}' for n in range(4)], iommu, '--msix=8')
    count = t.read('host.log').count('Card present')
    check(count >= 4, f'{count} of 4 links came up in the host')


@long
@limit(300)
def test_four_controllers(t):
    four_controllers(t, 'none')


@limit(300)
def test_four_controllers_intel_cm(t):
    four_controllers(t, 'intel-cm')


@long
@limit(300)
def test_four_controllers_intel(t):
    four_controllers(t, 'intel')


@long
@limit(300)
def test_four_controllers_virtio(t):
    four_controllers(t, 'virtio')


def mixed(t, iommu):
    """Two test functions with an NVMe controller between them."""
    results = passes(t, ['test', DISK, 'test'], iommu, '--msix=16')
    check('fn2.pcie_ep_doorbell.DOORBELL_TEST' not in results,
          'function 2 has a doorbell, which only function 0 should have')


@long
@limit(300)
def test_mixed(t):
    mixed(t, 'none')


@limit(300)
def test_mixed_intel_cm(t):
    mixed(t, 'intel-cm')


@long
@limit(300)
def test_mixed_intel(t):
    mixed(t, 'intel')


@limit(300)
def test_mixed_virtio(t):
    mixed(t, 'virtio')


def eight(t, iommu):
    """As many as a device has without virtual functions."""
    passes(t, ['test', DISK] + 6 * ['test'], iommu, '--msix=8')


@limit(300)
def test_eight(t):
    eight(t, 'none')


@long
@limit(300)
def test_eight_intel_cm(t):
    eight(t, 'intel-cm')


@long
@limit(300)
def test_eight_intel(t):
    eight(t, 'intel')


@long
@limit(300)
def test_eight_virtio(t):
    eight(t, 'virtio')
