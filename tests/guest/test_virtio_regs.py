# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers of a virtio device, accessed by hand and not by a driver."""

import test_virtio
from lib import build_program, check, contains, equal, limit

# Registers of the common configuration: size and offset
DFSELECT, DF, GFSELECT, GF = '4:0', '4:4', '4:8', '4:12'
MSIX, NUMQ, STATUS, GENERATION = '2:16', '2:18', '1:20', '1:21'
SELECT, SIZE, VECTOR, ENABLE = '2:22', '2:24', '2:26', '2:28'
NOFF, DESC_LO, DESC_HI, RESET = '2:30', '4:32', '4:36', '2:58'
DRIVER_LO, DRIVER_HI, DEVICE_LO, DEVICE_HI = '4:40', '4:44', '4:48', '4:52'
ISR = '1:0x1000'

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 0x40
VERSION_1, ACCESS_PLATFORM, ORDER_PLATFORM, NOTIFICATION_DATA = 32, 33, 36, 38
REQUIRED = [VERSION_1, ACCESS_PLATFORM, ORDER_PLATFORM]
NONE = 0xffff
RING_RESET = 40
# An address of the host at which there is nothing
NOWHERE = 0xdead00000000
# Memory that the host's kernel leaves alone, and which is zero
EMPTY = 0x10000000
# Code of the host's kernel, which is no ring
CODE = 0x1000000


class Registers(test_virtio.Virtio):
    """An entropy device without a driver, and its registers."""

    def __init__(self, t, *options, **kw):
        program = build_program(t, 'bar-io')
        super().__init__(t, *options,
                         host={'files': [f'{program}:/bin/bar-io'], **kw})

    def boot(self):
        """Boot; virtio-pci leaves the device, which can then be accessed."""
        self.start()
        self.host(f'wait_for 20 test -e {test_virtio.DEVICE}/driver', 30)
        test_virtio.leave(self)
        # Memory Space and Bus Master Enable
        self.host(f'echo 1 >{test_virtio.DEVICE}/enable; printf "\\006" | dd '
                  f'of={test_virtio.DEVICE}/config bs=1 seek=4 conv=notrunc')

    def io(self, *commands, bar=0):
        """Run commands of bar-io, and return what was read."""
        out = self.host(f'bar-io {test_virtio.DEVICE}/resource{bar} '
                        + ' '.join(commands))
        return [int(line, 16) for line in out.split()]

    def read(self, register):
        return self.io(f'r{register}')[0]

    def reset(self):
        """Write 0 to device_status, and wait until it reads 0."""
        self.io(f'w{STATUS}=0', f'u{STATUS}=0')

    def place(self, driver, device):
        """Give the queue addresses for what each side writes; enable it."""
        self.io(f'w{DESC_LO}={driver & 0xffffffff}',
                f'w{DESC_HI}={driver >> 32}',
                f'w{DRIVER_LO}={driver + 0x1000 & 0xffffffff}',
                f'w{DRIVER_HI}={driver >> 32}',
                f'w{DEVICE_LO}={device & 0xffffffff}',
                f'w{DEVICE_HI}={device >> 32}', f'w{ENABLE}=1')

    def accept(self, bits):
        """Accept features, and return device_status after FEATURES_OK."""
        words = [sum(1 << bit % 32 for bit in bits if bit // 32 == n)
                 for n in (0, 1)]
        begin = ACKNOWLEDGE | DRIVER
        return self.io(f'w{STATUS}={begin}', f'w{GFSELECT}=0',
                       f'w{GF}={words[0]}', f'w{GFSELECT}=1',
                       f'w{GF}={words[1]}', f'w{STATUS}={begin | FEATURES_OK}',
                       f'r{STATUS}')[0]


def features(link):
    """Words of features, and which of them a driver has to accept."""
    low, high, *more = link.io(*(
        command for n in (0, 1, 2, 3, 0x80000000)
        for command in (f'w{DFSELECT}={n}', f'r{DF}')))
    equal(more, [0, 0, 0], 'words of features from bit 64 on')
    offered = [n for n in range(64) if (low | high << 32) >> n & 1]
    print('offered:', offered)
    check(NOTIFICATION_DATA in offered, 'NOTIFICATION_DATA is not offered')
    for bit in REQUIRED:
        check(bit in offered, f'feature {bit} is not offered')
        link.reset()
        rest = [n for n in REQUIRED if n != bit]
        equal(link.accept(rest) & FEATURES_OK, 0, f'without feature {bit}')
    link.reset()
    equal(link.accept([*REQUIRED, 0]) & FEATURES_OK, 0, 'with an unknown one')
    link.reset()
    equal(link.accept(REQUIRED), ACKNOWLEDGE | DRIVER | FEATURES_OK, 'status')
    equal(link.io(f'w{GFSELECT}=1', f'w{GF}=0', f'r{GF}')[0],
          sum(1 << bit - 32 for bit in REQUIRED),
          'features after FEATURES_OK')


def queues(link):
    """Registers of the selected queue, and of one that is not there."""
    link.reset()
    equal(link.io(f'r{NUMQ}', f'r{SIZE}', f'r{ENABLE}', f'r{VECTOR}'),
          [1, 64, 0, NONE], 'after a reset')
    equal(link.io(f'w{SELECT}=1', f'r{SIZE}', f'r{ENABLE}', f'w{SELECT}=0',
                  f'r{SIZE}'), [0, 0, 64], 'sizes of queues 1 and 0')
    link.accept(REQUIRED)
    for wrong in (0, 3, 128, 65535):
        equal(link.io(f'w{SIZE}={wrong}', f'r{SIZE}')[0], 64,
              f'size {wrong} is not taken')
    equal(link.io(f'w{SIZE}=16', f'r{SIZE}')[0], 16, 'size')
    equal(link.io(f'w{DESC_HI}=0x12', f'w{DESC_LO}=0x3456000', 'r8:32')[0],
          0x1203456000, 'an address, read as 64 bits')
    equal(link.io('w8:40=0x123456789a0', f'r{DRIVER_LO}', f'r{DRIVER_HI}'),
          [0x456789a0, 0x123], 'an address, written as 64 bits')
    for register in (VECTOR, MSIX):
        equal(link.io(f'w{register}=1', f'r{register}', f'w{register}=2',
                      f'r{register}'), [1, NONE], f'vectors at {register}')
    equal(link.io('r1:24', 'r1:25'), [16, 0], 'bytes of a register')
    equal(link.io(f'w{NUMQ}=7', f'r{NUMQ}', f'w{GENERATION}=7',
                  f'r{GENERATION}', f'r{ISR}', 'r4:60', 'r4:0x800'),
          [1, 0, 0, 0, 0], 'what cannot be written, or is not there')
    equal(link.io(f'w{RESET}=1', f'r{RESET}')[0], 0,
          'reset of a queue that does not run')
    link.io(f'w{ENABLE}=1')
    equal(link.io(f'w{SIZE}=32', f'r{SIZE}', f'r{ENABLE}'), [16, 1],
          'a queue that is enabled')


def doorbells(link):
    """A doorbell rings for notifications of any width."""
    link.reset()
    status = link.accept(REQUIRED)
    link.place(EMPTY, EMPTY + 0x2000)
    offset = 4 * link.read(NOFF)
    link.io(f'w{STATUS}={status | DRIVER_OK}')
    equal(link.state()['doorbells'], '1', 'doorbells')
    for size in (1, 2, 4, 8):
        before = int(link.state()['kicks0'])
        link.io(f'w{size}:{offset & -size}=0', bar=3)
        link.ep(f'wait_for 5 sh -c "{test_virtio.STATE} | '
                f'grep -qx \'kicks0 {before + 1}\'"')
    equal(link.state()['state'], 'running', 'the state')
    link.reset()


def error(link, driver, device, count):
    """A ring that is none: NEEDS_RESET, until the device is reset."""
    link.reset()
    status = link.accept(REQUIRED)
    link.place(driver, device)
    link.io(f'w{STATUS}={status | DRIVER_OK}',
            f'u{STATUS}={status | DRIVER_OK | NEEDS_RESET}')
    state = link.state()
    equal((state['state'], state['errors']), ('broken', str(count)),
          'the state')
    # Neither interrupt is enabled, so ISR status says what happened.
    equal(link.io(f'r{ISR}', f'r{ISR}'), [2, 0], 'ISR status, read twice')
    link.io(f'w{STATUS}={status | DRIVER_OK}')
    equal(link.read(STATUS) & NEEDS_RESET, NEEDS_RESET, 'NEEDS_RESET stays')
    link.reset()
    equal(link.io(f'r{ENABLE}', f'r{SIZE}', f'r{DESC_HI}'), [0, 64, 0],
          'the queue after a reset')
    equal(link.state()['state'], 'reset', 'the state')


def ring_reset(link):
    """A queue is reset while the device runs, and is enabled again."""
    link.reset()
    status = link.accept(REQUIRED + [RING_RESET])
    link.io(f'w{SIZE}=16')
    link.place(EMPTY, EMPTY + 0x2000)
    link.io(f'w{STATUS}={status | DRIVER_OK}')
    for _ in range(3):
        equal(link.io(f'w{RESET}=1', f'u{RESET}=0', f'r{ENABLE}', f'r{SIZE}',
                      f'r{DESC_LO}', f'r{STATUS}'),
              [0, 64, 0, status | DRIVER_OK], 'after a reset of the queue')
        link.place(EMPTY, EMPTY + 0x2000)
        equal(link.read(ENABLE), 1, 'queue_enable')
    state = link.state()
    equal((state['state'], state['errors']), ('running', '0'), 'the state')
    link.reset()


@limit(150)
def test_registers(t):
    """Whatever a driver does by hand is answered as the specification says."""
    link = Registers(t, append=f'memmap=64K${EMPTY:#x}')
    with link.bed:
        link.boot()
        features(link)
        queues(link)
        ring_reset(link)
        doorbells(link)
        error(link, NOWHERE, NOWHERE, 1)
        error(link, EMPTY, NOWHERE, 2)
        error(link, CODE, EMPTY, 3)
        for text in ('DMA of a queue', 'error -71'):  # EPROTO
            contains(link.ep('dmesg'), text, 'log of the endpoint')
        # A driver finds a device that works.
        link.host(f'echo $(basename {test_virtio.DEVICE}) '
                  '>/sys/bus/pci/drivers/virtio-pci/bind')
        link.probe()
        link.reads()
        link.check_consoles()


def without_data(link):
    """Notifications are 16 bits, as of a driver without NOTIFICATION_DATA."""
    high = link.io(f'w{DFSELECT}=1', f'r{DF}')[0]
    equal(high >> NOTIFICATION_DATA - 32 & 1, 0, 'NOTIFICATION_DATA')
    before = int(link.state()['kicks0'])
    link.io('w2:0x3000=0', 'w4:0x3000=0', 'w2:0x3004=1', f'r{STATUS}')
    equal(int(link.state()['kicks0']), before + 2, 'notifications of queue 0')


@limit(150)
def test_trapped_notifications(t):
    """Without doorbells notifications are accesses to the trapped BAR."""
    link = Registers(t, 'doorbells=off')
    with link.bed:
        link.boot()
        equal(link.state()['doorbells'], '0', 'doorbells')
        without_data(link)
        link.host(f'echo $(basename {test_virtio.DEVICE}) '
                  '>/sys/bus/pci/drivers/virtio-pci/bind')
        link.probe()
        link.reads()
        link.check_consoles()
