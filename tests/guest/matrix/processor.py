# SPDX-License-Identifier: GPL-2.0-or-later
"""
How long the threads of a QEMU waited for a processor.

What that delays is the fault of the machine that runs the tests.
"""

import os
import time


def waits(pid):
    """
    Return how long each thread of a process waited for a processor so far.

    :return: {thread: seconds}, from the second number of schedstat (Linux,
             Documentation/scheduler/sched-stats.rst). It is empty when the
             process has ended.
    """
    found = {}
    try:
        for thread in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{thread}/schedstat',
                      encoding='ascii') as file:
                found[int(thread)] = int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):
        pass  # The process, or this thread, ends.
    return found


def _growth(before, after):
    return {thread: seconds - before.get(thread, 0)
            for thread, seconds in after.items()}


def waited(pid, before, after):
    """
    Return the seconds for which an answer had to wait for a processor.

    The main loop, which answers, waited for one itself, and may have waited
    for the big lock as long as the thread that holds it did.
    """
    more = _growth(before, after)
    own = more.pop(pid, 0.0)
    return own + max(more.values(), default=0.0)


class Clock:
    """
    Seconds in which guests could have worked.

    The thread that waited longest for a processor, of any guest, stopped it.

    :param guests: The guests, which run.
    """

    def __init__(self, guests):
        self._since = time.monotonic()
        self._before = {guest.pid: waits(guest.pid) for guest in guests}

    def seconds(self):
        """Return the seconds since this clock was made."""
        idle = max((more for pid, before in self._before.items()
                    for more in _growth(before, waits(pid)).values()),
                   default=0.0)
        return max(time.monotonic() - self._since - idle, 0.0)
