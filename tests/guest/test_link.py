# SPDX-License-Identifier: GPL-2.0-or-later
"""The link's life: up, down, reset, either side dying, seen by two kernels."""

from lib import Link, check, limit

RESTARTS = 10


def both(t, **kw):
    pair = t.pair(**kw)
    return pair, Link(pair)


@limit(120)
def test_endpoint_first(t):
    """The link is allowed to train before the host's QEMU exists."""
    pair, link = both(t)
    with pair:
        pair.ep.start(pair.loop)
        link.ready('ep')
        link.set_up()
        pair.pump(1)
        pair.host.start(pair.loop)
        link.ready('host')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        link.quiet()


@limit(120)
def test_host_first(t):
    """The host has booted with an empty slot when the endpoint's QEMU starts."""
    pair, link = both(t)
    with pair:
        pair.host.start(pair.loop)
        link.ready('host')
        pair.pump(3)
        link.host(f'no_endpoint {link.endpoint}')
        pair.ep.start(pair.loop)
        link.ready('ep')
        link.set_up()
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST', 'WRITE_TEST')
        link.quiet()


@limit(400)
def test_start_stop_ten_times(t):
    """The device vanishes and comes back, and works each time."""
    pair, link = both(t)
    with pair:
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
        link.quiet()


@limit(180)
def test_unbind_and_rebind_controller(t):
    """The endpoint driver lets go of everything and starts afresh."""
    pair, link = both(t)
    with pair:
        link.start()
        driver = '/sys/bus/pci/drivers/pcie-qemu-ep'
        address = link.ep(f'basename $(ls -d {driver}/0000:*)').strip()
        for _ in range(2):
            link.ep('role_finish')
            link.vanishes()
            link.ep(
                f'echo {address} >{driver}/unbind; ! ls $CFS/controllers/* 2>/dev/null'
            )
            link.ep(f'echo {address} >{driver}/bind; wait_for 10 epc_path')
            link.ep('epc_path; role_setup')
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.ep(f'role_finish; echo {address} >{driver}/unbind; rmmod pcie_qemu_ep')
        link.vanishes()
        link.quiet()


@limit(180)
def test_host_driver_rebind_and_rescan(t):
    """What a host does with any device: unbind, remove, rescan."""
    pair, link = both(t)
    with pair:
        link.start()
        link.works()
        driver = '/sys/bus/pci/drivers/pci-endpoint-test'
        link.host(
            f'A=$(endpoint $ENDPOINT); echo $A >{driver}/unbind; echo $A >{driver}/bind'
        )
        link.works('BAR_TEST', 'MSI_TEST')
        link.host(
            'echo 1 >/sys/bus/pci/devices/$(endpoint $ENDPOINT)/remove; '
            'no_endpoint $ENDPOINT'
        )
        link.host('echo 1 >/sys/bus/pci/rescan')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.quiet()


@limit(180)
def test_function_and_bus_reset(t):
    """Every reset the host kernel knows for the function leaves it usable."""
    pair, link = both(t)
    with pair:
        link.start()
        link.works()
        methods = link.host(
            'cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/reset_method'
        ).split()
        check(
            'flr' in methods and 'bus' in methods,
            f'reset methods: expected flr and bus in {methods}',
        )
        for method in ('flr', 'bus'):
            link.host(
                'D=/sys/bus/pci/devices/$(endpoint $ENDPOINT); '
                'echo $(basename $D) >$D/driver/unbind; '
                f'echo {method} >$D/reset_method && echo 1 >$D/reset && '
                'echo $(basename $D) >/sys/bus/pci/drivers/pci-endpoint-test/bind'
            )
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.quiet()


@limit(180)
def test_host_machine_reset(t):
    """The host reboots, firmware and all; the endpoint stays up and is found again."""
    pair, link = both(t)
    pair.host.spec.reboot = True
    with pair:
        link.start()
        link.works()
        for _ in range(2):
            pair.host.release = None
            pair.host.command('reboot -f')
            link.ready('host')
            link.appears()
            link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.quiet()


@limit(180)
def test_endpoint_qemu_killed(t):
    """Surprise removal; the host stays usable, and a new endpoint is found."""
    pair, link = both(t)
    with pair:
        link.start()
        link.works()
        pair.ep.kill()
        link.vanishes()
        link.host('test ! -e /dev/pci-endpoint-test.0; dmesg | tail -1')
        pair.ep.start(pair.loop)
        link.ready('ep')
        link.set_up()
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        link.quiet()


@limit(180)
def test_endpoint_qemu_killed_under_load(t):
    """The endpoint dies while the host uses its BARs: all ones, no hang, no fault."""
    pair, link = both(t)
    with pair:
        link.start()
        link.bind()
        busy = pair.host.command(
            'while [ -e /dev/pci-endpoint-test.0 ]; do '
            '/pciep/bin/pci_endpoint_test -t BAR_TEST -t CONSECUTIVE_BAR_TEST; done'
        )
        pair.pump(2)
        pair.ep.kill()
        link.vanishes()
        pair.wait(lambda: busy.status is not None, 60, 'the test program ends')
        link.quiet()


@limit(180)
def test_host_qemu_killed(t):
    """The endpoint sees the link go down, stays usable and serves the next host."""
    pair, link = both(t)
    with pair:
        link.start()
        link.works()
        pair.host.kill()
        pair.pump(2)
        link.ep('true')
        pair.host.start(pair.loop)
        link.ready('host')
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
        pair.host.kill()
        link.ep('ep_stop; ep_start; ep_stop')
        link.quiet()


@limit(180)
def test_peer_stopped(t):
    """A peer that stops answering takes the link down; the other guest is not frozen."""
    import signal

    pair, link = both(t)
    with pair:
        link.start()
        link.works()
        pair.ep.process.send_signal(signal.SIGSTOP)
        # A configuration write needs the peer; afterwards the guest must go on.
        link.host(
            'echo $(endpoint $ENDPOINT) >/sys/bus/pci/drivers/pci-endpoint-test/unbind',
            30,
            None,
        )
        link.host('true', 20)
        link.vanishes()
        pair.ep.process.send_signal(signal.SIGCONT)
        link.ep('true', 20)
        link.appears()
        link.works('BAR_TEST', 'MSI_TEST')
        link.quiet()
