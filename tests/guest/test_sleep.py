# SPDX-License-Identifier: GPL-2.0-or-later
"""
Either machine sleeps: S3 (suspend to RAM) and suspend-to-idle.

S3 of the host takes the link down until the machine wakes up.  The endpoint
refuses S3 while its link is started.  Suspend-to-idle leaves the link up.

Of the tests in which a machine wakes up from S3 only host_ram always runs,
since they take long.  The qtests epf-bridge-sleep-test, epf-bridge-vcpu-test
and pci-ep-pair-link-test run what the devices do then.
"""

import os
import time

from lib import Link, check, contains, equal, lacks, limit, long, steps
import resources

CYCLES = 5
LONG_CYCLES = 100
WARM_UP = 5  # cycles until caches and pools have their size
CPUS = '0-1'  # as MachineSpec.cpus has them
NAP = 3  # seconds of suspend-to-idle
CONTROLLER, PORT = '/machine/peripheral/epc0', '/machine/peripheral/rp0'
# A byte on the results port ends suspend-to-idle.  The alarm clock does not:
# QEMU sets its status in ACPI only when a machine wakes up from S3.
WAKEUP = 'echo enabled >/sys/class/tty/$RESULTS/power/wakeup; '
# What firmware has to do when a machine wakes up, and SeaBIOS does not: see
# qemu-findings.  Without the registers of power management a machine sleeps
# only once, without ECAM there is no extended configuration space.
FIRMWARE = ('setpci -s 00:1f.0 40.l=601; setpci -s 00:1f.0 44.b=80; '
            'setpci -s 00:00.0 60.l=b0000001')
# This comes too late for pciehp, which finds no serial number when it resumes,
# and takes the function for another one.  So the kernel uses no ECAM.
SAME = {'append': 'pci=nommconf pcie_ports=native'}
TESTS = ('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST', 'COPY_TEST')
# What may be more after all cycles, and by how much.  The own memory has what
# TCG keeps about translated code: a machine without our devices grows by 28 to
# 46 KiB each time that it sleeps, and later by less.  pci-ep-pair-link-test
# sees that the devices lose less than 2 KiB.  Resident memory has that of the
# guests, which their kernels use bit by bit.
MAY_GROW = {'fds': 0, 'threads': 0, 'mappings': 16, 'own KiB': 5 << 10,
            'resident KiB': 64 << 10}


class Sleeper(Link):
    """Two guests, and the monitors of both."""

    def __init__(self, t, host=None, ep=None, **more):
        self.asleep = {}
        super().__init__(t.testbed(
            host={'programs': ['setpci'], **(host or {})},
            ep={'programs': ['setpci'], **(ep or {})},
            monitors=True, **more))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.bed.close()

    def status(self, guest):
        """Return the run state of a machine."""
        return self.bed.monitor(guest).command('query-status')['status']

    def link_up(self):
        """Return whether the endpoint sees the link."""
        return self.bed.monitor('ep').get(CONTROLLER, 'link-up')

    def generation(self):
        """Return how often the link came up."""
        return self.bed.monitor('ep').get(CONTROLLER, 'generation')

    def sleep(self, guest):
        """Suspend to RAM."""
        command = self.bed.guests[guest].command('echo mem >/sys/power/state')
        self.bed.wait(lambda: self.status(guest) == 'suspended' or
                      command.status is not None, 60, f'{guest} falls asleep')
        check(command.status is None,
              f'{guest} did not fall asleep: {command.output}')
        self.asleep[guest] = command
        self.bed.pump(1)

    def wake(self, guest):
        """Wake a machine from S3, with all its CPUs."""
        self.bed.monitor(guest).command('system_wakeup')
        self.awakes(guest)
        self.on(guest, FIRMWARE)
        equal(self.on(guest, 'cat /sys/devices/system/cpu/online').strip(),
              CPUS, f'CPUs of {guest} after it woke up')

    def awakes(self, guest):
        """Wait until a machine has resumed; before it loses what is sent."""
        command = self.asleep.pop(guest)
        self.bed.wait(lambda: command.status is not None, 60,
                      f'{guest} wakes up')
        equal(command.status, 0, f'status of the sleep: {command.output}')

    def host_sleeps(self):
        """S3 of the host, during which the endpoint sees no link."""
        before = self.generation()
        self.sleep('host')
        self.bed.wait(lambda: not self.link_up(), 20, 'the link goes down')
        self.bed.pump(1)
        check(not self.link_up(), 'the link is up while the host sleeps')
        self.wake('host')
        check(self.link_up(), 'the link is down after the host woke up')
        equal(self.generation(), before + 1, 'link-ups')

    def doze(self, guest):
        """Fall asleep in suspend-to-idle."""
        self.asleep[guest] = self.bed.guests[guest].command(
            WAKEUP + 'echo freeze >/sys/power/state')
        self.bed.pump(NAP)
        check(self.asleep[guest].status is None,
              f'{guest} does not sleep: {self.asleep[guest].output}')

    def nap(self, guest):
        """Suspend-to-idle for a while."""
        self.doze(guest)
        self.rouse(guest)

    def rouse(self, guest):
        """End suspend-to-idle.  A byte that comes too early is lost."""
        end = time.monotonic() + 60
        while self.asleep[guest].status is None and time.monotonic() < end:
            self.bed.guests[guest].send('')
            self.bed.pump(1)
        self.awakes(guest)

    def stayed(self):
        """Fail if the host's kernel has removed the function meanwhile."""
        lacks(self.host('dmesg'), r'pciehp: .*(Link Down|not present)',
              'messages of the host')


@long
@limit(180)
def test_host_ram_firmware(t):
    """With SeaBIOS the kernel takes the function for another one."""
    with Sleeper(t) as s:
        s.start()
        s.works()
        for _ in range(2):
            s.host_sleeps()
            s.appears()
            s.works(*TESTS)
        s.check_consoles()


@limit(400)
def test_host_ram(t):
    """S3 of the host: the function is the same, and works each time."""
    with Sleeper(t, host=SAME) as s:
        s.start()
        s.works()
        for _ in range(CYCLES):
            s.host_sleeps()
            s.works(*TESTS)
        s.stayed()
        s.check_consoles()


@long
@limit(180)
def test_host_ram_without_link(t):
    """The endpoint starts its link while the host sleeps: a hot-plug."""
    with Sleeper(t) as s:
        s.start()
        s.works()
        s.ep('ep_stop')
        s.vanishes()
        s.sleep('host')
        s.ep('ep_start')
        s.bed.pump(2)
        check(not s.link_up(), 'the link is up while the host sleeps')
        s.wake('host')
        s.appears()
        s.works(*TESTS)
        s.check_consoles()


@long
@limit(180)
def test_host_ram_endpoint_stops(t):
    """The endpoint takes its link down while the host sleeps."""
    with Sleeper(t) as s:
        s.start()
        s.works()
        s.sleep('host')
        s.ep('ep_stop')
        s.wake('host')
        s.vanishes()
        s.ep('ep_start')
        s.appears()
        s.works(*TESTS)
        s.check_consoles()


FILES = ('mkdir -p /tmp/mnt; cd /tmp/mnt && '
         'for n in $(seq 40); do head -c $((n * 5000)) /dev/urandom '
         '>{0}.$n || exit; done && sha256sum {0}.* >/tmp/sums.{0}')
SUMS = ('echo 3 >/proc/sys/vm/drop_caches; cd /tmp/mnt && sha256sum -c '
        '/tmp/sums.{} >/tmp/wrong || {{ cat /tmp/wrong; false; }}')


@long
@limit(300)
def test_host_ram_file_system(t):
    """A file system on an NVMe function stays mounted over S3."""
    with Sleeper(t, host=SAME, function=['nvme,size=128M']) as s:
        s.start()
        s.host('choose fn0; function_setup', 60)
        s.host('choose fn0; load ext4; D=$(nvme_disk); mkfs.ext4 -q -F $D && '
               'mkdir -p /tmp/mnt && mount -t ext4 $D /tmp/mnt', 60)
        for n in range(3):
            # Not all of it is on the disk when the machine falls asleep.
            s.host(FILES.format(f'f{n}'), 60)
            s.host_sleeps()
            for i in range(n + 1):
                s.host(SUMS.format(f'f{i}'), 60)
        s.host(FILES.format('last'), 60)
        s.host('umount /tmp/mnt && choose fn0 && '
               'fsck.ext4 -f -n $(nvme_disk)', 60)
        s.stayed()
        s.check_consoles()


@limit(240)
def test_host_idle(t):
    """Suspend-to-idle of the host: the link stays up."""
    with Sleeper(t, function=['nvme,size=64M']) as s:
        s.start()
        s.host('choose fn0; function_setup', 60)
        s.host('choose fn0; nvme_verify 8 8M', 60)
        before = s.generation()
        s.nap('host')
        equal(s.generation(), before, 'link-ups')
        s.host('choose fn0; nvme_verify 8 8M', 60)
        s.stayed()
        s.check_consoles()


def idle_endpoint(s):
    """Suspend-to-idle of the endpoint: events of that time are not lost."""
    before = s.generation()
    for _ in range(2):
        s.doze('ep')
        # The endpoint cannot take part in a reset of the function.
        s.host('A=$(endpoint $ENDPOINT); D=/sys/bus/pci/devices/$A; '
               'P=/sys/bus/pci/drivers/pci-endpoint-test; '
               'echo $A >$P/unbind; echo bus >$D/reset_method && '
               'echo 1 >$D/reset && echo $A >$P/bind')
        check(s.asleep['ep'].status is None, 'the endpoint is awake')
        s.rouse('ep')
        s.works(*TESTS)
    equal(s.generation(), before, 'link-ups')
    s.works('DOORBELL_TEST')


def idle_endpoint_under_load(s):
    """Copies by DMA that the host asks for wait, and none is lost or wrong."""
    dma(s)
    copies = s.bed.host.command(
        'while [ ! -e /tmp/end ]; do /pciep/bin/pci_endpoint_test -r '
        'pci_ep_data_transfer.dma.COPY_TEST >/tmp/copies || '
        '{ cat /tmp/copies; exit 1; }; echo done; done')
    for _ in range(3):
        s.nap('ep')
        s.bed.pump(1)
    check(copies.status is None, f'copies ended: {copies.output}')
    s.host('>/tmp/end')
    s.bed.wait(lambda: copies.status is not None, 60, 'the copies end')
    equal(copies.status, 0, f'status of the copies: {copies.output}')
    check(copies.output.count('done') > 3, 'there were few copies')
    s.works(*TESTS)


def refused(s, advice):
    """S3 of the endpoint fails with a reason, and changes nothing."""
    out = s.ep('echo mem >/sys/power/state; echo $?', 60)
    contains(out, 'busy', 'error of the shell')
    contains(s.ep('dmesg'), advice, 'messages of the endpoint')


def endpoint_ram_is_refused(s):
    """S3 of the endpoint is refused while the link is started."""
    refused(s, 'the link would be lost: stop it before this sleep')
    s.works(*TESTS)


@long
@limit(300)
def test_endpoint_ram(t):
    """S3 of the endpoint needs a stopped link, and then works."""
    with Sleeper(t) as s:
        s.start()
        s.works()
        for _ in range(2):
            s.ep('ep_stop')
            s.vanishes()
            s.sleep('ep')
            s.bed.pump(1)
            s.wake('ep')
            s.ep('ep_start')
            s.appears()
            s.works(*TESTS, 'DOORBELL_TEST')
            dma(s)
        s.ep('role_finish')
        s.sleep('ep')
        s.wake('ep')
        s.ep('epc_path; role_setup', 40)
        s.appears()
        s.works(*TESTS)
        s.check_consoles()


def dma(s):
    """A copy by a DMA channel of the endpoint is right."""
    out = s.host('/pciep/bin/pci_endpoint_test -r '
                 'pci_ep_data_transfer.dma.COPY_TEST', 60)
    contains(out, r'(?m)^ok ', 'COPY_TEST with DMA')
    lacks(out, '^not ok|# SKIP', 'COPY_TEST with DMA')


@limit(180)
def test_endpoint_ram_function_cannot_restore(t):
    """A function that is set up once only has to be unlinked before."""
    with Sleeper(t, function=['vntb']) as s:
        s.bed.boot()
        s.ep('ep_stop')
        refused(s, 'a function would be lost: use suspend-to-idle')
        s.ep('ep_start')
        s.appears()
        s.check_consoles()


MODULE = 'pci-ep-chan-test'


@long
@limit(180)
def test_endpoint_ram_channels(t):
    """DMA channels work after S3, and after a sleep that was refused."""
    module = os.path.join(t.build, 'modules-7', f'{MODULE}.ko')
    with Sleeper(t, function=(), ep={
            'idle': True, 'files': [module], 'append': 'cma=64M'}) as s:
        s.bed.boot('ep')
        run = (f'insmod /root/{MODULE}.ko contract=1 && rmmod {MODULE} || '
               '{ dmesg | tail -5; false; }')
        s.ep(run, 60)
        for _ in range(2):
            s.sleep('ep')
            s.wake('ep')
            s.ep(run, 60)
        s.check_consoles()


def device_callbacks(s):
    """The kernel's own test of suspend and resume, on both machines."""
    levels = ('devices', 'platform')
    quick = 'echo 1 >/sys/module/suspend/parameters/pm_test_delay; '
    for level in levels:
        test = quick + f'echo {level} >/sys/power/pm_test && '
        s.ep(test + 'echo freeze >/sys/power/state', 60)
        s.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        s.host(test + 'echo freeze >/sys/power/state && '
               'echo mem >/sys/power/state', 60)
        s.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        s.ep('ep_stop')
        s.vanishes()
        s.ep('echo mem >/sys/power/state', 60)
        s.ep('ep_start')
        s.appears()
        s.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')


@limit(400)
def test_link_stays(t):
    """What either machine can do without a loss of the link."""
    with Sleeper(t) as s:
        s.start()
        s.works()
        steps(s, idle_endpoint, idle_endpoint_under_load,
              endpoint_ram_is_refused, device_callbacks)


def figures(bed):
    """Return what must not grow, of both QEMUs."""
    found = {}
    bed.pump(2)
    for name, guest in bed.guests.items():
        with open(f'/proc/{guest.pid}/status', encoding='ascii') as file:
            words = dict(line.split(':', 1) for line in file)
        found[name] = {
            **resources.held(guest.pid),
            'resident KiB': int(words['VmRSS'].split()[0]),
        }
    return found


@long
@limit(3000)
def test_host_ram_many_times(t):
    """100 cycles of S3: nothing is left behind in either QEMU."""
    with Sleeper(t, host=SAME) as s:
        s.start()
        s.works()
        before = {}
        for n in range(LONG_CYCLES + WARM_UP):
            if n == WARM_UP:
                before = figures(s.bed)
            s.host_sleeps()
            s.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        after = figures(s.bed)
        for name, found in after.items():
            for what, value in found.items():
                print(f'# {name}: {what}: {before[name][what]} before, '
                      f'{value} after {LONG_CYCLES} cycles')
        for name, found in after.items():
            for what, value in found.items():
                more = value - before[name][what]
                check(more <= MAY_GROW[what],
                      f'{name}: {what}: {more} more after {LONG_CYCLES} '
                      f'cycles, {MAY_GROW[what]} are allowed')
        s.stayed()
        s.check_consoles()
