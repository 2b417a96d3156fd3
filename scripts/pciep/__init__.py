# SPDX-License-Identifier: GPL-2.0-or-later
"""pciep: boots two linked QEMU guests and judges what they report.

One module, one job:

    kernels    which kernel image, modules and test programs a guest gets
    initramfs  the archive a guest boots into
    machine    the QEMU command line, one table per architecture
    accel      which accelerator really works here
    process    a QEMU process that cannot outlive the launcher
    console    a guest's log, and the faults a kernel reports in it
    channel    the results port: TAP, states, commands to a guest
    guest      one guest: process, console, channel
    pair       two guests on one link, one event loop, one clock
    functions  what can run between the two
    programs   programs of this machine for a guest
    tap        TAP in, TAP and JUnit out
    report     the files of a run and the verdict for people
    cli        options of pci-ep-run
"""


class CannotRun(Exception):
    """The run could not take place.  One line that says what to do: exit status 2."""
