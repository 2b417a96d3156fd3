# SPDX-License-Identifier: GPL-2.0-or-later
"""The driver is unbound while functions are linked, which is misuse."""

from lib import Link, limit

DRIVER = '/sys/bus/pci/drivers/pcie-qemu-ep'
BELL = 'grep -c pci_epf_vntb_db /proc/interrupts'


@limit(180)
def test_function_has_a_doorbell(t):
    """
    A function that keeps an interrupt keeps working, and does no harm.

    pci-epf-vntb holds the interrupt of the framework's doorbell, and calls
    operations of the controller after it has gone.
    """
    link = Link(t.testbed(function=['vntb']))
    with link.bed:
        link.start()
        link.ep(BELL)
        address = link.ep(f'basename $(ls -d {DRIVER}/0000:*)').strip()
        link.ep(f'echo {address} >{DRIVER}/unbind', 30)
        link.vanishes()
        link.ep(f'sleep 3; {BELL}', 30)
        link.check_consoles()
        link.ep(f'echo {address} >{DRIVER}/bind; wait_for 10 epc_path', 30)
        link.ep(f'echo {address} >{DRIVER}/unbind', 30)
        link.ep(f'! ls -d {DRIVER}/0000:*')
        link.check_consoles()
