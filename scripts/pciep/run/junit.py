# SPDX-License-Identifier: GPL-2.0-or-later
"""
Results for tools that read JUnit.

The elements are those that Ant writes, for which the common schemas are
made; tests/unit/junit.xsd has them.
"""

from dataclasses import dataclass, field
import platform
import time
from typing import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from .tap import FAIL, SKIP, Result


@dataclass
class Suite:
    """
    Results that stand together in a JUnit file.

    :param name: Name of the suite.
    :param results: Its results.
    :param seconds: How long all took together; they ended just now.
    :param classname: What precedes the name of a test for programs that
                      show results; by default the name of the suite.
    :param properties: What else is to be known about the run.
    """
    name: str
    results: Sequence[Result]
    seconds: float
    classname: str = ''
    properties: Mapping[str, str] = field(default_factory=dict)


def _clean(text: str) -> str:
    """Replace what XML 1.0 does not have, control characters above all."""
    return ''.join(
        c if c in '\t\n' or (c >= ' ' and c not in '\ufffe\uffff'
                             and not '\ud800' <= c <= '\udfff') else '?'
        for c in text)


def _case(element: ElementTree.Element, classname: str,
          result: Result) -> None:
    """Add one result."""
    case = ElementTree.SubElement(
        element, 'testcase', classname=_clean(classname),
        name=_clean(result.name), time=f'{result.seconds:.3f}')
    reason = _clean(result.reason)
    if result.status == FAIL:
        kind = 'error' if result.error else 'failure'
        wrong = ElementTree.SubElement(
            case, kind, type=kind, message=reason or 'not ok')
        wrong.text = _clean('\n'.join(result.explanation()))
    elif result.status == SKIP:
        ElementTree.SubElement(case, 'skipped', message=reason)


def _suite(root: ElementTree.Element, number: int, suite: Suite) -> None:
    """Add one suite."""
    results = suite.results
    wrong = [r.error for r in results if r.status == FAIL]
    begun = time.localtime(time.time() - suite.seconds)
    element = ElementTree.SubElement(
        root, 'testsuite', name=_clean(suite.name), id=str(number),
        package='pci-ep', hostname=_clean(platform.node() or 'localhost'),
        timestamp=time.strftime('%Y-%m-%dT%H:%M:%S', begun),
        tests=str(len(results)), failures=str(wrong.count(False)),
        errors=str(wrong.count(True)),
        skipped=str(sum(r.status == SKIP for r in results)),
        time=f'{suite.seconds:.3f}')
    properties = ElementTree.SubElement(element, 'properties')
    for name, value in suite.properties.items():
        ElementTree.SubElement(properties, 'property', name=_clean(name),
                               value=_clean(value))
    for result in results:
        _case(element, suite.classname or suite.name, result)
    ElementTree.SubElement(element, 'system-out')
    ElementTree.SubElement(element, 'system-err')


def write(filename: str, suites: Iterable[Suite]) -> None:
    """Write the results of all suites."""
    root = ElementTree.Element('testsuites')
    for number, suite in enumerate(suites):
        _suite(root, number, suite)
    ElementTree.ElementTree(root).write(filename, encoding='utf-8',
                                        xml_declaration=True)
