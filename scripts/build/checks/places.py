#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Compare places of the code that need a reason with the pages that give it

docs/devel/aborts.rst has each assert, abort and the like, which may end QEMU
or a kernel, and docs/devel/waits.rst each wait without a limit of time. Both
say why nobody outside can reach or prolong it. Prints a line for each place
that a page lacks, and for each entry that has no such place.
"""

import re
import sys
from collections import Counter
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]
COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.S)
# The first two columns of an entry of the table: file and call
ENTRY = re.compile(r'^   \* - ``(\S+\.[ch])``\n     - ``(\w+)``', re.M)
# For each page where such places can be, and what they look like
PAGES = {
    # Calls, and the arguments with which a call of QEMU ends the process
    'docs/devel/aborts.rst': (
        ('hw', 'include', 'linux'),
        r'(?<![>.])\b(g_assert\w*|assert|abort|g_error|g_abort|error_abort|'
        r'error_fatal|qemu_build_assert|hw_error|BUG|BUG_ON|panic)\b(?=\s*\()|'
        r'&(error_abort|error_fatal)\b'),
    'docs/devel/waits.rst': (
        ('hw', 'include', 'linux/controller', 'linux/dma', 'linux/epc-ext',
         'linux/functions'),
        r'\b(qemu_cond_wait|qemu_sem_wait|qemu_event_wait|qemu_thread_join|'
        r'poll|epoll_wait|pause_all_vcpus|run_on_cpu|drain_call_rcu|'
        r'AIO_WAIT_WHILE\w*|aio_poll|synchronize_\w+|free_irq|flush_work|'
        r'flush_workqueue|cancel_(?:delayed_)?work_sync|destroy_workqueue|'
        r'tasklet_kill|kthread_stop|wait_event(?:_interruptible)?|'
        r'wait_for_completion|disable_irq|napi_disable|napi_synchronize)\b'
        r'(?=\s*\()'),
}


def blank(match):
    """Return as many line ends as a comment or a string has."""
    return '\n' * match[0].count('\n')


def places(directories, pattern):
    """Yield (file, call, line) of all code that matches."""
    for directory in directories:
        for path in sorted((TOP / directory).rglob('*.[ch]')):
            text = COMMENT.sub(blank, path.read_text())
            for match in re.finditer(pattern, text):
                call = next(group for group in match.groups() if group)
                yield (str(path.relative_to(TOP)), call,
                       text.count('\n', 0, match.start()) + 1)


def compare(page, directories, pattern):
    """Compare both ways."""
    entries = Counter(ENTRY.findall((TOP / page).read_text()))
    for file, call, line in places(directories, pattern):
        if entries[file, call] > 0:
            entries[file, call] -= 1
        else:
            print(f'{file}:{line}: {call} is not in {page}')
    for (file, call), count in entries.items():
        if count > 0:
            print(f'{page}: {file} has no more {call}')


def main():
    """Compare each page."""
    for page, (directories, pattern) in PAGES.items():
        compare(page, directories, pattern)


if __name__ == '__main__':
    sys.exit(main())
