# SPDX-License-Identifier: GPL-2.0-or-later
"""A network device of pci-epf-virtio, driven by the host's virtio_net."""

from dataclasses import replace

from pciep import virtio
from pciep.functions import Option


FUNCTION = replace(
    virtio.function(
        1,
        about='pci-epf-virtio: a network device for the host\'s virtio_net, '
              'and a network between the guests',
        host_modules=['virtio_net'],
        options={
            'queue_pairs': Option(default='2', kind='number',
                                  about='pairs of queues, 1 to 7'),
            'mtu': Option(default='9000', kind='number',
                          about='largest MTU'),
            'mac': Option(
                default='', kind='text',
                about='address of the host\'s network device; default a '
                      'random one'),
            'data': Option(default='16M', kind='size',
                           about='amount that is sent each way at each MTU'),
            'pings': Option(default='1000', kind='number',
                            about='pings of a flood; none may be lost'),
        },
    ),
    host_programs=['ping'],
)
