# SPDX-License-Identifier: GPL-2.0-or-later
"""The event loop: one thread for both guests; neither keeps the other waiting."""

import selectors
import time


class Loop:
    def __init__(self):
        self._selector = selectors.DefaultSelector()

    def add(self, fileobj, callback):
        self._selector.register(fileobj, selectors.EVENT_READ, callback)

    def remove(self, fileobj):
        try:
            self._selector.unregister(fileobj)
        except (KeyError, ValueError):
            pass

    def turn(self, seconds):
        """Waits at most @seconds and serves what is there once."""
        if not self._selector.get_map():
            time.sleep(min(seconds, 0.05))
            return
        for key, _ in self._selector.select(seconds):
            key.data()

    def close(self):
        self._selector.close()
