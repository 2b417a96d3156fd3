# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-ntb, and a network between two host guests."""

from pciep.functions import Function, Option


FUNCTION = Function(
    about='pci-epf-ntb: a network between two host guests, '
    'with ntb_hw_epf in both',
    endpoint='0x104c:0xb00d',
    host_modules=['ntb_hw_epf', 'ntb_transport', 'ntb_netdev'],
    ep_modules=['pci_epf_ntb'],
    host_programs=['ping'],
    hosts=2,
    options={
        'data': Option(default='2M', kind='size',
                       about='amount that is sent each way'),
        'pings': Option(default='1000', kind='number',
                        about='pings of a flood; none may be lost'),
    },
)
