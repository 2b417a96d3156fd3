# SPDX-License-Identifier: GPL-2.0-or-later
"""The host guest in front of vfio-user servers that are not ours."""

from contextlib import contextmanager
import os
import re
import subprocess
import time

from lib import TOP, Skipped, check, contains, equal, limit, long
from pciep.vm import process

# Each third read of the device counts its pins up by one.
READS = 6
GPIO = (
    'pci_list; d=/sys/bus/pci/devices/$(port_function 0); echo 1 >$d/enable; '
    f'for i in $(seq {READS}); do echo "pins $(dd if=$d/resource2 bs=1 '
    'count=1 2>/dev/null | od -An -tu1)"; done')


def build_sample(t, name):
    """Build a server of libvfio-user, and return its path."""
    program = os.path.join(t.rundir, name)
    done = subprocess.run(
        [os.path.join(TOP, 'scripts/build/libvfio-user.sh'), name, program],
        env={**os.environ, 'PCI_EP_BUILD': t.build}, text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
    if done.returncode == 2:
        raise Skipped((done.stderr.strip().splitlines() or ['no reason'])[-1])
    equal(done.returncode, 0, f'building {name}:\n{done.stderr[-2000:]}')
    return program


@contextmanager
def serving(command, socket):
    """Start a server, and end it after the "with" block."""
    if os.path.exists(socket):
        os.unlink(socket)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                          preexec_fn=process.die_with_parent()) as child:
        try:
            end = time.monotonic() + 10
            while not os.path.exists(socket):
                check(time.monotonic() < end and child.poll() is None,
                      f'{command[0]} makes no socket')
                time.sleep(0.05)
            yield child
        finally:
            child.kill()


@long
@limit(240)
def test_gpio(t):
    """A device of libvfio-user with an I/O BAR and without PCI Express."""
    t.kernel('7')
    server = build_sample(t, 'gpio-pci-idio-16')
    socket = os.path.join(t.rundir, 'gpio.sock')
    with serving([server, socket], socket) as child:
        status, out = t.launch('--device', socket, '--no-console',
                               '--host-cmd', GPIO, seconds=180)
        equal(child.poll(), None, 'exit status of the server, which goes on')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')
    log = t.read('host.log')
    contains(log, r'(?m)^0000:01:00.0 494f:0dc8', 'the functions of the host')
    pins = [int(n) for n in re.findall(r'(?m)^pins +(\d+)', log)]
    equal(len(pins), READS, 'values in host.log')
    check(pins == sorted(pins) and 1 <= pins[-1] - pins[0] <= 2,
          f'the pins count up by one for three reads: {pins}')
