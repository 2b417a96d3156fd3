# SPDX-License-Identifier: GPL-2.0-or-later
"""A console of pci-epf-virtio, driven by the host's virtio_console."""

from pciep import virtio
from pciep.functions import Option


FUNCTION = virtio.function(
    3,
    about='pci-epf-virtio: a console for the host\'s virtio_console',
    host_modules=['virtio_console'],
    options={
        'shell': Option(
            default='ep', words=('ep', 'host', 'none'),
            about='which guest runs a login shell on its end of the console; '
                  'the tests need ep'),
        'data': Option(default='64K', kind='size',
                       about='amount that is sent each way', needs=('shell',
                                                                    'ep')),
    },
)
