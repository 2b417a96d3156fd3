# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU process that cannot outlive the launcher, whatever ends that."""

import ctypes
import os
import resource
import signal
import subprocess
from typing import IO, Any, Callable, Iterable, Optional, Sequence, Union

from .. import CannotRun


Process = subprocess.Popen[bytes]
Stream = Union[int, IO[Any]]

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(core: bool = True) -> Callable[[], None]:
    """
    Return a function for preexec_fn of subprocess.Popen.

    The child is killed when this process ends, however that happens.

    :param core: Whether the child may leave a core file.
    """
    parent = os.getpid()

    def setup() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # It ended before the call above.
            os._exit(1)
        if not core:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return setup


def spawn(args: Sequence[str], *, stderr: Stream = subprocess.DEVNULL,
          pass_fds: Sequence[int] = (), core: bool = True) -> Process:
    """
    Start a program in a session of its own.

    Ctrl-C reaches the launcher alone, which ends the program in order.
    """
    try:
        return subprocess.Popen(
            args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=die_with_parent(core),
        )
    except OSError as error:
        raise CannotRun(f'cannot start {args[0]}: {error.strerror}; '
                        'check the path and its permissions') from error


def end(processes: Iterable[Optional[Process]], grace: float = 2.0) -> None:
    """
    End the processes that run, and wait for them.

    :param grace: Seconds after which one that ignores SIGTERM is killed.
    """
    alive = [p for p in processes if p and p.poll() is None]
    for process in alive:
        process.terminate()
    for process in alive:
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
