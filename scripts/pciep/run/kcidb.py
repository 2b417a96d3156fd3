# SPDX-License-Identifier: GPL-2.0-or-later
"""
Results as KernelCI's database takes them: kcidb.json.

The schema is version 5.3 of kcidb-io.  A guest's kernel is a build, its
source a checkout, and tests belong to the build of the endpoint guest.
"""

import argparse
from dataclasses import dataclass, field
import datetime
import hashlib
import json
import os
import re
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Sequence
import urllib.parse
import uuid

from ..image.kernels import Kernel
from ..vm.setup import Setup
from . import tap


VERSION = {'major': 5, 'minor': 3}
FILE = 'kcidb.json'
TREE = 'pci_ep'  # the first word of all paths
EXCERPT = 16384  # characters that the schema allows
_STATUS = {tap.PASS: 'PASS', tap.SKIP: 'SKIP', tap.FAIL: 'FAIL'}
# What the outcomes of run/status.py are for the test of the whole scenario
_OUTCOMES = {'passed': 'PASS', 'skipped': 'SKIP', 'failed': 'FAIL',
             'unbooted': 'FAIL', 'function': 'FAIL'}
_FILES = ('host.log', 'ep.log', 'junit.xml')
Object = Dict[str, Any]


def target(text: str) -> 'Target':
    """Type of an option: ORIGIN[,URL]."""
    origin, _, url = text.partition(',')
    if not re.fullmatch('[a-z0-9_]+', origin):
        raise argparse.ArgumentTypeError(
            'write the name of your CI system in lower-case letters, digits '
            'and _')
    if url and urllib.parse.urlsplit(url).scheme not in ('http', 'https'):
        raise argparse.ArgumentTypeError(
            f"'{url}' is no URL of http or https")
    return Target(origin, url.rstrip('/'))


@dataclass(frozen=True)
class Target:
    """
    Who reports.

    :param origin: Name of the CI system.
    :param url: Where the directory of the results will be, '' for nowhere.
    """
    origin: str
    url: str = ''

    def ident(self, *parts: str) -> str:
        """Return the id of an object that these parts determine."""
        key = hashlib.sha256('\0'.join(parts).encode())
        return f'{self.origin}:{key.hexdigest()[:32]}'


@dataclass(kw_only=True)
class Run:
    """
    What a run came to.

    :param scenario: Its name.
    :param outcome: Key of run/status.py.
    :param why: Why it is not a success, '' if it is.
    :param results: Its results; the last one is that of the run.
    :param seconds: How long it took; it ended just now.
    :param booted: Whether all guests ran init, None if that is not known.
    :param setup: Its guests, None when there were none.
    :param sources: The user's tree of each role, '' without one.
    :param known: What JUnit says of the run besides.
    """
    scenario: str
    outcome: str
    why: str
    results: Sequence[tap.Result]
    seconds: float
    booted: Optional[bool]
    setup: Optional[Setup]
    sources: Mapping[str, str]
    known: Mapping[str, str] = field(default_factory=dict)


def _git(source: str, *args: str) -> str:
    """Return what git prints in a tree, '' if it does not work."""
    try:
        return subprocess.run(
            ['git', '-c', f'safe.directory={source}', '-C', source, *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
            stderr=subprocess.DEVNULL, timeout=120).stdout.decode(
                'utf-8', 'replace')
    except (OSError, subprocess.SubprocessError):
        return ''


def _checkout(to: Target, source: str, release: str) -> Object:
    """Return the checkout that a kernel was built from."""
    commit = _git(source, 'rev-parse', 'HEAD').strip() if source else ''
    if not commit:
        where = os.path.realpath(source) if source else ''
        return {'id': to.ident('checkout', where, release),
                'origin': to.origin, 'valid': True,
                'comment': f'Linux {release or "of an unknown release"}'}
    patch = _git(source, 'diff', 'HEAD').encode()
    digest = ''
    if patch:
        one = hashlib.sha256(patch).hexdigest()
        digest = hashlib.sha256(f'{one}\n'.encode()).hexdigest()
    found: Object = {
        'id': to.ident('checkout', commit, digest), 'origin': to.origin,
        'valid': True, 'git_commit_hash': commit, 'patchset_hash': digest,
        'git_commit_name': _git(source, 'describe', '--always').strip(),
        'comment': _git(source, 'log', '-1', '--format=%s').strip(),
    }
    branch = _git(source, 'symbolic-ref', '-q', '--short', 'HEAD').strip()
    url = _git(source, 'remote', 'get-url', 'origin').strip()
    if branch:
        found['git_repository_branch'] = branch
    if url.startswith('https://'):
        found['git_repository_url'] = url
    return found


def _time(before: float) -> str:
    """Return the time that many seconds ago."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now - datetime.timedelta(seconds=before)).isoformat()


def _excerpt(lines: Sequence[str]) -> str:
    return '\n'.join(lines).replace('\0', '?')[:EXCERPT]


def _config_digest(kernel: Kernel) -> str:
    """Return a name for the configuration of a kernel, '' if unknown."""
    try:
        with open(kernel.config, 'rb') as file:
            return hashlib.sha256(file.read()).hexdigest()[:12]
    except OSError:
        return ''


def path_of(*names: str) -> str:
    """Return a path of the schema: words with dots between them."""
    words = re.sub(r'[^A-Za-z0-9_.-]', '_', '.'.join(names)).split('.')
    return '.'.join(filter(None, words))


class _Report:
    """Collects the objects of one run."""

    def __init__(self, to: Target, run: Run) -> None:
        self._to, self._run = to, run
        self._ident = uuid.uuid4().hex
        self.checkouts: Dict[str, Object] = {}
        self.builds: Dict[str, Object] = {}
        self.tests: List[Object] = []

    def build(self, source: str, kernel: Optional[Kernel]) -> str:
        """Add a build, and return its id; without a kernel it failed."""
        checkout = _checkout(self._to, source,
                             kernel.release if kernel else '')
        self.checkouts[checkout['id']] = checkout
        found: Object = {'checkout_id': checkout['id'],
                         'origin': self._to.origin}
        if kernel:
            config = _config_digest(kernel)
            found.update(
                id=self._to.ident('build', checkout['id'], kernel.arch,
                                  kernel.release, config),
                architecture=kernel.arch, status='PASS',
                comment=f'Linux {kernel.release}',
                misc={'config_sha256': config} if config else {})
        else:
            found.update(
                id=self._to.ident('build', checkout['id'], self._ident),
                status='FAIL', log_excerpt=_excerpt([self._run.why]))
        self.builds[found['id']] = found
        return str(found['id'])

    def test(self, build: str, path: str, status: str, seconds: float,
             **more: Any) -> None:
        """Add a test."""
        self.tests.append({
            'id': f'{self._to.origin}:{self._ident}.{len(self.tests)}',
            'origin': self._to.origin, 'build_id': build, 'path': path,
            'status': status, 'duration': round(seconds, 3),
            'environment': {'comment': 'two QEMU guests that share a PCI '
                            'Express link', 'misc': dict(self._run.known)},
            **more})

    def results(self, build: str) -> None:
        """Add a test for each result, for the boot, and for all."""
        run = self._run
        begun = {'start_time': _time(run.seconds)}
        for result in run.results[:-1]:
            status = _STATUS[result.status]
            if status == 'FAIL' and result.error:
                status = 'ERROR'
            excerpt = [result.reason, *result.notes] \
                if result.status != tap.PASS else []
            self.test(build, path_of(TREE, run.scenario, result.name),
                      status, result.seconds, **begun,
                      **({'log_excerpt': _excerpt(excerpt)} if excerpt
                         else {}))
        whole: Object = dict(begun)
        if run.why:
            whole['log_excerpt'] = _excerpt([run.why])
        if self._to.url:
            whole['log_url'] = f'{self._to.url}/results.tap'
            whole['output_files'] = [
                {'name': name, 'url': f'{self._to.url}/{name}'}
                for name in _FILES]
        if run.booted is not None:
            self.test(build, 'boot', 'PASS' if run.booted else 'FAIL', 0,
                      **begun)
        self.test(build, path_of(TREE, run.scenario),
                  _OUTCOMES.get(run.outcome, 'MISS'), run.seconds, **whole)


def document(to: Target, run: Run) -> Object:
    """Return the report of a run."""
    report = _Report(to, run)
    if run.setup:
        builds = {guest.role: report.build(run.sources[guest.role],
                                           guest.kernel)
                  for guest in run.setup.guests}
        report.results(builds['ep'])
    elif run.outcome == 'kernel':
        source = run.sources['ep'] or run.sources['host']
        report.build(source, None)
    return {'version': VERSION, 'checkouts': list(report.checkouts.values()),
            'builds': list(report.builds.values()), 'tests': report.tests}


def write(rundir: str, to: Target, run: Run) -> None:
    """Write the report of a run into the directory of its results."""
    with open(os.path.join(rundir, FILE), 'w', encoding='utf-8') as file:
        json.dump(document(to, run), file, indent=1)
        file.write('\n')
