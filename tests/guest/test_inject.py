# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of the host's root port on request, with a kernel that bears them."""

import json

from lib import Link, contains, equal, limit
from pciep.run.faults import device

BRIDGE = device('host', 0)
DEVICE = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)'
PORT = f'$(basename $(dirname $(readlink -f {DEVICE})))'
RETRIES = 6
# DPC Control: software trigger
TRIGGER = f'setpci -s {PORT} ECAP_DPC+6.w=40:40'


class Injector:
    """
    Guests whose host makes faults.

    :param t: Context of the test.
    """

    def __init__(self, t):
        self.bed = t.testbed(host={'programs': ['setpci']}, monitors=True)
        self.link = Link(self.bed)
        self.qmp = self.bed.monitor('host')

    def fault(self, request):
        """Ask the bridge for a fault."""
        self.qmp.set(BRIDGE, 'fault', request)

    def count(self, kind):
        """Return how many faults of this kind the log has."""
        log = json.loads(self.qmp.get(BRIDGE, 'fault-log'))
        return len([entry for entry in log if entry['fault'] == kind])

    def says(self, pattern, seconds=20):
        """Wait until the host's kernel has logged the pattern."""
        self.link.host(f"wait_for {seconds} sh -c "
                       f"\"dmesg | grep -q '{pattern}'\" || "
                       '{ dmesg | tail -30; false; }', seconds + 10)

    def restart(self):
        """The link goes down and comes up again."""
        self.link.ep('ep_stop')
        self.link.vanishes()
        self.link.ep('ep_start')
        self.link.appears()


def report_errors(run):
    """The kernel names severity and source of each error."""
    address = run.link.host('endpoint $ENDPOINT').strip()
    port = run.link.host(f'echo {PORT}').strip()
    run.fault('aer,severity=correctable,function=0')
    run.says(f'{port}: AER: Correctable error.*received from {address}')
    run.fault('aer,severity=correctable')
    run.says(f'{port}: AER: Correctable error.*received from {port}')
    run.fault('aer,severity=nonfatal,function=0')
    run.says(f'{port}: AER: Uncorrectable (Non-Fatal) error.*'
             f'received from {address}')
    run.says('AER: device recovery')
    run.restart()
    run.link.works('BAR_TEST', 'MSI_TEST')
    # The port contains it, so that no message gets to AER.
    run.fault('aer,severity=fatal,function=0')
    run.says(f'{port}: DPC: containment event.*ERR_FATAL received from '
             f'{address}')


def contain_errors(run):
    """The port contains an error, and the function works again."""
    for request, why in (
            (TRIGGER, 'software trigger detected'),
            ('aer,severity=fatal,function=0', 'ERR_FATAL received'),
            ('aer,severity=nonfatal', 'unmasked uncorrectable error')):
        if request == TRIGGER:
            run.link.host(request)
        else:
            run.fault(request)
        run.says(f'DPC: containment event.*{why}')
        run.link.host(f'wait_for 20 sh -c "test \\$(dmesg | grep -c '
                      "'device recovery') -gt 0\"; dmesg -c >/dev/null",
                      40)
        run.link.appears()
        run.link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')


def enumerate_late(run):
    """A function that asks for retries is found late, and all right."""
    run.link.ep('ep_stop')
    run.link.vanishes()
    run.fault(f'config-retry,count={RETRIES}')
    run.link.ep('ep_start')
    run.link.appears()
    equal(run.count('config-retry'), RETRIES, 'retries')
    equal(run.qmp.get(BRIDGE, 'fault'), '', 'armed faults')
    run.link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')


def change_link(run):
    """The kernel follows speed and width, and the link's going and coming."""
    for request, speed, width in (
            ('link-train,speed=1,width=1', '2.5 GT/s PCIe', '1'),
            ('link-train,speed=4,width=4', '16.0 GT/s PCIe', '4')):
        run.fault(request)
        for device in (DEVICE, f'/sys/bus/pci/devices/{PORT}'):
            equal(run.link.host(
                f'cat {device}/current_link_speed').strip(), speed,
                'speed')
            equal(run.link.host(
                f'cat {device}/current_link_width').strip(), width,
                'width')
    run.link.works('BAR_TEST', 'MSI_TEST')
    run.fault('link-down,ms=1000')
    run.says('Link Down')
    run.link.appears()
    run.link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
    run.fault('remove,after=20')
    # It reads the whole configuration space.
    run.link.host(f'hexdump {DEVICE}/config >/dev/null; true')
    run.link.vanishes()
    equal(run.count('remove'), 1, 'removals')
    run.fault('insert')
    run.link.appears()
    run.link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')


@limit(300)
def test_port(t):
    """Each kind of fault; the errors of AER and DPC come last."""
    run = Injector(t)
    link = run.link
    with run.bed:
        link.start()
        link.works()
        contains(link.host('dmesg'), 'DPC: enabled', 'messages of the host')
        for step in (enumerate_late, change_link, contain_errors,
                     report_errors):
            link.host('dmesg -c >/dev/null')
            step(run)
            if step is change_link:
                link.check_consoles()
