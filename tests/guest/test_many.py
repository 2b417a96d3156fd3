# SPDX-License-Identifier: GPL-2.0-or-later
"""What happens to a link hundreds of times leaves nothing behind."""

import random

from lib import Link, check, equal, limit, long
from matrix.cell import KERNEL, Cell
from matrix.loads import LOADS, LOOP
import resources

WARM_UP = 10  # times until caches and pools have their size
RECONNECTS = 200
FLAPS = 500
CHECK_EACH = 50  # flaps
CONTROLLER = '/machine/peripheral/epc0'
INTERRUPTS = ('MSI_TEST', 'MSIX_TEST', 'LEGACY_IRQ_TEST')


def held(bed):
    """Return what each QEMU holds when nothing is going on."""
    bed.pump(2)
    return {name: resources.held(guest.pid)
            for name, guest in bed.guests.items()}


def check_flat(bed, before, what):
    """Print what both QEMUs hold, and fail if that has grown."""
    after = held(bed)
    for name, state in after.items():
        print(f'# {name} before: {resources.describe(before[name])}')
        print(f'# {name} after {what}: {resources.describe(state)}')
    for name, state in after.items():
        resources.check_growth(name, before[name], state)


@long
@limit(2400)
def test_reconnects(t):
    """The link goes and comes, and each kind of interrupt works in turn."""
    link = Link(t.testbed())
    with link.bed:
        link.start()
        before = {}
        for n in range(WARM_UP + RECONNECTS):
            if n == WARM_UP:
                before = held(link.bed)
            link.works(INTERRUPTS[n % len(INTERRUPTS)])
            link.ep('ep_stop')
            link.vanishes()
            link.ep('ep_start')
            link.appears()
        check_flat(link.bed, before, f'{RECONNECTS} reconnects')
        link.works('BAR_TEST', *INTERRUPTS, 'READ_TEST', 'WRITE_TEST')
        link.check_consoles()


class Flapping(Cell):
    """A link that flaps while the host uses an NVMe disk."""

    def __init__(self, t):
        load, = (load for load in LOADS if load.name == 'nvme')
        super().__init__(t, load)
        self._random = random.Random(1)

    def flap(self):
        """Take the link down and up, at any moment of what the host does."""
        qmp = self.qmp['ep']
        before = qmp.get(CONTROLLER, 'generation')
        qmp.set(CONTROLLER, 'fault', 'link-flap,ms=3')
        self.bed.wait(lambda: qmp.get(CONTROLLER, 'generation') != before,
                      20, 'the link comes up again')
        equal(qmp.get(CONTROLLER, 'generation'), before + 1, 'link-ups')
        self.bed.pump(self._random.choice((0, 0.05, 0.2, 0.5, 1)))

    def load_begins(self):
        """Have the host use the disk, and tolerate that it vanishes."""
        self.bed.host.command(LOOP.format(self.load.loop))

    def load_ends(self):
        """Wait until the disk is there again, and check its data."""
        status, out = self.bed.run(
            'host', f'>/tmp/end; wait_for {KERNEL} test ! -e /tmp/loop && '
            f'{self.load.again} && {self.load.works}', 3 * KERNEL)
        check(not status, f'the disk does not work after flaps:\n{out}')


@long
@limit(3000)
def test_flaps(t):
    """The link flaps under fio, which finds its data right afterwards."""
    with Flapping(t) as cell:
        cell.start()
        before = {}
        for n in range(WARM_UP + FLAPS):
            if n >= WARM_UP and not (n - WARM_UP) % CHECK_EACH:
                if n > WARM_UP:
                    cell.load_ends()
                before = before or held(cell.bed)
                cell.load_begins()
            cell.flap()
        cell.load_ends()
        check_flat(cell.bed, before, f'{FLAPS} flaps')
        cell.link.check_consoles()
