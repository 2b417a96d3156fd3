#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Unit tests of kcidb.json.

check() has what schema 5.3 of kcidb-io demands of the objects that are
written: which keys there may be, which there must be, and their form.
"""

import argparse
import json
import os
import re
import sys

from kernel_tree import MAKEFILE, with_place
from python_tests import contains, equal, main, raises
from pciep.run import kcidb

IDENT = r'[a-z0-9_]+:[^\0]*'
STATUS = 'FAIL|ERROR|MISS|PASS|DONE|SKIP'
TIME = r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00'
URL = 'https?://.+'
TEXT = r'[^\0]*'
# Keys that must be there, and all that may be, with the form of a string
MUST = {
    'checkouts': {'id', 'origin'},
    'builds': {'checkout_id', 'id', 'origin'},
    'tests': {'build_id', 'id', 'origin'},
}
MAY = {
    'checkouts': {
        'id': IDENT, 'origin': '[a-z0-9_]+', 'valid': bool, 'comment': TEXT,
        'git_commit_hash': '[0-9a-f]{40}', 'git_commit_name': TEXT,
        'git_repository_branch': TEXT, 'git_repository_url': 'https://.*',
        'patchset_hash': '([0-9a-f]{64})?',
    },
    'builds': {
        'id': IDENT, 'checkout_id': IDENT, 'origin': '[a-z0-9_]+',
        'architecture': '[a-z0-9_]*', 'status': STATUS, 'comment': TEXT,
        'log_excerpt': r'[^\0]{0,16384}', 'misc': dict,
    },
    'tests': {
        'id': IDENT, 'build_id': IDENT, 'origin': '[a-z0-9_]+',
        'path': r'([a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*)?', 'status': STATUS,
        'duration': (int, float), 'start_time': TIME, 'environment': dict,
        'log_excerpt': r'[^\0]{0,16384}', 'log_url': URL,
        'output_files': list,
    },
}


def check(document):
    """Fail unless a report has the form of the schema."""
    equal(document['version'], {'major': 5, 'minor': 3}, 'the version')
    equal(sorted(document), ['builds', 'checkouts', 'tests', 'version'],
          'keys')
    for kind, may in MAY.items():
        idents = [thing['id'] for thing in document[kind]]
        equal(len(idents), len(set(idents)), f'ids of {kind} in {idents}')
        for thing in document[kind]:
            equal(MUST[kind] - set(thing), set(), f'what {thing} lacks')
            for key, value in thing.items():
                form = may[key]
                good = (re.fullmatch(form, value, re.S)
                        if isinstance(form, str) else isinstance(value, form))
                equal(bool(good), True, f'form of {kind} {key}: {value!r}')
            if 'environment' in thing:
                equal(set(thing['environment']) <= {'comment', 'misc'}, True,
                      'keys of the environment')
            for file in thing.get('output_files', ()):
                equal(sorted(file), ['name', 'url'], 'keys of a file')
                contains(file['url'], URL, 'its URL')
    for kind, key, of in (('builds', 'checkout_id', 'checkouts'),
                          ('tests', 'build_id', 'builds')):
        for thing in document[kind]:
            equal(thing[key] in [x['id'] for x in document[of]], True,
                  f'{key} of {thing}')


def report(place, word, *args):
    """Run the launcher, and return what it wrote."""
    place.write('my tree/kernel/fork.c', f'{word}\n')
    _, out = place.run('--kernel-src', place.source, '--kcidb',
                       'lab,https://ci.example/7/', '--timeout=60', *args)
    path = os.path.join(place.directory, 'log', kcidb.FILE)
    if not os.path.exists(path):
        raise AssertionError(f'no {path}; output:\n{out}')
    document = json.loads(place.read(path))
    check(document)
    keep = os.environ.get('PCI_EP_KEEP')  # to hold it against the schema
    if keep:
        with open(os.path.join(keep, f'{word}.json'), 'w',
                  encoding='utf-8') as file:
            json.dump(document, file)
    return document, {test['path']: test['status']
                      for test in document['tests']}


@with_place
def test_passed(place):
    place.add_programs()
    document, tests = report(place, 'good')
    equal(tests, {'pci_ep.test.one': 'PASS', 'pci_ep.test.two': 'PASS',
                  'pci_ep.test.console.host': 'PASS',
                  'pci_ep.test.console.ep': 'PASS', 'boot': 'PASS',
                  'pci_ep.test': 'PASS'}, 'the tests')
    equal([b['status'] for b in document['builds']], ['PASS'], 'builds')
    equal(document['tests'][-1]['log_url'], 'https://ci.example/7/results.tap',
          'URL of the log')
    again = report(place, 'good')[0]
    for kind in ('builds', 'checkouts'):
        equal(again[kind][0]['id'], document[kind][0]['id'],
              f'id of the same {kind}')
    equal(again['tests'][0]['id'] == document['tests'][0]['id'], False,
          'id of another test')


@with_place
def test_not_passed(place):
    place.add_programs()
    document, tests = report(place, 'bad')
    equal((tests['pci_ep.test.two'], tests['pci_ep.test']), ('FAIL', 'FAIL'),
          'a failure')
    contains(json.dumps(document['tests']), 'two: it was 3', 'excerpts')
    for word, expected in (
            ('skips', ('PASS', 'SKIP')), ('refuses', ('PASS', 'FAIL')),
            ('lacks', (None, 'MISS')), ('panics', ('FAIL', 'FAIL'))):
        tests = report(place, word)[1]
        boot = tests.get('boot') if word != 'lacks' else None
        if word == 'refuses':  # The host may not be up yet.
            boot = boot or 'PASS'
        equal((boot, tests['pci_ep.test']), expected, f'boot, run of {word}')


@with_place
def test_not_built(place):
    place.write('my tree/Makefile', MAKEFILE.replace('@cp $< $@', '@false'))
    document, tests = report(place, 'none')
    equal(tests, {}, 'tests')
    equal(document['builds'][0]['status'], 'FAIL', 'the build')
    contains(document['builds'][0]['log_excerpt'], 'was not built', 'why')


@with_place
def test_git(place):
    place.add_programs()
    place.write('my tree/kernel/fork.c', 'good\n')
    place.git('init', '-q', '-b', 'topic')
    place.git('add', '.')
    place.git('commit', '-q', '-m', 'a change')
    place.git('remote', 'add', 'origin', 'https://git.example/linux.git')
    seen = report(place, 'good')[0]['checkouts'][0]
    equal(seen['git_commit_hash'], place.git('rev-parse', 'HEAD'), 'commit')
    equal((seen['git_repository_branch'], seen['git_repository_url'],
           seen['comment'], seen['patchset_hash']),
          ('topic', 'https://git.example/linux.git', 'a change', ''), 'tree')
    changed = report(place, 'bad')[0]['checkouts'][0]
    contains(changed['patchset_hash'], '^[0-9a-f]{64}$', 'hash of a change')


def test_option():
    for text in ('', 'My Lab', 'lab,ftp://x'):
        raises(argparse.ArgumentTypeError, kcidb.target, text)
    equal(kcidb.path_of('pci_ep', 'nvme+test', 'a b..c#'),
          'pci_ep.nvme_test.a_b.c_', 'a path')


if __name__ == '__main__':
    sys.exit(main(dict(globals())))
