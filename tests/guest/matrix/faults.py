# SPDX-License-Identifier: GPL-2.0-or-later
"""
What happens to a machine, and how its cause goes away again.

inject() lets it happen, and gone() takes the cause away; recovery is measured
from the return of gone(). Both get the cell.
"""

from dataclasses import dataclass
import os
import signal
from typing import Callable, Sequence

DEVICE = '/sys/bus/pci/devices/$(endpoint $ENDPOINT)'
# The offset is that of PMCSR in the Power Management capability.
POWER = 'setpci -s $(endpoint $ENDPOINT) CAP_PM+4.w='
EP_DRIVER = '/sys/bus/pci/drivers/pcie-qemu-ep'
SLOT = '$(ls -d /sys/bus/pci/slots/* | head -1)/power'

STOPPED = 60  # seconds that a process is stopped
PAUSED = 15  # seconds that a machine is paused
DOWN = 4  # seconds that a link is down
PANIC = 6  # seconds from a panic to the reset
ASLEEP = 5  # seconds in S3 or in suspend-to-idle
BOOT = 400  # seconds in which a machine boots, whatever else this one does
STORM = 30  # resets of the bus in a row


def nothing(_cell, _side=None):
    """What a fault does that is over when inject() returns."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    Something that happens to one machine.

    :param side: Guest that it happens to, "ep" or "host".
    :param name: What happens.
    :param inject: Lets it happen.
    :param gone: Takes the cause away.
    :param answers: Guests whose monitors must answer throughout.
    :param reports: What the kernels report because of it: expressions.
    """
    side: str
    name: str
    inject: Callable
    gone: Callable = nothing
    answers: Sequence[str] = ('host', 'ep')
    reports: Sequence[str] = ()

    @property
    def other(self):
        """The guest at the other end of the link."""
        return 'host' if self.side == 'ep' else 'ep'


def gone_without_word(cell, side):
    """The machine has lost its state, and the other one may not notice."""
    if side == 'host':
        cell.host_lost()


def reboot(cell, side):
    """Reboot as a user does, without taking the function apart."""
    guest = cell.bed.guests[side]
    guest.release = None
    guest.command('reboot -f')
    gone_without_word(cell, side)


def booted(cell, side):
    """Wait until the guest has done what it does at boot."""
    cell.bed.wait_booted(side, BOOT)


def panic(cell, side):
    """The kernel panics, and stays so for a while."""
    guest = cell.bed.guests[side]
    guest.command('echo c >/proc/sysrq-trigger')
    cell.bed.pump(PANIC)
    guest.release = None
    gone_without_word(cell, side)


def reset_machine(cell, side):
    """The reset button."""
    cell.qmp[side].command('system_reset')
    cell.bed.wait_booted(side, BOOT)


def kill(cell, side):
    """QEMU ends, as in a crash."""
    cell.bed.guests[side].kill()
    cell.forget_qmp(side)
    gone_without_word(cell, side)


def start(cell, side):
    """A new QEMU."""
    cell.bed.boot(side, seconds=BOOT)


def freeze(cell, side):
    """The process does not run for a while."""
    cell.bed.guests[side].process.send_signal(signal.SIGSTOP)
    cell.bed.pump(STOPPED)


def thaw(cell, side):
    """The process runs on."""
    cell.bed.guests[side].process.send_signal(signal.SIGCONT)


def pause(cell, side):
    """The machine does not run for a while, but its QEMU does."""
    cell.qmp[side].command('stop')
    cell.bed.pump(PAUSED)


def resume(cell, side):
    """The machine runs on."""
    cell.qmp[side].command('cont')


def sleep(cell, side):
    """
    Suspend to RAM.

    The endpoint's machine does not sleep while its link is started.
    """
    cell.asleep = None
    if side == 'ep' and cell.load.once:
        cell.link.ep('! echo mem >/sys/power/state', 60)
        return
    if side == 'ep':
        cell.link.ep('ep_stop')
    cell.asleep = cell.bed.guests[side].command('echo mem >/sys/power/state')
    cell.bed.wait(
        lambda: cell.qmp[side].command('query-status')['status'] ==
        'suspended', 30, f'{side} is suspended')
    cell.bed.pump(ASLEEP)


def awakes(cell, side):
    """Wait until the machine has resumed; before it loses what is sent."""
    cell.bed.wait(lambda: cell.asleep.status is not None, 30,
                  f'{side} wakes up')


def wake(cell, side):
    """Wake the machine, if it sleeps."""
    if not cell.asleep:
        return
    cell.qmp[side].command('system_wakeup')
    awakes(cell, side)
    if side == 'ep':
        cell.link.ep('ep_start', 60)


def nap(cell, side):
    """Suspend-to-idle, which a byte on the results port ends."""
    guest = cell.bed.guests[side]
    cell.asleep = guest.command(
        'echo enabled >/sys/class/tty/$RESULTS/power/wakeup; '
        'echo freeze >/sys/power/state')
    cell.bed.pump(ASLEEP)
    guest.send('')
    awakes(cell, side)


def unbind_controller(cell):
    """The functions go first, as the documentation asks for."""
    if not cell.load.once:
        cell.link.ep('role_finish')
    cell.link.ep(f'basename $(ls -d {EP_DRIVER}/0000:*) >/tmp/controller; '
                 f'cat /tmp/controller >{EP_DRIVER}/unbind')


def bind_controller(cell):
    """The driver comes back, and sets up what was there."""
    if cell.load.once:
        reboot(cell, 'ep')
        booted(cell, 'ep')
        return
    cell.link.ep(f'cat /tmp/controller >{EP_DRIVER}/bind; '
                 'wait_for 10 epc_path && role_setup')


def unbind_function(cell):
    """The host's driver lets go of the function."""
    cell.link.host('D=$(readlink -f ' + DEVICE + '/driver); '
                   'echo $D >/tmp/driver; '
                   'echo $(endpoint $ENDPOINT) >$D/unbind', 60)
    cell.bed.pump(1)


def bind_function(cell):
    """The host's driver takes it again."""
    cell.link.host('echo $(endpoint $ENDPOINT) >$(cat /tmp/driver)/bind', 60)


def stop_link(cell):
    """The endpoint's driver takes the link down."""
    cell.link.ep('ep_stop')
    cell.bed.pump(DOWN)


def start_link(cell):
    """And up again."""
    cell.link.ep('ep_start')


def slot_off(cell):
    """The host takes the power of the slot away."""
    cell.link.host(f'echo 0 >{SLOT}', 60)
    cell.bed.pump(DOWN)


def slot_on(cell):
    """And gives it back."""
    cell.link.host(f'echo 1 >{SLOT}', 60)


def delete_socket(cell):
    """Someone tidies up, and the link goes down after that."""
    os.unlink(cell.bed.ep.spec.socket)
    cell.link.ep('ep_stop')
    cell.bed.pump(DOWN)


def reset_bus(cell):
    """Secondary bus resets, one after the other."""
    cell.link.host(
        f'echo bus >{DEVICE}/reset_method; n=0; '
        f'while [ $n -lt {STORM} ]; do '
        f'echo 1 >{DEVICE}/reset || exit; n=$((n + 1)); done', 120)


def reset_function(cell):
    """A function level reset."""
    cell.link.host(f'echo flr >{DEVICE}/reset_method; '
                   f'echo 1 >{DEVICE}/reset', 60)


def power_down(cell):
    """D3hot, behind the driver's back."""
    cell.link.host(f'{POWER}3:3')
    cell.bed.pump(2)


def power_up(cell):
    """D0, which comes after 10 ms (PCI PM 1.2, 5.4)."""
    cell.link.host(f'{POWER}0:3; sleep 0.02')


def both_sides(name, inject, gone=nothing, **more):
    """Return a fault of the endpoint's machine and the same of the host's."""
    return [
        Fault(side=side, name=name,
              inject=lambda cell, side=side: inject(cell, side),
              gone=lambda cell, side=side: gone(cell, side),
              **{key: value(side) if callable(value) else value
                 for key, value in more.items()})
        for side in ('ep', 'host')
    ]


def other_only(side):
    """The monitor of a process that does not run has no answer."""
    return ('host',) if side == 'ep' else ('ep',)


FAULTS = [
    *both_sides('reboot', reboot, booted),
    *both_sides('panic', panic, reset_machine,
                reports=(r'Kernel panic - not syncing: sysrq',)),
    *both_sides('sigkill', kill, start, answers=other_only),
    *both_sides('sigstop', freeze, thaw, answers=other_only),
    *both_sides('qmp_stop', pause, resume),
    *both_sides('s3', sleep, wake),
    *both_sides('s2idle', nap),
    Fault(side='ep', name='unbind', inject=unbind_controller,
          gone=bind_controller),
    Fault(side='host', name='unbind', inject=unbind_function,
          gone=bind_function),
    Fault(side='ep', name='link_stop', inject=stop_link, gone=start_link),
    Fault(side='host', name='slot_power', inject=slot_off, gone=slot_on),
    Fault(side='ep', name='socket_deleted', inject=delete_socket,
          gone=start_link),
    Fault(side='host', name='bus_resets', inject=reset_bus),
    Fault(side='host', name='flr', inject=reset_function),
    Fault(side='host', name='d3hot', inject=power_down, gone=power_up),
]
