# SPDX-License-Identifier: GPL-2.0-or-later
"""The event loop: one thread for all guests; none keeps another waiting."""

import selectors
import time
from typing import IO, Any, Callable, Union


Source = Union[int, IO[Any], Any]  # a descriptor, or what has fileno()


class Loop:
    """Calls a function for each descriptor that has something to read."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def add(self, source: Source, callback: Callable[[], object]) -> None:
        """Call the function whenever there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def remove(self, source: Source) -> None:
        """Forget a descriptor, if it is known."""
        try:
            self._selector.unregister(source)
        except (KeyError, ValueError):
            pass

    def turn(self, seconds: float) -> None:
        """Wait at most that long, and serve what there is once."""
        if not self._selector.get_map():
            time.sleep(min(seconds, 0.05))
            return
        for key, _ in self._selector.select(seconds):
            key.data()

    def close(self) -> None:
        """Close the selector; the descriptors stay open."""
        self._selector.close()
