# SPDX-License-Identifier: GPL-2.0-or-later
"""A block device of pci-epf-virtio, the kernel's virtio_blk in the host."""

import hashlib
import os

from lib import Link, check, contains, equal, limit, long, steps

RESULTS = [
    f'virtio-blk.{n}' for n in ('VERIFY_DEPTH_1', 'VERIFY_RANDOM',
                                'VERIFY_MIXED', 'ZEROES', 'DISCARD',
                                'FILESYSTEM')
]
SHORT = 'size=64M,data=4M,files=40'
MIB = 1 << 20
DISK_MIB = 16

# Commands of the host
DEVICE = '/sys/bus/pci/devices/$(endpoint 0x1af4:0x1042)'
DISK = (f'D=$(for d in {DEVICE}/virtio*/block/vd*; '
        'do echo /dev/${d##*/}; done); ')
STATE = 'cat /sys/kernel/debug/pci_epf_virtio/*/state'


def passes(t, options, *args, names=RESULTS, seconds=170):
    t.kernel('7')
    status, out = t.launch(f'--function=virtio-blk,{options}', '--no-console',
                           *args, seconds=seconds)
    results = t.results()
    for name in (*names, 'endpoint.DRIVER_BOUND', 'console.host',
                 'console.ep'):
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@long
@limit(180)
def test_memory(t):
    """The sectors are a file in the memory of the endpoint guest."""
    passes(t, f'disk=memory,{SHORT}')


@limit(180)
def test_iommu_caching_mode(t):
    passes(t, f'disk=memory,{SHORT}', '--host-iommu=intel-cm')
    contains(t.read('host.log'), 'DMAR', 'host.log')


@limit(180)
def test_iommu(t):
    passes(t, f'disk=memory,{SHORT}', '--host-iommu=intel')


@limit(180)
def test_iommu_virtio(t):
    """The sectors are a block device of the endpoint guest."""
    passes(t, f'disk=file,{SHORT}', '--host-iommu=virtio')


@limit(180)
def test_small_queue(t):
    """Chains are as long as a queue of 8 entries, and no longer."""
    passes(t, f'disk=memory,queue_size=8,{SHORT}')


@limit(150)
def test_read_only(t):
    passes(t, 'disk=memory,read_only=on,size=16M',
           names=['virtio-blk.READ_ONLY'])


class Blk(Link):
    """Two guests, and a block device that the host has."""

    def __init__(self, t, *options, **kw):
        super().__init__(
            t.testbed(function=[','.join(['virtio-blk', *options])], **kw))

    def start(self):
        super().start()
        self.ready()

    def ready(self):
        """Wait for the disk."""
        self.host(f'load virtio_blk; wait_for 20 sh -c \'{DISK}test -b $D\'',
                  40)

    def state(self):
        """Return what the function shows."""
        words = self.ep(STATE).split()
        return dict(zip(words[::2], words[1::2]))

    def sum(self, skip, count):
        """Return the sum of some MiB of the disk, without the cache."""
        return self.host(
            DISK + f'dd if=$D bs=1M skip={skip} count={count} iflag=direct '
            '2>/dev/null | sha256sum', 60).split()[0]


def both_ways(link, path):
    """
    What is in the file the host reads, and what it flushed is in the file.

    The endpoint guest keeps what was written in its page cache for longer than
    this step lasts, so VIRTIO_BLK_T_FLUSH has to work.
    """
    with open(path, 'rb') as file:
        content = file.read()
    equal(link.sum(0, DISK_MIB), hashlib.sha256(content).hexdigest(),
          'what the host reads')
    written = link.host(
        'head -c 4194304 /dev/urandom >/tmp/r; ' + DISK +
        'dd if=/tmp/r of=$D bs=1M seek=8 conv=fsync 2>/dev/null; '
        'sha256sum /tmp/r', 60).split()[0]
    with open(path, 'rb') as file:
        now = file.read()
    equal(hashlib.sha256(now[8 * MIB:12 * MIB]).hexdigest(), written,
          'what the host has written')
    equal((now[:8 * MIB], now[12 * MIB:]),
          (content[:8 * MIB], content[12 * MIB:]), 'the rest')


def queues(link):
    """Each CPU of the host has a queue and its vector."""
    for cpu in (0, 1):
        link.host(DISK + f'taskset {1 << cpu} dd if=$D of=/dev/null '
                  'bs=64k count=64 iflag=direct', 40)
    state = link.state()
    print(state)
    for queue in (0, 1):
        for what in ('kicks', 'chains', 'interrupts'):
            check(int(state[f'{what}{queue}']) > 0,
                  f'{what} of queue {queue}')
    equal(state['errors'], '0', 'errors')
    lines = [line for line in
             link.host('cat /proc/interrupts').splitlines()
             if 'virtio0-req' in line]
    equal(len(lines), 2, f'vectors of queues: {lines}')


# Writes until the disk has gone.  dd would create a file of the name of the
# disk then, so it gets the name of a descriptor.
LOAD = ('(exec 3<>$D; while dd if=/dev/urandom of=/proc/self/fd/3 bs=256k '
        'count=8 seek=32 oflag=direct 2>/dev/null; do :; done) & ')


def rebind(link):
    """The driver leaves the device while it writes; the rest stays."""
    before = link.sum(0, 4)
    written = set()
    for _ in range(5):
        link.host(f'd=$(basename {DEVICE}); '
                  'p=/sys/bus/pci/drivers/virtio-pci; ' + DISK + LOAD +
                  'sleep 0.5; echo $d >$p/unbind; wait; echo $d >$p/bind',
                  60)
        link.ready()
        equal(link.sum(0, 4), before, 'the first 4 MiB')
        written.add(link.sum(8, 2))
    equal(len(written), 5, 'different contents that were written')
    equal(link.state()['errors'], '0', 'errors')


def stop(link):
    """
    The link goes down and comes back; the disk is the same, and works.

    The driver leaves the device before, since virtio-pci of Linux 7.2 does not
    end its removal otherwise (docs/devel/kernel-findings-host.rst).
    """
    before = link.sum(0, 4)
    for _ in range(2):
        link.host(f'basename {DEVICE} >/sys/bus/pci/drivers/virtio-pci/'
                  'unbind')
        link.ep('ep_stop')
        link.vanishes()
        link.ep('ep_start')
        link.appears()
        link.ready()
        equal(link.sum(0, 4), before, 'the first 4 MiB')


@limit(300)
def test_disk(t):
    """A disk whose sectors are a file of this machine."""
    path = t.file('disk', '')
    with open(path, 'wb') as file:
        file.write(os.urandom(DISK_MIB * MIB))
    link = Blk(t, f'path={path}')
    with link.bed:
        link.start()
        both_ways(link, path)
        steps(link, queues, rebind, stop)


@long
@limit(1500)
def test_whole(t):
    passes(t, 'disk=file,size=1100M,data=1G,files=1000', '--timeout=1450',
           seconds=1480)
