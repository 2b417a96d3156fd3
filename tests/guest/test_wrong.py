# SPDX-License-Identifier: GPL-2.0-or-later
"""
Functions of a user that are wrong: what a run makes of each.

A row of WRONG is one test.  The commands of COMMANDS run one after the other,
in one run: each is as wrong as it can be, and spoils no other.
"""

import re
from typing import NamedTuple

from lib import check, contains, equal, lacks, limit, long
from pciep.run import tap
from own import folder, new_function, run


class Wrong(NamedTuple):
    """
    A function that is wrong.

    :param line: A pattern: what the run says about it, in one line.
    :param status: Exit status of the run.
    :param values: Of folder(); without them the function is the example.
    :param edits: By file of the function: a text, and what stands for it;
                  without such a text the file is new.
    :param result: Name of a result that failed.
    :param reason: A pattern: its reason.
    :param usual: Whether it is in "make check".
    """
    line: str
    status: int = 2
    values: dict = {}
    edits: dict = {}
    result: str = ''
    reason: str = ''
    usual: bool = False


def edit(old, new):
    """Return the edits of the example's driver for the endpoint."""
    return {'pci-epf-NAME.c': (old, new)}


# A test command after which its guest is gone
CRASH = 'echo c >/proc/sysrq-trigger'

WRONG = {
    'source_with_an_error': Wrong(
        'NAME does not build for the kernel 7', usual=True,
        edits=edit('MODULE_LICENSE', 'int no_semicolon\nMODULE_LICENSE')),
    'symbol_that_is_missing': Wrong(
        'NAME does not build for the kernel 7',
        edits=edit('(!NAME_wq)', '(!NAME_wq || ({ extern int nowhere(void); '
                   'nowhere(); }))')),
    'module_that_is_not_built': Wrong(
        'ep.modules in function.toml names pci-epf-wrnog.ko, and the Kbuild '
        'file in .* builds pci-epf-wrong.ko, wrong-host.ko; did you mean '
        'pci-epf-wrong.ko', edits={'function.toml': (
            '["pci-epf-NAME.ko"]', '["pci-epf-wrnog.ko"]')}),
    'module_that_is_missing': Wrong(
        'no module pci_endpoint_tets; did you mean pci_endpoint_test',
        usual=True, values={'host': 'modules = ["pci_endpoint_tets"]'}),
    'attribute_that_is_missing': Wrong(
        'pci_epf_test has no attribute none: see .ep.attributes.',
        values={'attributes': 'none = 1'}),
    'attribute_that_is_refused': Wrong(
        'pci_epf_test does not take revid = many',
        values={'attributes': 'revid = "many"'}, usual=True),
    'driver_without_the_name': Wrong(
        'no endpoint driver has the name pci_epf_tset in its id_table; '
        'there is .*pci_epf_test', values={'function': 'pci_epf_tset'}),
    'init_that_fails': Wrong(
        'the endpoint kernel did not take the module pci_epf_NAME',
        edits=edit('(!NAME_wq)', '(true)')),
    'host_init_that_fails': Wrong(
        'the host kernel did not take the module NAME_host',
        edits={'NAME-host.c': ('module_pci_driver(NAME_host_driver);',
                               'static int __init no(void) { return 1 ? -5 : '
                               'pci_register_driver(&NAME_host_driver); }\n'
                               'module_init(no);')}),
    'probe_that_fails': Wrong(
        'pci_epf_NAME failed in probe',
        edits=edit('(!c || !header)', '(true)')),
    'bind_that_fails': Wrong(
        'pci_epf_NAME failed in bind',
        edits=edit('(!c->features)', '(true)')),
    'host_probe_that_fails': Wrong(
        '1 failed: endpoint.DRIVER_BOUND', 1, result='endpoint.DRIVER_BOUND',
        reason='NAME 0000:.*: error -(19|ENODEV): wrong magic',
        edits={'NAME-host.c': ('reg(h, magic)) != ', 'reg(h, magic)) == ')}),
    'vectors_that_are_missing': Wrong(
        '1 failed: endpoint.DRIVER_BOUND', 1, result='endpoint.DRIVER_BOUND',
        reason='probe with driver NAME failed with error -28',
        edits={'NAME-host.c': ('vectors(h->pdev, 1, 1,',
                               'vectors(h->pdev, 99, 99,')}),
    'ids_of_the_driver': Wrong(
        '1 failed: endpoint.DRIVER_BOUND', 1, result='endpoint.DRIVER_BOUND',
        reason='no driver is bound .*: the function has the ids 1af4:10f[0-9a-'
        'b], the id tables have 1af4:0bad in wrong_host', usual=True,
        edits={'NAME-host.c': ('WRONG_DEVICE) }', '0xbad) }')}),
    'driver_that_does_not_bind': Wrong(
        '1 failed: endpoint.DRIVER_BOUND', 1, result='endpoint.DRIVER_BOUND',
        reason='no driver is bound to the function, expected none',
        values={'host': 'driver = "none"', 'tests': 'never = "true"'}),
    'ids_that_differ': Wrong(
        '1 failed: endpoint.ENUMERATE', 1, result='endpoint.ENUMERATE',
        values={'attributes': 'deviceid = "0x10f9"'}, usual=True),
    'setup_that_fails': Wrong(
        'function_setup in ep.sh ended with status 3',
        values={'ep_tests': 'never = "true"'},
        edits={'ep.sh': ('', 'function_setup() { return 3; }')}),
    'setup_that_ends_the_shell': Wrong(
        'scripts of the endpoint guest ended with status 3 before the link',
        values={'ep_tests': 'never = "true"'}, usual=True,
        edits={'ep.sh': ('', 'function_setup() { exit 3; }')}),
    'script_with_an_error': Wrong(
        'scripts of the endpoint guest ended with status 2 before the link',
        edits={'ep.sh': ('', 'function_setup() { if; }')}),
    'host_script_with_an_error': Wrong(
        'the scripts of the host guest ended with status 2, and no test', 1,
        edits={'host.sh': ('', 'function_run() { if; }')}),
    'crash_of_the_host': Wrong(
        'the host guest crashed .when last heard of: NAME: crash.', 1,
        result='console.host', usual=True,
        values={'tests': f'before = "true"\ncrash = "{CRASH}"'}),
    'crash_of_the_endpoint': Wrong(
        'the ep guest crashed .when last heard of: NAME: crash.', 1,
        result='console.ep',
        values={'tests': 'long = "sleep 50"',
                'ep_tests': f'before = "true"\ncrash = "{CRASH}"'}),
    'test_that_kills_all': Wrong(
        'the scripts of the host guest ended with status 137, and no test', 1,
        values={'tests': 'before = "true"\nkill = "kill -KILL -1"'}),
}


def make(t, wrong, name):
    """Write the function, and return its directory."""
    top = folder(t, name, **wrong.values) if wrong.values \
        else new_function(t, name)
    for file, pair in wrong.edits.items():
        file, old, new = (text.replace('NAME', name) for text in (file, *pair))
        text = t.read(f'{name}/{file}') if old else ''
        check(old in text, f'{old} is not in {file}')
        t.file(f'{name}/{file}', text.replace(old, new) if old else new)
    return top


def make_test(wrong):
    """Return the test of one row."""

    @limit(200)
    def test(t):
        name = 'wrong'
        top = make(t, wrong, name)
        status, out, results = run(t, top, '--no-console')
        equal(status, wrong.status, f'exit status; output:\n{out[-3000:]}')
        begin = 'pci-ep-run: ' if wrong.status == 2 else '  reason  '
        lines = [ln for ln in out.splitlines() if ln.startswith(begin)]
        pattern = wrong.line.replace('NAME', name)
        equal(len([ln for ln in lines if re.search(pattern, ln)]), 1,
              f'number of lines with {pattern} among {lines}')
        if wrong.status == 2:
            equal(len(lines), 1, f'number of lines that say why, {lines}')
        if wrong.result:
            equal(results[wrong.result][0], 'fail', wrong.result)
            reason = wrong.reason.replace('NAME', name)
            contains(out, f'not ok  {wrong.result}.*{reason}', 'output')
        check('never' not in results, 'a test ran all the same')
        lacks(out, 'time limit of [0-9]+ s reached', 'output')

    return test


for _name, _wrong in WRONG.items():
    _test = make_test(_wrong)
    globals()[f'test_{_name}'] = _test if _wrong.usual else long(_test)


# Test commands of the host guest: what runs, and its results by what follows
# the name
COMMANDS = {
    'no_tap': ('echo because; false', {'': ('fail', 'because')}),
    'no_program': ('none-such', {'': ('fail', 'none-such: not found')}),
    'binary': ('head -c 2000000 /dev/urandom', {'': ('pass', '')}),
    'zeros': ('head -c 2000000 /dev/zero; exit 1', {'': ('fail', '')}),
    'long_line': ("head -c 3000000 /dev/zero | tr '\\000' x; echo; "
                  'echo ok 1 a; echo 1..1', {'.a': ('pass', '')}),
    'many_lines': ('echo 1..2; echo ok 1 a; yes | head -n 20000; echo ok 2 b',
                   {'.a': ('pass', ''), '.b': ('pass', '')}),
    'to_the_launcher': ("echo '!exit 0'; echo '!need x'; echo '!done 1 0'",
                        {'': ('pass', '')}),
    'yaml': ("printf '1..1\\nok 1 a\\n  ---\\n  never: ends\\n'",
             {'.a': ('pass', '')}),
    'hangs': ('sleep 1000', {'': ('fail', 'no end within 6 s')}),
    'deaf': ("trap '' TERM HUP INT; echo ok 1 a; while :; do sleep 1; done",
             {'.a': ('pass', ''), '.time_limit': ('fail', 'no end within')}),
    'leaves': ('sleep 1000 & echo left it', {'': ('pass', '')}),
    'leaves_a_session': ('setsid sleep 1000 & echo left it',
                         {'': ('pass', '')}),
    'bails_out': ("echo 1..3; echo ok 1 a; echo 'Bail out! no luck'; exit 1",
                  {'.a': ('pass', ''), '.bailed_out': ('fail', 'no luck')}),
    'skips_all': ("echo '1..0 # SKIP no need'", {'': ('skip', 'no need')}),
    'dies': ('echo ok 1 a; echo 1..1; kill -SEGV $$',
             {'.a': ('pass', ''), '.exit_status': ('fail', 'status 139')}),
    'dies_early': ('echo 1..3; echo ok 1 a; kill -SEGV $$',
                   {'.a': ('pass', ''),
                    '.killed': ('fail', 'killed by signal 11 after 1 tests')}),
    'hangs_early': ('echo 1..3; echo ok 1 a; sleep 1000',
                    {'.a': ('pass', ''), '.time_limit': ('fail', 'no end')}),
    'good': ('true', {'': ('pass', '')}),
}


@limit(300)
def test_commands(t):
    tests = ''.join(f"{name} = '''{command}'''\n"
                    for name, (command, _) in COMMANDS.items())
    status, out, results = run(
        t, folder(t, 'mine', top='test_seconds = 6', tests=tests),
        '--no-console', seconds=280)
    equal(status, 1, f'exit status; output:\n{out[-3000:]}')
    lacks(out, 'a TAP stream|tests were planned', 'output')
    said = {result.name: '\n'.join([result.reason, *result.notes])
            for result in tap.read(t.read('results.tap'))}
    for name, (_, expected) in COMMANDS.items():
        for end, (word, reason) in expected.items():
            equal(results.get(name + end, 'none')[0], word, name + end)
            contains(said[name + end], reason, f'about {name}{end}')
    lacks(out, 'time limit of [0-9]+ s reached', 'output')


# A driver whose ioctl never returns, so that the process cannot be killed
NEVER = '''
	if (cmd == COUNTER_IOC_ADD) {
		DECLARE_COMPLETION_ONSTACK(never);

		wait_for_completion(&never);
	}
	switch (cmd) {'''.replace('COUNTER', 'STUCK')


@long
@limit(200)
def test_driver_that_hangs(t):
    """The test ends by its time limit, with the place in the kernel."""
    top = new_function(t, 'stuck')
    source = t.read('stuck/stuck-host.c')
    t.file('stuck/stuck-host.c', source.replace('\n\tswitch (cmd) {', NEVER))
    toml = t.read('stuck/function.toml')
    t.file('stuck/function.toml', toml.replace(
        'test_seconds = 60', 'test_seconds = 5') + 'after = "true"\n')
    status, out, results = run(t, top, '--no-console')
    equal(status, 1, f'exit status; output:\n{out[-3000:]}')
    equal(results.get('stuck'), ('fail', ''), 'the result')
    equal(results.get('after'), ('pass', ''), 'the test after it')
    line = 1 + source.replace('\n\tswitch (cmd) {', NEVER).split(
        'wait_for_completion(&never)')[0].count('\n')
    # Shells that wait for it come behind it.
    contains(t.read('results.tap'),
             r'# process stuck-test, state D.*\n(#   .*\n)*#   .*'
             rf'stuck_host_ioctl\S* \[\S+\] \(\S+/stuck-host\.c:{line}\b.*\n'
             r'(#.*\n)*# process sh', 'where it is in the kernel')
