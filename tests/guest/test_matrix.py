# SPDX-License-Identifier: GPL-2.0-or-later
"""pci-ep-matrix with guests, and its page in a browser."""

import json
import os
import re
import shutil
import subprocess
import sys

from lib import TOP, Skipped, check, contains, equal, limit, long
from pciep.matrix import cell, page, spec, store

MATRIX = os.path.join(TOP, 'scripts/pci-ep-matrix')
SECONDS = 900
WIDTHS = (1280, 400)
LEAST_FONT = 12  # pixels
# The page is in a frame of that width, since a window has a least one.
FRAME = '''<!DOCTYPE html>
<html><body style="margin:0">
<iframe src="{page}" width="{width}" height="2400" style="border:0"
 onload="measure()"></iframe><pre id="seen"></pre>
<script>
function measure() {{
  const page = document.querySelector("iframe").contentDocument;
  const seen = {{ inner: {width}, whole: page.documentElement.scrollWidth,
    font: 99, outside: [], hidden: 0 }};
  for (const e of page.querySelectorAll("body *")) {{
    const box = e.getBoundingClientRect();
    if (!box.width || !e.textContent.trim()) continue;
    seen.font = Math.min(seen.font,
      parseFloat(page.defaultView.getComputedStyle(e).fontSize));
    if (box.right > {width} + 1) seen.outside.push(e.tagName);
  }}
  seen.cells = [...page.querySelectorAll("td")].filter(
    (e) => e.getBoundingClientRect().height > 0).length;
  document.getElementById("seen").textContent = JSON.stringify(seen);
}}
</script></body></html>
'''


def browser():
    """Return the browser; as root, install it if it is not there."""
    if not shutil.which('chromium'):
        done = subprocess.run(
            [os.path.join(TOP, 'scripts/build/packages.sh'), 'browser'],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            text=True, timeout=600)
        if done.returncode:
            raise Skipped('chromium is not installed: '
                          + ' '.join(done.stdout.split())[-300:])
    return ['chromium', '--headless', '--no-sandbox', '--disable-gpu',
            '--allow-file-access-from-files', '--virtual-time-budget=5000']


def example():
    """Return the matrix of the documentation, and made-up outcomes."""
    found = spec.read(os.path.join(TOP, 'examples/matrix.toml'))
    outcomes = {}
    for number, one in enumerate(found.cells):
        verdict = list(cell.WORDS)[number % 5]
        outcomes[one.ident] = cell.Outcome(
            verdict=verdict, seconds=number, tests={'one': 'fail'},
            why='' if verdict == cell.PASSED else 'a reason ' + 'long' * 40,
            files=list(cell.LINKS), failures=[cell.Failure(
                'pci_ep_data_transfer.dma.COPY_TEST', 'x' * 120,
                ['ep   | BUG: kernel NULL pointer dereference ' + 'y' * 99])])
    return found, outcomes


@long
@limit(SECONDS)
def test_page(t):
    """Everything is in the window, at both widths, and large enough."""
    command = browser()
    os.makedirs(t.rundir, exist_ok=True)
    found, outcomes = example()
    before = {**outcomes, found.cells[0].ident: cell.Outcome(
        verdict=cell.PASSED, tests={'one': 'pass'})}
    page.write(t.rundir, 'Endpoint tests', found, outcomes,
               store.compare(outcomes, before))
    for width in WIDTHS:
        frame = t.file(f'frame-{width}.html', FRAME.format(
            page=page.FILE, width=width), 0o644)
        shot = os.path.join(t.rundir, f'page-{width}.png')
        dom = subprocess.run(
            [*command, '--dump-dom', f'file://{frame}'], check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            timeout=120).stdout
        subprocess.run(
            [*command, f'--screenshot={shot}', f'--window-size={width},2400',
             f'file://{frame}'], check=True, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=120)
        match = re.search(r'<pre id="seen">(\{.*?\})</pre>', dom)
        check(match, f'the browser measured nothing:\n{dom[-1000:]}')
        seen = json.loads(match[1])
        print(f'# {width} pixels: {seen}')
        equal((seen['whole'] <= width, seen['outside']), (True, []),
              f'what is outside of {width} pixels')
        check(seen['font'] >= LEAST_FONT, f'letters of {seen["font"]} pixels')
        check(seen['cells'] >= len(found.cells), 'cells are not shown')
        check(os.path.getsize(shot) > 10000, 'the picture is empty')


@long
@limit(SECONDS)
def test_guests(t):
    t.kernel('7')
    file = t.file('small.toml', '[axes]\nkernel = ["7"]\n'
                  'scenario = ["test", "virtio-rng"]\n'
                  'host-iommu = ["none", "intel-cm"]\n', 0o644)
    output = os.path.join(t.rundir, 'out')
    done = subprocess.run(
        [sys.executable, MATRIX, file, '--output', output, '--again',
         '--build-dir', t.build], stdin=subprocess.DEVNULL, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in done.stdout.splitlines():
        print(f'# {line}')
    equal(done.returncode, 0, 'exit status')
    contains(done.stdout, '(?m)^none +passed \\d+ +passed \\d+$', 'the table')
    contains(t.read('out/index.html'), 'virtio-rng intel-cm: ', 'the page')
