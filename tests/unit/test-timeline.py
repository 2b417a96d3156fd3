#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests of the launcher's timeline: scripts/pciep/timeline."""

import json
import os
import struct
import sys
import tempfile
import time

from python_tests import equal, main
from pciep.timeline import chrome, merge, pcapng, qemulog, slices, text
from pciep.timeline.record import Record, Recorder
from pciep.vm.tracelog import TraceLog

START = 1700000000 * 1000000
HEADER = struct.pack('<HHIII', 7, 9, 32, 0, 0)
READ = HEADER + struct.pack('<QII', 8, 0, 4)
LINE = ('pci_ep_message epc0 function 1: sends REGION_READ id 7 size 32 '
        f'flags 0x0 error 0 fds 0 bytes {READ.hex()}')


def parse(*lines):
    """Return the records of a log."""
    return list(qemulog.parse('ep', lines, START))


def record(us, track, event, words, **more):
    """Return a record of the endpoint guest."""
    return Record(time_us=START + us, guest='ep', track=track, event=event,
                  text=words, **more)


# ---- The log of QEMU ----


def test_stamp_of_10_0():
    seen = parse('4711@1700000001.000002:pci_epc_server_link '
                 'epc0 function 2 generation 3: up\n')
    equal(seen, [record(1000002, 'epc0 function 2', 'pci_epc_server_link',
                        'up', generation=3)], 'records')


def test_stamp_of_10_2():
    seen = parse('2023-11-14T22:13:21.000002Z pci_epc_link epc0 '
                 'generation 1: up 1\n')
    equal(seen, [record(1000002, 'epc0', 'pci_epc_link', 'up 1',
                        generation=1)], 'records')


def test_stamp_without_fraction():
    seen = parse('2023-11-14T22:13:21Z pci_epc_reset_all epc0: reset')
    equal([r.time_us - START for r in seen], [1000000], 'times')


def test_stamp_with_program():
    seen = parse('2023-11-14T22:13:21.5Z qemu-system-x86_64: '
                 'pci_epc_reset_all epc0: reset')
    equal(seen, [record(1500000, 'epc0', 'pci_epc_reset_all', 'reset')],
          'records')


def test_line_without_stamp():
    """It has the time of the line before."""
    seen = parse('first', '1@1700000001.000000:pci_epc_reset_all e: r',
                 '', 'a\tb')
    equal([(r.time_us - START, r.track, r.text) for r in seen],
          [(0, 'QEMU', 'first'), (1000000, 'e', 'r'),
           (1000000, 'QEMU', 'a b')], 'records')


def test_odd_stamps():
    """Nothing that looks like a stamp ends the merge."""
    for line in ('9999-99-99T99:99:99Z x y', '@1.000000:x y',
                 '1@1.00000:x y', '1@1.000000:x', '\0\x1b[1m'):
        equal([r.track for r in parse(line)],
              ['QEMU'] if line.strip('\0') else [], f'records of {line!r}')


def test_message():
    seen = parse(f'1@1700000000.000000:{LINE}')
    equal(len(seen), 1, 'records')
    equal(seen[0].data, READ, 'bytes')
    equal(seen[0].text, 'sends REGION_READ id 7 size 32 flags 0x0 error 0 '
          'fds 0', 'text')


# ---- What lasts ----


def found(*records):
    """Return track, times and text of all slices."""
    return [(s.track, s.start_us - START, s.end_us - START, s.text)
            for s in slices.find(records)]


def test_slice_of_link():
    link = 'pci_epc_server_link'
    seen = found(record(1, 'e function 0', link, 'raising', generation=1),
                 record(2, 'e function 0', link, 'up', generation=1),
                 record(5, 'e function 0', link, 'lowering', generation=1),
                 record(9, 'e function 0', link, 'down', generation=1))
    equal(seen, [('e function 0 link', 2, 9, 'generation 1: up ... down')],
          'slices')


def test_slices_of_channels():
    """Descriptors of two channels overlap, so each has a track."""
    seen = found(record(1, 'e', 'pci_epc_dma_start', 'channel 0 d 1'),
                 record(2, 'e', 'pci_epc_dma_start', 'channel 10 d 1'),
                 record(3, 'e', 'pci_epc_dma_done', 'channel 0 done 64'),
                 record(4, 'e', 'pci_epc_dma_done', 'channel 10 done 8'))
    equal([s[:3] for s in seen], [('e channel 0 descriptors', 1, 3),
                                  ('e channel 10 descriptors', 2, 4)],
          'slices')


def test_slice_without_end():
    seen = found(record(1, 'e', 'pci_epc_link_command', 'command 2'),
                 record(8, 'e', 'pci_epc_link', 'up 0'))
    equal([s[:3] for s in seen], [('e commands', 1, 8)], 'slices')


def test_slice_begun_twice():
    seen = found(record(1, 'e', 'pci_epc_link_command', 'command 2'),
                 record(4, 'e', 'pci_epc_link_command', 'command 1'),
                 record(6, 'e', 'pci_epc_link_command_done', 'command 1'))
    equal([s[1:3] for s in seen], [(1, 4), (4, 6)], 'slices')


def test_end_without_begin():
    equal(found(record(1, 'e', 'pci_epc_dma_done', 'channel 0')), [],
          'slices')


def test_lasting_records_do_not_overlap():
    seen = found(record(100, 'test', '', 'pass a', seconds=0.0001),
                 record(300, 'test', '', 'pass b', seconds=0.0005))
    equal([s[1:3] for s in seen], [(0, 100), (100, 300)], 'slices')


def test_pairs_name_events():
    """The events of all pairs exist."""
    top = os.path.join(os.path.dirname(__file__), '../..')
    known = ''
    for directory in ('hw/pci-ep', 'hw/misc/epf-bridge'):
        with open(os.path.join(top, directory, 'trace-events'),
                  encoding='utf-8') as file:
            known += file.read()
    for name in [*slices.PAIRS_OF, qemulog.MESSAGE]:
        equal(f'\n{name}(' in known, True, f'event {name} exists')


# ---- The files ----


def run_of_two(directory):
    """Write logs of two guests and what the launcher saw; return the rest."""
    with open(os.path.join(directory, 'ep.trace'), 'w',
              encoding='utf-8') as out:
        out.write(f'1@1700000000.000500:{LINE}\n'
                  '1@1700000000.000300:pci_epc_server_link epc0 function 1 '
                  'generation 1: up\n')
    with open(os.path.join(directory, 'host.trace'), 'w',
              encoding='utf-8') as out:
        out.write('1@1700000000.000400:epf_bridge_link_up rp0 function 1 '
                  'generation 1: speed 1 width 1\n')
    recorder = Recorder()
    recorder.start_us = START
    recorder.records.append(Record(time_us=START + 450, guest='host',
                                   track='console', text='Card present'))
    logs = {name: os.path.join(directory, f'{name}.trace')
            for name in ('host', 'ep', 'host2')}
    return logs, recorder


def test_merge():
    with tempfile.TemporaryDirectory() as directory:
        logs, recorder = run_of_two(directory)
        seen = merge.write(directory, logs, recorder, ['a note'])
        equal((seen.events, seen.messages, seen.notes), (4, 1, ['a note']),
              'what was written')
        with open(os.path.join(directory, 'timeline.txt'),
                  encoding='utf-8') as file:
            lines = file.read().splitlines()
        equal([line for line in lines if line == '# a note'], ['# a note'],
              'the note')
        equal([' '.join(line.split()) for line in lines if line[0] != '#'], [
            '0.300 ep epc0 function 1 generation 1 pci_epc_server_link: up',
            '0.400 host rp0 function 1 generation 1 epf_bridge_link_up: '
            'speed 1 width 1',
            '0.450 host console Card present',
            '0.500 ep epc0 function 1 pci_ep_message: sends REGION_READ id 7 '
            'size 32 flags 0x0 error 0 fds 0'], 'lines')
        merge.remove(directory)
        equal(os.listdir(directory), [], 'files that are left')


def test_text_of_what_lasts():
    line = text.line(record(2500, 'test', '', 'pass x', seconds=0.002), START)
    equal(line.split(), ['2.500', 'ep', 'test', 'pass', 'x', '(2.000', 'ms)'],
          'words')


def test_json():
    """Valid JSON; all processes and threads have names."""
    with tempfile.TemporaryDirectory() as directory:
        logs, recorder = run_of_two(directory)
        merge.write(directory, logs, recorder, [])
        with open(os.path.join(directory, 'timeline.json'),
                  encoding='utf-8') as file:
            events = json.load(file)['traceEvents']
    names = {(e['name'], e['pid'], e['tid']): e['args']['name']
             for e in events if e['ph'] == 'M'}
    processes = {pid: name for (kind, pid, _), name in names.items()
                 if kind == 'process_name'}
    equal(sorted(processes.values()), ['ep', 'host'], 'processes')
    seen = set()
    for event in (e for e in events if e['ph'] != 'M'):
        where = names['thread_name', event['pid'], event['tid']]
        seen.add((processes[event['pid']], where, event['ph']))
        equal(isinstance(event['ts'], int), True, 'ts is a number')
        equal(event.get('dur', 0) >= 0, True, 'dur is not negative')
    equal(seen, {('ep', 'epc0 function 1', 'i'),
                 ('ep', 'epc0 function 1 link', 'X'),
                 ('host', 'rp0 function 1', 'i'),
                 ('host', 'rp0 function 1 link', 'X'),
                 ('host', 'console', 'i')}, 'tracks')


def test_json_of_nothing():
    equal(chrome.events([], START), [], 'events')


def blocks(data):
    """Return the blocks of a pcapng file as (type, body)."""
    seen, at = [], 0
    while at < len(data):
        kind, size = struct.unpack_from('<II', data, at)
        equal(struct.unpack_from('<I', data, at + size - 4)[0], size,
              'the size at the end of a block')
        equal(size % 4, 0, 'the size of a block, modulo 4')
        seen.append((kind, data[at + 8:at + size - 4]))
        at += size
    return seen


def capture(*records):
    """Return the blocks of what is written for these records."""
    with tempfile.TemporaryDirectory() as directory:
        name = os.path.join(directory, 'link.pcapng')
        pcapng.write(name, records, [])
        with open(name, 'rb') as file:
            return blocks(file.read())


def test_pcapng():
    seen = capture(record(3, 'e function 0', 'm', 'sends', data=READ),
                   record(4, 'e function 1', 'm', 'receives', data=READ),
                   record(5, 'e function 0', 'm', 'receives', data=READ))
    equal([kind for kind, _ in seen], [0x0a0d0d0a, 1, 6, 1, 6, 6], 'blocks')
    packets = [body for kind, body in seen if kind == 6]
    heads = [struct.unpack_from('<IIIII', body) for body in packets]
    equal([head[0] for head in heads], [0, 1, 0], 'interfaces')
    equal([(head[1] << 32 | head[2]) - START for head in heads], [3, 4, 5],
          'times')
    size = len(pcapng.TAGS) + len(READ)
    equal([head[3:] for head in heads], [(size, size)] * 3, 'sizes')
    equal(packets[0][20:20 + size], pcapng.TAGS + READ, 'bytes')
    links = [struct.unpack_from('<HHI', body) for kind, body in seen
             if kind == 1]
    equal(links, [(252, 0, pcapng.SNAPLEN)] * 2, 'interfaces')


def test_pcapng_of_a_cut_message():
    """The packet says how long the message was."""
    data = struct.pack('<HHIII', 7, 10, 5000, 0, 0) + bytes(256)
    seen = capture(record(1, 'e', 'm', 'sends', data=data))
    head = struct.unpack_from('<IIIII', seen[-1][1])
    tags = len(pcapng.TAGS)
    equal(head[3:], (tags + 272, tags + 5000), 'sizes')


def test_pcapng_has_each_message_once():
    """Both ends trace it; without the endpoint the host has it."""
    mine = record(1, 'e', 'm', 'sends', data=READ)
    theirs = Record(time_us=START, guest='host', track='rp0', text='receives',
                    data=READ)
    equal(pcapng.messages([theirs, mine]), [mine], 'messages')
    equal(pcapng.messages([theirs]), [theirs], 'messages of the host')


def test_recorder_is_bounded():
    recorder = Recorder(limit=2)
    for number in range(5):
        recorder.add('host', 'console', f'line {number}')
    recorder.add('ep', 'console', 'line')
    equal([r.text for r in recorder.records], ['line 0', 'line 1', 'line'],
          'records')
    equal(len(recorder.notes), 1, 'notes')
    equal('3 lines' in recorder.notes[0], True, 'the note has the number')


# ---- The log while QEMU runs ----


def traced(directory, limit, *writes):
    """Return a log that was written to, and its text."""
    log = TraceLog(os.path.join(directory, 'ep.trace'), ['x*'], limit)
    for data in writes:
        fd = log.open()
        os.write(fd, data)
        os.close(fd)
        log.end()
    log.close()
    with open(log.filename, 'rb') as file:
        return log, file.read()


def test_log():
    with tempfile.TemporaryDirectory() as directory:
        log, seen = traced(directory, 1 << 20, b'one\ntwo', b'three\n')
        equal(seen, b'one\ntwo\nthree\n', 'the log')
        equal(log.note, '', 'the note')
        equal(log.arguments(9), ['-msg', 'timestamp=on', '-D', '/dev/fd/9',
                                 '-trace', 'enable=x*'], 'arguments')


def test_log_is_bounded():
    """It ends with a whole line, and QEMU goes on."""
    with tempfile.TemporaryDirectory() as directory:
        log, seen = traced(directory, 10, b'one\ntwo\nthree\n', b'four\n')
        equal(seen, b'one\ntwo\n', 'the log')
        equal('ep.trace ends early' in log.note, True, 'the note')


def test_log_takes_more_than_a_pipe():
    """A writer does not wait for anybody but the thread."""
    with tempfile.TemporaryDirectory() as directory:
        log = TraceLog(os.path.join(directory, 'ep.trace'), [], 4096)
        fd = log.open()
        since = time.monotonic()
        for _ in range(64):
            os.write(fd, b'x' * 65535 + b'\n')
        os.close(fd)
        log.close()
        equal(time.monotonic() - since < 20, True, 'it took no time')
        equal(os.path.getsize(log.filename), 0, 'size of the log')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
