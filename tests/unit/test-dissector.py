#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of scripts/wireshark/vfio-user-ep.lua: tshark decodes a capture."""

import functools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

from python_tests import TOP, Skipped, equal, main
from pciep.timeline import pcapng

SCRIPT = os.path.join(TOP, 'scripts/wireshark/vfio-user-ep.lua')
PREFIX = 'vfio_user_ep.'
REPLY, NO_REPLY, ERROR = 1, 0x10, 0x21

JSON = (b'{"capabilities": {"max_msg_fds": 80, "org.qemu.pci-ep": '
        b'{"version": 1, "features": ["link"]}}}\0')


def message(command, flags, payload=b'', *, ident=1, error=0, size=None):
    """Return the bytes of a message."""
    if size is None:
        size = 16 + len(payload)
    return struct.pack('<HHIII', ident, command, size, flags, error) + payload


def pack(form, *values):
    """Return a structure."""
    return struct.pack('<' + form, *values)


# Name: message, and what its fields are. A name that a reply shares with its
# command, but for the last word, is found by it.
MESSAGES = {
    'VERSION command': (
        message(1, 0, pack('HH', 0, 1) + JSON),
        {'sender': 'host', 'major': 0, 'minor': 1, 'type': 0,
         'json': JSON[:-1].decode()}),
    'VERSION reply': (
        message(1, REPLY, pack('HH', 0, 1) + JSON),
        {'sender': 'endpoint', 'minor': 1, 'type': 1}),
    'DMA_MAP command': (
        message(2, 0, pack('IIQQQ', 32, 7, 0x1000, 0x2000, 0x3000)),
        {'argsz': 32, 'dma.read': 1, 'dma.write': 1, 'dma.mmap': 1,
         'fd_offset': 0x1000, 'address': 0x2000, 'length': 0x3000}),
    'DMA_MAP reply': (message(2, REPLY), {'sender': 'endpoint'}),
    'DMA_UNMAP command': (
        message(3, 0, pack('IIQQ', 24, 2, 0, 0)), {'unmap.all': 1}),
    'DMA_UNMAP reply': (
        message(3, REPLY, pack('IIQQ', 24, 0, 0x2000, 0x3000)),
        {'unmap.all': 0, 'address': 0x2000, 'length': 0x3000}),
    'GET_INFO command': (
        message(4, 0, pack('IIII', 16, 0, 0, 0)), {'argsz': 16}),
    'GET_INFO reply': (
        message(4, REPLY, pack('IIII', 16, 3, 9, 5)),
        {'info.reset': 1, 'info.pci': 1, 'info.regions': 9, 'info.irqs': 5}),
    'GET_REGION_INFO command': (
        message(5, 0, pack('IIIIQQ', 32, 0, 7, 0, 0, 0)), {'region': 7}),
    'GET_REGION_INFO reply': (
        message(5, REPLY, pack('IIIIQQ', 32, 7, 2, 0, 0x4000, 0x1000)),
        {'region': 2, 'region.read': 1, 'region.write': 1, 'region.mmap': 1,
         'region.caps': 0, 'length': 0x4000, 'fd_offset': 0x1000}),
    'GET_REGION_IO_FDS command': (
        message(6, 0, pack('IIII', 4096, 0, 1, 0)), {'region': 1, 'count': 0}),
    'GET_REGION_IO_FDS reply': (
        message(6, REPLY, pack('IIII', 64, 0, 1, 1)
                + pack('QQIIIIQQ', 0x10, 4, 0, 2, 0, 1, 0x40, 0)),
        {'count': 1, 'offset': 0x10, 'io_fd.type': 2, 'io_fd.shadow': 1,
         'io_fd.shadow_offset': 0x40}),
    'GET_IRQ_INFO command': (
        message(7, 0, pack('IIII', 16, 0, 2, 0)), {'irq': 2}),
    'GET_IRQ_INFO reply': (
        message(7, REPLY, pack('IIII', 16, 7, 0, 1)),
        {'irq': 0, 'irq.eventfd': 1, 'irq.maskable': 1, 'irq.automasked': 1,
         'count': 1}),
    'SET_IRQS command': (
        message(8, 0, pack('IIIII', 20, 0x24, 2, 4, 8)),
        {'irqs.eventfd': 1, 'irqs.trigger': 1, 'irqs.none': 0, 'irq': 2,
         'irqs.start': 4, 'count': 8}),
    'SET_IRQS reply': (message(8, REPLY), {}),
    'REGION_READ command': (
        message(9, 0, pack('QII', 0x18, 0, 4)),
        {'offset': 0x18, 'region': 0, 'count': 4}),
    'REGION_READ reply': (
        message(9, REPLY, pack('QII', 0x18, 0, 4) + b'\xef\xbe\xad\xde'),
        {'data': 'efbeadde'}),
    'REGION_WRITE command': (
        message(10, 0, pack('QII', 4, 7, 2) + b'\x06\x00'),
        {'region': 7, 'data': '0600'}),
    'REGION_WRITE reply': (
        message(10, REPLY, pack('QII', 4, 7, 2)), {'count': 2}),
    'DMA_READ command': (
        message(11, 0, pack('QQ', 0x5000, 2)),
        {'sender': 'endpoint', 'address': 0x5000, 'count': 2}),
    'DMA_READ reply': (
        message(11, REPLY, pack('QQ', 0x5000, 2) + b'ab'),
        {'sender': 'host', 'data': '6162'}),
    'DMA_WRITE command': (
        message(12, 0, pack('QQ', 0x5000, 2) + b'cd'),
        {'sender': 'endpoint', 'data': '6364'}),
    'DMA_WRITE reply': (
        message(12, REPLY, pack('QQ', 0x5000, 2)), {'count': 2}),
    'DEVICE_RESET command': (message(13, 0), {'sender': 'host'}),
    'DEVICE_RESET reply': (message(13, REPLY), {}),
    'REGION_WRITE_MULTI command': (
        message(15, 0, pack('Q', 2) + pack('QII', 0x18, 0, 4) + b'abcd' * 2
                + pack('QII', 4, 7, 2) + b'\x06\x00' + bytes(6)),
        {'sender': 'host', 'count': [2, 4, 2], 'offset': [0x18, 4],
         'region': [0, 7],
         'data': '6162636461626364;0600000000000000'}),
    'REGION_WRITE_MULTI reply': (
        message(15, REPLY, pack('Q', 2)), {'sender': 'endpoint', 'count': 2}),
    'EP_LINK command': (
        message(0x4500, 0, pack('IIIHHII', 24, 5, 1, 3, 4, 0x3, 0)),
        {'sender': 'endpoint', 'generation': 5, 'link.state': 1,
         'link.speed': 3, 'link.width': 4, 'link.functions': 3}),
    'EP_LINK reply': (message(0x4500, REPLY), {'sender': 'host'}),
    'EP_RESET command': (
        message(0x4501, 0, pack('IIII', 16, 5, 2, 0)),
        {'sender': 'host', 'generation': 5, 'reset.kind': 2}),
    'EP_RESET reply': (message(0x4501, REPLY), {}),
    'EP_REMAP command': (
        message(0x4502, 0, pack('IIII', 16, 5, 3, 0)),
        {'sender': 'endpoint', 'region': 3}),
    'EP_REMAP reply': (message(0x4502, REPLY), {}),
    'EP_INTX command': (
        message(0x4503, NO_REPLY, pack('IIII', 16, 5, 1, 0)),
        {'sender': 'endpoint', 'no_reply': 1, 'intx.level': 1}),
    'EP_AREAS command': (
        message(0x4504, 0, pack('IIII', 16, 5, 2, 0)), {'sender': 'host'}),
    'EP_AREAS reply': (
        message(0x4504, REPLY, pack('IIII', 80, 5, 2, 2)
                + pack('QQQII', 0, 0x1000, 0x8000, 0, 3)
                + pack('QQQII', 0x2000, 0x1000, 0x9000, 1, 1)),
        {'count': 2, 'offset': [0, 0x2000], 'fd_offset': [0x8000, 0x9000],
         'fd_index': [0, 1], 'region.write': [1, 0]}),
    'EP_FAULT command': (
        message(0x4505, NO_REPLY, pack('IIQII', 24, 5, 0x7000, 1, 0)),
        {'sender': 'endpoint', 'address': 0x7000, 'fault.write': 1}),

    # Errors, and commands that have no name
    'error command': (
        message(9, 0, pack('QII', 0, 1, 4), ident=2), {'reply_in': 'reply'}),
    'error reply': (
        message(9, ERROR, ident=2, error=107),
        {'error_flag': 1, 'error': 107, 'refused': 'marked',
         'reply_to': 'command'}),
    'unknown command': (
        message(0x1234, 0, b'xyz', ident=3),
        {'unknown': 'marked', 'data': '78797a'}),
    'orphan reply': (message(2, REPLY, ident=99), {'no_command': 'marked'}),

    # What was cut is not malformed
    'cut data command': (
        message(10, 0, pack('QII', 0, 0, 1000) + bytes(240), ident=4,
                size=1032), {'count': 1000, 'cut': 'marked'}),
    'cut structure command': (
        message(2, 0, pack('II', 32, 3), ident=5, size=48),
        {'argsz': 32, 'cut': 'marked'}),

    # What is malformed
    'short structure command': (
        message(0x4501, 0, pack('III', 16, 5, 2), ident=6),
        {'generation': 5, 'malformed': 'marked'}),
    'long structure command': (
        message(0x4501, 0, pack('IIIII', 16, 5, 2, 0, 0), ident=7),
        {'malformed': 'marked'}),
    'short header command': (b'\x01\x00\x02', {'malformed': 'marked'}),
    'wrong type command': (message(2, 7), {'malformed': 'marked'}),
    'wrong size command': (message(13, 0, size=15), {'malformed': 'marked'}),
    'JSON without NUL command': (
        message(1, 0, pack('HH', 0, 1) + b'{}', ident=8),
        {'malformed': 'marked'}),
    'half an element reply': (
        message(0x4504, REPLY, pack('IIII', 80, 5, 2, 2) + bytes(40),
                ident=9), {'malformed': 'marked', 'no_command': 'marked'}),
}

MARKS = ('malformed', 'cut', 'refused', 'unknown', 'no_command')
FIELDS = sorted({name for _, fields in MESSAGES.values() for name in fields}
                | set(MARKS) | {'command', 'reply_in', 'reply_to',
                                'reply_time'})
FOREIGN = ['_ws.malformed', '_ws.expert.message', '_ws.lua.error',
           'frame.interface_name']


def write_capture(filename):
    """Write all messages, on one interface."""
    with open(filename, 'wb') as out:
        writer = pcapng.Writer(out)
        interface = writer.interface('ep epc0 function 0')
        for number, (data, _) in enumerate(MESSAGES.values()):
            size = len(data)
            if size >= 16:
                size = max(size, int.from_bytes(data[4:8], 'little'))
            writer.packet(interface, 1700000000 * 1000000 + number * 1000,
                          data, size, True)


def tshark(filename, *arguments):
    """Return the lines that tshark prints of a capture."""
    program = shutil.which('tshark')
    if not program:
        raise Skipped('the package tshark is not installed')
    with tempfile.TemporaryDirectory() as home:
        # Settings and plugins of the user do not count. With two passes a
        # command knows its reply.
        result = subprocess.run(
            [program, '-r', filename, '-n', '-2', '-X',
             f'lua_script:{SCRIPT}', *arguments], capture_output=True,
            text=True, timeout=60, check=False,
            env={'PATH': os.environ['PATH'], 'HOME': home,
                 'LC_ALL': 'C.UTF-8'})
    wrong = [line for line in result.stderr.splitlines()
             if 'root' not in line]
    equal((result.returncode, wrong), (0, []), 'what tshark says')
    return result.stdout.splitlines()


@functools.lru_cache
def decoded():
    """Return {field: value} for each message, as tshark decodes it."""
    with tempfile.TemporaryDirectory() as directory:
        filename = os.path.join(directory, 'link.pcapng')
        write_capture(filename)
        names = [PREFIX + field for field in FIELDS] + FOREIGN
        arguments = ['-T', 'fields', '-E', 'separator=|',
                     '-E', 'aggregator=;', '-E', 'occurrence=a']
        for name in names:
            arguments += ['-e', name]
        lines = tshark(filename, *arguments)
    equal(len(lines), len(MESSAGES), 'number of packets')
    rows = [dict(zip(names, line.split('|'))) for line in lines]
    return dict(zip(MESSAGES, rows))


def value_of(word):
    """Return what tshark prints of a field as a number, or as it is."""
    if word in ('True', 'False'):
        return int(word == 'True')
    try:
        return int(word, 0)
    except ValueError:
        return word


def partner_of(name):
    """Return the number of the packet that belongs to this one."""
    words = name.rsplit(' ', 1)
    other = 'reply' if words[1] == 'command' else 'command'
    return list(MESSAGES).index(f'{words[0]} {other}') + 1


def check_field(name, row, field, expected):
    """Fail unless a field of a message is right."""
    seen = row[PREFIX + field]
    if expected == 'marked':
        equal(bool(seen), True, f'{name}: {field} is marked')
    elif field in ('reply_in', 'reply_to'):
        equal(value_of(seen), partner_of(name), f'{name}: {field}')
    elif isinstance(expected, list):
        equal([value_of(word) for word in seen.split(';')], expected,
              f'{name}: {field}')
    elif isinstance(expected, str):
        equal(seen, expected, f'{name}: {field}')
    else:
        equal(value_of(seen), expected, f'{name}: {field}')


def test_fields():
    """Each command and each reply has the fields that it should."""
    for name, (_, fields) in MESSAGES.items():
        for field, expected in fields.items():
            check_field(name, decoded()[name], field, expected)


def test_marks():
    """Nothing is marked that should not be, and Lua has no error."""
    for name, (_, fields) in MESSAGES.items():
        row = decoded()[name]
        for mark in MARKS:
            equal(bool(row[PREFIX + mark]), mark in fields,
                  f'{name}: {mark} is marked')
        equal(row['_ws.lua.error'], '', f'{name}: error of Lua')
        equal(bool(row['_ws.malformed']), 'malformed' in fields,
              f'{name} is malformed')


def test_replies():
    """Each command that has a reply leads to it, and the other way round."""
    for name in MESSAGES:
        words = name.rsplit(' ', 1)
        both = {f'{words[0]} command', f'{words[0]} reply'}
        if not both <= set(MESSAGES):
            continue
        row = decoded()[name]
        field = 'reply_in' if words[1] == 'command' else 'reply_to'
        equal(value_of(row[PREFIX + field]), partner_of(name),
              f'{name}: {field}')
        if words[1] == 'reply':
            equal(float(row[PREFIX + 'reply_time']) > 0, True,
                  f'{name}: time since the command')


def test_all_commands():
    """MESSAGES has each command of the contract, and the name of each."""
    header = os.path.join(TOP, 'include/hw/pci-ep/vfio-user-proto.h')
    with open(header, encoding='utf-8') as file:
        names = re.findall(r'^    VFU_CMD_(\w+)\s+= ', file.read(), re.M)
    equal(len(names) >= 19, True, f'the commands of the contract: {names}')
    for name in names:
        equal(f'{name} command' in MESSAGES, True, f'{name} is in MESSAGES')


def test_name():
    """The capture names the dissector."""
    with open(SCRIPT, encoding='utf-8') as file:
        name = re.search(r'Proto\("(\w+)"', file.read())[1]
    equal(name.encode(), pcapng.DISSECTOR, 'name of the dissector')


def test_interface():
    """The interface has the name of the function."""
    for name, row in decoded().items():
        equal(row['frame.interface_name'], 'ep epc0 function 0', name)


def test_lines():
    """The list of packets names command, sender and what it is about."""
    with tempfile.TemporaryDirectory() as directory:
        filename = os.path.join(directory, 'link.pcapng')
        write_capture(filename)
        lines = tshark(filename)
    for wanted in ('vfio-user', 'REGION_WRITE config 0x4 len 2',
                   'REGION_WRITE_MULTI 2 writes',
                   'EP_LINK up generation 5', 'REGION_READ reply error '
                   'ENOTCONN', 'SET_IRQS MSI-X first 4 count 8',
                   'malformed message'):
        equal(any(wanted in line for line in lines), True,
              f'a line has {wanted!r}')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
