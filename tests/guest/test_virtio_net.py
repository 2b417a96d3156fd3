# SPDX-License-Identifier: GPL-2.0-or-later
"""A network device of pci-epf-virtio, the kernel's virtio_net in the host."""

from lib import Link, build_program, check, contains, equal, limit, long

RESULTS = [
    f'virtio-net.{n}'
    for n in ('PING_ENDPOINT', 'PING_HOST', 'DATA_MTU_1500', 'DATA_MTU_9000',
              'FLOOD_PING', 'LINK')
]
SHORT = 'data=2M,pings=1000'
WHOLE = 'data=200M,pings=10000'

# Commands of the host
DEVICE = '/sys/bus/pci/devices/$(endpoint 0x1af4:0x1041)'
NET = f'N=$(ls {DEVICE}/virtio*/net); '
CARRIER = NET + 'wait_for 20 grep {} /sys/class/net/$N/carrier'
UP = (f'wait_for 20 eval "ls {DEVICE}/virtio*/net"; {NET}'
      'ip link set lo up; ip addr add 10.96.0.1/24 dev $N; '
      'ip link set $N up; ' + CARRIER.format(1))
PING = 'ping -c 3 -i 0.2 -W 5 10.96.0.2'
UNBIND = (f'd=$(basename {DEVICE}); echo $d '
          '>/sys/bus/pci/drivers/virtio-pci/unbind')
BIND = f'echo $(basename {DEVICE}) >/sys/bus/pci/drivers/virtio-pci/bind'
# Data in both directions until it is ended.  The programs leave by themselves
# when their connections end.
LOAD = ('(while :; do dd if=/dev/zero bs=64k 2>/dev/null | '
        'nc -w 2 10.96.0.2 7001 >/dev/null; sleep 0.1; done) '
        '>/dev/null 2>&1 & '
        '(while :; do nc -w 2 10.96.0.2 7002 </dev/null >/dev/null; '
        'sleep 0.1; done) >/dev/null 2>&1 &')
SERVE = ('nc -ll -p 7001 -e dd of=/dev/null bs=64k '
         '</dev/null >/dev/null 2>&1 & '
         'nc -ll -p 7002 -e cat /dev/zero </dev/null >/dev/null 2>&1 & '
         'nc -ll -p 7003 -e dd if=/dev/zero bs=64k count=100 '
         '</dev/null >/dev/null 2>&1 &')
SEND = 'dd if=/dev/zero bs=64k count=100 2>/dev/null | nc -w 2 10.96.0.2 7001'
RECEIVE = 'nc -w 2 10.96.0.2 7003 </dev/null | wc -c'
STATE = 'cat /sys/kernel/debug/pci_epf_virtio/*/state'


def passes(t, options, *args, names=RESULTS, seconds=170):
    t.kernel('7')
    status, out = t.launch(f'--function=virtio-net,{options}', '--no-console',
                           *args, seconds=seconds)
    results = t.results()
    for name in (*names, 'endpoint.DRIVER_BOUND', 'console.host',
                 'console.ep'):
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(180)
def test_net(t):
    """All results of the launcher's function, behind an IOMMU."""
    passes(t, SHORT, '--host-iommu=intel-cm')
    contains(t.read('host.log'), 'DMAR', 'host.log')


@long
@limit(600)
def test_whole(t):
    passes(t, WHOLE, '--timeout=550', seconds=580)


@long
@limit(240)
def test_iommu(t):
    passes(t, SHORT, '--host-iommu=intel', seconds=230)


@long
@limit(240)
def test_iommu_virtio(t):
    passes(t, SHORT, '--host-iommu=virtio', seconds=230)


@long
@limit(240)
def test_small_queue(t):
    """The smallest queue that Linux can use takes packets of 64 KiB, too."""
    passes(t, f'queue_size=32,queue_pairs=1,{SHORT}', seconds=230)


@long
@limit(240)
def test_trapped_notifications(t):
    passes(t, f'doorbells=off,queue_pairs=7,{SHORT}', seconds=230)


@long
@limit(300)
def test_several(t):
    """Two networks and a disk, at the same time."""
    t.kernel('7')
    status, out = t.launch(
        f'--function=virtio-net,{SHORT}', f'--function=virtio-net,{SHORT}',
        '--function=virtio-blk,disk=memory,size=32M,data=2M,files=20',
        '--no-console', '--timeout=280', seconds=290)
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')


class Net(Link):
    """Two guests, and a network device that the host has."""

    def __init__(self, t, *options, files=(), **kw):
        programs = [f'{build_program(t, name)}:/bin/{name}' for name in files]
        super().__init__(
            t.testbed(function=[','.join(['virtio-net', *options])],
                      host={'files': programs, 'programs': ['ping']}, **kw))

    def start(self):
        super().start()
        self.up()
        self.ep(SERVE)

    def up(self):
        """
        Wait for the network device, give it its address, and wait for pings.

        A kernel drops what it sends while its carrier is new, also its answer
        when the other one asks for its address.  That one asks again only a
        few times.
        """
        self.host(UP, 60)
        self.host('wait_for 20 ping -c 1 -W 1 10.96.0.2', 40)

    def state(self):
        """Return what the function shows."""
        words = self.ep(STATE).split()
        return dict(zip(words[::2], words[1::2]))

    def flows(self):
        """Pings come back."""
        self.host(PING, 40)

    def count(self, guest, name):
        """Return a counter of a network device."""
        where = ('/sys/class/net/epnet0' if guest == 'ep'
                 else f'{DEVICE}/virtio*/net/*')
        return int(self.on(guest, f'cat {where}/statistics/{name}'))


def offloads(link):
    """Packets are longer than the MTU in both directions."""
    before = [link.count('host', f'{way}_{what}')
              for way in ('tx', 'rx') for what in ('bytes', 'packets')]
    link.host(SEND, 60)
    equal(link.host(RECEIVE, 60).split(), ['6553600'], 'what was received')
    after = [link.count('host', f'{way}_{what}')
             for way in ('tx', 'rx') for what in ('bytes', 'packets')]
    sent, sends, got, gets = (b - a for a, b in zip(before, after))
    print(f'{sent} bytes in {sends} packets sent, {got} in {gets} received')
    check(sent > 6_000_000 and sent / sends > 3000, 'no segmentation sent')
    check(got > 6_000_000 and got / gets > 3000, 'no segmentation received')


def pairs(link):
    """Each CPU of the host has a pair of queues."""
    for cpu in (1, 2):
        link.host(f'taskset {cpu} sh -c "{RECEIVE}"', 40)
    state = link.state()
    print(state)
    for queue in (0, 1, 3, 4):
        check(int(state[f'chains{queue}']) > 0, f'chains of queue {queue}')
    for queue in (1, 3):
        check(int(state[f'kicks{queue}']) > 0, f'kicks of queue {queue}')
    equal(state['errors'], '0', 'errors')


def carriers(link):
    """Either end goes down and comes up again."""
    for there, seen in (('down', 0), ('up', 1)):
        link.ep(f'ip link set epnet0 {there}')
        link.host(CARRIER.format(seen), 30)
    link.flows()
    link.host(NET + 'ip link set $N down; sleep 0.5; ip link set $N up')
    link.flows()


def ring_resets(link):
    """Queues are reset under load, and get rings of another size."""
    for size in (64, 256, 32):
        link.host(NET + f'/bin/net-ring $N {size} {size}', 40)
        link.flows()
    state = link.state()
    equal((state['state'], state['errors']), ('running', '0'), 'state')


def resets(link):
    """The device is reset under load, by its driver and by force."""
    link.host(UNBIND + '; ' + BIND, 60)
    link.up()
    link.flows()
    equal(link.state()['errors'], '0', 'errors')
    # Bus Master Enable goes first, and DMA under way fails.
    link.host(f'cd {DEVICE} && echo flr >reset_method && echo 1 >reset', 60)
    link.host(UNBIND + '; ' + BIND, 60)
    link.up()
    link.flows()
    equal(link.state()['state'], 'running', 'state')


@limit(200)
def test_traffic(t):
    """
    What happens to the device while data goes both ways.

    At the end the function is taken apart while the host uses it.  The driver
    of the host does not survive that (docs/devel/kernel-findings-host.rst),
    and the kernel of the endpoint goes on.
    """
    link = Net(t, files=['net-ring'])
    with link.bed:
        link.start()
        link.flows()
        offloads(link)
        pairs(link)
        link.host(LOAD)
        carriers(link)
        ring_resets(link)
        resets(link)
        sent = link.count('ep', 'rx_bytes')
        link.ep('sleep 1; role_finish; rmmod pci_epf_virtio', 60)
        link.ep('! test -e /sys/class/net/epnet0')
        check(sent > 0, 'nothing came from the host')
        link.check_consoles()


def bad_rings(link):
    """A driver that does what Linux does not: each test of net-driver."""
    link.host(UNBIND)
    link.host(f'echo 1 >{DEVICE}/enable; printf "\\006" | dd '
              f'of={DEVICE}/config bs=1 seek=4 conv=notrunc')
    print(link.host(f'/bin/net-driver {DEVICE}', 90))
    # no-room, rx-header, tx-header, short-command, no-answer, no-queue
    equal(link.state()['errors'], '6', 'errors')
    # Packets that are sent while the carrier is new are dropped, too.
    check(link.count('ep', 'tx_dropped') >= 1, 'packets too long for the host')
    check(link.count('ep', 'rx_dropped') >= 5, 'packets that make no sense')


@limit(150)
def test_rings(t):
    """A bad ring ends the device until the next reset, and no more."""
    link = Net(t, files=['net-driver'])
    with link.bed:
        link.start()
        bad_rings(link)
        link.host(BIND, 40)
        link.up()
        link.flows()
        link.host(LOAD)
        link.ep('sleep 1')
        link.bed.host.kill()
        link.ep(f'wait_for 20 sh -c "{STATE} | grep \'state reset\'"', 30)
        link.ep('wait_for 5 sh -c "cat /sys/class/net/epnet0/carrier | '
                'grep 0"', 10)
        link.bed.boot('host')
        link.appears()
        link.up()
        link.flows()
        link.check_consoles()
