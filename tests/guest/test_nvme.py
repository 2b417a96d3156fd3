# SPDX-License-Identifier: GPL-2.0-or-later
"""nvmet-pci-epf in the endpoint, the kernel's nvme driver in the host."""

from lib import Link, check, contains, equal, limit, long

CHECKS = [
    f'nvme.{n}'
    for n in ('VERIFY_DEPTH_1', 'VERIFY_DEPTH_32', 'FILESYSTEM', 'DRIVER_RELOAD')
]
RESETS = 'nvme.RESETS_UNDER_LOAD'
# What the kernel's own function is good for, and what takes the corrected one
OWN = 'data=8M,files=60'
SHORT = f'{OWN},resets=5,fixes=on'
WHOLE = 'size=1100M,data=1G,files=1000,resets=20,fixes=on'
DISK = 'D=$(for d in /sys/class/nvme/nvme*/nvme*n1; do echo /dev/${d##*/}; done); '
SUM = DISK + 'dd if=$D bs=1M count=4 iflag=direct 2>/dev/null | sha256sum'


def passes(t, options, *args, seconds=170):
    t.kernel('7')
    status, out = t.launch(
        '--function', f'nvme,{options}', '--no-console', *args, seconds=seconds
    )
    results = t.results()
    resets = [RESETS] if 'resets=' in options else []
    for name in CHECKS + resets + ['endpoint.DRIVER_BOUND', 'console.host', 'console.ep']:
        equal(results.get(name), ('pass', ''), f'{name}; output:\n{out[-3000:]}')
    equal(status, 0, f'exit status; output:\n{out[-2000:]}')


@limit(180)
def test_ram_disk(t):
    passes(t, SHORT)
    contains(t.read('ep.log'), r'nvmet: Created nvm controller', 'nvmet in the endpoint')


@limit(180)
def test_own_function(t):
    """The kernel's nvmet-pci-epf as it is, without resets under load."""
    passes(t, OWN)
    corrected = 'nvmet-pci-epf is corrected' in t.read('ep.log')
    equal(corrected, False, 'nvmet-pci-epf is corrected')


@limit(180)
def test_file_disk(t):
    """What the host wrote is in a file of this machine."""
    disk = t.file('disk', '')
    with open(disk, 'r+b') as f:
        f.truncate(64 << 20)
    passes(t, f'disk=file,path={disk},{SHORT}')
    with open(disk, 'rb') as f:
        check(any(f.read(4096)), 'the file is still empty')


@limit(180)
def test_host_iommu(t):
    passes(t, SHORT, '--host-iommu', 'intel-cm')
    contains(t.read('host.log'), 'DMAR', 'the host has an IOMMU')


@limit(240)
def test_stop_and_start(t):
    """The link goes down and comes back; the disk is the same, and works."""
    pair = t.pair(function=['nvme'])
    link = Link(pair)
    bound = DISK + 'test -b $D'
    with pair:
        pair.start()
        link.ready('host')
        link.set_up()
        link.appears()
        link.host(f'load nvme; wait_for 20 sh -c \'{bound}\'', 40)
        link.host(DISK + 'dd if=/dev/urandom of=$D bs=1M count=4 oflag=direct', 60)
        before = link.host(SUM, 60)
        for _ in range(2):
            link.ep('ep_stop')
            link.vanishes()
            link.ep('ep_start')
            link.appears()
            link.host(f'wait_for 20 sh -c \'{bound}\'', 40)
            equal(link.host(SUM, 60), before, 'the first 4 MiB')
        link.host(DISK + 'dd if=/dev/urandom of=$D bs=1M count=4 oflag=direct', 60)
        link.quiet()


@long
@limit(1500)
def test_whole_ram_disk(t):
    passes(t, WHOLE, '--timeout', '1450', seconds=1480)


@long
@limit(1500)
def test_whole_file_disk(t):
    passes(t, f'disk=file,{WHOLE}', '--timeout', '1450', seconds=1480)


@long
@limit(1500)
def test_whole_host_iommu(t):
    passes(t, WHOLE, '--host-iommu', 'intel-cm', '--timeout', '1450', seconds=1480)
