# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-ntb, with two controllers of the endpoint and two hosts."""

from lib import contains, equal, limit, long

CHECKS = [
    f'ntb.{n}' for n in ('LINK_UP', 'PING_HOST2', 'PING_BACK', 'DATA_TO_HOST2',
                         'DATA_FROM_HOST2', 'FLOOD_PING')
]
CONSOLES = ['console.host', 'console.host2', 'console.ep']
SHORT = 'data=256K,pings=200'  # each store is a message
WHOLE = 'data=16M,pings=10000'


def passes(t, options, *args, seconds=170):
    t.kernel('7')
    status, out = t.launch(f'--function=ntb,{options}', '--no-console', *args,
                           seconds=seconds)
    results = t.results()
    for name in CHECKS + CONSOLES + ['endpoint.DRIVER_BOUND']:
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    contains(t.read('host2.log'), 'qp 0: Link Up', 'host2.log')


@limit(180)
def test_ntb(t):
    passes(t, SHORT)


@limit(180)
def test_ntb_msi_host_iommu(t):
    """Doorbells through pci_epc_map_msi_irq(), and hosts with an IOMMU."""
    passes(t, SHORT, '--ep-append=pcie_qemu_ep.msix=0',
           '--host-iommu=intel-cm')


@long
@limit(1500)
def test_ntb_whole(t):
    passes(t, WHOLE, '--timeout=1400', seconds=1480)
