# SPDX-License-Identifier: GPL-2.0-or-later
"""nvmet-pci-epf in the endpoint, the kernel's nvme driver in the host."""

from lib import Link, check, contains, equal, lacks, limit, long

CHECKS = [
    f'nvme.{n}' for n in ('VERIFY_DEPTH_1', 'VERIFY_DEPTH_32', 'FILESYSTEM',
                          'DRIVER_RELOAD')
]
RESETS = 'nvme.RESETS_UNDER_LOAD'
ODD_BUFFERS = 'nvme.VERIFY_ODD_BUFFERS'
# What the kernel's own function can do, and what only the corrected one can
UNCORRECTED = 'data=8M,files=60'
SHORT = f'{UNCORRECTED},resets=5,fixes=on'
WHOLE = 'size=1100M,data=1G,files=1000,resets=20,fixes=on'
DISK = ('D=$(for d in /sys/class/nvme/nvme*/nvme*n1; '
        'do echo /dev/${d##*/}; done); ')
SUM = DISK + 'dd if=$D bs=1M count=4 iflag=direct 2>/dev/null | sha256sum'


def passes(t, options, *args, seconds=230):
    t.kernel('7')
    status, out = t.launch(f'--function=nvme,{options}', '--no-console', *args,
                           seconds=seconds)
    results = t.results()
    more = [RESETS] if 'resets=' in options else []
    if 'fixes=on' in options:
        more.append(ODD_BUFFERS)
    for name in CHECKS + more + [
            'endpoint.DRIVER_BOUND', 'console.host', 'console.ep'
    ]:
        equal(results.get(name), ('pass', ''),
              f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(240)
def test_ram_disk(t):
    passes(t, f'disk=ram,{SHORT}')
    contains(t.read('ep.log'), r'nvmet: Created nvm controller', 'ep.log')


@limit(180)
def test_uncorrected_function(t):
    """The kernel's nvmet-pci-epf as it is, without resets under load."""
    passes(t, UNCORRECTED)
    lacks(t.read('ep.log'), 'nvmet-pci-epf is corrected', 'ep.log')


@long
@limit(240)
def test_file_disk(t):
    """What the host wrote is in a file of this machine."""
    disk = t.file('disk', '')
    with open(disk, 'r+b') as f:
        f.truncate(64 << 20)
    passes(t, f'disk=file,path={disk},{SHORT}')
    with open(disk, 'rb') as f:
        check(any(f.read(4096)), 'the host wrote nothing to the file')


@long
@limit(240)
def test_host_iommu(t):
    passes(t, f'disk=ram,{SHORT}', '--host-iommu=intel-cm')
    contains(t.read('host.log'), 'DMAR', 'host.log')


@limit(240)
def test_stop_and_start(t):
    """The link goes down and comes back; the disk is the same, and works."""
    bed = t.testbed(function=['nvme'])
    link = Link(bed)
    bound = DISK + 'test -b $D'
    with bed:
        link.start()
        link.host(f'load nvme; wait_for 20 sh -c \'{bound}\'', 40)
        link.host(DISK + 'dd if=/dev/urandom of=$D bs=1M count=4 oflag=direct',
                  60)
        before = link.host(SUM, 60)
        for _ in range(2):
            link.ep('ep_stop')
            link.vanishes()
            link.ep('ep_start')
            link.appears()
            link.host(f'wait_for 20 sh -c \'{bound}\'', 40)
            equal(link.host(SUM, 60), before, 'the first 4 MiB')
        link.host(DISK + 'dd if=/dev/urandom of=$D bs=1M count=4 oflag=direct',
                  60)
        link.check_consoles()


@long
@limit(1500)
def test_whole_ram_disk(t):
    passes(t, f'disk=ram,{WHOLE}', '--timeout=1450', seconds=1480)


@long
@limit(1500)
def test_whole_file_disk(t):
    passes(t, f'disk=file,{WHOLE}', '--timeout=1450', seconds=1480)


@long
@limit(1500)
def test_whole_host_iommu(t):
    passes(t, f'disk=ram,{WHOLE}', '--host-iommu=intel-cm', '--timeout=1450',
           seconds=1480)
