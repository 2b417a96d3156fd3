# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a link: up, down, reset, either side dying."""

import signal

from lib import Link, build_program, check, contains, equal, limit

RESTARTS = 10


def both(t, **kw):
    bed = t.testbed(**kw)
    return bed, Link(bed)


@limit(120)
def test_endpoint_first(t):
    """The link is allowed to train before the host's QEMU exists."""
    bed, link = both(t)
    with bed:
        bed.boot('ep')
        bed.pump(1)
        bed.boot('host')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        link.check_consoles()


@limit(120)
def test_host_first(t):
    """The host has booted with an empty slot when the endpoint starts."""
    bed, link = both(t)
    with bed:
        bed.boot('host')
        bed.pump(3)
        link.host(f'no_endpoint {link.endpoint}')
        bed.boot('ep')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        link.check_consoles()


@limit(400)
def test_start_stop_ten_times(t):
    """The device vanishes and comes back, and works each time."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        for _ in range(RESTARTS):
            link.ep('ep_stop')
            link.vanishes()
            link.host('test ! -e /dev/pci-endpoint-test.0')
            link.ep('ep_start')
            link.appears()
            link.works()
        link.works('MSI_TEST', 'READ_TEST', 'WRITE_TEST', 'COPY_TEST')
        link.check_consoles()


@limit(180)
def test_unbind_and_rebind_controller(t):
    """The endpoint driver is unbound, bound again and set up afresh."""
    bed, link = both(t)
    with bed:
        link.start()
        driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
        address = link.ep(f'basename $(ls -d {driver}/0000:*)').strip()
        for _ in range(2):
            link.ep('role_finish')
            link.vanishes()
            link.ep(
                f'echo {address} >{driver}/unbind; '
                '! ls $CFS/controllers/* 2>/dev/null'
            )
            link.ep(f'echo {address} >{driver}/bind; wait_for 10 epc_path')
            link.ep('epc_path; role_setup')
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.ep(
            f'role_finish; echo {address} >{driver}/unbind; rmmod pcie_qemu_ep'
        )
        link.vanishes()
        link.check_consoles()


@limit(180)
def test_host_driver_rebind_and_rescan(t):
    """What a host does with any device: unbind, remove, rescan."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        driver = '/sys/bus/pci/drivers/pci-endpoint-test'
        link.host(
            f'A=$(endpoint $ENDPOINT); echo $A >{driver}/unbind; '
            f'echo $A >{driver}/bind'
        )
        link.works('BAR_TEST', 'MSI_TEST')
        link.host('echo 1 >/sys/bus/pci/devices/$(endpoint $ENDPOINT)/remove; '
                  'no_endpoint $ENDPOINT')
        link.host('echo 1 >/sys/bus/pci/rescan')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


@limit(180)
def test_function_and_bus_reset(t):
    """Every reset the host kernel knows for the function leaves it usable."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        methods = link.host(
            'cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/reset_method'
        ).split()
        check('flr' in methods and 'bus' in methods,
              f'flr or bus is missing in the reset methods {methods}')
        for method in ('flr', 'bus'):
            link.host(
                'D=/sys/bus/pci/devices/$(endpoint $ENDPOINT); '
                'echo $(basename $D) >$D/driver/unbind; '
                f'echo {method} >$D/reset_method && echo 1 >$D/reset && '
                'echo $(basename $D) '
                '>/sys/bus/pci/drivers/pci-endpoint-test/bind'
            )
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


@limit(180)
def test_host_machine_reset(t):
    """The host reboots with its firmware, and finds the endpoint again."""
    bed, link = both(t)
    bed.host.spec.reboot = True
    with bed:
        link.start()
        link.works()
        for _ in range(2):
            link.reboot_host()
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


@limit(180)
def test_endpoint_qemu_killed(t):
    """Surprise removal: the host stays usable, and finds a new endpoint."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        bed.ep.kill()
        link.vanishes()
        link.host('test ! -e /dev/pci-endpoint-test.0; dmesg | tail -1')
        bed.boot('ep')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


def loaded(t):
    """Guests with bar-load in the host, and a CPU that stays free of it."""
    program = build_program(t, 'bar-load')
    return both(t, host={'cpus': 2, 'files': [f'{program}:/bin/bar-load']})


def load(link):
    """
    Have bar-load use all BARs, also after the kernel has removed the device.

    The driver is bound but nobody calls its ioctl(): pci_endpoint_test unmaps
    the BARs under an ioctl() that is in progress, see kernel-findings.
    """
    link.bind()
    link.host('rm -f /tmp/settled')
    running = link.bed.host.command(
        'bar-load /sys/bus/pci/devices/$(endpoint $ENDPOINT) /tmp/settled')
    link.bed.pump(2)
    check(running.status is None, f'bar-load ended early: {running.output}')
    return running


def dies(link, running):
    """Wait until all words read all ones, written or not."""
    link.bed.run('host', 'wait_for 60 test -e /tmp/settled', 80)
    check(running.status is None, f'bar-load: {running.output}')


def load_ended(link, running):
    """The load saw nothing wrong, the host is usable, no kernel complained."""
    dies(link, running)
    link.host('killall bar-load')
    link.bed.wait(lambda: running.status is not None, 30, 'bar-load ends')
    equal(running.status, 0, f'status of bar-load: {running.output}')
    contains(running.output, '^dead', 'output of bar-load')
    link.host('test ! -e /dev/pci-endpoint-test.0')
    link.check_consoles()


@limit(180)
def test_endpoint_qemu_killed_under_load(t):
    """The endpoint dies while a program of the host uses its BARs."""
    bed, link = loaded(t)
    with bed:
        link.start()
        running = load(link)
        bed.ep.kill()
        link.vanishes()
        load_ended(link, running)
        bed.boot('ep')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.check_consoles()


@limit(180)
def test_dead_endpoint_reads_all_ones(t):
    """The endpoint dies, and the host's kernel learns of that late."""
    bed, link = loaded(t)
    with bed:
        link.start()
        running = load(link)
        driver = '/sys/bus/pci_express/drivers/pciehp'
        port = link.host(f'basename $(ls -d {driver}/0000:*)').strip()
        link.host(f'echo {port} >{driver}/unbind')
        bed.ep.kill()
        dies(link, running)
        link.host('test "$(hexdump -n 4 -e \'1/4 "%x"\' '
                  '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/config)"'
                  ' = ffffffff')
        link.host(f'echo {port} >{driver}/bind')
        link.vanishes()
        load_ended(link, running)


@limit(180)
def test_host_qemu_killed(t):
    """The endpoint sees link down, stays usable and serves the next host."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        bed.host.kill()
        bed.pump(2)
        link.ep('true')
        bed.boot('host')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        bed.host.kill()
        link.ep('ep_stop; ep_start; ep_stop')
        link.check_consoles()


@limit(180)
def test_peer_stopped(t):
    """An endpoint that stops answering is removed; the host goes on."""
    bed, link = both(t)
    with bed:
        link.start()
        link.works()
        bed.ep.process.send_signal(signal.SIGSTOP)
        # A configuration write needs the endpoint.  After the deadline the
        # host must go on.
        link.host(
            'echo $(endpoint $ENDPOINT) '
            '>/sys/bus/pci/drivers/pci-endpoint-test/unbind',
            30, None)
        link.host('true', 20)
        link.vanishes()
        bed.ep.process.send_signal(signal.SIGCONT)
        link.ep('true', 20)
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST')
        link.check_consoles()
