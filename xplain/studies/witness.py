"""The simplest input with at least the gap, and the nearest one without it: a contrastive pair.

Both are searched greedily, from the worst input found: simple and near, not proved simplest and nearest.
Source: analyzer design, Explanations (witnesses).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from xplain.problems.interface import Problem
from xplain.records import Dimension, Point, Sample
from xplain.search import Budget
from xplain.studies.guarded import Guarded
from xplain.studies.probe import Probe, changed, distance
from xplain.studies.record import Change, FlowRow, InputWitness

EVALUATIONS = 3000  # per witness, at most
DIGITS = 6
HALVINGS = 16
TINY = 1e-9
FURTHER = 1.1  # times as far, for a shorter number
_Fine = Callable[[Sample | None], bool]


def find_witness(problem: Guarded, worst: Sample, others: Sequence[Sample], threshold: float, where: str,
                 seconds: float | None, first_index: int) -> InputWitness:
    """A witness from `worst`; `others`: feasible samples to start from towards an input that is not bad."""
    probe = Probe(problem, Budget(EVALUATIONS, seconds), first_index)
    simple = simplest(problem, worst, probe)
    fine = nearest_without(problem, simple, others, threshold, probe)
    changes = () if fine is None else tuple(
        Change(each.name, simple.point[each.name], fine.point[each.name]) for each in problem.dimensions
        if simple.point[each.name] != fine.point[each.name])
    return InputWitness(where, worst.index, dict(simple.point), simple.heuristic, simple.upper, simple.gap,
                        simple.relative_gap, simple.proved, probe.evaluations, changes,
                        0.0 if fine is None else fine.relative_gap, flow_rows(problem, simple.point))


def simplest(problem: Problem, worst: Sample, probe: Probe) -> Sample:
    """Dimension by dimension a simpler value that keeps at least the gap, until none is left.

    Simpler: the lower bound, then the upper, then fewer digits.
    """
    best, improved = worst, True
    while improved:
        improved = False
        for dimension in problem.dimensions:
            value = best.point[dimension.name]
            for simpler in simpler_values(dimension, value):
                found = probe(changed(best.point, dimension, simpler))
                if found is None:
                    return best
                if found.feasible and found.relative_gap >= worst.relative_gap - TINY \
                        and complexity(dimension, found.point[dimension.name]) < complexity(dimension, value):
                    best, improved = found, True
                    break
    return best


def complexity(dimension: Dimension, value: float) -> int:
    """0 at the lower bound, 1 at the upper, else 2 and a digit each."""
    if value == dimension.low:
        return 0
    return 1 if value == dimension.high else 2 + _digits(value)


def _digits(value: float) -> int:
    mantissa = f"{abs(value):.{2 * DIGITS}e}".partition("e")[0].replace(".", "").rstrip("0")
    return max(1, len(mantissa))


def simpler_values(dimension: Dimension, value: float) -> Iterator[float]:
    """Values of less complexity, the simplest first; rounded ones both up and down."""
    known = complexity(dimension, value)
    if known > 0:
        yield dimension.low
    if known > 1:
        yield dimension.high
    span = dimension.high - dimension.low
    if span <= 0:
        return
    for digit in range(DIGITS):
        step = 10.0 ** (math.floor(math.log10(span)) - digit)
        down = math.floor(value / step) * step
        for candidate in (down, down + step):
            candidate = float(f"{candidate:.{2 * DIGITS}g}")  # 0.51, not 0.5100000000000001
            if dimension.low < candidate < dimension.high and complexity(dimension, candidate) < known:
                yield candidate


def nearest_without(problem: Problem, bad: Sample, others: Sequence[Sample], threshold: float,
                    probe: Probe) -> Sample | None:
    """A near input whose gap is below the threshold: one dimension changed if that does it, else as few as possible."""
    def fine(sample: Sample | None) -> bool:
        return sample is not None and sample.feasible and sample.relative_gap < threshold

    found = [sample for dimension in problem.dimensions if not dimension.fixed
             for sample in _along(dimension, bad, probe, fine)]
    known = [sample for sample in others if fine(sample)]
    if not found and known:
        start = min(known, key=lambda sample: (distance(bad.point, sample.point, problem.dimensions), sample.index))
        found = [_closer(problem.dimensions, bad, start, probe, fine)]
    return min(found, key=lambda sample: distance(bad.point, sample.point, problem.dimensions), default=None)


def _along(dimension: Dimension, bad: Sample, probe: Probe, fine: _Fine) -> Iterator[Sample]:
    """The nearest fine inputs up and down one dimension, to a 65,000th of its range."""
    value = bad.point[dimension.name]
    for end in (dimension.low, dimension.high):
        near, far = 0.0, 0.0  # shares of the way to `end`: bad, fine
        for halving in reversed(range(HALVINGS + 1)):
            share = 0.5 ** halving
            if fine(probe(changed(bad.point, dimension, value + share * (end - value)))):
                far = share
                break
            near = share
        while far - near > 0.5 ** HALVINGS and far > 0:
            middle = (near + far) / 2
            if fine(probe(changed(bad.point, dimension, value + middle * (end - value)))):
                far = middle
            else:
                near = middle
        last = probe(_rounded(dimension, bad.point, value, value + far * (end - value), probe, fine)) if far else None
        if last is not None and fine(last):
            yield last


def _rounded(dimension: Dimension, point: Point, start: float, value: float, probe: Probe,
             fine: _Fine) -> dict[str, float]:
    """A little further than `value`, if a shorter number does as well there."""
    for candidate in simpler_values(dimension, value):
        further = abs(candidate - start) >= abs(value - start) and (candidate > start) == (value > start)
        if further and abs(candidate - start) <= FURTHER * abs(value - start) \
                and fine(probe(changed(point, dimension, candidate))):
            return changed(point, dimension, candidate)
    return changed(point, dimension, value)


def _closer(dimensions: Sequence[Dimension], bad: Sample, start: Sample, probe: Probe, fine: _Fine) -> Sample:
    """`start` with as many values as possible set back to those of `bad`, the others half-way as often as that goes."""
    best, improved = start, True
    while improved:
        improved = False
        for share in (1.0, 0.5):
            for dimension in dimensions:
                value, wanted = best.point[dimension.name], bad.point[dimension.name]
                candidate = probe(changed(best.point, dimension, value + share * (wanted - value)))
                if candidate is not None and fine(candidate) and abs(candidate.point[dimension.name] - wanted) \
                        < abs(value - wanted) - TINY * (dimension.high - dimension.low):
                    best, improved = candidate, True
    return best


def flow_rows(problem: Guarded, point: Point) -> tuple[FlowRow, ...]:
    """Both sides' flows on the edges that carry something at `point`, in the problem's order."""
    pair = problem.flows(point)
    if pair is None:
        return ()
    rows = (FlowRow(*edge, float(pair.heuristic.get(edge, 0)), float(pair.benchmark.get(edge, 0)), edge in pair.certain)
            for edge in problem.edges)
    return tuple(row for row in rows if row.heuristic or row.benchmark)
