# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU process that cannot outlive the launcher, whatever ends the launcher."""

import ctypes
import os
import resource
import signal
import subprocess

from . import CannotRun

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(core=True):
    """For preexec_fn: the child is killed when this process ends, however it ends."""
    parent = os.getpid()

    def setup():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the call above
            os._exit(1)
        if not core:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return setup


def spawn(
    args,
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    pass_fds=(),
    core=True,
):
    """In a session of its own: Ctrl-C reaches the launcher, which ends it in order."""
    try:
        return subprocess.Popen(
            args,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=die_with_parent(core),
        )
    except OSError as e:
        raise CannotRun(
            f'cannot start {args[0]}: {e.strerror}; check the path and its ' 'permissions'
        ) from e


def end(processes, grace=2.0):
    """Terminates all, kills those left after @grace seconds; returns when none is."""
    alive = [p for p in processes if p and p.poll() is None]
    for p in alive:
        p.terminate()
    for p in alive:
        try:
            p.wait(grace)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
