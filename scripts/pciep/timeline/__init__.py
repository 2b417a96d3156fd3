# SPDX-License-Identifier: GPL-2.0-or-later
"""
What happened in a run, in one order of time: pci-ep-run --trace.

    record     one thing that happened, and what collects them in a run
    qemulog    records from the log of a QEMU
    slices     what lasted, from two records each
    text       timeline.txt, for people
    chrome     timeline.json, for Perfetto
    pcapng     link.pcapng, for Wireshark
    merge      all of it

A further source of records, such as faults that a test injects, calls
Recorder.add() with the guest, a track and a text. No file here needs to know
of it.
"""
