"""Edge heat maps: the flows of heuristic and benchmark compared edge by edge over many samples.

Scores as in the XPlain paper (HotNets 2024): 0 both or neither use an edge, +1 only the benchmark, -1 only the
heuristic. Intervals: Agresti and Min 2005 for the score (a difference of paired proportions; never of width 0), normal
for the mean difference of amounts, Wilson for shares.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed, effective_n_jobs

from drex_runtime.errors import RecordError
from xplain.heat_map.amounts import Floats, amounts_at
from xplain.problems.flows import Edge, FlowProblem
from xplain.records import Point, Rate
from xplain.records.heat_map import EdgeHeat, HeatMap, Mean
from xplain.regions import wilson
from xplain.regions.score import Z95

BATCH = 100  # points a process gets at once; always the same, so that the result does not depend on `jobs`
START = 2.0  # seconds that starting processes takes, about


def heat_map(problem: FlowProblem, points: Sequence[Point], *, jobs: int = 1, heuristic: str = "heuristic",
             benchmark: str = "benchmark", unit: str = "") -> HeatMap:
    """Compare both flows at every point, over up to `jobs` processes (-1: one per core); the result is the same for
    any number.

    RecordError for flows that the problem's edges do not allow: an edge it does not name, an amount that is negative
    or not a number, the same edge twice in `edges`.
    """
    edges = tuple(problem.edges)
    for place, edge in enumerate(edges):
        if edge in edges[:place]:
            raise RecordError("heat map", "edges", edge, "every edge once")
    batches = [points[begin:begin + BATCH] for begin in range(0, len(points), BATCH)]
    # The first batch tells whether processes gain more than it costs to start them; the result is the same either way.
    begun = time.process_time()
    tables = [amounts_at(problem, edges, batch) for batch in batches[:1]]
    left = (time.process_time() - begun) * len(batches[1:])
    processes = min(effective_n_jobs(jobs), len(batches[1:]))
    if processes > 1 and left * (1 - 1 / processes) > START:
        tables += Parallel(n_jobs=processes)(delayed(amounts_at)(problem, edges, batch) for batch in batches[1:])
    else:
        tables += [amounts_at(problem, edges, batch) for batch in batches[1:]]
    amounts = np.concatenate([np.zeros((0, len(edges), 2)), *(table[0] for table in tables)])
    certain = np.concatenate([np.zeros((0, len(edges)), np.bool_), *(table[1] for table in tables)])
    heats = tuple(_heat(edge, amounts[:, place], certain[:, place]) for place, edge in enumerate(edges))
    return HeatMap(heats, len(points), len(points) - len(amounts), heuristic, benchmark, unit)


def _heat(edge: Edge, amounts: Floats, certain: npt.NDArray[np.bool_]) -> EdgeHeat:
    """One edge from its amounts [sample, side]."""
    heuristic, benchmark = amounts[:, 0], amounts[:, 1]
    count = len(amounts)
    one, other = heuristic > 0, benchmark > 0
    differs = heuristic != benchmark

    def share(which: npt.NDArray[np.bool_]) -> Rate:
        return wilson(int(which.sum()), count)

    plus, minus = int((other & ~one).sum()), int((one & ~other).sum())
    return EdgeHeat(edge[0], edge[1], paired_difference(plus, minus, count), share(one & other), share(other & ~one),
                    share(one & ~other), share(~one & ~other), _mean(heuristic).value, _mean(benchmark).value,
                    _mean(benchmark - heuristic), share(differs), share(differs & certain))


def paired_difference(plus: int, minus: int, of: int) -> Mean:
    """(plus - minus) / of with its 95 % interval; nothing observed gives [-1, 1]. Source: Agresti and Min 2005."""
    if of == 0:
        return Mean(0.0, -1.0, 1.0)
    value, size = (plus - minus) / of, of + 2
    middle = (plus - minus) / size
    half = Z95 * math.sqrt(max(0.0, plus + minus + 1 - (plus - minus) ** 2 / size)) / size
    return Mean(value, max(-1.0, min(value, middle - half)), min(1.0, max(value, middle + half)))


def _mean(values: Floats) -> Mean:
    """Mean with its normal interval (one sample, or none: the interval is the value)."""
    if not len(values):
        return Mean(0.0, 0.0, 0.0)
    value = float(values.mean())
    half = Z95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Mean(value, value - half, value + half)
