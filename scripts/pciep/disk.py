# SPDX-License-Identifier: GPL-2.0-or-later
"""
A disk of the endpoint guest that a function serves.

The function has the options "disk", "path" and "size".  ep_disk() in
scripts/guest/ep-lib.sh finds the disk in the guest.
"""

import os
from typing import List

from . import CannotRun
from .functions import Instance, size_of


def ep_machine(instance: Instance, directory: str) -> List[str]:
    """Give the endpoint guest the file that it serves, as a disk."""
    options = instance.options
    if options['disk'] != 'file':
        return []
    path = options['path'] or os.path.join(directory, f'{instance.tag}.disk')
    try:
        with open(path, 'r+b' if options['path'] else 'wb') as file:
            if not options['path']:
                file.truncate(size_of(options['size']))
    except OSError as error:
        raise CannotRun(f'cannot write the disk {path}: {error.strerror}; '
                        f'check path= of {instance.name}') from error
    tag, name = instance.tag, path.replace(',', ',,')
    return ['-drive', f'if=none,id={tag},format=raw,file={name}',
            '-device', f'virtio-blk-pci,drive={tag},serial={tag}']
