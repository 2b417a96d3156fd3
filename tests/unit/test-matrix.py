#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of pci-ep-matrix.

The runs are those of the launcher with stand-in-qemu, and the kernels are
files with one word.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

from kernel_tree import QEMU, with_place
from python_tests import TOP, contains, equal, main, raises
from pciep import CannotRun
from pciep.matrix import cell, page, runner, spec, store, text
from pciep.run import cli as launcher

MATRIX = os.path.join(TOP, 'scripts/pci-ep-matrix')

EXAMPLE = os.path.join(TOP, 'examples/matrix.toml')
WRONG = [
    ('', 'no axes: write \\[axes\\]'),
    ('axes = 3', 'no axes'),
    ('[axes', 'see docs/system/ci.rst'),
    ('[axes]\nkernel = []', 'axes.kernel: write a list of strings'),
    ('[axes]\nkernel = [7]', 'axes.kernel: write a list of strings'),
    ('[axes]\nkernel = ["7", "7"]', 'axes.kernel has a value twice'),
    ('[axes]\nkernle = ["7"]', 'kernle is no axis .*did you mean kernel'),
    ('[axes]\nkernel = ["7"]\n[kernle.x]\nargs = []', 'did you mean kernel'),
    ('[axes]\nkernel = ["x"]\n[kernel.x]\narg = ["a"]', 'did you mean args'),
    ('[axes]\nkernel = ["x"]\n[kernel.x]\nargs = []', 'kernel.x.args: write'),
    ('[axes]\nkernel = ["7"]\n[run]\nlimit = "x"', 'run.limit: write a num'),
    ('[axes]\nkernel = ["7"]\n[run]\nargz = []', 'did you mean args'),
    ('[axes]\nkernel = ["7"]\n[[exclude]]\nkernel = "8"', 'kernel has no 8'),
    ('[axes]\nkernel = ["7"]\n[[exclude]]\nprofile = "8"', 'no key profile'),
    ('[axes]\nkernel = ["7"]\n[[exclude]]\nkernel = "7"', 'no cells are left'),
    ('[axes]\nkernel = ["a b", "a/b"]', 'two cells have the name a_b'),
]


def test_cells():
    found = spec.parse('x', '''
[axes]
kernel = ["6.12", "mine"]
scenario = ["faults", "test+nvme"]
profile = ["none", "rk3588"]
[kernel.mine]
args = ["--kernel-src", "a b"]
[[exclude]]
kernel = "6.12"
profile = "rk3588"
[run]
args = ["--timeout=9"]
limit = 10
''')
    equal([c.ident for c in found.cells],
          ['6.12,faults,none', '6.12,test+nvme,none', 'mine,faults,none',
           'mine,faults,rk3588', 'mine,test+nvme,none',
           'mine,test+nvme,rk3588'], 'names')
    equal(found.cells[0].args, ('--timeout=9', '--kernel-name=6.12', 'faults'),
          'arguments')
    equal(found.cells[-1].args,
          ('--timeout=9', '--kernel-src', 'a b', '--function=test',
           '--function=nvme', '--profile=rk3588'), 'arguments')
    equal((found.rows, found.columns, found.limit),
          (['kernel', 'profile'], 'scenario', 10), 'the table')
    parts = [found.shard(n, 4) for n in (1, 2, 3, 4)]
    equal(sorted(c.ident for part in parts for c in part),
          sorted(c.ident for c in found.cells), 'cells of all shards')
    equal(spec.Spec.from_json(json.loads(json.dumps(found.to_json()))).digest,
          found.digest, 'what is read back')


def test_wrong_files():
    for content, pattern in WRONG:
        error = raises(CannotRun, spec.parse, 'my.toml', content)
        contains(error, f'^my.toml: .*{pattern}', f'the error for {content}')
        equal(len(error.splitlines()), 1, f'lines of {error}')
    contains(raises(CannotRun, spec.read, '/none'), 'check the path', 'none')


def test_example():
    """The launcher takes the options of all cells."""
    cells = spec.read(EXAMPLE).cells
    equal(len(cells), 40, 'cells')
    for one in cells:
        parser = launcher.make_parser()
        launcher._check(parser, parser.parse_args(one.args))


def test_as_many_as_fit():
    for cpus, memory, pairs in ((1, 1 << 20, 1), (2, 64 << 30, 1),
                                (16, 64 << 30, 8), (64, 6 << 30, 4)):
        equal(runner.fitting(cpus, memory), pairs, f'pairs of {cpus}')


def outcomes(found, words):
    """Return an outcome for each cell: its word is its verdict."""
    return {c.ident: cell.Outcome(
        verdict=word, why=f'{word} <it>' if word in cell.BAD else '',
        seconds=7, tests={'one': 'pass' if word == 'passed' else 'fail'},
        files=['host.log', 'timeline.json'],
        failures=[] if word == 'passed' else [
            cell.Failure('one', 'it was 3', ['ep | BUG'])])
        for c, word in zip(found.cells, words) if word}


TABLE = '''[axes]
kernel = ["6.12", "7"]
scenario = ["test", "nvme"]
host-iommu = ["none", "intel-cm"]
[[exclude]]
kernel = "6.12"
scenario = "nvme"
'''
WORDS = ['passed', 'failed', 'cannot', 'passed', 'skipped', '']


def test_table():
    found = spec.parse('x', TABLE)
    lines = text.table(found, outcomes(found, WORDS))
    equal([re.split('  +', line) for line in lines], [
        ['kernel', 'host-iommu', 'test', 'nvme'],
        ['6.12', 'none', 'passed 1', '-'],
        ['6.12', 'intel-cm', 'FAILED 1', '-'],
        ['7', 'none', 'not possible', 'skipped'],
        ['7', 'intel-cm', 'passed 1', 'not run']], 'the table')


def test_compare():
    found = spec.parse('x', TABLE)
    before = outcomes(found, ['failed', 'passed', 'cannot', 'passed', '', ''])
    changes = store.compare(outcomes(found, WORDS), before)
    names = [c.ident for c in found.cells]
    equal((changes.broken, changes.still, changes.mended),
          ([names[1]], [names[2]], [names[0]]), 'changes')
    equal(changes.tests[names[1]], [('one', 'pass', 'fail')], 'tests')
    # What is new comes first.
    before = outcomes(found, ['passed', 'failed', 'passed', '', '', ''])
    now = outcomes(found, WORDS)
    changes = store.compare(now, before)
    first = text.order(found, now, changes)
    equal([c.ident for c in first], [names[2], names[1]], 'the order')
    html = page.html('t', found, now, changes)
    equal(html.index(f'id="cell-{names[2].replace(",", "%2C")}"')
          < html.index(f'id="cell-{names[1].replace(",", "%2C")}"'), True,
          'the order of the page')


def test_page():
    found = spec.parse('x', TABLE)
    html = page.html('a <b>', found, outcomes(found, WORDS), None)
    contains(html, '<h1>a &lt;b&gt;</h1>', 'the title')
    contains(html, 'not ok one: it was 3\nep \\| BUG</pre>', 'first lines')
    contains(html, 'failed &lt;it&gt;', 'the reason')
    for file in ('host.log', 'timeline.json'):
        contains(html, f'href="cells/6.12%2Ctest%2Cintel-cm/{file}"', 'links')
    targets = set(re.findall('href="#([^"]+)"', html))
    equal(targets, set(re.findall('id="([^"]+)"', html)), 'anchors')
    equal(html.count('<details'), 5, 'cells')
    equal('<script' in html or 'http' in html, False, 'it needs nothing else')


class World:
    """A matrix with kernels that behave in their ways."""

    def __init__(self, place):
        self.place = place
        place.add_programs()
        driver = place.write('pcie-qemu-ep.ko', '')
        lines = ['[axes]', 'kernel = ["good", "bad", "lacks"]',
                 'profile = ["none", "rk3588"]', '[run]',
                 f'args = ["--qemu", "{QEMU}", "--accel=tcg", "--timeout=60"]']
        for word in ('good', 'bad', 'lacks', 'hangs'):
            image = place.write(word, f'{word}\n')
            lines += [f'[kernel.{word}]', 'args = ['
                      f'"--host-kernel={image}", "--ep-kernel={image}", '
                      f'"--ep-driver={driver}"]']
        self.file = place.write('my.toml', '\n'.join(lines) + '\n')

    def change(self, old, new):
        """Change the file."""
        with open(self.file, encoding='utf-8') as file:
            content = file.read()
        self.place.write(self.file, content.replace(old, new))

    def path(self, *names):
        """Return a path below the directory of this test."""
        return os.path.join(self.place.directory, *names)

    def command(self, *args, output='out'):
        """Return a command line."""
        more = [] if '--merge' in args else [
            self.file, '--build-dir', self.place.build]
        return [sys.executable, MATRIX, *more, '--output', self.path(output),
                *args]

    def run(self, *args, output='out'):
        """Run pci-ep-matrix; return exit status and output."""
        done = subprocess.run(
            self.command(*args, output=output), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=200,
            check=False, text=True)
        return done.returncode, done.stdout

    def page(self, output):
        """Return a page without what differs from run to run."""
        content = self.place.read(self.path(output, page.FILE))
        content = re.sub(r', \d+ s<', ', N s<', content)
        return re.sub(r'\n(host|ep  ) \| [^<\n]*', '', content)

    def ended(self):
        """Return the times at which cells ended, by name."""
        cells = self.path('out/cells')
        names = os.listdir(cells) if os.path.isdir(cells) else []
        return {name: os.stat(os.path.join(cells, name, cell.FILE)).st_mtime_ns
                for name in names
                if os.path.exists(os.path.join(cells, name, cell.FILE))}

    def processes(self):
        """Return the processes that have files of this test."""
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/cmdline', 'rb') as file:
                    if self.path('out').encode() in file.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found


def with_world(test):
    """Decorator: the test gets a World."""
    @with_place
    def run(place):
        test(World(place))
    return run


@with_world
def test_runs(world):
    status, out = world.run('-j', '2')
    equal(status, 1, f'exit status; output:\n{out}')
    contains(out, r'6 of 6 runs, 2 at once', 'the output')
    contains(out, r'\[6/6\] ', 'progress')
    contains(out, '(?m)^profile +good +bad +lacks$', 'the table')
    for profile in ('none', 'rk3588'):
        contains(out, rf'(?m)^{profile} +passed 4 +FAILED 1 +not possible$',
                 'the table')
    contains(out, r'lacks none: .*has no endpoint support', 'a reason')
    contains(out, '2 FAILED, 2 not possible, 2 passed', 'the sum')
    content = json.loads(world.place.read(world.path('out/results.json')))
    equal(len(content['cells']), 6, 'cells')
    failure = content['cells']['bad,none']['failures'][0]
    equal((failure['name'], failure['reason']), ('two', 'two: it was 3'),
          'the failure')
    for link in re.findall('href="(cells/[^"]+)"', world.page('out')):
        path = world.path('out', link.replace('%2C', ','))
        equal(os.path.exists(path), True, f'the link {link}')
    # All have run, so nothing runs, and the files are the same.
    before = world.page('out'), world.ended()
    status, out = world.run()
    contains(out, '0 of 6 runs', 'the output')
    equal((world.page('out'), world.ended()), before, 'the page')
    # It may be compared with what it replaces.
    content['cells']['bad,none']['verdict'] = 'passed'
    content['cells']['bad,none']['tests']['two'] = 'pass'
    world.place.write(world.path('out/results.json'), json.dumps(content))
    status, out = world.run('--again', '--compare', world.path('out'))
    equal(status, 1, f'exit status; output:\n{out}')
    contains(out, '6 of 6 runs', 'the output')
    contains(out, '1 pass no more, 3 still do not, 0 pass now', 'changes')
    contains(out, 'new: bad none: ', 'what is new')
    contains(world.page('out'), 'two: pass, now fail', 'the page')


@with_world
def test_goes_on(world):
    """Killed or ended, it goes on with what has not run."""
    for number, kill in ((2, signal.SIGKILL), (4, signal.SIGTERM)):
        running = subprocess.Popen(world.command('-j', '1'),
                                   stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while len(world.ended()) < number and time.monotonic() < end:
            time.sleep(0.01)
        running.send_signal(kill)
        status = running.wait(60)
        equal(status, -9 if kill == signal.SIGKILL else 130, 'exit status')
        end = time.monotonic() + 20
        while world.processes() and time.monotonic() < end:
            time.sleep(0.05)
        equal(world.processes(), [], 'processes that are left')
    done = world.ended()
    equal(4 <= len(done) < 6, True, f'{len(done)} cells ran')
    status, out = world.run()
    contains(out, f'{6 - len(done)} of 6 runs', 'the output')
    after = world.ended()
    equal({name: after[name] for name in done}, done, 'cells that had run')
    equal(len(after), 6, 'cells in the end')


@with_world
def test_shards(world):
    """Two shards give the page of one run."""
    equal(world.run()[0], 1, 'exit status of one run')
    for number in '12':
        out = world.run('--shard', f'{number}/2', output=f'part{number}')[1]
        contains(out, '3 of 3 runs.*\n(.*\n)*.*3 cells belong to other', 'out')
    status, out = world.run('--merge', world.path('part1'),
                            world.path('part2'), output='whole')
    equal(status, 1, f'exit status; output:\n{out}')
    equal(world.page('whole'), world.page('out'), 'the page')
    for link in re.findall('href="(cells/[^"]+)"', world.page('whole')):
        path = world.path('whole', link.replace('%2C', ','))
        equal(os.path.exists(path), True, f'the link {link}')
    # One part is missing.
    status, out = world.run('--merge', world.path('part1'), output='half')
    contains(out, '3 not run', 'half of it')
    world.change('"lacks"]', '"lacks", "hangs"]')
    for args, words in ((['--shard', '1/2'], 'another matrix or shard'),):
        status, out = world.run(*args, output='part1')
        equal(status, 2, f'exit status; output:\n{out}')
        contains(out, words, 'the line')
    contains(world.run('--merge', world.path('none'), output='x')[1],
             'has no results of a matrix', 'the line')


@with_world
def test_limit(world):
    """A cell that hangs is ended, and fails."""
    world.change('["good", "bad", "lacks"]', '["hangs"]')
    world.change('["none", "rk3588"]', '["none"]')
    world.change('[run]', '[run]\nlimit = 3')
    status, out = world.run()
    equal(status, 1, f'exit status; output:\n{out}')
    contains(out, 'no verdict within 3 s: raise run.limit', 'the reason')
    equal(world.processes(), [], 'processes that are left')


@with_world
def test_list(world):
    status, out = world.run('--list', '--shard=2/3')
    equal(status, 0, 'exit status')
    equal([line.split(':')[0] for line in out.splitlines()],
          ['good,rk3588', 'lacks,none'], 'the list')
    contains(out, '--ep-driver=.* --profile=rk3588', 'arguments')
    for args, words in ((['--shard', '3/2'], 'write it like 2/3'),
                        (['--merge', 'x', '--shard', '1/2'], 'leave out'),
                        (['--jobs', '0'], 'must be at least 1')):
        status, out = world.run(*args)
        equal(status, 2, f'exit status of {args}')
        contains(out, f'^pci-ep-matrix: .*{words}', 'the line')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
