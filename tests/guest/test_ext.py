# SPDX-License-Identifier: GPL-2.0-or-later
"""Doorbells, capabilities and events of pci-epc-ext.h, with real kernels."""

import os
import re

from lib import (
    Failed, ModuleFunction, build_program, check, contains, equal, limit)

ENDPOINT = '0x1af4:0x10fe'
DOORBELLS = 64
DEBUGFS = '/sys/kernel/debug/pci_epf_ext_test/pci_epf_ext_test.0'
DEVICE = f'/sys/bus/pci/devices/$(endpoint {ENDPOINT})'
POWER_CAP, VENDOR_CAP, EXTENDED_VENDOR_CAP = 0x01, 0x09, 0x0B
MSI_CAP, MSIX_CAP = 0x05, 0x11
# State of an interrupt, as bits
ENABLED, MASKED = 1, 2
EINVAL = 22
CAPABILITIES = 48  # that the list can have at most
# Writes of the host that can wait: for the handler of the function, and in the
# device for the guest
QUEUE, DEVICE_QUEUE = 512, 64
HOST_MODULE = 'pci-ep-ext-test-host'


class Ext(ModuleFunction):
    """Two guests, the endpoint with the test function."""

    def __init__(self, t, kernel='7', **kw):
        taker = os.path.join(t.build, f'modules-{kernel}', f'{HOST_MODULE}.ko')
        super().__init__(t, 'pci-epf-ext-test', ENDPOINT, [
            f'{build_program(t, "bar-write")}:/bin/bar-write', taker
        ], kernel, **kw)

    def state(self, name):
        """Return a file of the function as rows of words."""
        return [
            line.split()
            for line in self.ep(f'cat {DEBUGFS}/{name}').splitlines()
        ]

    def events(self):
        return {
            name: (int(n), int(v, 0))
            for name, n, v in self.state('events')
        }

    def comes(self, what, condition, seconds=20):
        """Wait for a state that the endpoint reaches a little later."""
        seen = []

        def reached():
            seen[:] = [self.state(what)]
            return condition(seen[0])

        for _ in range(seconds * 5):
            if reached():
                return seen[0]
            self.bed.pump(0.2)
        check(False, f'{what} of the function are not as expected after '
              f'{seconds} s: {seen[0]}')

    def counted(self, name, count, seconds=20):
        rows = self.comes(
            'events', lambda rows: any(n == name and int(c) >= count
                                       for n, c, _ in rows), seconds)
        found = {n: (int(c), int(v, 0)) for n, c, v in rows}
        equal(found[name][0], count, f'events {name}')
        return found[name][1]

    def ring(self, bar, offset, values):
        writes = ' '.join(f'{offset + 4 * n} {v:#x}'
                          for n, v in values.items())
        self.host(f'bar-write {DEVICE}/resource{bar} {writes}', 60)

    def rung(self, times, values):
        """Each of these doorbells was rung so often and has its value."""
        def done(rows):
            return all(int(rows[n][2]) >= times for n in values)

        rows = self.comes('doorbells', done)
        for n, value in values.items():
            equal(rows[n][2:], [str(times), f'{value:#x}'], f'doorbell {n}')

    def config(self, offset, size):
        out = self.host(
            f'dd if={DEVICE}/config bs={size} skip={offset // size} count=1'
            ' 2>/dev/null | hexdump -e \'1/%d "%%x"\'' % size)
        return int(out.strip(), 16)

    def capabilities(self):
        """Return the list of capabilities: offset to id."""
        text = self.host("hexdump -v -n 256 -e '1/1 \"%x \"' "
                         f'/sys/bus/pci/devices/$(endpoint {self.endpoint})'
                         '/config')
        space = [int(word, 16) for word in text.split()]
        found, at = {}, space[0x34]
        for _ in range(CAPABILITIES):
            if not at:
                return found
            found[at] = space[at]
            at = space[at + 1] & 0xFC
        raise Failed(f'the list of capabilities has no end: {found}')

    def write_config(self, offset, size, value):
        text = ''.join(f'\\x{b:02x}' for b in value.to_bytes(size, 'little'))
        self.host(f"printf '{text}' | dd of={DEVICE}/config bs={size} "
                  f'seek={offset // size} count=1 conv=notrunc 2>/dev/null')

    def count_up(self, offset, count):
        """Write 0, 1, ... to a register of 4 bytes, one by one."""
        self.host(
            f'n=0; d={DEVICE}; while [ $n -lt {count} ]; do '
            'printf "\\\\x$(printf %02x $((n & 255)))'
            '\\\\x$(printf %02x $((n >> 8)))'
            f'\\\\0\\\\0" | dd of=$d/config bs=4 seek={offset // 4} count=1 '
            'conv=notrunc 2>/dev/null; n=$((n + 1)); done', 120)


def doorbells(link):
    """Ring every doorbell, each with a value of its own."""
    rows = link.state('doorbells')
    equal(len(rows), DOORBELLS, 'doorbells')
    place = {n: int(rows[n][1], 0) // 4 for n in range(DOORBELLS)}
    equal(len(set(place.values())), DOORBELLS, 'places of doorbells')
    first = {n: 0xBE110000 + n for n in range(DOORBELLS)}
    link.ring(0, 0, {place[n]: v for n, v in first.items()})
    link.rung(1, first)
    # Rings that come one by one are counted one by one.
    for times in range(2, 6):
        link.ring(0, 0, {place[5]: times})
        link.rung(times, {5: times})
    link.rung(1, {n: v for n, v in first.items() if n != 5})


def halves(link):
    """Retarget half of BAR 1 to doorbells and back while the link is up."""
    link.ring(1, 0, {0: 0x11111111})
    link.ring(1, 4096, {0: 0x22222222})
    before = [row[2:] for row in link.state('doorbells')]
    link.ep(f'echo half >{DEBUGFS}/bar1')
    place = int(link.state('doorbells')[7][1], 0) // 4
    link.ring(1, 4096, {place: 0x77})
    link.comes('doorbells', lambda rows: rows[7][3] == '0x77')
    link.ep(f'echo memory >{DEBUGFS}/bar1')
    out = link.host(f'bar-write {DEVICE}/resource1 4 4 0 0x33')
    equal(out.strip(), '0x4', 'memory of BAR 1')
    link.ring(1, 4096, {place: 0x88})
    link.bed.pump(0.5)
    after = [row[2:] for row in link.state('doorbells')]
    before[7] = [str(int(before[7][0]) + 1), '0x77']
    equal(after, before, 'doorbells after BAR 1 is memory again')


def capabilities(link):
    """Use the capabilities of the function: reads, masked writes."""
    cap, ext_cap = (int(word, 0) for word in link.state('caps')[0])
    equal(link.config(cap, 1), VENDOR_CAP, 'id of the capability')
    equal(link.config(cap + 2, 1), 0x10, 'length of the capability')
    equal(link.config(cap + 4, 4), 0x12345678, 'a register of the capability')
    header = link.config(ext_cap, 4)
    equal(header & 0xFFFFF, 1 << 16 | EXTENDED_VENDOR_CAP, 'extended header')
    found = link.capabilities()
    check(cap in found, f'capability {cap:#x} is not in the list {found}')

    link.write_config(cap + 8, 4, 0xFFFFFFFF)
    equal(link.config(cap + 8, 4), 0xFFFFA5FF, 'a masked write')
    link.write_config(cap + 8, 2, 0x0011)
    link.write_config(cap + 11, 1, 0x22)
    equal(link.config(cap + 8, 4), 0x22FFA511, 'small writes')
    link.write_config(cap + 4, 4, 0)
    equal(link.config(cap + 4, 4), 0x12345678, 'a constant')
    expected = [(cap + 8, 4, 0xFFFFFFFF), (cap + 8, 2, 0x11),
                (cap + 11, 1, 0x22)]
    expected += [(ext_cap + 8, 4, n) for n in range(100)]
    link.count_up(ext_cap + 8, 100)

    def writes(rows):
        return [
            tuple(int(w, 0) for w in r) for r in rows
            if int(r[0], 0) != cap + 4
        ]

    rows = link.comes('writes', lambda r: len(writes(r)) >= len(expected))
    equal(writes(rows), expected, 'writes the endpoint saw')
    # The endpoint changes the register and the mask at any time.
    link.ep(f"echo '{cap + 12} 4 0xcafe 0xff' >{DEBUGFS}/config")
    equal(link.config(cap + 12, 4), 0xCAFE,
          'a register set while the link is up')
    link.write_config(cap + 12, 4, 0x12345601)
    equal(link.config(cap + 12, 4), 0xCA01, 'a mask set while the link is up')
    link.ep(f"echo '{cap + 16} 4 0 0' >{DEBUGFS}/config", status=1)


def resets(link):
    """Function level reset, hot reset, power states: each is one event."""
    for count in range(1, 4):
        link.host(f'echo flr >{DEVICE}/reset_method; echo 1 >{DEVICE}/reset')
        link.counted('flr', count)
    for count in range(1, 3):
        link.host(f'echo bus >{DEVICE}/reset_method; echo 1 >{DEVICE}/reset')
        link.counted('hot_reset', count)
    states = link.events()['dstate'][0]
    power = next((at for at, kind in link.capabilities().items()
                  if kind == POWER_CAP), None)
    check(power, 'the function has no power management capability')
    for value in (3, 0, 3, 0):
        old = link.config(power + 4, 2)
        link.write_config(power + 4, 2, old & ~3 | value)
        states += 1
        equal(link.counted('dstate', states), value, 'power state')
        link.bed.pump(0.1)
    command = link.events()['command'][0]
    for value in (0, 2, 6):
        link.write_config(4, 2, value)
        command += 1
        equal(link.counted('command', command) & 7, value, 'command register')


def interrupts(link):
    """A task and an interrupt handler call pci_epc_ext_raise_irq()."""
    def raised(what, error=''):
        out = link.ep(f'echo {what} >{DEBUGFS}/raise',
                      status=1 if error else 0)
        contains(out, error, f'{what} is raised')

    def taken(count):
        """Wait until the host has counted that many."""
        for _ in range(50):
            row = link.host(f'grep {HOST_MODULE} /proc/interrupts').split()
            seen = sum(int(word) for word in row[1:3])
            if seen >= count:
                break
            link.bed.pump(0.2)
        equal(seen, count, 'MSI-X in the host')

    raised('msix 1', 'not supported')
    link.host(f'insmod /root/{HOST_MODULE}.ko')
    raised('msix 1')
    taken(1)
    raised('msix 2', 'Invalid argument')
    raised('msix 0', 'Invalid argument')
    raised('msi 1', 'not supported')

    link.ep(f'echo 1 >{DEBUGFS}/answer')
    row = link.state('doorbells')[3]
    place, rings = int(row[1], 0) // 4, int(row[2])
    for n in range(1, 11):
        link.ring(0, 0, {place: n})
        link.comes('doorbells', lambda rows, n=n: int(rows[3][2]) == rings + n)
        taken(1 + n)
    link.counted('answered', 10)
    link.ep(f'echo 0 >{DEBUGFS}/answer')
    link.host(f'rmmod {HOST_MODULE}')
    raised('msix 1', 'not supported')


def masks(link):
    """The host enables interrupts and masks them: the endpoint sees it."""
    def seen(*states):
        """Wait for the states of MSI 1 and 2, MSI-X 1 and 2."""
        wanted = [[str(state) for state in states]]
        link.comes('irqs', lambda rows: rows == wanted)
        check(link.events()['irq_state'][0] > before, 'there was no event')

    def mask(control):
        link.host(f'bar-write {DEVICE}/resource{table & 7} '
                  f'{(table & ~7) + 12} {control}')

    capabilities = link.capabilities()
    msi = next(at for at, kind in capabilities.items() if kind == MSI_CAP)
    msix = next(at for at, kind in capabilities.items() if kind == MSIX_CAP)
    table = link.config(msix + 4, 4)
    before = -1
    seen(0, 0, MASKED, -EINVAL)
    before = link.events()['irq_state'][0]
    link.write_config(msi + 16, 4, 2)
    seen(0, MASKED, MASKED, -EINVAL)
    link.write_config(msi + 16, 4, 0)
    seen(0, 0, MASKED, -EINVAL)

    link.host(f'insmod /root/{HOST_MODULE}.ko')
    for control, state in ((1, ENABLED | MASKED), (0, ENABLED)):
        before = link.events()['irq_state'][0]
        mask(control)
        seen(0, 0, state, -EINVAL)
    # The mask of the function
    before = link.events()['irq_state'][0]
    link.write_config(msix + 2, 2, 0xC000)
    seen(0, 0, ENABLED | MASKED, -EINVAL)
    link.write_config(msix + 2, 2, 0x8000)
    seen(0, 0, ENABLED, -EINVAL)
    # However often it changes, the last state is what counts.
    many = ' '.join(f'{(table & ~7) + 12} {n % 2}' for n in range(1001))
    link.host(f'bar-write {DEVICE}/resource{table & 7} {many}', 60)
    seen(0, 0, ENABLED, -EINVAL)
    equal(link.events()['lost'][0], 0, 'events lost')
    link.host(f'echo flr >{DEVICE}/reset_method; rmmod {HOST_MODULE}; '
              f'echo 1 >{DEVICE}/reset')
    seen(0, 0, MASKED, -EINVAL)
    link.enable()


@limit(200)
def test_everything(t):
    link = Ext(t)
    with link.bed:
        link.boot()
        link.connect()
        doorbells(link)
        capabilities(link)
        resets(link)
        interrupts(link)
        masks(link)
        halves(link)
        equal(link.events()['lost'][0], 0, 'events lost')
        link.close()


@limit(200)
def test_function_replaced(t):
    """The function comes again, then another: nothing of the first is left."""
    link = Ext(t)
    with link.bed:
        link.boot()
        for _ in range(2):
            link.connect()
            doorbells(link)
            capabilities(link)
            link.ep('role_finish')
            link.vanishes()
        link.endpoint = '0x104c:0xb500'
        link.ep('epc_path; role_setup', 40)
        link.appears()
        found = link.capabilities()
        check(VENDOR_CAP not in found.values(),
              f'the other function has a vendor capability: {found}')
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


class WithQmp(Ext):
    """The same with the monitor of one guest."""

    def __init__(self, t, role):
        super().__init__(t, monitors=True)
        self.qmp = self.bed.monitor(role)


@limit(240)
def test_machine_reset(t):
    """The host reboots: each reset of the machine is one event."""
    link = WithQmp(t, 'host')
    with link.bed:
        link.bed.host.spec.reboot = True
        link.boot()
        link.connect()
        doorbells(link)
        link.qmp.command('query-status')  # QMP counts events after this.
        for n in range(2):
            rings = int(link.state('doorbells')[7][2])
            link.reboot_host()
            link.enable()
            # The firmware resets the machine once more.
            link.qmp.command('query-status')
            machine = link.qmp.events.count('RESET')
            check(machine > n, f'the machine was reset {machine} times, '
                  f'expected more than {n}')
            link.counted('perst', machine)
            place = int(link.state('doorbells')[7][1], 0) // 4
            link.ring(0, 0, {place: n})
            link.rung(rings + 1, {7: n})
        events = link.events()
        others = {
            n: events[n][0]
            for n in ('hot_reset', 'flr', 'lost', 'gone')
        }
        equal(others, dict.fromkeys(others, 0), 'other events')
        capabilities(link)
        link.close()


@limit(240)
def test_events_lost(t):
    """A function that is too slow gets an event that writes were lost."""
    link = WithQmp(t, 'ep')
    with link.bed:
        link.boot()
        link.connect()
        register = int(link.state('caps')[0][1], 0) + 8

        # One write is in the handler, QUEUE wait, and the others are lost.
        link.ep(f'echo 1 >{DEBUGFS}/hold')
        link.count_up(register, QUEUE + 8)
        link.ep(f'echo 0 >{DEBUGFS}/hold')
        equal(link.counted('config', QUEUE + 1), QUEUE,
              'the last one that came')
        link.counted('lost', 1)

        # The device keeps DEVICE_QUEUE writes while the guest is stopped.
        link.qmp.command('stop')
        link.count_up(register, DEVICE_QUEUE + 6)
        link.qmp.command('cont')
        came = QUEUE + 1 + DEVICE_QUEUE
        equal(link.counted('config', came), DEVICE_QUEUE - 1,
              'the last one then')
        link.counted('lost', 2)

        link.count_up(register, 3)
        link.counted('config', came + 3)
        equal(link.events()['lost'][0], 2, 'nothing is lost any more')
        link.close()


@limit(240)
def test_controller_goes(t):
    """The driver is unbound; the function frees its interrupts."""
    link = Ext(t)
    with link.bed:
        link.boot()
        link.connect()
        driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
        before = link.ep('grep -c pci_epf_ext_test /proc/interrupts')
        equal(int(before), DOORBELLS, 'interrupts of doorbells')
        link.ep(
            f'for d in {driver}/0000:*; do '
            f'echo ${{d##*/}} >{driver}/unbind; done'
        )
        link.vanishes()
        equal(link.events()['gone'][0], 1, 'events gone')
        link.ep('! grep pci_epf_ext_test /proc/interrupts')
        link.check_consoles()


@limit(240)
def test_kernel_6_12(t):
    link = Ext(t, '6.12')
    with link.bed:
        link.boot()
        link.connect()
        doorbells(link)
        capabilities(link)
        resets(link)
        interrupts(link)
        masks(link)
        equal(link.events()['lost'][0], 0, 'events lost')
        link.close()


@limit(400)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG."""
    link = Ext(t, '7-debug')
    with link.bed:
        link.boot(120)
        link.connect()
        doorbells(link)
        capabilities(link)
        resets(link)
        interrupts(link)
        masks(link)
        halves(link)
        link.close()
        out = link.ep('cat /proc/lockdep_stats')
        check(re.search(r'debug_locks:\s+1', out),
              f'lockdep of the endpoint has stopped:\n{out}')
