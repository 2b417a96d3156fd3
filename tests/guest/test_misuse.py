# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that are used wrongly: an error, and both guests usable."""

from lib import Link, check, contains, equal, limit, steps

FUNCTIONS = '$CFS/functions/pci_epf_test'
# The kernel warns when a function is unlinked from a started controller, and
# when a driver wants more memory in one piece than the allocator can have.
UNLINK_WARNING = 'at pci_epc_epf_unlink'
MEMORY_WARNING = 'mm/page_alloc.c'


def make(link, name, **attributes):
    """Make a function without linking it."""
    link.ep(f'mkdir {FUNCTIONS}/{name}')
    for key, value in attributes.items():
        link.ep(f'echo {value} >{FUNCTIONS}/{name}/{key}')


def connect(link, name, status=0):
    return link.ep(f'epc_path; ln -s {FUNCTIONS}/{name} $EPC_PATH/',
                   status=status)


def drop(link, name):
    link.ep(f'epc_path; rm $EPC_PATH/{name}; rmdir {FUNCTIONS}/{name}')


def console(link, role):
    with open(link.bed.guests[role].console.filename, errors='replace') as f:
        return f.read()


def excuse(link, text):
    """Drop this warning, which must be all that the endpoint reported."""
    faults = link.bed.ep.console.faults
    faults.end()
    check(all(text in f for f in faults.found),
          f'the kernel of the endpoint reported: {faults.found}')
    faults.found.clear()


def usable(link):
    """The ordinary function works when it is set up after all that."""
    link.ep('epc_path; role_setup')
    link.appears()
    link.works('BAR_TEST', 'MSI_TEST', 'READ_TEST')
    link.ep('role_finish')
    link.vanishes()


IDS = {'vendorid': '0x104c', 'deviceid': '0xb500', 'msix_interrupts': 4}


def no_ids(link):
    """A function without ids: the controller does not start, and says why."""
    make(link, 'f', msi_interrupts=4, msix_interrupts=4)
    connect(link, 'f')
    contains(console(link, 'ep'), 'has no vendor id', 'the reason')
    link.ep('ep_start', status=1)
    link.host(f'no_endpoint {link.endpoint}')
    drop(link, 'f')
    usable(link)


def nothing_linked(link):
    """A controller without functions does not start."""
    link.ep('ep_start', status=1)
    usable(link)


def half_set_up(link):
    """A function whose set-up failed half-way is shown, and replaced."""
    make(link, 'f', **IDS)
    connect(link, 'f')
    contains(console(link, 'ep'), 'MSI configuration failed', 'the error')
    link.ep('ep_start')
    link.appears()
    link.ep('ep_stop')
    link.vanishes()
    drop(link, 'f')
    usable(link)


def unlink_while_up(link):
    """A function that is unlinked while the host uses it reads all ones."""
    link.ep('epc_path; role_setup')
    link.appears()
    link.works()
    link.ep(
        'epc_path; for f in $EPC_PATH/*; do [ ! -L $f ] || rm $f; done')
    link.host(
        'cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/config >/dev/null')
    link.ep('ep_stop')
    link.vanishes()
    # No function is linked, so the controller does not start.
    link.ep('ep_start', status=1)
    link.ep(f'rmdir {FUNCTIONS}/*')
    excuse(link, UNLINK_WARNING)
    usable(link)


def link_twice(link):
    """A function is linked once; a controller takes at most 8 functions."""
    make(link, 'f', msi_interrupts=4, **IDS)
    connect(link, 'f')
    link.ep(f'epc_path; ln -s {FUNCTIONS}/f $EPC_PATH/again', status=1)
    link.ep(f'epc_path; ln -s $EPC_PATH {FUNCTIONS}/f/primary', status=1)
    more = 0
    while more < 8:
        make(link, f'more{more}')
        command = f'epc_path; ln -s {FUNCTIONS}/more{more} $EPC_PATH/'
        if link.bed.run('ep', command)[0]:
            break
        more += 1
    check(more < 8, 'the controller took more than 8 functions')
    contains(console(link, 'ep'),
             'Exceeding max supported Function Number', 'the reason')
    link.ep('ep_start')
    link.ep('ep_start', status=1)
    link.appears()
    link.works()
    found = link.host(
        'grep -l 0x104c /sys/bus/pci/devices/*/vendor').split()
    equal(len(found), 1, f'number of functions in the host, {found}')
    link.ep('role_finish')
    link.vanishes()
    usable(link)


def impossible_bar_sizes(link):
    """BARs of impossible sizes, without memory, too large for the host."""
    make(link, 'f', msi_interrupts=4, **IDS)
    sizes = f'{FUNCTIONS}/f/pci_epf_test.*'
    for size in (0, 3, 12345, -1, 0x180000000):
        link.ep(f'echo {size} >$(echo {sizes})/bar1_size', status=1)
    link.ep(f'echo {1 << 29} >$(echo {sizes})/bar1_size')
    link.ep(
        f'for n in 2 3; do '
        f'echo {16 << 20} >$(echo {sizes})/bar${{n}}_size; done'
    )
    connect(link, 'f')
    contains(console(link, 'ep'), 'Failed to allocate space for BAR1',
             'the error')
    excuse(link, MEMORY_WARNING)
    link.ep('ep_start')
    link.appears()
    contains(console(link, 'host'),
             'BAR [23] .*(no space|failed to assign)', 'host')
    link.bind()
    link.host('/pciep/bin/pci_endpoint_test -r pci_ep_bar.BAR0.BAR_TEST',
              60)
    link.ep('role_finish')
    link.vanishes()
    usable(link)


@limit(300)
def test_mistakes(t):
    """Each mistake leaves an endpoint without a function that can be used."""
    link = Link(t.testbed(ep={'idle': True, 'append': 'cma=64M'}))
    with link.bed:
        link.bed.boot()
        link.ep('wait_for 20 epc_path; load pci_epf_test', 40)
        steps(link, no_ids, nothing_linked, half_set_up, unlink_while_up,
              link_twice, impossible_bar_sizes)
