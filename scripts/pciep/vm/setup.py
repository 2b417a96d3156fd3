# SPDX-License-Identifier: GPL-2.0-or-later
"""How the guests of a run and their links are to be."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

from ..arch import ARCH, Arch
from ..functions import Instance, Link, links
from ..image import programs
from ..image.kernels import Kernel


# ms that a side may take to answer the other one; QEMU's default is 1000.
# Two guests are much for a small machine, so a late answer does not mean
# that the other side is gone.
DEADLINE = 4000
DEADLINE_MOST = 60000  # that the devices take
# Setup.delay: until the endpoint guest has started the link
UNTIL_LINK = float('inf')


def role_of(guest: str) -> str:
    """Return the role of a guest: all but the endpoint guest are hosts."""
    return 'ep' if guest == 'ep' else 'host'


@dataclass(kw_only=True)
class GuestOptions:
    """
    How one guest is to be.

    :param name: "ep", "host", "host2"...
    :param kernel: Its kernel, whose architecture it has.
    :param qemu: Its QEMU binary, '' for that of the setup.
    :param accel: Its accelerator, '' for that of the setup.
    :param cpus: Number of vCPUs.
    :param mem: Memory, as QEMU writes it; None is what the functions need.
    :param append: More kernel arguments.
    :param files: SRC[:DST] of files that it gets.
    :param modules: Modules to insert at boot: names, or files ending in
                    ".ko".
    :param programs: Programs of this machine that it gets.
    :param cmd: Shell command that runs instead of the test.
    :param extra: More arguments for QEMU.
    :param env: More settings for the scripts in the guest.
    :param net: User networking.
    :param ssh: Port of this machine that leads to ssh in the guest.
    :param interactive: A shell on the console instead of the test.
    :param idle: Nothing runs but what is asked for with Testbed.run().
    :param ftrace: What its kernel traces: lines for guest/ftrace.sh.
    :param shared: Whether the other end of a link may map its memory.
    :param iommu: Kind of IOMMU, for a host.
    """
    name: str
    kernel: Kernel
    cpus: int = 2
    mem: Optional[str] = None
    append: str = ''
    files: Sequence[str] = ()
    modules: Sequence[str] = ()
    programs: Sequence[str] = ()
    cmd: Optional[str] = None
    extra: List[str] = field(default_factory=list)
    env: Dict[str, object] = field(default_factory=dict)
    net: bool = False
    ssh: Optional[int] = None
    interactive: bool = False
    idle: bool = False
    ftrace: Sequence[str] = ()
    shared: bool = True
    iommu: str = 'none'
    qemu: str = ''
    accel: str = ''

    @property
    def arch(self) -> Arch:
        """What its architecture needs."""
        return ARCH[self.kernel.arch]

    @property
    def role(self) -> str:
        """"host" or "ep"."""
        return role_of(self.name)


@dataclass(kw_only=True)
class Setup:
    """
    How the guests of a run and their links are to be.

    :param rundir: Directory for all files of the run.
    :param qemu: The QEMU binary of guests that name no other one.
    :param accel: Their accelerator, "kvm" or "tcg".
    :param guests: All guests, those of the hosts first.
    :param functions: What the endpoint guest offers.
    :param msi: MSI vectors of a function.
    :param msix: MSI-X vectors of a function.
    :param link: Whether there are links at all.
    :param device: Socket of a vfio-user server that takes the place of the
                   endpoint guest, '' for none.
    :param link_wait: Seconds that a host waits for the endpoint; None is
                      not to wait.
    :param first: Role of the guests that start first, None for all at once.
    :param delay: Seconds until the others start, or UNTIL_LINK.
    :param trace: Trace events of all QEMUs to log, as patterns.
    :param monitors: Whether each guest has a monitor.
    :param gdb: Guest whose QEMU listens for gdb.
    :param deadline: Property deadline-ms of both devices.
    :param shares: Directories of this machine, and where guests have them.
    :param rootfs: A disk with the root file system of all guests, '' for
                   busybox.
    :param build: Directory in which "make" built; modules of the user's are
                  built there as well.  '' is the directory of the run.
    :param notes: What the user should know about the guests, in lines.
    """
    rundir: str
    qemu: str
    accel: str
    guests: List[GuestOptions]
    functions: Sequence[Instance] = ()
    msi: int = 32
    msix: int = 64
    link: bool = True
    device: str = ''
    link_wait: Optional[int] = 60
    first: Optional[str] = None
    delay: float = 0.0
    trace: Sequence[str] = ()
    monitors: bool = False
    gdb: Optional[str] = None
    deadline: int = DEADLINE
    shares: Sequence[Tuple[str, str]] = ()
    rootfs: str = ''
    build: str = ''
    notes: List[str] = field(default_factory=list)

    def guest(self, name: str) -> GuestOptions:
        """Return the options of the guest with that name."""
        return next(g for g in self.guests if g.name == name)

    @property
    def accels(self) -> str:
        """The accelerators of all guests, for people."""
        found = {g.name: g.accel or self.accel for g in self.guests}
        if len(set(found.values())) <= 1:
            return next(iter(found.values()), self.accel)
        return ', '.join(f'{name} {accel}' for name, accel in found.items())

    def sysroot(self, guest: GuestOptions) -> str:
        """
        Return the directory with the programs of a guest.

        '' stands for those of this machine.
        """
        return programs.sysroot(self.build, guest.kernel.arch)

    def links(self, guest: str) -> List[Link]:
        """Return the links that a guest is an end of."""
        return [link for link in links(self.functions)
                if guest in ('ep', link.host)]
