# SPDX-License-Identifier: GPL-2.0-or-later
"""
What the functions virtio-* have in common.

pci-epf-virtio makes them in the endpoint guest.  scripts/functions/virtio
has the scripts that each of them gets.
"""

from typing import Mapping, Sequence

from .functions import Function, Option


_SWITCHES = {
    'trap': 'the endpoint answers accesses to the registers; off: registers '
            'are memory, and the host finds no usable device',
    'doorbells': 'notifications ring doorbells; off: they are trapped',
    'notification_data': 'VIRTIO_F_NOTIFICATION_DATA with doorbells; off: '
                         'notifications have 16 bits',
    'access_platform': 'VIRTIO_F_ACCESS_PLATFORM; off: an IOMMU of the host '
                       'refuses the device',
    'capabilities': 'the vendor capabilities; off: the host finds no virtio '
                    'device',
}


def function(device_type: int, about: str, host_modules: Sequence[str],
             options: Mapping[str, Option]) -> Function:
    """
    Return a function for a type of virtio device.

    :param device_type: Its number in the virtio specification.
    :param about: Text for --list.
    :param host_modules: The driver of the host.
    :param options: Options of this type only.
    """
    switches = {
        name: Option(default='on', words=('on', 'off'), about=about)
        for name, about in _SWITCHES.items()
    }
    return Function(
        about=about,
        endpoint=f'0x1af4:{0x1040 + device_type:#06x}',
        host_modules=host_modules,
        own_modules=['pci-epf-virtio'],
        shared='virtio',
        options={
            **options,
            'queue_size': Option(
                default='0', kind='number',
                about='most entries of a queue, 0 for that of the type'),
            'trap_delay_us': Option(
                default='0', kind='number',
                about='microseconds that each read of a register takes'),
            **switches,
        },
    )
