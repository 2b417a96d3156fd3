# SPDX-License-Identifier: GPL-2.0-or-later
"""The host's memory map changes while its other CPUs use it."""

from lib import Link, build_program, check, limit, long

READERS = 3
DEVICE = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)'


def boot(t):
    """A host with a CPU for each reader and one that changes the map."""
    program = build_program(t, 'bar-toggle')
    return Link(
        t.testbed(host={
            'cpus': READERS + 1,
            'files': [f'{program}:/bin/bar-toggle']
        }))


def toggle(link, count, seconds):
    """Toggle Memory Space Enable @count times under readers of BAR 1."""
    link.host(f'bar-toggle {DEVICE} 1 {READERS} {count}', seconds)


def resets(link, count, seconds):
    """Reset the bus @count times under readers of BAR 1 and toggles."""
    link.host(
        f'echo bus >{DEVICE}/reset_method;'
        f'bar-toggle {DEVICE} 1 {READERS} 1000000000 & toggler=$!;'
        f'n=0; while [ $n -lt {count} ]; do'
        f' echo 1 >{DEVICE}/reset || exit 1; n=$((n + 1)); done;'
        f' kill $toggler; wait; bar-toggle {DEVICE} 1 0 1', seconds)


def alive(link):
    check(link.bed.guests['host'].alive, 'the QEMU of the host ended')
    link.works()
    link.check_consoles()


@limit(300)
def test_map_changes_under_readers(t):
    """5000 toggles and 50 secondary bus resets, four CPUs."""
    link = boot(t)
    with link.bed:
        link.start()
        toggle(link, 5000, 120)
        alive(link)
        resets(link, 50, 180)
        alive(link)


@long
@limit(3000)
def test_resets_and_toggles_ten_times(t):
    """500 bus resets and 5000 toggles, ten times in a row."""
    link = boot(t)
    with link.bed:
        link.start()
        for _ in range(10):
            toggle(link, 5000, 150)
            resets(link, 500, 900)
            alive(link)
