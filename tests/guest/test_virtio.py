# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-virtio in the endpoint, the kernel's virtio drivers in the host."""

import re

from lib import (Link, Skipped, check, contains, equal, lacks, limit,
                 long, steps)
from pciep.image import programs

# Commands of the host
DEVICE = '/sys/bus/pci/devices/$(endpoint 0x1af4:0x1044)'
BOUND = f'test -e {DEVICE}/virtio*/driver'
RNG = '/sys/class/misc/hw_random'
READ = (f'echo $(grep -o "virtio_rng[.0-9]*" {RNG}/rng_available) '
        f'>{RNG}/rng_current; '
        'dd if=/dev/hwrng bs=256 count=4 iflag=fullblock 2>/dev/null | md5sum')
STATE = 'cat /sys/kernel/debug/pci_epf_virtio/*/state'
IOMMU_FAULT = r'DMAR: \[DMA (Read|Write)'

# 32-bit words of features that the driver of each kernel asks for:
# VIRTIO_FEATURES_BITS / 32 in vp_modern_get_extended_features() of 7.x, and
# the two of vp_modern_get_features() of 6.12
WORDS = {'7': 4, '6.12': 2}


def accesses(kernel):
    """
    Return how often the driver reads and writes the common configuration.

    The order is that of drivers/virtio, from register_virtio_device() to the
    end of virtio_dev_probe(), for a device with one queue.
    """
    words = WORDS[kernel]
    steps = [  # reads, writes
        (1, 1),  # vp_reset(), which reads 0 at once
        (1, 1),  # ACKNOWLEDGE
        (1, 1),  # DRIVER
        (words, words),  # device_feature
        (0, 2 * words),  # driver_feature
        (2, 1),  # FEATURES_OK, which is read back
        (1, 1),  # config_msix_vector
        (1, 0),  # num_queues
        (1, 1),  # queue_size
        (1, 1),  # queue_enable
        (0, 2),  # queue_size
        (0, 7),  # queue_desc, queue_driver, queue_device
        (1, 2),  # queue_msix_vector
        (1, 1),  # queue_notify_off
        (0, 2),  # queue_enable
        (1, 1),  # DRIVER_OK
        (1, 0),  # is it set?
    ]
    return sum(step[0] for step in steps), sum(step[1] for step in steps)


class Virtio(Link):
    """Two guests, and an entropy device that has no driver yet."""

    def __init__(self, t, *options, **kw):
        super().__init__(
            t.testbed(function=[','.join(['virtio-rng', *options])], **kw))

    def state(self):
        """Return what the function shows."""
        words = self.ep(STATE).split()
        return dict(zip(words[::2], words[1::2]))

    def probe(self, seconds=40):
        """Have the driver take the device."""
        self.host(f'load virtio_rng; wait_for {seconds} {BOUND}', seconds + 10)

    def reads(self):
        """Read the device twice: the bytes differ."""
        first, second = self.host(READ, 60), self.host(READ, 60)
        check(first != second, f'the same bytes twice: {first}')

    def fails(self):
        """The driver does not take the device, and nobody crashes."""
        self.host('load virtio_rng; sleep 2', 40)
        self.host(f'! {BOUND}')
        self.check_consoles()


@limit(150)
def test_rng(t):
    """All results of the launcher's function, and its rate."""
    t.kernel('7')
    status, out = t.launch('--function=virtio-rng', '--no-console',
                           seconds=140)
    results = t.results()
    for name in ('endpoint.ENUMERATE', 'endpoint.DRIVER_BOUND',
                 'virtio-rng.DIFFER', 'virtio-rng.RATE', 'console.host',
                 'console.ep'):
        equal(results.get(name), ('pass', ''), f'{name}; {out[-2000:]}')
    equal(status, 0, 'exit status')
    rate = re.search(r'RATE: (\d+) KiB/s', out)
    check(rate and int(rate[1]) > 0, f'no rate in {out}')
    print(rate[0])


@limit(150)
def test_no_notification_data(t):
    """A driver whose notifications have 16 bits rings doorbells too."""
    link = Virtio(t, 'notification_data=off')
    with link.bed:
        link.start()
        link.probe()
        link.reads()
        state = link.state()
        equal(int(state['features'], 0) >> 38 & 1, 0, 'NOTIFICATION_DATA')
        equal(state['doorbells'], '1', 'doorbells are used')
        check(int(state['kicks0']) > 0, f'no doorbell rang: {state}')
        link.check_consoles()


def vectors(link):
    """Each kind of event has its vector, and that of the queue counts."""
    link.reads()
    lines = [line.split() for line in
             link.host('cat /proc/interrupts').splitlines()
             if 'virtio0-' in line]
    print(lines)
    counts = {line[-1]: sum(int(n) for n in line[1:] if n.isdigit())
              for line in lines}
    equal(sorted(counts), ['virtio0-config', 'virtio0-input'], 'vectors')
    check(counts['virtio0-input'] > 0, f'no interrupt came: {counts}')
    equal(counts['virtio0-config'], 0, 'interrupts of the configuration')
    check(all('MSIX' in ' '.join(line).replace('-', '') for line in lines),
          f'not MSI-X: {lines}')
    state = link.state()
    equal(state['doorbells'], '1', 'doorbells are used')
    check(int(state['kicks0']) > 0, f'no doorbell rang: {state}')
    equal(state['errors'], '0', 'errors')


CAPS = [  # what lspci calls each structure, BAR, offset, size
    ('CommonCfg', 0, 0, 0x40),
    ('ISR', 0, 0x1000, 4),
    ('Notify', 3, 0, None),
    ('DeviceCfg', 2, 0, 4),
    ('<unknown>', 0, 0, 0),
]


def capabilities(link):
    """lspci knows all capabilities, and what kind of device it is."""
    text = link.host('lspci -vvv -s $(endpoint 0x1af4:0x1044)')
    print(text)
    contains(text, r'Virtio 1\.\d RNG|Virtio.*RNG', 'name')
    contains(text, r'\(rev 01\)', 'revision')
    contains(text, r'MSI-X: Enable\+ Count=2', 'MSI-X')
    contains(text, 'driver in use: virtio-pci', 'driver')
    found = re.findall(r'VirtIO: (\S+)(?: \(\d\))?\n?\s*'
                       r'BAR=(\d) offset=(\w+) size=(\w+)', text)
    equal(len(found), len(CAPS), f'capabilities in {text}')
    for (name, *place), cap in zip(found, CAPS):
        bar, offset, size = (int(n, 16) for n in place)
        equal((name, bar, offset), cap[:3], 'a capability')
        if cap[3] is not None:
            equal(size, cap[3], f'size of {name}')
    contains(text, 'multiplier=00000004', 'notify')


def counts(link, kernel='7'):
    """
    Each access of the driver traps once, and none while data flows.

    This is the first step, since the function counts from its set-up.
    """
    state = link.state()
    equal((int(state['reads']), int(state['writes'])), accesses(kernel),
          f'reads and writes of kernel {kernel}')
    link.reads()
    after = link.state()
    equal(after['reads'], state['reads'], 'reads while data flows')
    equal(after['writes'], state['writes'], 'writes while data flows')


@limit(150)
def test_kernel_6_12(t):
    link = Virtio(t, kernel='6.12')
    with link.bed:
        link.start()
        link.probe()
        counts(link, '6.12')
        vectors(link)
        rebind(link)
        link.check_consoles()


@limit(150)
def test_slow(t):
    """Each read takes 20 ms, which the driver does not notice."""
    link = Virtio(t, 'trap_delay_us=20000')
    with link.bed:
        link.start()
        link.probe()
        link.reads()
        equal(link.state()['status'], '0xf', 'status')
        link.check_consoles()


@limit(150)
def test_no_trap(t):
    """Registers are memory, as without traps: the driver cannot use that."""
    link = Virtio(t, 'trap=off')
    with link.bed:
        link.start()
        link.fails()
        contains(link.host('dmesg'),
                 r'virtio.*(VERSION_1|refuses|error|failed)',
                 'what the driver says')


@limit(150)
def test_no_capabilities(t):
    """Without capabilities it is no virtio device."""
    link = Virtio(t, 'capabilities=off')
    with link.bed:
        link.start()
        link.fails()
        link.host(f'! ls -d {DEVICE}/virtio*')


def iommu(t, kind):
    """Behind an IOMMU of the host all addresses are translated."""
    link = Virtio(t, host={'iommu': kind})
    with link.bed:
        link.start()
        link.probe()
        equal(link.host(f'cat {DEVICE}/iommu_group/type').strip()[:3], 'DMA',
              'type of the IOMMU group')
        link.reads()
        lacks(link.host('dmesg'), IOMMU_FAULT, 'faults')
        link.check_consoles()


@long
@limit(150)
def test_iommu_caching_mode(t):
    iommu(t, 'intel-cm')


@long
@limit(150)
def test_iommu_no_caching_mode(t):
    """Each access of a ring is a message that the IOMMU translates."""
    iommu(t, 'intel')


@long
@limit(150)
def test_iommu_virtio(t):
    iommu(t, 'virtio')


@limit(150)
def test_no_access_platform(t):
    """Addresses that the IOMMU does not know: an error, and no crash."""
    link = Virtio(t, 'access_platform=off', host={'iommu': 'intel-cm'})
    with link.bed:
        link.start()
        link.host('load virtio_rng; sleep 3', 40)
        state = link.state()
        print(state)
        check(state['state'] == 'broken' or int(state['errors']) > 0,
              f'no error in {state}')
        equal(int(state['status'], 0) & 0x40, 0x40, 'NEEDS_RESET')
        link.ep('true')
        link.check_consoles()


# More tasks than processors, so that handlers of interrupts are held up
BUSY = 'for i in $(seq 0 $(nproc)); do (while :; do :; done) & done'
ROUND = (f'd=$(basename {DEVICE}); p=/sys/bus/pci/drivers/virtio-pci; '
         'echo $d >$p/unbind && echo $d >$p/bind && '
         f'wait_for 20 {BOUND} || exit 1; ')


def rebind(link, count=20):
    """The driver leaves the device and takes it again, with a reset each."""
    before = int(link.state()['resets'])
    for _ in range(0, count, 10):
        link.host(f'for i in 1 2 3 4 5 6 7 8 9 10; do {ROUND} done', 600)
        link.reads()
    state = link.state()
    equal(state['errors'], '0', 'errors')
    check(int(state['resets']) >= before + 2 * count, f'resets in {state}')


@long
@limit(5400)
def test_rebind_often(t):
    """1000 times, with busy processors in both guests, one of the endpoint."""
    link = Virtio(t, ep={'cpus': 1})
    with link.bed:
        link.start()
        link.probe()
        for on in (link.host, link.ep):
            on(BUSY)
        rebind(link, 1000)
        link.check_consoles()


MANY = 'timeout 60 dd if=/dev/hwrng of=/dev/null bs=64 count=400 2>/dev/null'


def intx(link):
    """
    The driver uses INTx, and ISR status says whose it is.

    None is lost, also when the next one comes before the handler has ended.
    """
    with link.bed:
        link.start()
        link.probe()
        link.reads()
        link.host(BUSY)
        link.host(MANY, 70)
        text = link.host('cat /proc/interrupts')
        contains(text, r'IO-APIC.*virtio0', 'interrupts')
        lacks(text, 'MSI.*virtio0', 'interrupts')
        lacks(link.host('dmesg'), 'nobody cared', 'dmesg')
        link.check_consoles()


@limit(150)
def test_host_without_msi(t):
    """
    A host without MSI and MSI-X.

    Linux asks the firmware for control of hot-plug only if it has MSI.
    """
    intx(Virtio(t, host={'append': 'pci=nomsi pcie_ports=native'}))


@limit(150)
def test_controller_without_msix(t):
    intx(Virtio(t, ep={'append': 'pcie_qemu_ep.msix=0'}))


# Reads until there is a file /tmp/idle
LOAD = ('rm -f /tmp/idle; (while [ ! -e /tmp/idle ]; do '
        'dd if=/dev/hwrng of=/dev/null bs=256 count=4 || sleep 0.2; done) '
        '>/dev/null 2>&1 &')


def resets(link):
    """Function level and bus resets under load; the driver begins again."""
    link.host(LOAD)
    for method in ('flr', 'bus') * 3:
        before = int(link.state()['resets'])
        link.host(f'cd {DEVICE} && echo {method} >reset_method && '
                  'echo 1 >reset', 60)
        after = int(link.state()['resets'])
        check(after > before, f'no reset by {method}: {before}, {after}')
        link.host(f'{ROUND}', 60)
        link.reads()
    link.host('>/tmp/idle')


def leave(link):
    """
    Have the driver leave the device before it goes.

    When a device is taken away, vp_reset() of Linux waits for ever for a
    register of it to read zero, see docs/devel/kernel-findings-host.rst.
    """
    link.host(f'echo $(basename {DEVICE}) >/sys/bus/pci/drivers/virtio-pci'
              '/unbind')


def stop_and_start(link):
    """
    The link goes down and comes back, and the function is made anew.

    At the end its module goes: this is the last step.
    """
    for end, begin in (('ep_stop', 'ep_start'),
                       ('role_finish', 'role_setup')):
        link.reads()
        leave(link)
        link.ep(end)
        link.vanishes()
        link.ep(begin)
        link.appears()
        link.host(f'wait_for 20 {BOUND}', 30)
    link.reads()
    leave(link)
    link.ep('role_finish; rmmod pci_epf_virtio')


@limit(300)
def test_driver(t):
    """What the driver of the host and lspci make of the device."""
    if 'lspci' not in programs.tools():
        raise Skipped('this machine has no lspci')
    link = Virtio(t, host={'programs': ['lspci']})
    with link.bed:
        link.start()
        link.probe()
        steps(link, counts, vectors, capabilities, rebind, resets,
              stop_and_start)


def ends(t, *commands):
    """The device goes while it works; the endpoint's kernel goes on."""
    link = Virtio(t)
    with link.bed:
        link.start()
        link.probe()
        link.reads()
        link.host(LOAD)
        for command in commands:
            link.ep(f'sleep 1; {command}', 60)
        link.host('wait_for 20 sh -c "dmesg | grep \'Link Down\'"', 30)
        link.check_consoles()


@limit(100)
def test_link_ends(t):
    """The end of the link is a reset, after which no work is left."""
    ends(t, f'ep_stop; wait_for 10 sh -c "{STATE} | grep \'state reset\'"',
         'role_finish', 'rmmod pci_epf_virtio')


@limit(100)
def test_controller_ends(t):
    """The controller goes, and its function is left behind."""
    driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
    ends(t, f'basename $(ls -d {driver}/0000:*) >/root/address',
         f'echo $(cat /root/address) >{driver}/unbind',
         f'echo $(cat /root/address) >{driver}/bind',
         f'wait_for 10 epc_path; echo $(cat /root/address) >{driver}/unbind')


def kill_host(link):
    """The host's machine dies under load; a new one finds the device."""
    link.host(LOAD)
    link.bed.host.kill()
    link.ep(f'wait_for 20 sh -c "{STATE} | grep \'state reset\'"', 30)
    link.bed.boot('host')
    link.appears()
    link.probe()
    link.reads()


def reboot_host(link):
    """The host's machine is reset under load, and finds the device again."""
    for _ in range(2):
        link.host(LOAD)
        link.reboot_host()
        link.appears()
        link.probe()
        link.reads()


@limit(300)
def test_host_ends(t):
    link = Virtio(t)
    link.bed.host.spec.reboot = True
    with link.bed:
        link.start()
        link.probe()
        link.reads()
        steps(link, kill_host, reboot_host)


@limit(400)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG, from the start to the end."""
    link = Virtio(t, kernel='7-debug')
    with link.bed:
        link.bed.boot('ep', seconds=120)
        # The host finds the device at boot, see test_selftest.py.
        link.bed.boot('host', seconds=120)
        link.appears()
        link.probe()
        link.reads()
        link.host(f'{ROUND}', 60)
        link.host(f'cd {DEVICE} && echo flr >reset_method && echo 1 >reset',
                  60)
        link.host(f'{ROUND}', 60)
        link.reads()
        leave(link)
        watching = r'debug_locks:\s+1'
        contains(link.host('cat /proc/lockdep_stats'), watching,
                 'lockdep of the host')
        link.ep('role_finish; rmmod pci_epf_virtio', 60)
        contains(link.ep('cat /proc/lockdep_stats'), watching,
                 'lockdep of the endpoint')
        link.check_consoles()
