# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that are used wrongly: the framework's error, and two usable guests."""

from lib import Link, check, contains, equal, limit

FUNCTIONS = '$CFS/functions/pci_epf_test'
# The kernel warns when a function is unlinked from a started controller, and when it
# is asked for more memory in one piece than it ever gives.
UNLINK_WARNING = 'at pci_epc_epf_unlink'
MEMORY_WARNING = 'mm/page_alloc.c'


def idle(t, ep=None):
    """Both guests up, the controller ready, no function yet."""
    pair = t.pair(ep={'idle': True, **(ep or {})})
    return pair, Link(pair)


def boot(link):
    link.pair.start()
    link.ready('host')
    link.ready('ep')
    link.ep('wait_for 20 epc_path; load pci_epf_test', 40)


def make(link, name, **attributes):
    """A function that is not linked yet."""
    link.ep(f'mkdir {FUNCTIONS}/{name}')
    for key, value in attributes.items():
        link.ep(f'echo {value} >{FUNCTIONS}/{name}/{key}')


def connect(link, name, status=0):
    return link.ep(f'epc_path; ln -s {FUNCTIONS}/{name} $EPC_PATH/', status=status)


def drop(link, name):
    link.ep(f'epc_path; rm $EPC_PATH/{name}; rmdir {FUNCTIONS}/{name}')


def console(link, role):
    with open(link.pair.guests[role].console.filename, errors='replace') as f:
        return f.read()


def excuse(link, text):
    """What the endpoint's kernel reported so far is this one warning."""
    faults = link.pair.ep.console.faults
    faults.end()
    check(all(text in f for f in faults.found), f'the kernel reported: {faults.found}')
    faults.found.clear()


def usable(link, *tests):
    """The ordinary function works, set up afresh, and nothing was wrong on the way."""
    link.ep('epc_path; role_setup')
    link.appears()
    link.works(*(tests or ('BAR_TEST', 'MSI_TEST', 'READ_TEST')))
    link.quiet()


IDS = {'vendorid': '0x104c', 'deviceid': '0xb500', 'msix_interrupts': 4}


@limit(120)
def test_no_ids(t):
    """A function without ids: the controller does not start, and says why."""
    pair, link = idle(t)
    with pair:
        boot(link)
        make(link, 'f', msi_interrupts=4, msix_interrupts=4)
        connect(link, 'f')
        contains(console(link, 'ep'), 'has no vendor id: write vendorid', 'the reason')
        link.ep('ep_start', status=1)
        link.host(f'no_endpoint {link.endpoint}')
        drop(link, 'f')
        usable(link)


@limit(120)
def test_nothing_linked(t):
    """A controller without functions does not start."""
    pair, link = idle(t)
    with pair:
        boot(link)
        link.ep('ep_start', status=1)
        usable(link)


@limit(150)
def test_half_set_up(t):
    """A function whose set-up broke off is shown as far as it came, and replaced."""
    pair, link = idle(t)
    with pair:
        boot(link)
        make(link, 'f', **IDS)
        connect(link, 'f')
        contains(console(link, 'ep'), 'MSI configuration failed', 'the error')
        link.ep('ep_start')
        link.appears()
        link.ep('ep_stop')
        link.vanishes()
        drop(link, 'f')
        usable(link)


@limit(150)
def test_unlinked_while_up(t):
    """A function that goes while the host uses it leaves all ones behind."""
    pair, link = idle(t)
    with pair:
        boot(link)
        link.ep('epc_path; role_setup')
        link.appears()
        link.works()
        link.ep('epc_path; for f in $EPC_PATH/*; do [ ! -L $f ] || rm $f; done')
        link.host('cat /sys/bus/pci/devices/$(endpoint $ENDPOINT)/config >/dev/null')
        link.ep('ep_stop')
        link.vanishes()
        # Nobody is linked: there is nothing to show.
        link.ep('ep_start', status=1)
        link.ep(f'rmdir {FUNCTIONS}/*')
        excuse(link, UNLINK_WARNING)
        usable(link)


@limit(150)
def test_linked_twice(t):
    """A function is linked once, and a controller takes as many as it has room for."""
    pair, link = idle(t)
    with pair:
        boot(link)
        make(link, 'f', msi_interrupts=4, **IDS)
        connect(link, 'f')
        link.ep(f'epc_path; ln -s {FUNCTIONS}/f $EPC_PATH/again', status=1)
        link.ep(f'epc_path; ln -s $EPC_PATH {FUNCTIONS}/f/primary', status=1)
        more = 0
        while more < 8:
            make(link, f'more{more}')
            command = f'epc_path; ln -s {FUNCTIONS}/more{more} $EPC_PATH/'
            if pair.run('ep', command)[0]:
                break
            more += 1
        check(more < 8, 'the controller took more than 8 functions')
        contains(
            console(link, 'ep'), 'Exceeding max supported Function Number', 'the reason'
        )
        link.ep('ep_start')
        link.ep('ep_start', status=1)
        link.appears()
        link.works()
        found = link.host('grep -l 0x104c /sys/bus/pci/devices/*/vendor').split()
        equal(len(found), 1, f'functions the host sees {found}')
        link.ep('role_finish')
        link.vanishes()
        usable(link)


@limit(180)
def test_impossible_bar_sizes(t):
    """Sizes that are no BAR, that no memory is there for, that no host window holds."""
    pair, link = idle(t, {'append': 'cma=64M'})
    with pair:
        boot(link)
        make(link, 'f', msi_interrupts=4, **IDS)
        sizes = f'{FUNCTIONS}/f/pci_epf_test.*'
        for size in (0, 3, 12345, -1, 0x180000000):
            link.ep(f'echo {size} >$(echo {sizes})/bar1_size', status=1)
        link.ep(f'echo {1 << 29} >$(echo {sizes})/bar1_size')
        link.ep(f'for n in 2 3; do echo {16 << 20} >$(echo {sizes})/bar${{n}}_size; done')
        connect(link, 'f')
        contains(console(link, 'ep'), 'Failed to allocate space for BAR1', 'the error')
        excuse(link, MEMORY_WARNING)
        link.ep('ep_start')
        link.appears()
        contains(console(link, 'host'), 'BAR [23] .*(no space|failed to assign)', 'host')
        link.bind()
        link.host('/pciep/bin/pci_endpoint_test -r pci_ep_bar.BAR0.BAR_TEST', 60)
        link.ep('role_finish')
        link.vanishes()
        usable(link)
