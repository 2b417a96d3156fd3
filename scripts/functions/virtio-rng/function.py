# SPDX-License-Identifier: GPL-2.0-or-later
"""An entropy device of pci-epf-virtio, driven by the host's virtio_rng."""

from pciep import virtio
from pciep.functions import Option


FUNCTION = virtio.function(
    4,
    about='pci-epf-virtio: an entropy device for the host\'s virtio_rng',
    host_modules=['virtio_rng'],
    options={
        'data': Option(default='64K', kind='size',
                       about='amount that is read to measure the rate'),
    },
)
