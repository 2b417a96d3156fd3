# SPDX-License-Identifier: GPL-2.0-or-later
"""
link.pcapng: the messages of the sockets, for Wireshark.

The format is draft-ietf-opsawg-pcapng.  The link type of all interfaces is
LINKTYPE_WIRESHARK_UPPER_PDU: a tag before each message names the dissector,
which is scripts/wireshark/vfio-user-ep.lua.
"""

import struct
from typing import BinaryIO, Dict, List, Sequence, Tuple

from .record import Record


DISSECTOR = b'vfio_user_ep'
LINKTYPE_WIRESHARK_UPPER_PDU = 252
SNAPLEN = 4096  # more than any packet has

_SECTION, _INTERFACE, _PACKET = 0x0a0d0d0a, 1, 6
_MAGIC = 0x1a2b3c4d
_OPT_END, _OPT_COMMENT = 0, 1
_SHB_USERAPPL = 4
_IF_NAME, _IF_TSRESOL = 2, 9
_EPB_FLAGS = 2
_INBOUND, _OUTBOUND = 1, 2
_TAG_END, _TAG_DISSECTOR = 0, 12  # big-endian; EXP_PDU_TAG_DISSECTOR_NAME


def _padded(data: bytes) -> bytes:
    """Return data with zeros up to the next multiple of 4."""
    return data + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack('<HH', code, len(value)) + _padded(value)


def _options(*pairs: Tuple[int, bytes]) -> bytes:
    return b''.join(_option(*pair) for pair in pairs) + _option(_OPT_END, b'')


def _block(kind: int, body: bytes) -> bytes:
    size = len(body) + 12
    return struct.pack('<II', kind, size) + body + struct.pack('<I', size)


def _tags() -> bytes:
    name = _padded(DISSECTOR)
    return (struct.pack('>HH', _TAG_DISSECTOR, len(name)) + name
            + struct.pack('>HH', _TAG_END, 0))


TAGS = _tags()


class Writer:
    """
    Writes a file of the format.

    :param out: A binary file that is open for writing.
    :param comment: What the whole file is about.
    """

    def __init__(self, out: BinaryIO, comment: str = '') -> None:
        self._out = out
        self._interfaces = 0
        options = [(_SHB_USERAPPL, b'pci-ep-run')]
        if comment:
            options.append((_OPT_COMMENT, comment.encode()))
        # Version 1.0, the size of the section is not known.
        body = struct.pack('<IHHq', _MAGIC, 1, 0, -1) + _options(*options)
        out.write(_block(_SECTION, body))

    def interface(self, name: str) -> int:
        """Add an interface, and return its number."""
        body = struct.pack('<HHI', LINKTYPE_WIRESHARK_UPPER_PDU, 0, SNAPLEN)
        body += _options((_IF_NAME, name.encode()), (_IF_TSRESOL, b'\x06'))
        self._out.write(_block(_INTERFACE, body))
        self._interfaces += 1
        return self._interfaces - 1

    def packet(self, interface: int, time_us: int, data: bytes, size: int,
               outbound: bool) -> None:
        """
        Add a message.

        :param interface: Number of the interface.
        :param time_us: Microseconds since 1970.
        :param data: What is known of the message, from its begin.
        :param size: How long the whole message was.
        :param outbound: The guest of the interface sent it.
        """
        captured = (TAGS + data)[:SNAPLEN]
        whole = max(len(TAGS) + size, len(captured))
        body = struct.pack('<IIIII', interface, time_us >> 32,
                           time_us & 0xffffffff, len(captured), whole)
        flags = _OUTBOUND if outbound else _INBOUND
        body += _padded(captured)
        body += _options((_EPB_FLAGS, struct.pack('<I', flags)))
        self._out.write(_block(_PACKET, body))


def messages(records: Sequence[Record]) -> List[Record]:
    """
    Return the records of messages, each message once.

    Both ends of a socket trace each message.  Those of the endpoint are
    taken, and those of the hosts when the endpoint has none.
    """
    found = [record for record in records if len(record.data) >= 16]
    ends = [record for record in found if record.guest == 'ep']
    return ends or found


def write(filename: str, records: Sequence[Record],
          notes: Sequence[str]) -> int:
    """
    Write link.pcapng, with an interface for each function.

    :return: The number of messages.
    """
    found = messages(records)
    interfaces: Dict[Tuple[str, str], int] = {}
    with open(filename, 'wb') as out:
        writer = Writer(out, '; '.join(notes))
        for record in found:
            key = (record.guest, record.track)
            if key not in interfaces:
                interfaces[key] = writer.interface(' '.join(key))
            size = int.from_bytes(record.data[4:8], 'little')
            writer.packet(interfaces[key], record.time_us, record.data, size,
                          record.text.startswith('sends '))
    return len(found)
