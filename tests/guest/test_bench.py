# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark runs to its end; how fast is not looked at."""

import json
import os
import subprocess

from lib import TOP, Skipped, check, limit, long, process

ROWS = ('BAR read, 1 MiB', 'MSI-X to the host', 'read by message, 4 B',
        'NVMe, 4 KiB random', 'cold start to verdict', 'memory, host QEMU')


@long
@limit(900)
def test_runs(t):
    if not os.path.exists(os.path.join(t.build, 'bench')):
        raise Skipped('the modules of the benchmark are not built: run '
                      '"make bench"')
    path = os.path.join(t.build, 'bench.json')
    before = os.stat(path).st_mtime_ns if os.path.exists(path) else 0
    run = subprocess.run(
        [os.path.join(TOP, 'tests/bench/run'), '--rounds', '1', '--boots', '1',
         '--build-dir', t.build],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
        preexec_fn=process.die_with_parent())
    check(not run.returncode, f'exit status {run.returncode}:\n'
          + run.stdout[-3000:])
    check(os.stat(path).st_mtime_ns != before, f'{path} was not written')
    with open(path, encoding='utf-8') as file:
        rows = {row['name']: row for row in json.load(file)['rows']}
    for name in ROWS:
        check(name in rows, f'no row "{name}" in {path}')
        check(rows[name]['value'] > 0, f'{name} is {rows[name]["value"]}')
