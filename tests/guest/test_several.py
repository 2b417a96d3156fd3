# SPDX-License-Identifier: GPL-2.0-or-later
"""Several functions behind one link, several controllers in one endpoint guest: all
tested at the same time."""

from lib import check, equal, limit

# What every selftest passes here, whatever else its channels allow
SELFTEST = (
    [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in range(6)]
    + [f'pci_ep_data_transfer.memcpy.{n}_TEST' for n in ('READ', 'WRITE', 'COPY')]
    + [f'pci_ep_data_transfer.dma.{n}_TEST' for n in ('READ', 'WRITE')]
    + [
        'pci_ep_basic.CONSECUTIVE_BAR_TEST',
        'pci_ep_basic.LEGACY_IRQ_TEST',
        'pci_ep_basic.MSI_TEST',
        'endpoint.ENUMERATE',
        'endpoint.DRIVER_BOUND',
    ]
)


def passes(t, functions, expected, *args, seconds=280):
    """@functions run at the same time; @expected: name -> tests that must pass."""
    t.kernel('7')
    options = [o for f in functions for o in ('--function', f)]
    status, out = t.launch(*options, '--no-console', *args, seconds=seconds)
    results = t.results()
    for tag, names in expected.items():
        for name in names:
            equal(
                results.get(f'{tag}.{name}'),
                ('pass', ''),
                f'{tag}.{name}; output:\n{out[-4000:]}',
            )
    bad = {n for n, (verdict, _) in results.items() if verdict == 'fail'}
    equal(bad, set(), 'tests that failed')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    return results


@limit(300)
def test_four_controllers(t):
    functions = [f'test,controller={n}' for n in range(4)]
    passes(t, functions, {f'fn{n}': SELFTEST for n in range(4)}, '--msix', '8')
    check(t.read('host.log').count('Card present') >= 4, 'four links came up')


@limit(400)
def test_mixed_functions(t):
    """Two test functions with an NVMe controller between them."""
    nvme = ['VERIFY_DEPTH_1', 'VERIFY_DEPTH_32', 'FILESYSTEM']
    results = passes(
        t,
        ['test', 'nvme,data=4M,files=30,resets=0', 'test'],
        {
            'fn0': SELFTEST,
            'fn1': ['endpoint.DRIVER_BOUND'] + [f'nvme.{n}' for n in nvme],
            'fn2': SELFTEST,
        },
        '--msix',
        '16',
        seconds=390,
    )
    check('fn2.pcie_ep_doorbell.DOORBELL_TEST' not in results, 'only function 0 has one')
