# SPDX-License-Identifier: GPL-2.0-or-later
"""A host whose QEMU shows the endpoint by its own device vfio-user-pci."""

import json
import subprocess

from lib import (Link, Skipped, check, contains, equal, limit,
                 selftest_passed, steps, stock)

# memset_io() of the host kernel makes a million messages without answers.  The
# answer to the message behind them comes late, and QEMU waits 5 s by default.
TIMEOUT_MS = 60000
# By messages the BAR of 1 MiB takes many seconds, and the kernel's test ends
# after 30 s.  These options leave it out.
SMALL_BARS = '-V BAR5 -T CONSECUTIVE_BAR_TEST'
DEVICE = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)'


def stock_host(t, function=('test',), **kw):
    """Return two guests; the host's QEMU uses none of our devices."""
    bed = t.testbed(monitors=True, function=function, **kw)
    host = bed.host.spec
    known = subprocess.run([host.qemu, '-device', 'help'], check=True,
                           capture_output=True, text=True).stdout
    if '"vfio-user-pci"' not in known:
        raise Skipped('this QEMU has no vfio-user-pci; QEMU 10.1 has it')
    host.links = []
    device = {'driver': 'vfio-user-pci', 'id': 'endpoint', 'bus': 'rp',
              'x-msg-timeout': TIMEOUT_MS,
              'socket': {'type': 'unix', 'path': bed.ep.spec.socket}}
    host.extra += ['-device', 'pcie-root-port,id=rp,chassis=1,slot=1',
                   '-device', json.dumps(device)]
    return bed


class StockLink(Link):
    """The endpoint has to be up when the host's QEMU starts."""

    def start(self):
        self.bed.boot('ep')
        self.bed.boot('host')
        self.appears()

    def works(self, *tests):
        self.bind()
        for test in tests:
            out = self.host(f'/pciep/bin/pci_endpoint_test -V dma {SMALL_BARS}'
                            f' -t {test}', 60)
            check(selftest_passed(out), f'{test} did not pass:\n{out}')


def selftest(link):
    """The kernel's own endpoint test, but for the largest BAR."""
    link.bind()
    out = link.host(f'/pciep/bin/pci_endpoint_test {SMALL_BARS}', 200)
    contains(out, r'\bpass:18 fail:0 xfail:0 xpass:0 skip:2 error:0$',
             'totals')


def reboots(link):
    """The device comes back as it was, with a host that boots again."""
    for _ in range(2):
        link.reboot_host()
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')


def function_reset(link):
    link.host(f'D={DEVICE}; A=$(basename $D); echo $A >$D/driver/unbind; '
              'echo flr >$D/reset_method && echo 1 >$D/reset && '
              'echo $A >/sys/bus/pci/drivers/pci-endpoint-test/bind')
    link.works('BAR_TEST', 'MSI_TEST', 'WRITE_TEST')


def again(link):
    """The host has no event of this link, so it looks for the device anew."""
    link.host(f'echo 1 >{DEVICE}/remove; echo 1 >/sys/bus/pci/rescan')
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')


def stop_and_start(link):
    """The host reads all ones, goes on, and has the device again."""
    for _ in range(3):
        link.ep('ep_stop')
        out = link.host(f'od -An -tx4 -N4 {DEVICE}/config', 30)
        equal(out.strip(), 'ffffffff', 'identity of a device that is gone')
        status = link.bed.monitor('host').command('query-status')['status']
        equal(status, 'running', 'the host')
        link.ep('ep_start')
        again(link)


def endpoint_reboots(link):
    """Memory and eventfds of the host outlive the endpoint's kernel."""
    link.bed.ep.release = None
    link.bed.ep.command('reboot -f')
    link.bed.wait_booted('ep')
    again(link)


@stock
@limit(600)
def test_selftest(t):
    with stock_host(t, host={'iommu': 'intel-cm'}) as bed:
        bed.host.spec.reboot = bed.ep.spec.reboot = True
        link = StockLink(bed)
        link.start()
        steps(link, selftest, function_reset, reboots, stop_and_start,
              endpoint_reboots)
