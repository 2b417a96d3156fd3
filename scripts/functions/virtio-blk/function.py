# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device of pci-epf-virtio, driven by the host's virtio_blk."""

from dataclasses import replace

from pciep import disk, virtio
from pciep.functions import Instance, Option, size_of


def ep_memory(instance: Instance) -> int:
    """Return the MiB that a file in memory takes."""
    if instance.options['disk'] != 'memory':
        return 0
    return size_of(instance.options['size']) >> 20


FUNCTION = replace(
    virtio.function(
        2,
        about='pci-epf-virtio: a block device for the host\'s virtio_blk',
        host_modules=['virtio_blk', 'ext4'],
        options={
            'disk': Option(
                default='file', words=('memory', 'file'),
                about='what has the sectors: a file in the memory of the '
                      'endpoint guest, or a disk of it'),
            'size': Option(default='128M', kind='size',
                           about='size of the disk', unless='path'),
            'path': Option(
                default='', kind='path', needs=('disk', 'file'),
                about='file of this machine that is the disk, which is kept; '
                      'default a new one'),
            'read_only': Option(default='off', words=('on', 'off'),
                                about='the host may not write'),
            'data': Option(
                default='32M', kind='size',
                about='amount that is written and read back at each queue '
                      'depth'),
            'files': Option(default='200', kind='number',
                            about='number of files in the file system'),
        },
    ),
    ep_modules=['virtio_blk'],
    host_programs=['fio', 'mkfs.ext4', 'fsck.ext4', 'fallocate',
                   'blkdiscard'],
    host_memory=256,
    ep_memory=ep_memory,
    ep_machine=disk.ep_machine,
    seconds=600,
)
