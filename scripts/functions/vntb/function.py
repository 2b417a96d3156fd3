# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-vntb, and a network between the host and the endpoint guest."""

from pciep.functions import Function, Option


FUNCTION = Function(
    about='pci-epf-vntb: a network between the guests, '
    'with ntb_hw_epf in the host',
    endpoint='0x1957:0x0809',
    host_modules=['ntb_hw_epf', 'ntb_transport', 'ntb_netdev'],
    ep_modules=['pci_epf_vntb', 'ntb_transport', 'ntb_netdev'],
    host_programs=['ping'],
    remapping=True,
    options={
        'data': Option(default='16M', kind='size',
                       about='amount that is sent each way'),
        'pings': Option(default='1000', kind='number',
                        about='pings of a flood; none may be lost'),
    },
)
