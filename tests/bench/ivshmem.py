# SPDX-License-Identifier: GPL-2.0-or-later
"""A server for ivshmem-doorbell, the yardstick for interrupts.

The protocol is that of docs/specs/ivshmem-spec.rst of QEMU.  Each client has
one vector.  The server runs in the event loop of the testbed.
"""

import array
import os
import socket
import struct

VERSION = 0
MEMORY_SIZE = 1 << 20


class Server:
    def __init__(self, path, loop):
        self.path, self.loop = path, loop
        self.memory = os.memfd_create('ivshmem', os.MFD_CLOEXEC)
        os.ftruncate(self.memory, MEMORY_SIZE)
        self.clients = {}  # id -> (socket, eventfd)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o600)
        self.listener.listen()
        loop.add(self.listener, self._accept)

    def arguments(self):
        """Return the arguments that give QEMU the device."""
        return [
            '-chardev', f'socket,id=ivshmem,path={self.path}', '-device',
            'ivshmem-doorbell,chardev=ivshmem,vectors=1'
        ]

    @staticmethod
    def _send(client, number, fd=None):
        extra = []
        if fd is not None:
            extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array('i', [fd]))]
        client.sendmsg([struct.pack('<q', number)], extra)

    def _accept(self):
        client, _ = self.listener.accept()
        own = len(self.clients)
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._send(client, VERSION)
        self._send(client, own)
        self._send(client, -1, self.memory)
        for peer, (other, other_event) in self.clients.items():
            self._send(other, own, event)
            self._send(client, peer, other_event)
        self._send(client, own, event)
        self.clients[own] = (client, event)

    def close(self):
        self.loop.remove(self.listener)
        self.listener.close()
        for client, event in self.clients.values():
            client.close()
            os.close(event)
        os.close(self.memory)
