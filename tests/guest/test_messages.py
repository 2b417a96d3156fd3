# SPDX-License-Identifier: GPL-2.0-or-later
"""Data and interrupts cost no message on the socket: counted by both QEMUs."""

import os
import sys

from lib import TOP, Skipped, check, equal, limit

sys.path.insert(0, os.path.join(TOP, 'tests/bench'))

import guests  # noqa: E402

WRITES = 10  # of configuration space
PAGE, MIB = 4096, 1 << 20


def bench(t):
    t.kernel('7')
    tools = guests.Tools(t.build, 'auto', lambda text: None)
    if not os.path.exists(os.path.join(t.build, 'bench')):
        raise Skipped(
            'the modules of the benchmark are not built: run "make bench"')
    return guests.Bench(tools, t.rundir)


def without_messages(b, what, run):
    """A measurement causes no message."""
    before = b.messages()
    check(run(), f'{what}: nothing was measured')
    equal(b.messages() - before, 0, f'messages of {what}')


def on_bar(b, name, loops):
    """64 KiB in words of 8 bytes, @loops times."""
    without_messages(b, f'{name} on a BAR',
                     lambda: b.bar(name, 16 * PAGE, loops, 1))


def on_endpoint(b, name, size, loops, samples=1, channels=1):
    run = lambda: b.endpoint(name, size, loops, samples, channels
                             )  # noqa: E731
    without_messages(b, f'{name}, {size} bytes, {channels} channels', run)


def both_sides_count(b):
    """Both sides count the same, since what one sends the other receives."""
    b.config_writes(WRITES)
    paths = {
        r: f'/machine/peripheral/{d}'
        for r, d in guests.DEVICES.items()
    }
    counts = {r: b.qmp[r].get(p, 'messages') for r, p in paths.items()}
    equal(counts['host'], counts['ep'],
          'messages of the host, against the endpoint')


@limit(180)
def test_none_for_data(t):
    """Only configuration writes are messages."""
    with bench(t) as b:
        b.start()
        for name in ('word_read', 'word_write', 'bulk_read', 'bulk_write'):
            on_bar(b, name, 100)
        for name in ('window_read', 'window_write'):
            on_endpoint(b, name, 8, 10000)
            on_endpoint(b, name, MIB, 10)
        on_endpoint(b, 'map', 16, 200)
        for name in ('dma_read', 'dma_write'):
            on_endpoint(b, name, 64, 1000, channels=4)
            on_endpoint(b, name, MIB, 64, channels=8)
        on_endpoint(b, 'msix', 1, 1, samples=200)
        without_messages(b, 'doorbells',
                         lambda: b.doorbell('doorbell', 1, 1, 200))

        before = b.messages()
        b.config_writes(WRITES)
        # Both sides count the command and its reply.
        least = 2 * WRITES
        seen = b.messages() - before
        check(seen >= least,
              f'{WRITES} configuration writes: {seen} messages counted, '
              f'expected at least {least}')
        both_sides_count(b)
