# SPDX-License-Identifier: GPL-2.0-or-later
"""
Faults on request: what --fault asks for, and when it is asked of a device.

A fault is written "TIME GUEST[:LINK] REQUEST [DURATION]", for example

    2s ep link-down 500ms
    1s*20/100ms host config-retry,count=2

TIME counts from the moment at which the endpoint guest has started the link.
"*N/INTERVAL" asks N times.  GUEST is "ep", "host", "host2".  LINK is the
number of the link: by default 0, for "host2" 1.  REQUEST is what the property
"fault" of the device takes.  DURATION stands for "ms=" or "us=" in it.
"""

from dataclasses import dataclass
import json
import re
from typing import (Any, Dict, Iterable, Iterator, List, Optional, Set,
                    Tuple)

from .. import CannotRun
from ..vm.testbed import Testbed
from . import tap


# Requests that one --fault may stand for
MOST = 10000
# Lines about faults that happened which the results may have
MOST_LINES = 100

_PER_SECOND = {'us': 1e6, 'ms': 1e3, 's': 1.0}
_TIME = re.compile(r'(\d+(?:\.\d+)?)(us|ms|s)')
_WHEN = re.compile(r'([^*/]+)(?:\*(\d+)/([^*/]+))?')
_WHO = re.compile(r'(ep|host([2-9]?))(?::(\d+))?')


@dataclass(frozen=True, kw_only=True)
class Fault:
    """
    One request.

    :param at: Seconds from the start of the link.
    :param guest: Name of the guest whose device makes the fault.
    :param link: Number of the link.
    :param request: What the device is asked for.
    :param text: What the user wrote.
    """
    at: float
    guest: str
    link: int
    request: str
    text: str

    @property
    def kind(self) -> str:
        """The name of the fault."""
        return self.request.split(',')[0]


def device(guest: str, link: int) -> str:
    """Return the QOM path of the device at an end of a link."""
    return f'/machine/peripheral/{"epc" if guest == "ep" else "rp"}{link}'


def parse_time(text: str) -> float:
    """Return the seconds that "500ms" means."""
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not a time: write it like 2s, 500ms "
                         "or 20us")
    return float(match[1]) / _PER_SECOND[match[2]]


def _parse_when(text: str) -> List[float]:
    match = _WHEN.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not a time: write it like 2s, or "
                         "2s*10/500ms for ten times")
    first = parse_time(match[1])
    count = int(match[2] or 1)
    if not 1 <= count <= MOST:
        raise ValueError(f"'{text}': the count must be 1 to {MOST}")
    step = parse_time(match[3]) if match[3] else 0.0
    return [first + i * step for i in range(count)]


def _with_duration(request: str, text: str) -> str:
    seconds = parse_time(text)
    unit = 'us' if text.endswith('us') else 'ms'
    value = round(seconds * _PER_SECOND[unit])
    if seconds and not value:
        raise ValueError(f"'{text}' is less than 1 {unit}")
    return f'{request},{unit}={value}'


def parse(text: str) -> List[Fault]:
    """Return the requests that an argument of --fault stands for."""
    words = text.split()
    if len(words) not in (3, 4):
        raise ValueError(f"'{text}': write TIME GUEST REQUEST [DURATION], "
                         "for example '2s ep link-down 500ms'")
    who = _WHO.fullmatch(words[1])
    if not who:
        raise ValueError(f"'{text}': '{words[1]}' is no guest: use ep, host "
                         "or host:1 for its second link")
    request = words[2]
    if len(words) == 4:
        request = _with_duration(request, words[3])
    link = int(who[3] or int(who[2] or 1) - 1)
    return [Fault(at=at, guest=who[1], link=link, request=request, text=text)
            for at in _parse_when(words[0])]


def read_script(path: str) -> List[str]:
    """Return the faults of a file: one in a line, "#" begins a comment."""
    try:
        with open(path, encoding='utf-8') as lines:
            found = [line.split('#')[0].strip() for line in lines]
    except (OSError, UnicodeError) as error:
        raise ValueError(f'cannot read {path}: {error}') from error
    return [line for line in found if line]


def parse_all(arguments: Iterable[str],
              scripts: Iterable[str]) -> List[Fault]:
    """Return what all options ask for, in the order of time."""
    texts = list(arguments)
    for path in scripts:
        texts += read_script(path)
    found = [fault for text in texts for fault in parse(text)]
    return sorted(found, key=lambda fault: fault.at)


def check(faults: Iterable[Fault], links: Dict[int, str]) -> None:
    """
    Raise ValueError for a fault of a device that the run does not have.

    :param links: The name of the host guest of each link, by its number.
    """
    for fault in faults:
        ends = ('ep', links.get(fault.link))
        if fault.guest not in ends or fault.link not in links:
            raise ValueError(f"'{fault.text}': this run has no link "
                             f'{fault.link} of {fault.guest}')


class Injector:
    """
    Asks the devices of a run for faults when their time has come.

    :param faults: In the order of time.
    :param seed: Of the random numbers in the devices.
    """

    def __init__(self, faults: List[Fault], seed: int) -> None:
        self._left = list(faults)
        self._asked: List[Tuple[float, Fault]] = []
        self._seed = seed
        self._seeded: Set[Tuple[str, int]] = set()
        self._unknown: Set[Tuple[str, int]] = set()  # no log from there
        self._started: Optional[float] = None
        self._over = False
        self.log: List[Dict[str, Any]] = []


    def _ask(self, bed: Testbed, fault: Fault) -> None:
        monitor = bed.monitor(fault.guest)
        path = device(fault.guest, fault.link)
        try:
            if (fault.guest, fault.link) not in self._seeded:
                monitor.set(path, 'fault-seed', self._seed)
                self._seeded.add((fault.guest, fault.link))
            monitor.set(path, 'fault', fault.request)
        except CannotRun as error:
            raise CannotRun(f"fault '{fault.text}': {error}") from error

    def turn(self, bed: Testbed, now: float) -> List[Fault]:
        """
        Ask for what is due.

        :param now: A time of time.monotonic().
        :return: What was asked for.
        """
        asked: List[Fault] = []
        if self._over:
            return asked
        if self._started is None:
            if not bed.ep.link_started:
                return asked
            self._started = now
        while self._left and self._left[0].at <= now - self._started:
            fault = self._left[0]
            if not bed.guests[fault.guest].alive:
                break  # It has not started yet, or has ended.
            self._ask(bed, fault)
            self._left.pop(0)
            self._asked.append((now - self._started, fault))
            asked.append(fault)
        return asked

    def collect(self, bed: Testbed) -> None:
        """Ask for no more, and fetch the logs, which end with the QEMUs."""
        if self._over:
            return
        self._over = True
        for guest, link in sorted({(f.guest, f.link) for _, f in self._asked}):
            try:
                if not bed.guests[guest].alive:
                    raise CannotRun('its QEMU has ended')
                text = bed.monitor(guest).get(device(guest, link), 'fault-log')
            except CannotRun:
                self._unknown.add((guest, link))
                continue
            for record in json.loads(text):
                self.log.append({'guest': guest, 'link': link, **record})
        self.log.sort(key=lambda record: float(record['time-us']))

    def _happened(self, fault: Fault) -> bool:
        return any(r['guest'] == fault.guest and r['link'] == fault.link
                   and r['fault'] == fault.kind for r in self.log)

    def missing(self) -> Iterator[str]:
        """Return a sentence for each request that came to nothing."""
        seen = set()
        for _, fault in self._asked:
            if fault.kind == 'clear' or self._happened(fault) \
                    or fault.text in seen:
                continue
            seen.add(fault.text)
            if (fault.guest, fault.link) in self._unknown:
                yield (f"'{fault.text}' was asked for, and its QEMU ended, so "
                       'nobody knows whether it happened')
            else:
                yield f"'{fault.text}' was asked for and never happened"
        for fault in self._left:
            if fault.text not in seen:
                seen.add(fault.text)
                yield f"the run ended before '{fault.text}'"

    def lines(self) -> Iterator[str]:
        """Return a line for each fault that happened, up to MOST_LINES."""
        if not self.log:
            return
        first = self.log[0]['time-us']
        for record in self.log[:MOST_LINES]:
            where = '' if record['function'] is None \
                else f' function {record["function"]}'
            yield (f'{(record["time-us"] - first) / 1e6:+.3f} s '
                   f'{record["guest"]}:{record["link"]} {record["fault"]}'
                   f'{where} at {record["at"]:#x}')
        if len(self.log) > MOST_LINES:
            yield f'and {len(self.log) - MOST_LINES} more in faults.json'

    def write(self, path: str) -> None:
        """Write faults.json: the seed, what was asked for, what happened."""
        asked = [{'seconds': round(at, 6), 'guest': fault.guest,
                  'link': fault.link, 'request': fault.request}
                 for at, fault in self._asked]
        with open(path, 'w', encoding='utf-8') as out:
            json.dump({'seed': self._seed, 'asked': asked,
                       'happened': self.log}, out, indent=1)
            out.write('\n')

    def result(self) -> tap.Result:
        """Return the result "faults"."""
        missing = list(self.missing())
        notes = [f'# seed {self._seed}']
        notes += [f'# {line}' for line in (*missing, *self.lines())]
        return tap.Result('faults', tap.FAIL if missing else tap.PASS,
                          missing[0] if missing else '', notes)
