# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's own endpoint tests, whole, through pci-ep-run as a user starts them."""

from lib import SELFTEST, Link, Skipped, check, contains, copies, equal, limit

BARS = [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)]
COPIES = [f'pci_ep_data_transfer.memcpy.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')]
IRQS = ['pci_ep_basic.LEGACY_IRQ_TEST', 'pci_ep_basic.MSI_TEST']
CONSECUTIVE = ['pci_ep_basic.CONSECUTIVE_BAR_TEST']
MSIX = 'pci_ep_basic.MSIX_TEST'
DMA = [f'pci_ep_data_transfer.dma.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')]
SUBRANGE = [f'pci_ep_bar.BAR{n}.BAR_SUBRANGE_TEST' for n in range(6)]
# Kernel 7: what retargets a BAR while the link is up.  BAR 0 has the test's registers.
DYNAMIC = SUBRANGE[1:] + ['pcie_ep_doorbell.DOORBELL_TEST']
REGISTERS = {SUBRANGE[0]: '^BAR is test register space$'}


def judge(t, status, output, passing, skipping):
    """@passing must pass, @skipping (name -> reason) skip, and there is nothing else."""
    results = t.results()
    for name in passing:
        equal(results.get(name), ('pass', ''), name)
    for name, reason in skipping.items():
        check(
            results.get(name, ('', ''))[0] == 'skip',
            f'{name}: expected SKIP, saw {results.get(name)}',
        )
        contains(results[name][1], reason, f'reason of {name}')
    own = [
        'endpoint.ENUMERATE',
        'endpoint.DRIVER_BOUND',
        'console.host',
        'console.ep',
        'run',
    ]
    for name in own:
        equal(results.get(name), ('pass', ''), name)
    extra = set(results) - set(passing) - set(skipping) - set(own)
    equal(extra, set(), 'results nobody expected')
    equal(status, 0, f'exit status; output:\n{output[-2000:]}')


@limit(180)
def test_kernel_7(t):
    """64 MSI-X vectors: the walk must stop exactly behind the last."""
    t.kernel('7')
    status, out = t.launch('--function', 'test', '--no-console', seconds=170)
    judge(
        t,
        status,
        out,
        BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA,
        {**REGISTERS, MSIX: r'^MSI-X65 is disabled$'},
    )


@limit(180)
def test_slave_channels(t):
    """The other personality of the DMA engine copies between the two guests only."""
    t.kernel('7')
    status, out = t.launch(
        '--function',
        'test',
        '--no-console',
        '--ep-append',
        'pcie_qemu_ep.dma_mode=slave',
        seconds=170,
    )
    judge(
        t,
        status,
        out,
        BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA[:2],
        {**REGISTERS, MSIX: r'^MSI-X65 is disabled$', DMA[2]: '^not run: slave channels'},
    )


@limit(180)
def test_no_dma_channels(t):
    t.kernel('7')
    status, out = t.launch(
        '--function',
        'test',
        '--no-console',
        '--ep-append',
        'pcie_qemu_ep.dma_mode=off',
        seconds=170,
    )
    judge(
        t,
        status,
        out,
        BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES,
        {
            **REGISTERS,
            MSIX: r'^MSI-X65 is disabled$',
            **{n: '^not run: no DMA channel' for n in DMA},
        },
    )


@limit(240)
def test_kernel_7_msix_2048(t):
    t.kernel('7')
    status, out = t.launch(
        '--function',
        'test',
        '--msix',
        '2048',
        '--host-cpus',
        '12',
        '--no-console',
        '--timeout',
        '220',
        seconds=235,
    )
    passing = BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA + [MSIX]
    equal((len(passing), len(REGISTERS)), (22, 1), 'tests that the kernel has')
    judge(t, status, out, passing, REGISTERS)


@limit(180)
def test_kernel_7_one_msix(t):
    t.kernel('7')
    status, out = t.launch(
        '--function', 'test', '--msix', '1', '--no-console', seconds=170
    )
    judge(
        t,
        status,
        out,
        BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA,
        {**REGISTERS, MSIX: r'^MSI-X2 is disabled$'},
    )


@limit(240)
def test_kernel_6_12(t):
    t.kernel('6.12')
    status, out = t.launch(
        '--function',
        'test',
        '--kernel-name',
        '6.12',
        '--no-console',
        '--timeout',
        '220',
        seconds=235,
    )
    judge(t, status, out, BARS + IRQS + COPIES + DMA, {MSIX: r'^MSI-X65 is disabled$'})


@limit(420)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG; their reports fail console.*."""
    k = t.kernel('7-debug')
    with open(k.image.replace('bzImage', 'config')) as f:
        config = f.read()
    for option in ('PROVE_LOCKING', 'DMA_API_DEBUG'):
        contains(config, f'CONFIG_{option}=y', 'configuration of the debug kernel')
    status, out = t.launch(
        '--function',
        'test',
        '--kernel-name',
        '7-debug',
        '--no-console',
        '--timeout',
        '400',
        seconds=415,
    )
    judge(
        t,
        status,
        out,
        BARS + DYNAMIC + CONSECUTIVE + IRQS + COPIES + DMA,
        {**REGISTERS, MSIX: r'^MSI-X65 is disabled$'},
    )
    for role in ('host', 'ep'):
        contains(
            t.read(f'{role}.log'), 'Lock dependency validator', f'{role} runs lockdep'
        )


@limit(300)
def test_kernel_7_debug_to_the_end(t):
    """Lockdep watches all of it: a host that finds the endpoint at boot hot-adds nothing.

    The first report turns lockdep off, and pciehp's hot-add always makes one.
    """
    pair = t.pair(kernel='7-debug')
    link = Link(pair)
    watching = r'debug_locks:\s+1'
    with pair:
        pair.ep.start(pair.loop)
        link.ready('ep', 90)
        link.set_up(90)
        pair.host.start(pair.loop)
        link.ready('host', 90)
        link.appears()
        link.bind()
        out = link.host('/pciep/bin/pci_endpoint_test -V dma', 120)
        check('not ok' not in out, f'the selftest failed:\n{out}')
        contains(out, 'Totals: pass:18 fail:0', 'the selftest')
        contains(link.host('cat /proc/lockdep_stats'), watching, 'lockdep of the host')
        driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
        link.ep('role_finish', status=None)
        link.vanishes()
        link.ep(f'for d in {driver}/0000:*; do echo ${{d##*/}} >{driver}/unbind; done')
        link.ep('rmmod pcie_qemu_ep')
        contains(link.ep('cat /proc/lockdep_stats'), watching, 'lockdep of the endpoint')
        link.quiet()


@limit(180)
def test_private_endpoint_memory(t):
    """BARs the host cannot map go by message, after one line that names the fix."""
    t.kernel('7')
    status, out = t.launch(
        '--private-memory',
        'ep',
        '--no-console',
        '--host-cmd',
        'load pci_endpoint_test; wait_for 20 test -c /dev/pci-endpoint-test.0;'
        'for b in 0 1 2; do /pciep/bin/pci_endpoint_test -r pci_ep_bar.BAR$b.BAR_TEST || '
        'exit 1; done',
        seconds=170,
    )
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    warnings = [
        ln
        for ln in t.read('ep.log').splitlines()
        if ln.startswith('qemu: ') and 'share' in ln
    ]
    equal(len(warnings), 1, f'warnings of the endpoint QEMU {warnings}')
    contains(warnings[0], 'memory-backend-memfd', 'the warning names what to use')


def private_host_memory(t, kernel, cmd):
    t.kernel(kernel)
    status, out = t.launch(
        '--private-memory',
        'host',
        '--no-console',
        '--kernel-name',
        kernel,
        '--host-cmd',
        cmd,
        seconds=170,
    )
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('ep.log')
    check('ailed to map' not in log, 'the endpoint maps the buffers of the host')
    contains(
        t.read('host.log') + log,
        r'qemu: .*(memory-backend-memfd|share=on)',
        'a line that names what to use',
    )
    return log


@limit(180)
def test_private_host_memory(t):
    """Host memory that cannot be mapped: a clear line, and all of the selftest passes."""
    log = private_host_memory(t, '7', SELFTEST + ' -V memcpy')
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 1024001 B, DMA: YES', f'{what} is done')


@limit(180)
def test_private_host_memory_copies(t):
    """The same with copies of the endpoint's CPU, each access a message."""
    log = private_host_memory(t, '6.12', copies('7000 4097 1'))
    for what in ('READ', 'WRITE', 'COPY'):
        contains(log, f'{what} => Size: 7000 B, DMA: NO', f'{what} is done')


@limit(180)
def test_by_hand(t):
    """host.sh and ep.sh of a run work when started by hand, host first."""
    import os
    import subprocess
    import time
    from lib import process

    t.kernel('7')
    status, out = t.launch('--function', 'test', '--no-console', seconds=110)
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    env = {
        **os.environ,
        'PCI_EP_SOCKET': os.path.join('/tmp', f'pci-ep-hand-{os.getpid()}.sock'),
    }
    if os.path.exists(os.path.join(t.rundir, 'host.results')):
        os.unlink(os.path.join(t.rundir, 'host.results'))
    children = []
    try:
        for role in ('host', 'ep'):
            children.append(
                subprocess.Popen(
                    [os.path.join(t.rundir, f'{role}.sh')],
                    cwd='/',
                    env=env,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    preexec_fn=process.die_with_parent(),
                )
            )
            time.sleep(2)
        end = time.monotonic() + 90
        while time.monotonic() < end and '!exit' not in t.read('host.results'):
            time.sleep(0.5)
    finally:
        process.end(children)
        if os.path.exists(env['PCI_EP_SOCKET']):
            os.unlink(env['PCI_EP_SOCKET'])
    text = t.read('host.results').replace('\r', '')
    contains(text, r'(?m)^!exit 0$', 'the test passed')
    contains(text, r'(?m)^ok \d+ pci_ep_bar.BAR0.BAR_TEST', 'TAP in host.results')


@limit(180)
def test_network(t):
    t.kernel('7')
    ping = 'ping -c 1 -W 10 10.0.2.2'
    status, out = t.launch(
        '--net',
        '--no-link',
        '--no-console',
        '--host-cmd',
        ping,
        '--ep-cmd',
        ping,
        seconds=110,
    )
    if 'network backend' in out and 'user' in out:
        raise Skipped('this QEMU has no user networking')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
