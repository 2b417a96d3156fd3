# SPDX-License-Identifier: GPL-2.0-or-later
"""
How fast the time stamp counter of this machine runs.

Under TCG a guest sees this counter.  Linux measures its frequency at boot
against the timer of the PC (pit_hpet_ptimer_calibrate_cpu()).  On a busy
machine the result may be wrong by a factor of 30, and all waits in the guest
by as much.  So the kernel is told the frequency.
"""

import ctypes
import functools
import mmap
import platform
import time
from typing import Callable, List, Tuple


# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
_CODE = bytes.fromhex('0f31 48c1e220 4809d0 c3')
_SECONDS = 0.05
_TRIES = 20


def _sample(read: Callable[[], int]) -> Tuple[float, int]:
    """Return time and counter of the try that took the least time."""
    tries = []
    for _ in range(_TRIES):
        before = time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
        count = read()
        after = time.clock_gettime(time.CLOCK_MONOTONIC_RAW)
        tries.append((after - before, (before + after) / 2, count))
    return min(tries)[1:]


@functools.lru_cache(maxsize=None)
def tsc_khz() -> int:
    """Return the frequency in kHz, or 0 when it cannot be measured."""
    if platform.machine() != 'x86_64':
        return 0
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ |
                         mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # This system forbids such memory.
        return 0
    page.write(_CODE)
    code = (ctypes.c_char * len(_CODE)).from_buffer(page)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(code))
    since, first = _sample(read)
    time.sleep(_SECONDS)
    until, last = _sample(read)
    return round((last - first) / (until - since) / 1000)


def kernel_arguments() -> List[str]:
    """Return what tells the kernel of a guest under TCG the frequency."""
    khz = tsc_khz()
    return [f'tsc_early_khz={khz}'] if khz else []
