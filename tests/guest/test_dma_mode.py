# SPDX-License-Identifier: GPL-2.0-or-later
"""The kind of DMA channels for functions is chosen while the driver runs."""

from lib import Link, check, contains, equal, limit, selftest_passed


def dma(link, *tests):
    """The variants with DMA of these tests pass."""
    link.bind()
    for test in tests:
        out = link.host(
            f'/pciep/bin/pci_endpoint_test -r pci_ep_data_transfer.dma.{test}',
            60)
        check(selftest_passed(out), f'{test} with DMA did not pass:\n{out}')


def choose(link, mode):
    """Choose the kind of channels that are requested after this."""
    link.ep(f'epc_path; echo {mode} >$(dma_mode_file)')
    equal(link.ep('epc_path; dma_mode').strip(), mode, 'mode')


def set_up_anew(link):
    """The function releases its channels and requests new ones."""
    link.ep('role_finish')
    link.vanishes()
    link.ep('epc_path; role_setup', 40)
    link.appears()


def allowed(link):
    """Return what the endpoint guest allows the host to test with DMA."""
    out = link.host(
        'cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/subsystem_device')
    return int(out, 0)


@limit(200)
def test_mode_is_for_later_requests(t):
    """A new mode does not change the channels that are in use."""
    bed = t.testbed()
    link = Link(bed)
    with bed:
        link.start()
        dma(link, 'COPY_TEST')
        choose(link, 'slave')
        dma(link, 'COPY_TEST', 'READ_TEST')
        set_up_anew(link)
        equal(allowed(link), 2, 'tests with slave channels')
        dma(link, 'READ_TEST', 'WRITE_TEST')
        choose(link, 'memcpy')
        dma(link, 'READ_TEST', 'WRITE_TEST')
        set_up_anew(link)
        equal(allowed(link), 1, 'tests with memcpy channels')
        dma(link, 'COPY_TEST')
        choose(link, 'off')
        dma(link, 'COPY_TEST')
        set_up_anew(link)
        equal(allowed(link), 0, 'tests without channels')
        link.works('READ_TEST')
        link.ep('epc_path; echo fast >$(dma_mode_file)', status=1)
        out = link.ep('epc_path; cat $(dma_mode_file)')
        contains(out, r'\[off\] memcpy slave', 'modes')
        link.check_consoles()
