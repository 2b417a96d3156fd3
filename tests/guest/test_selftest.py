# SPDX-License-Identifier: GPL-2.0-or-later
"""All of the kernel's own endpoint tests, as a user starts them."""

import os
import subprocess
import time

from lib import (SELFTEST, Link, Skipped, check, contains, copies, equal,
                 lacks, limit, long, process)

BARS = [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)]
COPIES = [
    f'pci_ep_data_transfer.memcpy.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')
]
IRQS = ['pci_ep_basic.LEGACY_IRQ_TEST', 'pci_ep_basic.MSI_TEST']
CONSECUTIVE = ['pci_ep_basic.CONSECUTIVE_BAR_TEST']
MSIX = 'pci_ep_basic.MSIX_TEST'
DMA = [f'pci_ep_data_transfer.dma.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')]
SUBRANGE = [f'pci_ep_bar.BAR{n}.BAR_SUBRANGE_TEST' for n in range(6)]
# Tests of kernel 7 that retarget a BAR while the link is up.  BAR 0 has the
# registers of the test, so it stays as it is.
DYNAMIC = SUBRANGE[1:] + ['pcie_ep_doorbell.DOORBELL_TEST']
REGISTERS = {SUBRANGE[0]: '^BAR is test register space$'}
# What passes with 64 MSI-X vectors of the function, and what is skipped
PASS = BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA
SKIP = {**REGISTERS, MSIX: r'^MSI-X65 is disabled$'}


def judge(t, status, output, passing, skipping):
    """These tests pass, those in @skipping skip for that reason, no others."""
    results = t.results()
    for name in passing:
        equal(results.get(name), ('pass', ''), name)
    for name, reason in skipping.items():
        check(
            results.get(name, ('', ''))[0] == 'skip',
            f'{name}: expected SKIP, saw {results.get(name)}')
        contains(results[name][1], reason, f'reason of {name}')
    own = [
        'endpoint.ENUMERATE', 'endpoint.DRIVER_BOUND', 'console.host',
        'console.ep', 'run'
    ]
    for name in own:
        equal(results.get(name), ('pass', ''), name)
    extra = set(results) - set(passing) - set(skipping) - set(own)
    equal(extra, set(), 'results nobody expected')
    equal(status, 0, f'exit status; output:\n{output[-2000:]}')


@limit(180)
def test_kernel_7(t):
    """64 MSI-X vectors: the test stops exactly behind the last one."""
    t.kernel('7')
    status, out = t.launch('--function=test', '--no-console', seconds=170)
    judge(t, status, out, PASS, SKIP)


@long
@limit(180)
def test_slave_channels(t):
    """Slave channels copy between the two guests only."""
    t.kernel('7')
    status, out = t.launch('--function=test', '--no-console',
                           '--ep-append=pcie_qemu_ep.dma_mode=slave',
                           seconds=170)
    skipped = {DMA[2]: '^not run: slave channels'}
    judge(t, status, out, [name for name in PASS if name not in skipped],
          {**SKIP, **skipped})


@long
@limit(180)
def test_no_dma_channels(t):
    t.kernel('7')
    status, out = t.launch('--function=test', '--no-console',
                           '--ep-append=pcie_qemu_ep.dma_mode=off',
                           seconds=170)
    skipped = dict.fromkeys(DMA, '^not run: no DMA channel')
    judge(t, status, out, [name for name in PASS if name not in skipped],
          {**SKIP, **skipped})


@limit(240)
def test_kernel_7_msix_2048(t):
    t.kernel('7')
    status, out = t.launch('--function=test', '--msix=2048', '--host-cpus=12',
                           '--no-console', '--timeout=220', seconds=235)
    passing = PASS + [MSIX]
    equal((len(passing), len(REGISTERS)), (22, 1), 'tests that the kernel has')
    judge(t, status, out, passing, REGISTERS)


@long
@limit(180)
def test_kernel_7_one_msix(t):
    t.kernel('7')
    status, out = t.launch('--function=test', '--msix=1', '--no-console',
                           seconds=170)
    judge(t, status, out, PASS, {**SKIP, MSIX: r'^MSI-X2 is disabled$'})


@limit(240)
def test_kernel_6_12(t):
    t.kernel('6.12')
    status, out = t.launch('--function=test', '--kernel-name=6.12',
                           '--no-console', '--timeout=220', seconds=235)
    judge(t, status, out, BARS + IRQS + COPIES + DMA,
          {MSIX: r'^MSI-X65 is disabled$'})


@long
@limit(420)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG; their reports fail console.*."""
    k = t.kernel('7-debug')
    with open(k.image.replace('bzImage', 'config')) as f:
        config = f.read()
    for option in ('PROVE_LOCKING', 'DMA_API_DEBUG'):
        contains(config, f'CONFIG_{option}=y',
                 'configuration of the debug kernel')
    status, out = t.launch('--function=test', '--kernel-name=7-debug',
                           '--no-console', '--timeout=400', seconds=415)
    judge(t, status, out, PASS, SKIP)
    for role in ('host', 'ep'):
        contains(t.read(f'{role}.log'), 'Lock dependency validator',
                 f'{role}.log')


@limit(300)
def test_kernel_7_debug_to_the_end(t):
    """
    Lockdep watches to the end.

    Its first report turns lockdep off, and hot-add by pciehp always causes
    one.  So the host finds the endpoint at boot here.
    """
    bed = t.testbed(kernel='7-debug')
    link = Link(bed)
    watching = r'debug_locks:\s+1'
    with bed:
        bed.boot('ep', seconds=90)
        bed.boot('host', seconds=90)
        link.appears()
        link.bind()
        out = link.host('/pciep/bin/pci_endpoint_test -V dma', 120)
        check('not ok' not in out, f'the selftest failed:\n{out}')
        contains(out, 'Totals: pass:18 fail:0', 'the selftest')
        contains(link.host('cat /proc/lockdep_stats'), watching,
                 'lockdep of the host')
        driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
        link.ep('role_finish', status=None)
        link.vanishes()
        link.ep(f'for d in {driver}/0000:*; do '
                f'echo ${{d##*/}} >{driver}/unbind; done')
        link.ep('rmmod pcie_qemu_ep')
        contains(link.ep('cat /proc/lockdep_stats'), watching,
                 'lockdep of the endpoint')
        link.check_consoles()


@limit(180)
def test_private_endpoint_memory(t):
    """The host cannot map BARs: messages, one warning, one line of advice."""
    t.kernel('7')
    status, out = t.launch(
        '--private-memory=ep', '--no-console', '--host-cmd',
        'load pci_endpoint_test; wait_for 20 test -c /dev/pci-endpoint-test.0;'
        'for b in 0 1 2; do '
        '/pciep/bin/pci_endpoint_test -r pci_ep_bar.BAR$b.BAR_TEST || '
        'exit 1; done', seconds=170)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    lines = [
        ln for ln in t.read('ep.log').splitlines()
        if ln.startswith('qemu: ') and 'share' in ln
    ]
    equal(len(lines), 2, f'lines of the endpoint QEMU, {lines}')
    contains(lines[0], 'warning: ', 'first line of the endpoint QEMU')
    contains(lines[1], 'memory-backend-memfd',
             'second line of the endpoint QEMU')


def private_host_memory(t, kernel, cmd):
    t.kernel(kernel)
    status, out = t.launch('--private-memory=host', '--no-console',
                           '--kernel-name', kernel, '--host-cmd', cmd,
                           seconds=170)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('ep.log')
    lacks(log, 'ailed to map', 'ep.log')
    contains(
        t.read('host.log') + log, r'qemu: .*(memory-backend-memfd|share=on)',
        'advice of a QEMU')
    return log


@limit(180)
def test_private_host_memory(t):
    """The endpoint cannot map host memory: a warning, and all tests pass."""
    log = private_host_memory(t, '7', SELFTEST + ' -V memcpy')
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 1024001 B, DMA: YES',
                 f'ep.log, {what}')


@long
@limit(180)
def test_private_host_memory_copies(t):
    """The endpoint's CPU copies, and each access is a message."""
    log = private_host_memory(t, '6.12', copies('7000 4097 1'))
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 7000 B, DMA: NO', f'ep.log, {what}')


@limit(180)
def test_by_hand(t):
    """host.sh and ep.sh of a run work when started by hand, host first."""
    t.kernel('7')
    status, out = t.launch('--function=test', '--no-console', seconds=110)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    env = {
        **os.environ, 'PCI_EP_SOCKET':
        os.path.join('/tmp', f'pci-ep-hand-{os.getpid()}.sock')
    }
    if os.path.exists(os.path.join(t.rundir, 'host.results')):
        os.unlink(os.path.join(t.rundir, 'host.results'))
    children = []
    try:
        for role in ('host', 'ep'):
            children.append(
                subprocess.Popen([os.path.join(t.rundir, f'{role}.sh')],
                                 cwd='/', env=env, stdin=subprocess.PIPE,
                                 stdout=subprocess.DEVNULL,
                                 preexec_fn=process.die_with_parent()))
            time.sleep(2)
        end = time.monotonic() + 90
        while time.monotonic() < end and '!exit' not in t.read('host.results'):
            time.sleep(0.5)
    finally:
        process.end(children)
        if os.path.exists(env['PCI_EP_SOCKET']):
            os.unlink(env['PCI_EP_SOCKET'])
    text = t.read('host.results').replace('\r', '')
    contains(text, r'(?m)^!exit 0$', 'host.results')
    contains(text, r'(?m)^ok \d+ pci_ep_bar.BAR0.BAR_TEST', 'host.results')


@limit(180)
def test_network(t):
    t.kernel('7')
    ping = 'ping -c 1 -W 10 10.0.2.2'
    status, out = t.launch('--net', '--no-link', '--no-console', '--host-cmd',
                           ping, '--ep-cmd', ping, seconds=110)
    if 'network backend' in out and 'user' in out:
        raise Skipped('this QEMU has no user networking')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
