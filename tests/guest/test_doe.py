# SPDX-License-Identifier: GPL-2.0-or-later
"""DOE mailboxes that an endpoint function answers, with pci_doe() of Linux."""

import os
import re
import time

from lib import (
    Failed, ModuleFunction, check, contains, equal, lacks, limit, long)

ENDPOINT = '0x1af4:0x10fc'
DEBUGFS = '/sys/kernel/debug/pci_epf_doe_test/pci_epf_doe_test.0'
HOST = '/sys/kernel/debug/pci-ep-doe-test-host'
HOST_MODULE = 'pci-ep-doe-test-host'
DEVICE = f'/sys/bus/pci/devices/$(endpoint {ENDPOINT})'
UNBIND = ('d=/sys/bus/pci/drivers/pcie-qemu-ep; '
          'for n in $d/0000:*; do echo ${n##*/} >$d/unbind; done')
DOE_CAP = 0x2E
CONTROL, STATUS, WRITE_BOX, READ_BOX = 0x08, 0x0C, 0x10, 0x14
ABORT, GO, BUSY, ERROR = 1 << 0, 1 << 31, 1 << 0, 1 << 2
ECHO, REFUSE = 1, 2  # types of objects
KIND = ECHO << 16 | 0x1AF4
GIVES_UP = 1.0  # s: a host waits for a response that long
IO_ERROR = 'I/O error|Input/output error'


class Doe(ModuleFunction):
    """Two guests, the endpoint with the function that answers."""

    def __init__(self, t, kernel='7', **kw):
        taker = os.path.join(t.build, f'modules-{kernel}', f'{HOST_MODULE}.ko')
        self.has_driver = os.path.exists(taker)
        super().__init__(t, 'pci-epf-doe-test', ENDPOINT,
                         [taker] if self.has_driver else [], kernel, **kw)
        self.at = 0

    def start(self, seconds=60):
        self.boot(seconds)
        if self.has_driver:
            self.host('echo file drivers/pci/doe.c +p '
                      '>/sys/kernel/debug/dynamic_debug/control')
        self.connect()
        self.at = self.find()
        if self.has_driver:
            self.host(f'insmod /root/{HOST_MODULE}.ko')

    def find(self):
        """Return the offset of the capability."""
        text = self.host("hexdump -v -e '1/4 \"%x \"' -s 256 "
                         f'{DEVICE}/config', 60)
        space, at = [int(word, 16) for word in text.split()], 0x100
        for _ in range(len(space)):
            header = space[(at - 0x100) // 4]
            if header & 0xFFFF == DOE_CAP:
                return at
            at = header >> 20
            if not at:
                break
        raise Failed(f'there is no DOE capability: {text[:200]}')

    def read(self, register):
        """Read a register of the capability without the kernel's driver."""
        out = self.host(f'dd if={DEVICE}/config bs=4 count=1 skip='
                        f'{(self.at + register) // 4} 2>/dev/null | '
                        "hexdump -e '1/4 \"%x\"'")
        return int(out.strip(), 16)

    def write(self, *pairs):
        """Write registers likewise, in one command."""
        writes = [
            "printf '" + ''.join(f'\\x{b:02x}'
                                 for b in value.to_bytes(4, 'little'))
            + f"' | dd of={DEVICE}/config bs=4 count=1 conv=notrunc "
            f'seek={(self.at + register) // 4} 2>/dev/null'
            for register, value in pairs
        ]
        self.host(' && '.join(writes), 60)

    def send(self, *payload):
        """Write an object, and set Go."""
        dwords = [KIND, 2 + len(payload), *payload]
        self.write(*[(WRITE_BOX, dword) for dword in dwords], (CONTROL, GO))

    def receive(self, count):
        """Return that many dwords of the response, read one after another."""
        self.ready()
        at = (self.at + READ_BOX) // 4
        out = self.host(
            f'd={DEVICE}; d=$(echo $d)/config; for n in $(seq {count}); do '
            f'dd if=$d bs=4 count=1 skip={at} 2>/dev/null; '
            "printf '\\0\\0\\0\\0' | dd of=$d bs=4 count=1 conv=notrunc "
            f"seek={at} 2>/dev/null; done | hexdump -v -e '1/4 \"%x \"'", 60)
        return [int(word, 16) for word in out.split()]

    def ready(self):
        """Wait until there is a response."""
        for _ in range(50):
            if self.read(STATUS) >> 31:
                return
            self.bed.pump(0.1)
        check(False, f'no response: status {self.read(STATUS):#x}')

    def set(self, name, value):
        self.ep(f'echo {value} >{DEBUGFS}/{name}')

    def counts(self):
        """Return what the function has counted."""
        words = self.ep(f'cat {DEBUGFS}/state').split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def one(self, kind, length, error='', seconds=60):
        """Exchange one object; it fails with that error."""
        since = time.monotonic()
        out = self.host(f"echo '{kind} {length}' >{HOST}/one", seconds,
                        status=1 if error else 0)
        contains(out, error, f'an object of type {kind}')
        return time.monotonic() - since

    def run(self, count, most, seed, seconds=60):
        """Exchange many objects; return how many succeeded, and failed."""
        self.host(f"echo '{count} {most} {seed}' >{HOST}/run", seconds)
        return self.result()

    def result(self):
        good, failed, wrong = map(int, self.host(f'cat {HOST}/result').split())
        equal(wrong, 0, 'responses with wrong content')
        equal(self.counts()['wrong'], 0, 'requests with wrong content')
        return good, failed


def found(link):
    """The kernel of the host finds the mailbox and lists its protocols."""
    files = link.host(f'ls {DEVICE}/doe_features').split()
    equal(sorted(files), ['1af4:01', '1af4:02', 'doe_discovery'],
          'doe_features')
    log = '\n'.join(re.findall(r'.*DOE:.*', link.host('dmesg')))
    print(log)
    for index, kind in enumerate(['1 type: 0', '1af4 type: 1',
                                  '1af4 type: 2']):
        contains(log, rf'\[{link.at:x}\] Found feature {index} vid: {kind}',
                 'the log of the host')
    lacks(log, 'failed|timed out', 'the log of the host')


def refused(link):
    """An error of the handler is Error, which the host clears by Abort."""
    link.one(REFUSE, 4, IO_ERROR)
    equal(link.read(STATUS), 0, 'status after an error')
    link.one(ECHO, 4)


def late(link):
    """The host aborts an object whose handler is slow, and its answer goes."""
    link.set('delay', 1700)
    took = link.one(ECHO, 100, IO_ERROR)
    check(GIVES_UP <= took, f'the host gave up after {took:.1f} s')
    link.set('delay', 0)
    equal(link.read(STATUS), 0, 'status after an abort')
    # This object waits until the handler of the one before has returned.
    link.one(ECHO, 50)
    equal(link.run(20, 64, 5), (20, 0), 'exchanges after an abort')


def disturbed(link, what, count, most, allowed):
    """Disturb exchanges in the middle: some fail, and none is wrong."""
    link.host(f"(echo '{count} {most} {count}' >{HOST}/run; echo done "
              '>/tmp/done) >/dev/null 2>&1 & sleep 0.4; '
              f'{what}; for n in $(seq 400); do test -e /tmp/done && break; '
              'sleep 0.1; done; rm /tmp/done', 90)
    good, failed = link.result()
    print(f'{what}: {good} exchanges were good, {failed} failed')
    equal(good + failed, count, 'exchanges')
    check(1 <= failed <= allowed, f'{failed} of {count} failed')
    equal(link.read(STATUS), 0, 'status')
    equal(link.run(20, 64, 9), (20, 0), 'exchanges after that')


def reset(kind):
    return f'echo {kind} >{DEVICE}/reset_method; echo 1 >{DEVICE}/reset'


def raw(link):
    """Registers by hand: order, an abort in the middle, nothing stale."""
    def expect(seed, length):
        dwords = link.receive(length + 2)
        pattern = [((~seed + 1) * 0x9E3779B1 + n * 0x85EBCA6B) & 0xFFFFFFFF
                   for n in range(length)]
        equal(dwords, [KIND, length + 2, *pattern], 'a response')
        equal(link.read(READ_BOX), 0, 'what is behind the response')
        equal(link.read(STATUS), 0, 'status behind the response')

    link.send(5, 7)
    expect(7, 5)
    # Abort: while it is written, and while it is read
    link.write((WRITE_BOX, KIND), (WRITE_BOX, 4), (CONTROL, ABORT))
    link.send(4, 8)
    link.ready()
    link.write((READ_BOX, 0), (CONTROL, ABORT))
    equal(link.read(READ_BOX), 0, 'the mailbox after an abort')
    # An answer that comes after the abort is not that to the next object.
    link.set('hold', 1)
    link.send(3, 9)
    equal(link.read(STATUS), BUSY, 'status while the handler works')
    link.write((CONTROL, ABORT))
    equal(link.read(STATUS), 0, 'status after an abort')
    link.send(2, 10)
    link.set('hold', 0)
    expect(10, 2)
    # The length of the header is wrong: discarded silently
    link.write((WRITE_BOX, KIND), (WRITE_BOX, 5), (CONTROL, GO))
    equal(link.read(STATUS), 0, 'status after a wrong length')
    link.write((WRITE_BOX, 0x99FFFF), (WRITE_BOX, 2), (CONTROL, GO))
    equal(link.read(STATUS), ERROR, 'status for a type that nobody takes')
    link.write((CONTROL, ABORT))
    link.send(1, 11)
    expect(11, 1)


def ends(link):
    """The function takes no objects any more, and the driver goes."""
    link.ep(f'echo 1 >{DEBUGFS}/unregister')
    link.one(ECHO, 4, IO_ERROR)
    link.set('delay', 1500)
    running = link.bed.host.command(f"echo '{REFUSE} 4' >{HOST}/one")
    link.bed.pump(0.3)
    link.ep(UNBIND, 40)
    link.bed.wait(lambda: running.status is not None, 30, 'the exchange ends')
    link.vanishes()


@limit(240)
def test_objects(t):
    """Objects both ways, errors, aborts and resets in the middle, the end."""
    link = Doe(t, host={'cpus': 2})
    with link.bed:
        link.start()
        found(link)
        equal(link.run(150, 64, 1), (150, 0), 'exchanges')
        link.one(ECHO, 3000)
        refused(link)
        late(link)
        disturbed(link, reset('flr'), 120, 64, 3)
        ends(link)
        link.check_consoles()


@limit(240)
def test_kernel_6_12(t):
    """The older kernel, whose host cannot look for mailboxes: by hand."""
    link = Doe(t, kernel='6.12')
    with link.bed:
        link.start()
        raw(link)
        link.close()


@long
@limit(900)
def test_many(t):
    """10000 objects of random length each way, aborted and reset."""
    link = Doe(t, host={'cpus': 2})
    with link.bed:
        link.start()
        since = time.monotonic()
        equal(link.run(10000, 64, 11, 600), (10000, 0), 'exchanges')
        print(f'10000 exchanges took {time.monotonic() - since:.0f} s')
        since = time.monotonic()
        link.one(ECHO, 65536 - 2, seconds=200)
        print(f'256 KiB each way took {time.monotonic() - since:.0f} s')
        link.one(ECHO, (1 << 18) - 2, seconds=400)
        for kind in ('flr', 'bus', 'flr'):
            disturbed(link, reset(kind), 200, 64, 3)
        late(link)
        link.close()
