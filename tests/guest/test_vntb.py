# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-vntb: a network between the host and the endpoint guest."""

from lib import contains, equal, limit, long

CHECKS = [
    f'vntb.{n}'
    for n in ('LINK_UP', 'PING_ENDPOINT', 'PING_HOST', 'DATA_TO_ENDPOINT',
              'DATA_FROM_ENDPOINT', 'FLOOD_PING')
]
SHORT = 'data=8M,pings=300'
WHOLE = 'data=100M,pings=10000'


def passes(t, options, *args, seconds=170):
    t.kernel('7')
    status, out = t.launch(f'--function=vntb,{options}', '--no-console', *args,
                           seconds=seconds)
    results = t.results()
    for name in CHECKS + [
            'endpoint.DRIVER_BOUND', 'console.host', 'console.ep'
    ]:
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@long
@limit(180)
def test_vntb(t):
    passes(t, SHORT)
    contains(t.read('ep.log'), 'NTB Transport QP 0 created', 'ep.log')


@limit(180)
def test_vntb_host_iommu(t):
    passes(t, SHORT, '--host-iommu=intel-cm')


@long
@limit(900)
def test_vntb_whole(t):
    passes(t, WHOLE, '--timeout=850', seconds=880)


@long
@limit(900)
def test_vntb_whole_host_iommu(t):
    passes(t, WHOLE, '--host-iommu=intel-cm', '--timeout=850', seconds=880)
