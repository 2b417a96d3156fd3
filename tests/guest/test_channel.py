# SPDX-License-Identifier: GPL-2.0-or-later
"""DMA channels as a client in the endpoint guest sees them; no link."""

import os

from lib import Link, limit, long

MODULE = 'pci-ep-chan-test'
# Sizes of copies: done by the CPU that submits them, and by the worker
SMALL, LARGE = 4096, 1 << 20


def endpoint(t, kernel='7'):
    """An endpoint guest with the module that tests channels."""
    module = os.path.join(t.build, f'modules-{kernel}', f'{MODULE}.ko')
    bed = t.testbed(kernel=kernel, function=(), ep={
        'idle': True, 'files': [module], 'append': 'cma=64M'})
    return Link(bed)


def run(link, seconds=60, **parameters):
    """
    Insert the module, whose init function is the test, and remove it.

    With contract=1 it looks at status and residue of copies under way, failed
    and terminated.
    """
    words = ' '.join(f'{name}={value}' for name, value in parameters.items())
    link.ep(f'insmod /root/{MODULE}.ko {words} && rmmod {MODULE} || '
            '{ dmesg | tail -5; false; }', seconds)
    link.check_consoles()


def released(link, count, seconds=60):
    """
    Channels are given back with copies under way, and taken again.

    Work that is under way then is terminated.  In the next round the interrupt
    of that work may still arrive.
    """
    run(link, seconds, releases=count, copies=200, size=SMALL)
    run(link, seconds, releases=count, copies=20, size=LARGE)


@limit(120)
def test_released_with_copies(t):
    """60 times each; a copy is right before and afterwards."""
    link = endpoint(t)
    with link.bed:
        link.bed.boot('ep')
        run(link, contract=1)
        released(link, 60)
        run(link, contract=1)


@limit(300)
def test_released_with_copies_debug(t):
    """With the kernel's checks: the handler also runs when it is freed."""
    link = endpoint(t, '7-debug')
    with link.bed:
        link.bed.boot('ep', seconds=120)
        released(link, 30, 120)
        run(link, contract=1)


@long
@limit(900)
def test_released_a_thousand_times(t):
    link = endpoint(t)
    with link.bed:
        link.bed.boot('ep')
        released(link, 1000, 400)
        run(link, contract=1)
