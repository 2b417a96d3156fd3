# SPDX-License-Identifier: GPL-2.0-or-later
"""Profiles: files with the limits of an endpoint controller that exists."""

import argparse
import json
import os
from typing import Any, Dict, List

from .. import did_you_mean


DIRECTORY = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                         '../../profiles')
LIST = 'list'
DEVICE = 'pci-epc'
_HEAD = ('name', 'controller', 'BARs', 'align', 'maps', 'interrupts', 'DMA',
         'lacks')
# What a BAR is called in the table; a fixed one has its size
_BARS = {'programmable': '.', 'resizable': 'R', 'reserved': 'x',
         'disabled': '-'}
_LACKS = {'dynamic-inbound': 'dynamic', 'subrange': 'subrange',
          'doorbells': 'doorbells', 'linkup': 'linkup'}


def names() -> List[str]:
    """Return the names of all profiles."""
    return sorted(name[:-5] for name in os.listdir(DIRECTORY)
                  if name.endswith('.json'))


def path_of(name: str) -> str:
    """Return the file of a profile that has a name."""
    return os.path.normpath(os.path.join(DIRECTORY, f'{name}.json'))


def profile(text: str) -> str:
    """Type of an option: the name of a profile, a file, or "list"."""
    if text == LIST:
        return text
    if os.sep in text or text.endswith('.json'):
        if not os.path.isfile(text):
            raise argparse.ArgumentTypeError(
                f'no file {text}: check the path')
        return os.path.abspath(text)
    if text not in names():
        raise argparse.ArgumentTypeError(
            f"no profile '{text}': {did_you_mean(text, names())}"
            f'--profile {LIST} shows all')
    return path_of(text)


def arguments(path: str) -> List[str]:
    """
    Return arguments for the QEMU of the endpoint guest.

    They come before --ep-qemu-arg, whose -global of other properties wins.
    """
    return ['-global', f'{DEVICE}.profile={path}']


def read(path: str) -> Dict[str, Any]:
    """Return what a profile has."""
    with open(path, encoding='utf-8') as file:
        content: Dict[str, Any] = json.load(file)
    return content


def _bar(text: str) -> str:
    """Return a short word for the property of a BAR."""
    words = text.split('+')
    kinds = [word for word in words if word != '64bit'] or ['programmable']
    kind = kinds[0].replace('fixed:', '')
    return _BARS.get(kind, kind) + ('w' if '64bit' in words else '')


def _row(name: str, content: Dict[str, Any]) -> List[str]:
    """Return the words that the table has of a profile."""
    props = content['properties']
    align = [str(props.get(f'{way}-align', '4K'))
             for way in ('inbound', 'outbound')]
    irqs = [text for word, text in (('msi', 'MSI'), ('msix', 'MSI-X'),
                                    ('intx', 'INTx')) if props.get(word, True)]
    return [
        name, content['controller'],
        ' '.join(_bar(props.get(f'bar{n}', 'programmable'))
                 for n in range(6)),
        align[0] if align[0] == align[1] else '/'.join(align),
        str(props.get('max-maps', '?')),
        ' '.join(irqs), str(props.get('dma-channels', '?')),
        ' '.join(text for word, text in _LACKS.items()
                 if not props.get(word, True)),
    ]


def table() -> List[str]:
    """Return the lines of --profile list."""
    rows = [list(_HEAD)] + [_row(name, read(path_of(name)))
                            for name in names()]
    widths = [max(len(row[n]) for row in rows) for n in range(len(_HEAD))]
    lines = ['  '.join(word.ljust(width) for word, width
                       in zip(row, widths)).rstrip() for row in rows]
    return lines + [
        '', 'BARs 0 to 5: . any size, R resizable, x reserved, - disabled, a '
        'fixed size; w 64 bits only', 'maps: ? is what the controller itself '
        'reports at run time: the device has its default']
