# SPDX-License-Identifier: GPL-2.0-or-later
"""The kind of DMA channel that functions get is chosen while the driver runs."""

import re

from lib import Link, check, contains, equal, limit


def dma(link, *tests):
    """Variants with DMA of the selftest pass."""
    link.bind()
    for test in tests:
        out = link.host(
            f'/pciep/bin/pci_endpoint_test -r pci_ep_data_transfer.dma.{test}', 60
        )
        check(
            re.search(r'^ok ', out, re.M) and not re.search(r'^not ok|# SKIP', out, re.M),
            f'{test} with DMA did not pass:\n{out}',
        )


def choose(link, mode):
    link.ep(f'epc_path; echo {mode} >$(dma_mode_file)')
    equal(link.ep('epc_path; dma_mode').strip(), mode, 'mode')


def again(link):
    """The function lets go of its channels and asks for new ones."""
    link.ep('role_finish')
    link.vanishes()
    link.ep('epc_path; role_setup', 40)
    link.appears()


def told(link):
    """What the endpoint guest says that the function may do with DMA."""
    out = link.host('cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/subsystem_device')
    return int(out, 0)


@limit(200)
def test_next_request(t):
    """A mode is for channels that are asked for later; those in use stay as they are."""
    pair = t.pair()
    link = Link(pair)
    with pair:
        link.start()
        dma(link, 'COPY_TEST')
        choose(link, 'slave')
        dma(link, 'COPY_TEST', 'READ_TEST')
        again(link)
        equal(told(link), 2, 'slave channels')
        dma(link, 'READ_TEST', 'WRITE_TEST')
        choose(link, 'memcpy')
        dma(link, 'READ_TEST', 'WRITE_TEST')
        again(link)
        equal(told(link), 1, 'channels for memcpy')
        dma(link, 'COPY_TEST')
        choose(link, 'off')
        dma(link, 'COPY_TEST')
        again(link)
        equal(told(link), 0, 'no channels')
        link.works('READ_TEST')
        link.ep('epc_path; echo fast >$(dma_mode_file)', status=1)
        out = link.ep('epc_path; cat $(dma_mode_file)')
        contains(out, r'\[off\] memcpy slave', 'modes')
        link.quiet()
