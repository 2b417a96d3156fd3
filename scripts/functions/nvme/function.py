# SPDX-License-Identifier: GPL-2.0-or-later
"""nvmet-pci-epf and the host's NVMe driver."""

from pciep import disk
from pciep.functions import Function, Instance, Option, size_of


def ep_memory(instance: Instance) -> int:
    """Return the MiB that a RAM disk takes."""
    if instance.options['disk'] != 'ram':
        return 0
    return size_of(instance.options['size']) >> 20


FUNCTION = Function(
    about='nvmet-pci-epf: an NVMe controller for the host\'s nvme driver',
    endpoint='0x1af4:0x10f1',
    host_modules=['nvme', 'ext4'],
    ep_modules=['nvmet_pci_epf', 'brd', 'virtio_blk'],
    corrected=['nvmet_pci_epf'],
    host_programs=['fio', 'mkfs.ext4', 'fsck.ext4'],
    host_memory=256,
    ep_memory=ep_memory,
    ep_machine=disk.ep_machine,
    dma_mode='slave',
    seconds=600,
    options={
        'disk': Option(default='file', words=('ram', 'file'),
                       about='what the controller serves'),
        'size': Option(default='128M', kind='size', about='size of the disk',
                       unless='path'),
        'path': Option(
            default='', kind='path', needs=('disk', 'file'),
            about='file to serve, which is kept; default a new one'),
        'data': Option(
            default='64M', kind='size',
            about='amount that is written and read back at each queue depth'),
        'files': Option(default='1000', kind='number',
                        about='number of files in the file system'),
        'resets': Option(default='0', kind='number',
                         about='number of controller resets under load'),
        'fixes': Option(default='off', words=('on', 'off'),
                        about='take nvmet-pci-epf with errors corrected'),
    },
)
