# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured: the rows of the table, counts that must be zero, growth.

A round runs every measurement once.  Within a measurement samples of the
thing and of its yardstick alternate.  Value and ratio of a row are medians
over rounds of the medians of a round.
"""

import statistics

from guests import CannotRun

SPEED, COST, PLUS, BELOW, ZERO = 'speed', 'cost', 'plus', 'below', 'zero'
SAMPLES = 25
TARGET_SAMPLE = 1500000  # ns that a sample should take, or more
DMA_QUEUED, DMA_QUEUED_MOST = 64, 4096  # transfers at a time


class Row:
    """
    One line of the table: a thing, its yardstick and the target.

    @kind: SPEED   ratio is speed over the yardstick's, at least @target
           COST    ratio is time over the yardstick's, at most @target
           PLUS    the value exceeds the yardstick by @target at most
           BELOW   the value is at most @target; there is no yardstick
           ZERO    a count of what must not happen
    """

    def __init__(self, name, unit, kind, target, against='', note=''):
        self.name, self.unit, self.kind, self.target = name, unit, kind, target
        self.against, self.note = against, note
        self.values, self.yards, self.ratios = [], [], []

    def add(self, value, yard=None):
        self.values.append(value)
        if yard is None:
            return
        self.yards.append(yard)
        if self.kind == SPEED:
            lower = self.unit == 'ns'
            self.ratios.append(yard / value if lower else value / yard)
        elif yard:
            self.ratios.append(value / yard)

    @property
    def built(self):
        return bool(self.values)

    @property
    def met(self):
        if not self.built:
            return None
        if self.kind == SPEED:
            return median(self.ratios) >= self.target
        if self.kind == COST:
            return median(self.ratios) <= self.target
        if self.kind == PLUS:
            return median(self.values) <= median(self.yards) + self.target
        return median(self.values) <= self.target

    def goal(self):
        return {
            SPEED: f'>= {self.target}',
            COST: f'<= {self.target}x',
            PLUS: f'+{self.target} {self.unit}',
            BELOW: f'<= {self.target}',
            ZERO: '0'
        }[self.kind]

    def data(self):
        """Return the row for bench.json."""
        return {
            'name': self.name,
            'value': median(self.values),
            'unit': self.unit,
            'spread': spread(self.values),
            'yardstick': median(self.yards),
            'yardstick_spread': spread(self.yards),
            'against': self.against,
            'ratio': median(self.ratios),
            'ratio_spread': spread(self.ratios),
            'target': self.goal(),
            'met': self.met,
            'rounds': len(self.values),
            'note': self.note if self.built else self.note or 'not built yet'
        }


def median(values):
    return statistics.median(values) if values else None


def spread(values):
    """Return the first and the third quartile."""
    if len(values) < 2:
        return [values[0], values[0]] if values else None
    q = statistics.quantiles(values, n=4, method='inclusive')
    return [q[0], q[2]]


def per_loop(samples, loops, column):
    return median([s[column] for s in samples]) / loops


def megabytes(size, ns):
    return size * 1000 / ns


class Measure:
    """A row that is measured with pairs of samples in a guest."""

    def __init__(self, row, run, name, size, loops=1, samples=SAMPLES,
                 counted=None):
        self.row, self.run, self.name, self.size = row, run, name, size
        self.loops, self.samples, self.counted = loops, samples, counted

    def calibrate(self, bench):
        """Choose enough loops for a sample that the clock can measure."""
        if self.loops == 0:
            self.loops = loops_for(self.run, bench, self.name, self.size)

    def round(self, bench):
        before = bench.messages()
        got = self.run(bench)(self.name, self.size, self.loops, self.samples)
        if self.counted:
            self.counted.append(bench.messages() - before)
        value, yard = (per_loop(got, self.loops, i) for i in (0, 1))
        if self.row.unit == 'MB/s':
            value = megabytes(self.size, value)
            yard = megabytes(self.size, yard)
        elif self.row.unit == 'us':
            value, yard = value / 1000, yard / 1000
        elif self.row.unit == 'ns/8 B':
            value, yard = value / (self.size / 8), yard / (self.size / 8)
        self.row.add(value, yard)


class MapMeasure:
    """map_addr() and unmap_addr(), against a process outside the guests."""

    LOOPS, PAIR_LOOPS = 50, 200

    def __init__(self, row, counted):
        self.row, self.counted = row, counted

    def calibrate(self, bench):
        pass

    def round(self, bench):
        values, yards = [], []
        for _ in range(5):
            before = bench.messages()
            values += bench.endpoint('map', 1, self.LOOPS, 5)
            self.counted.append(bench.messages() - before)
            yards += bench.mmap_pair(self.PAIR_LOOPS, 5)
        self.row.add(
            per_loop(values, self.LOOPS, 0) / 1000,
            per_loop(yards, self.PAIR_LOOPS, 0) / 1000)


class MessageMeasure:
    """Reads by message, against two processes outside the guests."""

    LOOPS = 200
    MESSAGES = 4  # for each read: both QEMUs count command and reply

    def __init__(self, row):
        self.row = row

    def calibrate(self, bench):
        """Make sure that the reads are messages."""
        before = bench.messages()
        bench.message_read(self.LOOPS, 1)
        if bench.messages() - before < self.MESSAGES * self.LOOPS:
            raise CannotRun('the BAR of the doorbell is not read by message')

    def round(self, bench):
        values, yards = [], []
        for _ in range(5):
            values += bench.message_read(self.LOOPS, 5)
            yards += bench.round_trips(self.LOOPS, 5)
        self.row.add(
            per_loop(values, self.LOOPS, 0) / 1000,
            per_loop(yards, self.LOOPS, 0) / 1000)


class DmaMeasure:
    """The DMA engine; the yardstick is a process outside the guests."""

    SIZE, QUEUED = 1 << 20, 128

    def __init__(self, row, name, counted):
        self.row, self.name, self.counted = row, name, counted

    def calibrate(self, bench):
        pass

    def round(self, bench):
        got = []
        for _ in range(5):
            before = bench.messages()
            got += on_dma(bench)(self.name, self.SIZE, self.QUEUED, 5)
            self.counted.append(bench.messages() - before)
        value, yard = (per_loop(got, self.QUEUED, i) for i in (0, 1))
        self.row.add(megabytes(self.SIZE, value), megabytes(self.SIZE, yard))


class Counted(list):
    """Messages during the measurements of one kind."""

    def __bool__(self):
        return True


def on_bar(bench):
    return bench.bar


def on_endpoint(bench):
    return bench.endpoint


def on_doorbell(bench):
    return bench.doorbell


def on_dma(bench):
    """Copies by the DMA engine, and by a process outside the guests."""
    def run(name, size, loops, count, channels=1):
        queued = max(DMA_QUEUED, min(loops, DMA_QUEUED_MOST))
        values = bench.endpoint(name, size, queued, count, channels)
        yards = bench.copies(size, queued, count)
        pairs = zip(values, yards)
        return [[v[0] * loops / queued, y[0] * loops / queued]
                for v, y in pairs]

    return run


def on_channels(bench):
    """The same, where the size is the number of channels."""
    def run(name, channels, loops, count):
        got = on_dma(bench)(name, 1 << 20, 128, count, channels)
        return [[v * loops / 128, y * loops / 128] for v, y in got]

    return run


def loops_for(run, bench, name, size):
    once = per_loop(run(bench)(name, size, 1, 3), 1, 0)
    return max(1, min(100000, int(TARGET_SAMPLE / max(once, 1))))


RAM, IVSHMEM = 'own RAM', 'ivshmem-doorbell'


def rows_in_guests():
    """Return all measurements in one testbed, and the rows of counts."""
    bulk, word = 1 << 20, 1 << 16
    counts = {
        k: Counted()
        for k in ('BAR', 'window', 'map', 'DMA', 'MSI-X', 'doorbell')
    }
    measures = []
    for name, what in {'bulk_read': 'BAR read, 1 MiB',
                       'bulk_write': 'BAR write, 1 MiB'}.items():
        row = Row(what, 'MB/s', SPEED, 0.95, RAM)
        measures.append(
            Measure(row, on_bar, name, bulk, 0, counted=counts['BAR']))
    for name, what in {'word_read': 'BAR read, 8 B',
                       'word_write': 'BAR write, 8 B'}.items():
        row = Row(what, 'ns/8 B', SPEED, 0.95, RAM)
        measures.append(
            Measure(row, on_bar, name, word, 0, counted=counts['BAR']))
    for name, what in {'window_read': 'window read, 1 MiB',
                       'window_write': 'window write, 1 MiB'}.items():
        row = Row(what, 'MB/s', SPEED, 0.95, 'local RAM')
        measures.append(
            Measure(row, on_endpoint, name, bulk, 0, counted=counts['window']))
    row = Row('map_addr + unmap_addr', 'us', COST, 4, 'mmap pair in a process')
    measures.append(MapMeasure(row, counts['map']))
    for name, what in {'dma_read': 'DMA from the host, 1 MiB',
                       'dma_write': 'DMA to the host, 1 MiB'}.items():
        row = Row(what, 'MB/s', SPEED, 0.8, 'memcpy in a process')
        measures.append(DmaMeasure(row, name, counts['DMA']))
    for name, what in {'msix': 'MSI-X to the host',
                       'msix_register': 'MSI-X, register alone'}.items():
        row = Row(what, 'us', COST, 1.2, IVSHMEM)
        measures.append(
            Measure(row, on_endpoint, name, 1, 1, 400,
                    counted=counts['MSI-X']))
    row = Row('doorbell to the endpoint', 'us', COST, 1.2, IVSHMEM)
    measures.append(
        Measure(row, on_doorbell, 'doorbell', 1, 1, 400,
                counted=counts['doorbell']))
    row = Row('read by message, 4 B', 'us', COST, 2.5, 'two processes')
    measures.append(MessageMeasure(row))
    return measures, counts


def count_rows(counts):
    rows = []
    for kind, seen in counts.items():
        row = Row(f'messages: {kind}', 'count', ZERO, 0)
        row.note = f'sum over {len(seen)} measurements, both sides'
        row.add(sum(seen))
        rows.append(row)
    return rows


def control_count(bench):
    """Count messages of configuration writes: this shows that counts work."""
    before = bench.messages()
    writes = 10
    bench.config_writes(writes)
    return writes, bench.messages() - before


SIZES = [4, 64, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 4 << 20, 16 << 20]
LIVE = [1, 4, 16, 64, 256, 1024, 4096]
CHANNELS = [1, 2, 4, 8]

# By name: runner, what it runs, what it runs with
GROWTH = {
    'BAR read': (on_bar, 'bulk_read', SIZES),
    'BAR write': (on_bar, 'bulk_write', SIZES),
    'window read': (on_endpoint, 'window_read', SIZES),
    'window write': (on_endpoint, 'window_write', SIZES),
    'map_addr + unmap_addr': (on_endpoint, 'map', LIVE),
    'DMA from the host': (on_dma, 'dma_read', SIZES),
    'DMA to the host': (on_dma, 'dma_write', SIZES),
    'channels, DMA from the host': (on_channels, 'dma_read', CHANNELS),
    'channels, DMA to the host': (on_channels, 'dma_write', CHANNELS)
}


def growth(bench, passes, tell):
    """
    Measure how cost grows.

    :return: By name, a list of [x, ns, ns of the yardstick or None].

    A pass measures each point once; a point is the median of its passes.
    """
    points = {(name, x): [] for name, (_, _, xs) in GROWTH.items() for x in xs}
    for n in range(passes):
        tell(f'growth, pass {n + 1} of {passes}')
        for name, (run, what, xs) in GROWTH.items():
            for x in xs:
                loops = loops_for(run, bench, what, x)
                got = run(bench)(what, x, loops, 9)
                point = [per_loop(got, loops, i) for i in (0, 1)]
                points[name, x].append(point)
    return {
        name: [[x, *middle(points[name, x])] for x in xs]
        for name, (_, _, xs) in GROWTH.items()
    }


def middle(passes):
    """Return time and yardstick; their ratio is the median of ratios."""
    value = median([p[0] for p in passes])
    if not passes[0][1]:
        return value, None
    return value, value * median([p[1] / p[0] for p in passes])
