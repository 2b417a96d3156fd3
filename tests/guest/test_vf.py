# SPDX-License-Identifier: GPL-2.0-or-later
"""Virtual functions: the kernel's own test on each of them."""

import os
import re

from lib import Link, check, equal, limit, long, steps

VFS = 2
FUNCTION = f'test,vfs={VFS}'
TAGS = ['fn0'] + [f'fn0v{n}' for n in range(1, VFS + 1)]
BARS = {'fn0': range(6), 'fn0v1': (0, 1, 2, 4), 'fn0v2': (0, 1, 2, 4)}
TRANSFERS = [
    f'pci_ep_data_transfer.{v}.{n}_TEST' for v in ('memcpy', 'dma')
    for n in ('READ', 'WRITE', 'COPY')
]
BASIC = ['CONSECUTIVE_BAR_TEST', 'MSI_TEST', 'MSIX_TEST']
QUICK = ('BAR_TEST', 'MSIX_TEST', 'READ_TEST', 'WRITE_TEST', 'COPY_TEST')
NUMVFS = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/sriov_numvfs'


class Vf(Link):
    """Two guests whose function 0 has virtual functions."""
    def boot(self):
        self.bed.boot()
        self.appears()
        self.bind()

    def enable(self, count):
        self.host(f'echo {count} >{NUMVFS}')
        equal(self.host(f'cat {NUMVFS}').strip(), str(count), 'VFs enabled')

    def passes(self, tag, *tests):
        """The selftest passes the tests named on one function."""
        for test in tests or QUICK:
            out = self.host(
                f'exec 3>&1; choose {tag}; wait_for 20 test_node && '
                f'selftest -T BAR_SUBRANGE_TEST -t {test}', 90)
            check(
                re.search(r'^ok ', out, re.M)
                and not re.search(r'^not ok', out, re.M),
                f'{test} of {tag} did not pass:\n{out}')

    def all_pass(self, *tests):
        for tag in TAGS:
            self.passes(tag, *tests)

    def address(self, tag):
        return self.host(f'choose {tag}; own_endpoint').strip()


def vf_link(t, **kw):
    return Vf(t.testbed(function=[FUNCTION], **kw))


def launched(t, *args, kernel='7', seconds=280):
    """Test all functions at the same time, and return the results."""
    t.kernel(kernel)
    status, out = t.launch('--function', FUNCTION, '--kernel-name', kernel,
                           '--no-console', '--msix=32', '--host-cpus=3', *args,
                           seconds=seconds)
    results = t.results()
    bad = {n for n, (verdict, _) in results.items() if verdict == 'fail'}
    equal(bad, set(), f'tests that failed; output:\n{out[-4000:]}')
    equal(status, 0, f'exit status; output:\n{out[-3000:]}')
    return results


def passed(results, tag, names):
    for name in names:
        equal(results.get(f'{tag}.{name}'), ('pass', ''), f'{tag}.{name}')


@limit(300)
def test_all_at_once(t):
    results = launched(t)
    for tag in TAGS:
        passed(results, tag,
               TRANSFERS + ['endpoint.ENUMERATE', 'endpoint.DRIVER_BOUND'])
        passed(results, tag,
               [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in BARS[tag]])
        passed(results, tag, [f'pci_ep_basic.{n}' for n in BASIC[:2]])
        equal(results[f'{tag}.pci_ep_basic.MSIX_TEST'],
              ('skip', 'MSI-X33 is disabled'), f'MSI-X of {tag}')
        passed(results, tag, ['pcie_ep_doorbell.DOORBELL_TEST'])
    passed(results, 'fn0',
           ['endpoint.VFS_ENABLED', 'pci_ep_basic.LEGACY_IRQ_TEST'])


@limit(300)
def test_behind_iommu(t):
    """Each function has addresses of its own there."""
    results = launched(t, '--host-iommu=intel-cm')
    for tag in TAGS:
        passed(results, tag, TRANSFERS)


@long
@limit(300)
def test_behind_iommu_without_notifications(t):
    """Copies by the endpoint's CPU are left out: each access is a message."""
    results = launched(t, '--host-iommu=intel')
    for tag in TAGS:
        passed(results, tag, [n for n in TRANSFERS if '.dma.' in n])


@long
@limit(300)
def test_behind_virtio_iommu(t):
    results = launched(t, '--host-iommu=virtio')
    for tag in TAGS:
        passed(results, tag, TRANSFERS)


@limit(300)
def test_kernel_6_12(t):
    results = launched(t, kernel='6.12')
    for tag in TAGS:
        passed(results, tag, TRANSFERS)
        passed(results, tag,
               [f'pci_ep_bar.BAR{n}.BAR_TEST' for n in BARS[tag]])
        passed(results, tag, ['pci_ep_basic.MSI_TEST'])


def enable_and_disable(link):
    link.enable(VFS)
    link.all_pass()
    link.enable(0)
    link.host('! (choose fn0v1; own_endpoint)')
    link.passes('fn0')
    link.enable(1)
    link.passes('fn0v1')
    link.enable(0)
    link.enable(VFS)
    link.all_pass()
    link.enable(0)


def reset_one(link):
    """An FLR of a virtual function leaves the other functions alone."""
    link.enable(VFS)
    link.all_pass('BAR_TEST')
    device = f'/sys/bus/pci/devices/{link.address("fn0v1")}'
    equal(
        link.host(f'cat {device}/reset_method').split()[0], 'flr',
        'reset method')
    link.host(f'echo 1 >{device}/reset')
    link.passes('fn0')
    link.passes('fn0v2')
    link.passes('fn0v1')
    link.enable(0)


def stop_link(link):
    """The link is stopped and started with virtual functions enabled."""
    link.enable(VFS)
    link.all_pass('READ_TEST')
    link.ep('ep_stop')
    link.vanishes()
    link.ep('ep_start')
    link.appears()
    link.bind()
    equal(
        link.host(f'cat {NUMVFS}').strip(), '0',
        'VFs enabled by a new device')
    link.enable(VFS)
    link.all_pass()


@limit(400)
def test_driver(t):
    """What the host's driver and the link do to virtual functions."""
    link = vf_link(t)
    with link.bed:
        link.boot()
        steps(link, enable_and_disable, reset_one, stop_link)


# Values of enum pci_epc_ext_event_type and of the Command register
COMMAND, FLR = 1, 3
MEMORY, MASTER = 2, 4
# Shell: the directories of functions, and how to make a virtual function
PLACES = 'epc_path; F=$CFS/functions; V=$F/pci_epf_vf_test;'
MAKE = (PLACES + ' make_vf() { mkdir $V/$1 && echo 0xb500 >$V/$1/deviceid &&'
        ' echo 4 >$V/$1/msi_interrupts && echo 4 >$V/$1/msix_interrupts; };')


class ByHand(Vf):
    """The same, but the test sets the endpoint up."""
    def __init__(self, t, modules='', kernel='7'):
        files = [
            os.path.join(t.build, f'modules-{kernel}', m)
            for m in modules.split()
        ]
        super().__init__(
            t.testbed(kernel=kernel, function=[FUNCTION], ep={
                'files': files,
                'idle': True
            }))

    def boot(self, seconds=60):
        self.bed.boot(seconds=seconds)
        self.ep('wait_for 20 epc_path; load pci_epf_test pci_epf_vf_test', 40)

    def log_has(self, text, seconds=10):
        self.ep(f"wait_for {seconds} sh -c 'dmesg | grep -q \"{text}\"'",
                seconds + 10)


@limit(200)
def test_events(t):
    """Events of pci-epc-ext.h reach the function that they are for."""
    link = ByHand(t, 'pci-epf-ext-test.ko')
    events = '/sys/kernel/debug/pci_epf_ext_test/*/events'
    with link.bed:
        link.boot()
        link.ep(
            f'{MAKE} insmod /root/pci-epf-ext-test.ko;'
            ' f=$F/pci_epf_ext_test/f; mkdir $f && make_vf v1 && make_vf v2'
            ' && echo 0x10fe >$V/v1/deviceid'
            ' && ln -s $V/v1 $f/ && ln -s $V/v2 $f/'
            ' && ln -s $f $EPC_PATH/ && ep_start')
        link.endpoint = '0x1af4:0x10fe'
        link.appears()
        device = f'/sys/bus/pci/devices/$(endpoint {link.endpoint})'
        link.host(
            'load pci_endpoint_test;'
            ' echo 1af4 10fe >/sys/bus/pci/drivers/pci-endpoint-test/new_id;'
            f' wait_for 10 test -e {device}/driver;'
            f' echo 2 >{device}/sriov_numvfs')
        link.ep(f"wait_for 10 grep -q '^vfs [1-9][0-9]* 0x2$' {events}")
        for vf in (1, 2):
            link.log_has(f'virtual function {vf}: event {COMMAND}, '
                         f'value {MEMORY | MASTER:#x}')
        link.host(f'echo 1 >{device}/virtfn1/reset')
        link.log_has(f'virtual function 2: event {FLR},')
        link.ep(f"! dmesg | grep 'virtual function 1: event {FLR},'")
        link.host(f'echo 0 >{device}/sriov_numvfs')
        link.ep(f"wait_for 10 grep -q '^vfs [1-9][0-9]* 0x0$' {events}")
        link.check_consoles()


@limit(200)
def test_framework_order(t):
    """Steps that the framework refuses, or takes in an odd order."""
    link = ByHand(t, kernel='7-debug')
    f = '$F/pci_epf_test/f'
    with link.bed:
        link.boot(120)
        link.ep(f'{MAKE} mkdir {f} && echo 0x104c >{f}/vendorid'
                f' && echo 0xb500 >{f}/deviceid'
                ' && make_vf v1 && make_vf v2 && make_vf v3')
        link.ep(f'{PLACES} ! ln -s $V/v1 $EPC_PATH/')
        # With one more than the controller has the function is refused.
        link.ep(
            f'{PLACES} for n in 1 2 3; do ln -s $V/v$n {f}/ || exit 1; done')
        link.ep(f'{PLACES} ! ln -s {f} $EPC_PATH/')
        link.ep(f'{PLACES} rm {f}/v3 && ln -s {f} $EPC_PATH/ && ep_start')
        link.ep('! rmmod pci_epf_vf_test')
        link.appears()
        link.bind()
        link.enable(2)
        # Unlinked from the function first, while the host uses it
        link.ep(f'{PLACES} rm {f}/v2 && rmdir $V/v2')
        link.enable(0)
        link.ep(f'{PLACES} ep_stop; rm $EPC_PATH/f')
        link.vanishes()
        link.ep(f'{PLACES} ln -s {f} $EPC_PATH/ && ep_start')
        link.appears()
        # Without number 1 there is no header, so no virtual function.
        link.ep(f'{PLACES} ep_stop; rm $EPC_PATH/f && rm {f}/v1')
        link.vanishes()
        link.ep(f'{PLACES} ln -s {f} $EPC_PATH/ && ep_start')
        link.appears()
        total = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/sriov_totalvfs'
        link.host(f'! [ -e {total} ] || [ "$(cat {total})" = 0 ]')
        link.ep('ep_stop; role_finish; rmmod pci_epf_vf_test')
        link.check_consoles()
