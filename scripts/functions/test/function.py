# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-epf-test and the kernel's own test of it."""

from pciep.functions import Function, Option
from pciep.image.kernels import Kernel


# Linux 6.14 replaced tools/pci by a selftest, and changed what the ioctls
# of pci_endpoint_test return.
SELFTEST_SINCE = (6, 14)


def host_tool(kernel: Kernel) -> str:
    """Return the name of the program that fits the ioctls of a kernel."""
    if kernel.version == (0, 0) or kernel.version >= SELFTEST_SINCE:
        return 'pci_endpoint_test'
    return 'pcitest'


FUNCTION = Function(
    about='pci-epf-test, driven by the kernel\'s pci_endpoint selftest',
    endpoint='0x104c:$OPT_DEVICE',
    host_modules=['pci_endpoint_test'],
    ep_modules=['pci_epf_test'],
    vf_modules=['pci-epf-vf-test'],
    host_tool=host_tool,
    options={
        'vfs': Option(
            default='0', kind='number',
            about='number of virtual functions, each with the same test'),
        'device': Option(
            default='0xb500', words=['0xb500', '0xb00c'],
            about='device id; with 0xb00c, that of AM654, the host looks for '
            'the registers of the test in BAR 2'),
    },
)
