# SPDX-License-Identifier: GPL-2.0-or-later
"""BARs whose accesses an endpoint function answers, with real kernels."""

import re

from lib import ModuleFunction, build_program, check, equal, limit

ENDPOINT = '0x1af4:0x10fd'
DEBUGFS = '/sys/kernel/debug/pci_epf_trap_test/pci_epf_trap_test.0'
DEVICE = f'/sys/bus/pci/devices/$(endpoint {ENDPOINT})'
COUNT = 0x10
EXPIRES = 2000  # ms: half of the deadline that the launcher gives the device
ONES = 0xFFFFFFFF


class Trapped(ModuleFunction):
    """Two guests, the endpoint with the function that answers."""

    def __init__(self, t, **kw):
        super().__init__(t, 'pci-epf-trap-test', ENDPOINT, [
            f'{build_program(t, "trap-load")}:/bin/trap-load'
        ], **kw)

    def start(self):
        self.boot()
        self.connect()

    def load(self, what, seconds=60):
        """Run trap-load in the host, and return its output."""
        return self.host(f'trap-load {DEVICE} {what}', seconds)

    def read(self, offset):
        """Return what the host reads, and the milliseconds that took."""
        value, took = self.load(f'read {offset}').split()
        return int(value, 0), int(took)

    def counts(self):
        """Return what the function has counted."""
        words = self.ep(f'cat {DEBUGFS}/state').split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def set(self, name, value):
        self.ep(f'echo {value} >{DEBUGFS}/{name}')


def registers(link):
    """Use registers that no memory can have, and count each access once."""
    before = link.counts()
    print('banked:', link.load('banked 500').strip())
    after = link.counts()
    for name in ('reads', 'writes'):
        equal(after[name] - before[name], 500, name)
    out = link.load('status')
    print('status:', out.strip())
    check(int(re.search(r'done (\d+) times', out).group(1)) > 0,
          f'status 0 was there at once: {out}')


def late(link):
    """Wait for slow answers, and give up on none but with all ones."""
    link.set('delay', 20)
    took = int(link.load('banked 20').split()[0])
    check(took >= 20 * 20, f'20 reads of 20 ms took {took} ms')
    link.set('delay', 0)

    link.set('silent', 1)
    value, took = link.read(COUNT)
    equal(value, ONES, 'a register without an answer')
    check(EXPIRES <= took < 2 * EXPIRES, f'it took {took} ms')
    link.set('silent', 0)
    link.load('banked 20')  # The link stayed up.


@limit(200)
def test_kernel_6_12(t):
    """The same with the older kernel in both guests."""
    link = Trapped(t, kernel='6.12')
    with link.bed:
        link.start()
        registers(link)
        late(link)
        link.close()


def resets(link):
    """Reset the function: it is told, in order, and answers go on."""
    for count in range(1, 4):
        link.load('banked 5')
        link.host(f'echo flr >{DEVICE}/reset_method; echo 1 >{DEVICE}/reset')
        link.load('banked 5')
        equal(link.counts()['resets'], count, 'resets')


def ends(link, how):
    """Read all the time while the endpoint ends it: all ones at the end."""
    before = link.counts()['reads']
    running = link.bed.host.command(f'trap-load {DEVICE} until-ones')
    for _ in range(100):
        if link.counts()['reads'] > before:
            break
        link.bed.pump(0.1)
    check(running.status is None, f'it ended early: {running.output}')
    link.ep(how)
    link.bed.wait(lambda: running.status is not None, 30, 'reads are ones')
    check(re.match(r'ones after [1-9]', running.output),
          f'{how}: {running.output}')


UNBIND = ('d=/sys/bus/pci/drivers/pcie-qemu-ep; '
          'for n in $d/0000:*; do echo ${n##*/} >$d/unbind; done')


@limit(240)
def test_registers(t):
    """
    Registers of a function, from four CPUs at once, slow and silent.

    Then reset, untrap, stop, unlink and unbind while the host reads.
    """
    link = Trapped(t, host={'cpus': 4})
    with link.bed:
        link.start()
        registers(link)
        print('slots:', link.load('slots 4 20', 120).strip())
        late(link)
        resets(link)
        ends(link, f'echo 1 >{DEBUGFS}/untrap')
        link.close()
        for how in ('ep_stop', 'role_finish'):
            link.ep(f'insmod /root/{link.module}.ko')
            link.connect()
            ends(link, how)
            link.vanishes()
            link.ep(f'role_finish; rmmod {link.function}')
        link.ep(f'insmod /root/{link.module}.ko')
        link.connect()
        ends(link, UNBIND)
        link.vanishes()
        link.check_consoles()
