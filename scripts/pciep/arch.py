# SPDX-License-Identifier: GPL-2.0-or-later
"""The architectures of guests: all that differs between them is in ARCH."""

from dataclasses import dataclass
from typing import Dict, List, Sequence


# e_machine of ELF, by what uname -m says
MACHINES = {3: 'i386', 40: 'arm', 62: 'x86_64', 183: 'aarch64',
            243: 'riscv64'}
DEFAULT = 'x86_64'


@dataclass(frozen=True, kw_only=True)
class HostIommu:
    """
    A kind of IOMMU in the host guest.

    :param device: Argument of -device, '' for none.
    :param machine: More for the argument of -M.
    :param append: Kernel arguments.
    :param notifies: QEMU learns what the guest maps, as it maps it.
    :param remaps: A function can have several MSI vectors behind it.  On x86
                   that takes the remapping of interrupts.
    """
    device: str = ''
    machine: str = ''
    append: str = ''
    notifies: bool = True
    remaps: bool = True


@dataclass(frozen=True, kw_only=True)
class Arch:
    """
    What differs between architectures.

    :param uname: What uname -m says there.
    :param make: What builds all that its guests need.
    :param qemu: The QEMU binary, relative to the build directory.
    :param suffix: How the names of its kernels end.
    :param kernels: The variants that can be built.
    :param image: File name of a kernel image.
    :param cross: Prefix of compiler and binary utilities.
    :param make_args: Arguments of a make that builds for its kernels.
    :param sysroot: Directory below build/ with the programs of its guests,
                    '' if those of this machine are taken.
    :param machine: Argument of -M.
    :param machine_kvm: The same, in addition for KVM.
    :param cpu: Argument of -cpu for each accelerator.
    :param append: Kernel arguments.
    :param append_host: More kernel arguments of a host guest.
    :param knows_tsc: Whether its kernel is told how fast the time stamp
                      counter runs, see vm/ticks.py.
    :param console: Device node of the serial port with the console.
    :param console_option: What a kernel needs to print there.
    :param results: Device node of the serial port with the results.
    :param serial: Arguments that make a serial port of the character device
                   CHARDEV.
    :param host_args: More arguments of a host guest.
    :param bridge: Properties of epf-bridge, NAME=VALUE.
    :param host_iommu: By the word that --host-iommu takes.
    """
    uname: str
    make: str
    qemu: str
    suffix: str
    kernels: Sequence[str]
    image: str
    cross: str
    make_args: Sequence[str]
    sysroot: str
    machine: str
    machine_kvm: str
    cpu: Dict[str, str]
    append: str
    append_host: str
    knows_tsc: bool
    console: str
    console_option: str
    results: str
    serial: Sequence[str]
    host_args: List[str]
    bridge: Sequence[str]
    host_iommu: Dict[str, HostIommu]


ARCH = {
    'x86_64': Arch(
        uname='x86_64',
        make='make',
        qemu='qemu/qemu-system-x86_64',
        suffix='',
        kernels=('7', '6.12', '7-debug', '7-trace', '7-kasan'),
        image='bzImage',
        cross='',
        make_args=(),
        sysroot='',
        machine='q35,sata=off,smbus=off,usb=off,vmport=off,hpet=off',
        machine_kvm='kernel-irqchip=split',
        cpu={'kvm': 'host', 'tcg': 'max'},
        append='console=ttyS0,115200 panic=-1 no_timer_check tsc=reliable '
        'nokaslr mitigations=off',
        append_host='',
        knows_tsc=True,
        console='ttyS0',
        console_option='CONFIG_SERIAL_8250_CONSOLE',
        results='ttyS1',
        serial=('-device', 'isa-serial,chardev=CHARDEV'),
        # ACPI hot-plug would take the root port's slot away from pciehp.
        host_args=['-global',
                   'ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off'],
        bridge=(),
        host_iommu={
            # 32 MSI vectors need interrupt remapping, so even "none" has
            # the device.
            'none': HostIommu(device='intel-iommu,intremap=on',
                              append='intel_iommu=off'),
            'intel': HostIommu(
                device='intel-iommu,intremap=on',
                append='intel_iommu=on iommu.passthrough=0',
                notifies=False),
            'intel-cm': HostIommu(
                device='intel-iommu,intremap=on,caching-mode=on',
                append='intel_iommu=on iommu.passthrough=0'),
            'virtio': HostIommu(device='virtio-iommu-pci',
                                append='iommu.passthrough=0', remaps=False),
        },
    ),
    # A machine without firmware and without ACPI, which Linux learns of by
    # the device tree.
    'arm64': Arch(
        uname='aarch64',
        make='make aarch64',
        qemu='qemu-aarch64/qemu-system-aarch64',
        suffix='-arm64',
        kernels=('7', '6.12', '7-64k'),
        image='Image',
        cross='aarch64-linux-gnu-',
        make_args=('ARCH=arm64', 'CROSS_COMPILE=aarch64-linux-gnu-'),
        sysroot='userland-arm64',
        # GICv3 brings the ITS, which MSI needs.
        machine='virt,gic-version=3',
        machine_kvm='',
        # "max" has pointer authentication, which TCG takes long for.
        cpu={'kvm': 'host', 'tcg': 'cortex-a76'},
        append='console=ttyAMA0,115200 panic=-1 nokaslr mitigations=off',
        # No firmware leaves room behind the root port for what is plugged
        # in later.  The sizes are those that epf-bridge asks SeaBIOS for.
        append_host='pci=hpmmiosize=32M,hpmmioprefsize=1G',
        knows_tsc=False,
        console='ttyAMA0',
        console_option='CONFIG_SERIAL_AMBA_PL011_CONSOLE',
        results='ttyAMA1',
        serial=('-serial', 'chardev:CHARDEV'),
        host_args=[],
        # A local APIC keeps an interrupt that it was told of.  A GIC forgets
        # a level that is gone before the vCPU takes it, and on a busy machine
        # that can be longer than the default of 200 us.
        bridge=('intx-hold-us=10000',),
        host_iommu={
            'none': HostIommu(),
            # QEMU's SMMUv3 does not tell devices what the guest maps.
            'smmuv3': HostIommu(machine='iommu=smmuv3',
                                append='iommu.passthrough=0',
                                notifies=False),
            'virtio': HostIommu(device='virtio-iommu-pci',
                                append='iommu.passthrough=0'),
        },
    ),
}


def of_kernel(name: str) -> str:
    """Return the architecture of a kernel in build/, by its name there."""
    for key, arch in ARCH.items():
        if arch.suffix and (name.endswith(arch.suffix)
                            or f'{arch.suffix}-' in name):
            return key
    return DEFAULT


def iommus() -> List[str]:
    """Return all words that --host-iommu takes."""
    return sorted({word for arch in ARCH.values()
                   for word in arch.host_iommu})
