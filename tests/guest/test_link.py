# SPDX-License-Identifier: GPL-2.0-or-later
"""The life of a link: up, down, reset, either side dying."""

import signal

from lib import Link, build_program, check, contains, equal, limit, steps

RESTARTS = 10


def both(t, **kw):
    bed = t.testbed(**kw)
    return bed, Link(bed)


def start_and_stop(link):
    """The device vanishes and comes back, and works each time."""
    for _ in range(RESTARTS):
        link.ep('ep_stop')
        link.vanishes()
        link.host('test ! -e /dev/pci-endpoint-test.0')
        link.ep('ep_start')
        link.appears()
        link.works()
    link.works('MSI_TEST', 'READ_TEST', 'WRITE_TEST', 'COPY_TEST')


def rebind_host_driver(link):
    """What a host does with any device: unbind, remove, rescan."""
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


def reset_function_and_bus(link):
    """Every reset the host kernel knows for the function leaves it usable."""
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


def stop_peer(link):
    """An endpoint that stops answering is removed; the host goes on."""
    link.works()
    link.bed.ep.process.send_signal(signal.SIGSTOP)
    # A configuration write needs the endpoint.  After the deadline the host
    # must go on.
    link.host(
        'echo $(endpoint $ENDPOINT) '
        '>/sys/bus/pci/drivers/pci-endpoint-test/unbind',
        30, None)
    link.host('true', 20)
    link.vanishes()
    link.bed.ep.process.send_signal(signal.SIGCONT)
    link.ep('true', 20)
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST')


def rebind_controller(link):
    """
    The endpoint driver is unbound, bound again and set up afresh.

    At the end its module goes: this is the last step.
    """
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


@limit(400)
def test_host_first(t):
    """
    All ways for a link or a driver to end and begin again.

    The host has booted with an empty slot when the endpoint starts.
    """
    bed, link = both(t)
    with bed:
        bed.boot('host')
        bed.pump(3)
        link.host(f'no_endpoint {link.endpoint}')
        bed.boot('ep')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        steps(link, start_and_stop, rebind_host_driver,
              reset_function_and_bus, stop_peer, rebind_controller)


def reset_host_machine(link):
    """The host reboots with its firmware, and finds the endpoint again."""
    for _ in range(2):
        link.reboot_host()
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')


def kill_endpoint(link):
    """Surprise removal: the host stays usable, and finds a new endpoint."""
    link.bed.ep.kill()
    link.vanishes()
    link.host('test ! -e /dev/pci-endpoint-test.0; dmesg | tail -1')
    link.bed.boot('ep')
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')


def kill_host(link):
    """
    The endpoint sees link down, stays usable and serves the next host.

    The host is gone at the end: this is the last step.
    """
    link.bed.host.kill()
    link.bed.pump(2)
    link.ep('true')
    link.bed.boot('host')
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
    link.bed.host.kill()
    link.ep('ep_stop; ep_start; ep_stop')


@limit(400)
def test_endpoint_first(t):
    """
    Either machine is reset or killed, and comes again.

    The link is allowed to train before the host's QEMU exists.
    """
    bed, link = both(t)
    bed.host.spec.reboot = True
    with bed:
        bed.boot('ep')
        bed.pump(1)
        bed.boot('host')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        steps(link, kill_endpoint, reset_host_machine, kill_host)


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


def kill_loaded_endpoint(link):
    """The endpoint dies while a program of the host uses its BARs."""
    running = load(link)
    link.bed.ep.kill()
    link.vanishes()
    load_ended(link, running)
    link.bed.boot('ep')
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')


def kill_unnoticed(link):
    """
    The endpoint dies, and the host's kernel learns of that late.

    The endpoint is gone at the end: this is the last step.
    """
    running = load(link)
    driver = '/sys/bus/pci_express/drivers/pciehp'
    port = link.host(f'basename $(ls -d {driver}/0000:*)').strip()
    link.host(f'echo {port} >{driver}/unbind')
    link.bed.ep.kill()
    dies(link, running)
    link.host('test "$(hexdump -n 4 -e \'1/4 "%x"\' '
              '/sys/bus/pci/devices/$(endpoint $ENDPOINT)/config)"'
              ' = ffffffff')
    link.host(f'echo {port} >{driver}/bind')
    link.vanishes()
    load_ended(link, running)


@limit(300)
def test_dead_endpoint(t):
    """BARs of an endpoint that has died read all ones."""
    bed, link = loaded(t)
    with bed:
        link.start()
        steps(link, kill_loaded_endpoint, kill_unnoticed)
