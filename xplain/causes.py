"""Causes over many workloads: clusters of regions that lose for one reason, and where decisions part from the optimum.

The explanation of single workloads is `pipeline.explain`. Source: analyzer design, clusters of regions; Explanations.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

import numpy as np

from xplain.clusters import cluster, with_witnesses
from xplain.explain.regret import attribute_run, summarise
from xplain.explain.values import ReferenceValues
from xplain.heat_map.scheduling import SchedulingFlows
from xplain.heat_map.score import heat_map
from xplain.problems.exact import ExactProblem
from xplain.problems.operating import OperatingProblem
from xplain.records import Attribution, Cluster, HeatMap, Region, Sample

EXAMINED_STEPS = 1000
PER_REGION = 6  # workloads attributed of a region
HEAT_SAMPLES = 3000
TIMED = 20  # workloads by which the time of a heat map is judged
Tell = Callable[[str], None]


def attribute_operating(problem: OperatingProblem, sample: Sample, name: str) -> Attribution:
    """Regret by cause on the first workload of a point, against the best benchmark policy there."""
    best = problem.best_benchmark(sample)
    workload = problem.workloads(sample.point)[0]
    values = ReferenceValues(workload, problem.objective, problem.bound(best, sample.point))
    regret = attribute_run(problem.bound(problem.heuristic, sample.point), workload, problem.objective, values,
                           examine=EXAMINED_STEPS)
    return summarise(regret, sample.index, name, values.label)


def clusters_of(operating: OperatingProblem, exact: ExactProblem, regions: Sequence[Region], samples: Sequence[Sample],
                small: Sequence[Sample], known: Sequence[Attribution], seed: int, seconds: float | None,
                tell: Tell) -> tuple[Cluster, ...]:
    """Regions by cause, each cluster with a small witness.

    Beside those `known`, up to PER_REGION losing workloads of each region are attributed, drawn by `seed`, one of each
    region at a time; `seconds` (None: no limit) ends that early, but not before one per region.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    found = {region.name: [item for item in known if item.region == region.name] for region in regions}
    inside = []
    for region in regions:
        had = {item.sample for item in found[region.name]}
        losing = [item for item in samples if item.index not in had and item.gap > 0 and region.holds(item.features)]
        drawn = np.random.default_rng([seed, 49_979_687]).permutation(len(losing))[:PER_REGION - len(had)]
        inside.append([(region.name, losing[int(k)]) for k in drawn])
    for each in chain.from_iterable(zip_longest(*inside)):
        if each is None or (found[each[0]] and ends is not None and time.monotonic() > ends):
            continue
        name, sample = each
        tell(f"causes in {name}: workload {len(found[name]) + 1} of at most {PER_REGION}")
        found[name].append(attribute_operating(operating, sample, name))
    return with_witnesses(exact, cluster(regions, found, samples, seed), small, seed=seed, tell=tell)


def heat_map_of(exact: ExactProblem, small: Sequence[Sample], seconds: float | None, tell: Tell) -> HeatMap | None:
    """Decisions against the optimum's on workloads of the declared distribution that lose at least the threshold, as
    many as fit into `seconds`; None if there are none."""
    flows = SchedulingFlows(exact)
    points = [item.point for item in small if item.unbiased and item.relative_gap >= exact.threshold][:HEAT_SAMPLES]
    if seconds is not None and len(points) > TIMED:
        begun = time.monotonic()
        for point in points[:TIMED]:
            flows.flows(point)
        each = (time.monotonic() - begun) / TIMED
        points = points[:max(TIMED, int(seconds / max(each, 1e-9)))]
    if not points:
        return None
    tell(f"heat map of decisions: {len(points)} small workloads that lose")
    return heat_map(flows, points, heuristic=exact.heuristic.name, benchmark="the optimum", unit="decisions")
