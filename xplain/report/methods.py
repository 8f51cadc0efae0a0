"""What each search method contributed, as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xplain.records import SearchTrace


@dataclass(frozen=True)
class MethodRow:
    """A method's use of its budget; `advances`: how often it improved on the best gap that any method knew."""

    scale: str
    method: str
    evaluations: int
    seconds: float
    best: float
    advances: int


def method_rows(traces: Sequence[SearchTrace]) -> Iterable[MethodRow]:
    """Who advanced the incumbent when: improvements of all methods of a scale in order of evaluations."""
    for scale in dict.fromkeys(trace.scale for trace in traces):
        own = [trace for trace in traces if trace.scale == scale]
        advances, best = dict.fromkeys((trace.method for trace in own), 0), float("-inf")
        for _, gap, method in sorted((at, gap, trace.method) for trace in own for _, at, gap in trace.improvements):
            if gap > best:
                best = gap
                advances[method] += 1
        for trace in own:
            yield MethodRow(scale, trace.method, trace.evaluations, trace.seconds, trace.best, advances[trace.method])
