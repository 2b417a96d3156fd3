# SPDX-License-Identifier: GPL-2.0-or-later
"""DMA by host bus address of pci-epc-ext.h, with real kernels."""

import os
import re
import time

from lib import ModuleFunction, check, contains, equal, lacks, limit, steps
from pciep.run.faults import device

ENDPOINT = '0x1af4:0x10fd'
EP = '/sys/kernel/debug/pci_epf_dma_test/pci_epf_dma_test.0'
HOST = '/sys/kernel/debug/pci-ep-dma-test-host'
HOST_MODULE = 'pci-ep-dma-test-host'
DEVICE = f'/sys/bus/pci/devices/$(endpoint {ENDPOINT})'
DRIVER = '/sys/bus/pci/drivers/pcie-qemu-ep'
SIZE = 1 << 20
SEGMENTS = 1024  # that one call may have
CHANNELS = 16
NOWHERE = 1 << 45  # No guest has memory there.
IOMMU_FAULT = r'DMAR: \[DMA'
# Seconds: three times the deadline that the launcher gives the device
GIVES_UP = 12

REFUSED = 'Bad address'
MASTER_OFF = 'Resource temporarily unavailable'
NO_LINK = 'Link has been severed'
NO_CHANNEL = 'No space left on device'
GONE = 'No such device'
TIMED_OUT = 'timed out'
ENOLINK, ENODEV, ETIMEDOUT = 67, 19, 110


class Dma(ModuleFunction):
    """Two guests, the endpoint with the function, the host with a buffer."""

    def __init__(self, t, kernel='7', **kw):
        host = kw.pop('host', {})
        super().__init__(t, 'pci-epf-dma-test', ENDPOINT, [
            os.path.join(t.build, f'modules-{kernel}', f'{HOST_MODULE}.ko')
        ], kernel, host=host, **kw)
        self.addr = 0

    def start(self, seconds=60):
        self.boot(seconds)
        self.connect()
        self.load_host()

    def load_host(self):
        self.host(f'insmod /root/{HOST_MODULE}.ko; '
                  f'wait_for 10 test -e {HOST}/pings')
        self.addr = int(self.host(f'cat {HOST}/addr'), 0)

    def call(self, name, words, error='', seconds=30):
        """Write to a file of the function; it fails with that error."""
        out = self.ep(f"echo '{words}' >{EP}/{name}", seconds,
                      status=1 if error else 0)
        contains(out, error, f'{name} {words}')

    def write(self, offset, length, segments=1, seed=1, error=''):
        self.call('write', f'{self.addr + offset} {length} {segments} {seed}',
                  error)

    def read(self, offset, length, segments=1, seed=1, error=''):
        self.call('read', f'{self.addr + offset} {length} {segments} {seed}',
                  error)

    def fill(self, offset, length, seed):
        self.host(f"echo '{offset} {length} {seed}' >{HOST}/fill")

    def has(self, offset, length, seed):
        """The buffer of the host has that pattern there."""
        self.host(f"echo '{offset} {length} {seed}' >{HOST}/check")

    def threads(self):
        """Return rounds and error of each thread of the load."""
        return [tuple(int(word) for word in line.split())
                for line in self.ep(f'cat {EP}/threads').splitlines()]

    def handlers(self):
        """Return how many handlers the driver has for its interrupts."""
        return int(self.ep("grep -o '0000:[0-9a-f:.]*$' /proc/interrupts | "
                           'wc -l'))

    def load(self, count):
        self.call('load', f'{self.addr + SIZE // 4} {count}')

    def rounds(self, count, least):
        """Wait until each thread has done so many rounds."""
        for _ in range(100):
            seen = self.threads()[:count]
            if all(rounds >= least for rounds, _ in seen):
                return seen
            self.bed.pump(0.2)
        check(False, f'the threads do not come to {least} rounds: {seen}')

    def ended(self, *errors):
        """Wait until all threads have ended with one of these errors."""
        for _ in range(100):
            seen = self.threads()
            if all(-error in errors for _, error in seen):
                return
            self.bed.pump(0.2)
        check(False, f'threads: expected errors {errors}, saw {seen}')


def both_ways(link):
    """Every byte is right, in one segment and in many."""
    for n, (length, segments) in enumerate([
            (1, 1), (4096, 1), (4097, 3), (65536, 16), (SIZE, 1), (SIZE, 7),
            (SIZE, SEGMENTS), (SEGMENTS, SEGMENTS)]):
        link.fill(0, SIZE, 1000 + n)
        link.write(0, length, segments, n)
        link.has(0, length, n)
        link.fill(0, SIZE, 2000 + n)
        link.read(0, length, segments, 2000 + n)
    # At an odd address, with nothing around it changed
    link.fill(0, 8192, 3)
    link.write(4099, 511, 5, 4)
    link.has(0, 4099, 3)
    link.has(4099, 511, 4)
    link.read(0, 4099, 2, 3)
    link.read(0, 4100, 2, 3, 'Invalid or incomplete|Illegal byte')


def refusals(link):
    """Wrong arguments, and an address without memory."""
    link.call('invalid', '1')
    link.call('write', f'{NOWHERE} 4096 1 1', REFUSED)
    link.call('read', f'{NOWHERE} 4096 1 1', REFUSED)
    # A failed segment ends the call: what is before it was done.
    link.fill(0, 8192, 10)
    link.call('fail', f'{link.addr} {NOWHERE} 11', REFUSED)
    link.has(0, 4096, 11)
    link.fill(0, 4096, 10)
    link.has(0, 8192, 10)
    link.write(0, 4096)
    link.has(0, 4096, 1)


def bus_master(link):
    """The host has bus mastering off, and on again."""
    for command, error in ((2, MASTER_OFF), (6, '')):
        link.host(f"printf '\\x{command:02x}\\0' | dd of={DEVICE}/config bs=2 "
                  'seek=2 count=1 conv=notrunc 2>/dev/null')
        link.write(0, 4096, error=error)
        link.read(0, 4096, error=error)


def pings(link, count):
    """The host gets an interrupt after the data that was written before."""
    link.call('pings', f'{link.addr} {count}', seconds=60)
    equal(link.host(f'cat {HOST}/pings').split(), [str(count), '0'],
          'interrupts, and those before their data')


def at_once(link, least):
    """Two threads, then four."""
    for count in (2, 4):
        link.load(count)
        seen = link.rounds(count, least)
        link.call('load', '0 0')
        equal([error for _, error in seen], [0] * count, 'errors')


def clients(link):
    """Clients of dmaengine get all channels but those in use, and back."""
    link.write(0, 4096)
    link.call('clients', str(CHANNELS))
    link.write(0, 4096, error=NO_CHANNEL)
    link.call('clients', str(CHANNELS + 1), 'busy')
    link.call('clients', str(CHANNELS - 1))
    link.write(0, 4096, seed=5)
    link.has(0, 4096, 5)
    link.load(2)
    link.rounds(2, 1)
    link.call('clients', '0')
    link.call('load', '0 0')


def everything(link):
    pings(link, 500)
    both_ways(link)
    refusals(link)
    bus_master(link)
    at_once(link, 10)
    clients(link)


@limit(240)
def test_kernel_6_12(t):
    link = Dma(t, '6.12')
    with link.bed:
        link.start()
        everything(link)
        link.close()


@limit(500)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG."""
    link = Dma(t, '7-debug')
    with link.bed:
        link.start(120)
        everything(link)
        link.close()
        out = link.ep('cat /proc/lockdep_stats')
        check(re.search(r'debug_locks:\s+1', out),
              f'lockdep of the endpoint has stopped:\n{out}')


def behind_iommu(t, iommu):
    """Mapped memory is reached, and no other; the host goes on after that."""
    link = Dma(t, host={'iommu': iommu})
    with link.bed:
        link.start()
        both_ways(link)
        lacks(t.read('host.log'), IOMMU_FAULT, 'host.log')
        refusals(link)
        at_once(link, 3)
        link.host(f'rmmod {HOST_MODULE}')
        link.write(0, 4096, error=f'{REFUSED}|{MASTER_OFF}')
        link.load_host()
        link.write(0, 4096, seed=6)
        link.has(0, 4096, 6)
        link.close()


@limit(240)
def test_iommu_announces(t):
    behind_iommu(t, 'intel-cm')


@limit(240)
def test_iommu_translates(t):
    """Each access is a message."""
    behind_iommu(t, 'intel')


def stop_and_unbind(link):
    """
    The link goes down under load, then the driver is unbound under it.

    The controller is gone at the end: this is the last step.
    """
    link.load(4)
    link.rounds(4, 2)
    link.ep('ep_stop')
    link.ended(ENOLINK)
    link.write(0, 4096, error=NO_LINK)
    link.vanishes()
    link.host(f'rmmod {HOST_MODULE}')
    link.ep('ep_start')
    link.enable()
    link.load_host()
    link.load(4)
    link.rounds(4, 2)
    link.ep(f'for n in {DRIVER}/0000:*; do '
            f'echo ${{n##*/}} >{DRIVER}/unbind; done')
    link.ended(ENOLINK, ENODEV)
    link.write(0, 4096, error=GONE)
    link.vanishes()


def unlink(link):
    """The function is unlinked under load, and comes again."""
    for _ in range(2):
        before = link.handlers()
        link.load(4)
        link.rounds(4, 2)
        equal(link.handlers(), before + 1, 'handlers of interrupts')
        link.ep('role_finish')
        link.vanishes()
        equal(link.handlers(), before, 'handlers after the function')
        link.host(f'rmmod {HOST_MODULE}')
        link.connect()
        link.load_host()
    link.write(0, 4096, seed=7)
    link.has(0, 4096, 7)


def hang_engine(link):
    """A call gives up when nothing comes to its end, and others go on."""
    link.write(0, 4096)
    link.bed.monitor('ep').set(device('ep', 0), 'fault', 'dma-drop')
    begin = time.monotonic()
    link.write(0, 4096, 2, 8, TIMED_OUT)
    took = time.monotonic() - begin
    check(GIVES_UP <= took < 2 * GIVES_UP, f'it took {took:.1f} s')
    both_ways(link)
    # One of two callers gives up; that does not end the call of the other.
    link.load(2)
    link.rounds(2, 2)
    link.bed.monitor('ep').set(device('ep', 0), 'fault', 'dma-drop')
    for _ in range(200):
        seen = link.threads()[:2]
        if any(error for _, error in seen):
            break
        link.bed.pump(0.2)
    equal(sorted(error for _, error in seen), [-ETIMEDOUT, 0], 'errors')
    other = next(n for n, (_, error) in enumerate(seen) if not error)
    for _ in range(50):
        if link.threads()[other][0] > seen[other][0] + 2:
            break
        link.bed.pump(0.2)
    equal(link.threads()[other][1], 0, 'error of the other caller')
    link.call('load', '0 0')


def sleep(link):
    """The endpoint suspends to idle under load: calls wait, and go on."""
    link.load(4)
    link.rounds(4, 2)
    for level in ('devices', 'platform'):
        link.ep('echo 1 >/sys/module/suspend/parameters/pm_test_delay; '
                f'echo {level} >/sys/power/pm_test && '
                'echo freeze >/sys/power/state', 60)
        seen = link.threads()
        link.rounds(4, max(rounds for rounds, _ in seen) + 2)
    equal([error for _, error in link.threads()], [0] * 4, 'errors')
    link.call('load', '0 0')
    both_ways(link)


@limit(400)
def test_everything(t):
    link = Dma(t, monitors=True)
    with link.bed:
        link.start()
        steps(link, unlink, everything, sleep, hang_engine, stop_and_unbind)
