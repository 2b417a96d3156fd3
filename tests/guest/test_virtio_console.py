# SPDX-License-Identifier: GPL-2.0-or-later
"""A console of pci-epf-virtio, the kernel's virtio_console in the host."""

from lib import Link, check, contains, equal, limit, long

RESULTS = [f'virtio-console.{n}'
           for n in ('SHELL', 'TO_ENDPOINT', 'FROM_ENDPOINT', 'SIZE')]

# Commands of the host
DEVICE = '/sys/bus/pci/devices/$(endpoint 0x1af4:0x1043)'
DRIVER = '/sys/bus/pci/drivers/virtio-pci'
HVC = '/dev/hvc0'
# Commands of the endpoint
TTY = '/dev/ttyVEP0'
STATE = 'cat /sys/kernel/debug/pci_epf_virtio/*/state'

MIB = 1 << 20
# Seconds that the device waits for a tty that nobody reads, see console.c
PATIENCE = 5


def passes(t, *args, names=RESULTS, seconds=140):
    t.kernel('7')
    status, out = t.launch(*args, '--no-console', seconds=seconds)
    results = t.results()
    for name in (*names, 'console.host', 'console.ep'):
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(150)
def test_launcher(t):
    """A login shell through the console, and 1 MiB each way."""
    passes(t, '--function=virtio-console,data=1M',
           names=['endpoint.ENUMERATE', 'endpoint.DRIVER_BOUND', *RESULTS])


@long
@limit(300)
def test_several(t):
    """Two consoles beside the functions test and nvme."""
    passes(t, *(f'--function={name}' for name in (
        'virtio-console', 'virtio-console', 'test', 'nvme')),
        names=[f'fn{n}.{name}' for n in (0, 1) for name in RESULTS],
        seconds=280)


class Console(Link):
    """Two guests, and a console with nobody at either end."""

    def __init__(self, t, **kw):
        super().__init__(
            t.testbed(function=['virtio-console,shell=none'], **kw))

    def state(self):
        """Return what the function shows."""
        words = self.ep(STATE).split()
        return dict(zip(words[::2], words[1::2]))

    def ready(self):
        """Have the driver take the device."""
        self.host(f'load virtio_console; wait_for 20 test -c {HVC}', 40)

    def leave(self):
        """Have the driver leave it, and so hang the tty up."""
        self.host(f'echo $(basename {DEVICE}) >{DRIVER}/unbind')

    def take(self):
        """Have it take the device again."""
        self.host(f'echo $(basename {DEVICE}) >{DRIVER}/bind; '
                  f'wait_for 20 test -c {HVC}', 40)

    def listen(self, path='/tmp/got'):
        """Have the endpoint read the tty into a file, until it is hung up."""
        self.ep(f'rm -f {path}.end; (cat <{TTY} >{path}; echo $? >{path}.end)'
                f' >/dev/null 2>&1 & wait_for 5 test -e {path}')

    def hung_up(self, path='/tmp/got'):
        """The reader of listen() has ended."""
        self.ep(f'wait_for 10 test -e {path}.end', 20)

    def talks(self):
        """A line arrives at the endpoint."""
        self.listen('/tmp/talk')
        self.host(f'stty raw -echo <{HVC}; echo words >{HVC}')
        self.ep('wait_for 10 grep -q words /tmp/talk; '
                'pid=$(pidof cat) && kill $pid; rm /tmp/talk', 20)


def carrier(link):
    """An open() waits for the driver of the host, unless it must not."""
    opened = f'sh -c ": <>{TTY}"'
    link.ep(f'! timeout 1 {opened}')
    link.ep(f'timeout 5 stty -F {TTY} clocal && timeout 5 {opened} && '
            f'stty -F {TTY} -clocal && ! timeout 1 {opened}')
    link.host('load virtio_console')
    link.ep(f'timeout 20 {opened}', 30)
    link.ready()


def host_shell(link):
    """The endpoint uses a shell of the host, whose terminal it resizes."""
    link.host(f'setsid sh -c "exec <>{HVC} >&0 2>&1; stty sane; exec sh -il" '
              '>/dev/null 2>&1 </dev/null &')
    before = config_interrupts(link)
    # Typed ahead are an empty line, and lines whose answers are not in them
    out = link.ep(
        f'exec 5<>{TTY}; stty raw -echo <&5; stty rows 50 cols 111 <&5; '
        'sleep 1; { echo; echo "echo sum\\$((40 + 2)) on \\$(tty)"; '
        'echo "stty size | tr \' \' x"; echo exit; } >&5; '
        'timeout 3 cat <&5; true', 30)
    contains(out, f'sum42 on {HVC}', 'the shell of the host')
    contains(out, '50x111', 'the size of its terminal')
    check(config_interrupts(link) > before, 'no interrupt of a new size')
    equal(link.ep(f'stty -F {TTY} size').strip(), '50 111',
          'the size that is kept')


def config_interrupts(link):
    lines = [line.split() for line in
             link.host('cat /proc/interrupts').splitlines()
             if line.endswith('virtio0-config')]
    equal(len(lines), 1, 'vectors of the configuration')
    return sum(int(n) for n in lines[0][1:] if n.isdigit())


def unread(link):
    """
    A tty that nobody reads loses what the host prints.

    The host's processor that prints has interrupts off and waits for the
    device, so it must not wait for long.
    """
    link.ep(f'sleep 60 <{TTY} >/dev/null 2>&1 & echo $! >/tmp/sleep')
    link.host(f'stty raw -echo <{HVC}; '
              f'timeout {3 * PATIENCE} dd if=/dev/zero of={HVC} bs=64k '
              'count=16', 4 * PATIENCE)
    link.ep('kill $(cat /tmp/sleep)')
    link.talks()


def resets(link):
    """
    Resets while the endpoint prints: the tty is hung up, and works again.

    The host does not print meanwhile, not even an echo.  Its driver does not
    survive that, see docs/devel/kernel-findings-host.rst.
    """
    for method in ('flr', 'bus', ''):
        link.listen()
        # Without echo before anything comes
        link.host('rm -f /tmp/raw; '
                  '(stty raw -echo; >/tmp/raw; cat >/dev/null) '
                  f'<{HVC} 2>/dev/null & wait_for 5 test -e /tmp/raw')
        link.ep(f'(cat /dev/urandom >{TTY}) >/dev/null 2>&1 & sleep 0.5')
        before = int(link.state()['resets'])
        if method:
            link.host(f'cd {DEVICE} && echo {method} >reset_method && '
                      'echo 1 >reset', 60)
            link.hung_up()
            check(int(link.state()['resets']) > before,
                  f'no reset by {method}')
        link.leave()
        link.hung_up()
        link.take()
        link.talks()


def unbind(link):
    """The function goes while the tty is open: no process is left with it."""
    link.leave()
    link.ep(f'stty -F {TTY} clocal')
    link.listen()
    link.ep(f'(cat /dev/zero >{TTY}; echo $? >/tmp/writer.end) '
            '>/dev/null 2>&1 & sleep 0.5')
    link.ep('role_finish', 30)
    link.hung_up()
    link.ep(f'wait_for 10 test -e /tmp/writer.end; ! test -e {TTY}', 20)
    link.ep('wait_for 10 rmmod pci_epf_virtio', 20)


@limit(200)
def test_tty(t):
    """What a terminal may expect, from the first open() to the last."""
    link = Console(t)
    with link.bed:
        link.start()
        carrier(link)
        host_shell(link)
        unread(link)
        resets(link)
        link.listen()
        link.host(f'(cat /dev/urandom >{HVC}) >/dev/null 2>&1 & sleep 0.5')
        link.bed.host.kill()
        link.hung_up()
        link.bed.boot('host')
        link.appears()
        link.ready()
        link.talks()
        unbind(link)
        link.check_consoles()


@long
@limit(400)
def test_kernel_7_debug(t):
    """With PROVE_LOCKING and DMA_API_DEBUG, from the start to the end."""
    link = Console(t, kernel='7-debug')
    with link.bed:
        link.bed.boot('ep', seconds=120)
        # The host finds the device at boot, see test_selftest.py.
        link.bed.boot('host', seconds=120)
        link.appears()
        link.ready()
        link.talks()
        resets(link)
        unbind(link)
        contains(link.ep('cat /proc/lockdep_stats'), r'debug_locks:\s+1',
                 'lockdep of the endpoint')
        link.check_consoles()
