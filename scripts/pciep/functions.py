# SPDX-License-Identifier: GPL-2.0-or-later
"""What can run between the two guests.  A function NAME also has ep-NAME.sh and
host-NAME.sh in scripts/guest."""

# The kernel's selftest and its errno results came with 6.14; pcitest was before.
SELFTEST_SINCE = (6, 14)


class Function:
    def __init__(self, about, endpoint, host_modules=(), ep_modules=()):
        self.about, self.endpoint = about, endpoint
        self.host_modules, self.ep_modules = list(host_modules), list(ep_modules)


FUNCTIONS = {
    'test': Function(
        'pci-epf-test, driven by the kernel\'s pci_endpoint selftest',
        '0x104c:0xb500',
        ['pci_endpoint_test'],
        ['pci_epf_test'],
    )
}


def test_tool(kernel):
    """Name of the test program that fits the host kernel's ioctls."""
    if kernel.version == (0, 0) or kernel.version >= SELFTEST_SINCE:
        return 'selftest', 'pci_endpoint_test'
    return 'pcitest', 'pcitest'
