# SPDX-License-Identifier: GPL-2.0-or-later
"""
pciep: boots linked QEMU guests and judges what they report.

run/, what the person at the terminal deals with:

    cli        options of pci-ep-run
    new_function
               writes a function for a user to start from
    bisect     pci-ep-bisect: finds the commit that broke a run
    debug      which kernels run, gdb and ftrace
    session    one run, from the options to the verdict
    hands      what lets people use the guests of a run
    control    serves other terminals
    terminal   the terminal of an interactive run
    tmux       the same for all guests
    client     attach, exec, cp, monitor, stop and list
    copy       what cp does
    remote     runs that go on, as another terminal sees them
    profiles   limits of real controllers, as files
    userland   options for programs and directories of the guests
    usage      mistakes on the command line, in one line each
    screen     what the terminal shows while the guests run
    tap        TAP and KTAP in, TAP out; the test runners use it too
    kcidb      the same for the database of KernelCI
    junit      JUnit out, for them as well
    progress   which test ran at a moment
    explain    why a test failed: its words and both consoles meanwhile
    decode     file and line of addresses in reports of a kernel
    rundir     the directory of a run, its lock and its archive
    report     the files of a run and the verdict for people
    status     exit statuses

matrix/, many runs: its own __init__.py has the list

timeline/, what happened in a run, in one order of time; its own
__init__.py has the list

functions      the endpoint functions of scripts/functions
folder         those that users describe with function.toml

vm/, the guests:

    setup      how the guests and their links are to be
    testbed    the guests of a run in one event loop
    compose    fills the initramfs of a guest
    guest      one guest: process, console, results port
    execute    a command in a guest, with its input and its output
    console    a guest's log, and the faults a kernel reports in it
    tracelog   logs of trace events of QEMU, and of what a kernel traces
    machine    the QEMU command line, one table for each architecture
    accel      which accelerator really works here
    process    a QEMU process that cannot outlive the launcher
    sockets    a private directory for the sockets of a run
    ssh        keys of a run, and how ssh finds its guests
    qmp        questions to a running QEMU
    loop       the event loop

image/, what a guest boots:

    kernels    kernel image, modules and test programs
    prebuilt   kernels that a CI system built
    variants   kernels that are built when a run asks for them
    modfile    modules that a user names: looked up, or read from a file
    programs   programs of this machine for a guest
    rootfs     a Debian, on a disk
    sources    modules and programs of a user's function, built
    initramfs  the archive that has it all

Packages import in one direction: matrix, run, vm, functions, image.  timeline
imports none of them, and run imports it.

QEMU's own Python packages qemu.machine and qemu.qmp are not used.  They
are not in the binary packages of QEMU that --qemu may name, they need
asyncio beside our event loop, which has to serve consoles and sockets of
all guests in one thread, and a QEMU that they start lives on when its
parent is killed.
"""

import difflib
import os
from typing import Iterable


class CannotRun(Exception):
    """
    The run cannot take place.

    The text is one line that says what to do.

    :cvar outcome: What this makes of the run, see run/status.py.
    """
    outcome = 'cannot'


class BadKernel(CannotRun):
    """A kernel does not build, does not boot, or lacks what the run needs."""
    outcome = 'kernel'


class BadFunction(CannotRun):
    """The endpoint guest could not set up what the run is to test."""
    outcome = 'function'


def cache_dir() -> str:
    """Return where things are kept from one run to the next."""
    base = (os.environ.get('XDG_CACHE_HOME')
            or os.path.expanduser('~/.cache'))
    return os.environ.get('PCI_EP_CACHE') or os.path.join(base, 'pci-ep')


def one_of(names: Iterable[str]) -> str:
    """Return "a, b or c"."""
    *some, last = names
    return ' or '.join(filter(None, [', '.join(some), last]))


def did_you_mean(word: str, known: Iterable[str], before: str = '',
                 after: str = ' ') -> str:
    """Return "did you mean ...?" with the words most like it, or ''."""
    # A word that is there twice would be named twice.
    close = ' or '.join(
        difflib.get_close_matches(word, sorted(set(known)), 3))
    return f'{before}did you mean {close}?{after}' if close else ''
