"""Workloads at operating scale from dimensions an operator knows.

A point of the space and a replicate number give one workload, deterministically. Replicates use the same random
numbers at every point, so that differences between points are differences between points.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import InputError
from drex_runtime.records import CostProfile, Request, Workload
from drex_runtime.traces.exits import ExitModel
from xplain.records import Dimension, Point
from xplain.space import Space

REQUESTS_PER_PLACE = 4
LENGTH_SIGMA = 0.5
IntArray = npt.NDArray[np.int64]

DIMENSIONS = {
    "load": ("offered load", ""),
    "exit_rate": ("exit rate", ""),
    "persistence": ("persistence of exits along a request", ""),
    "output_tokens": ("mean output length", "tokens"),
    "prompt_tokens": ("mean prompt length", "tokens"),
    "num_seqs": ("requests in flight (N)", ""),
}

# What a dimension may range over, and whether it counts something.
LIMITS = {"load": (0.001, 1000.0, False), "exit_rate": (0.0, 1.0, False), "persistence": (0.0, 1.0, False),
          "output_tokens": (1, 10**5, True), "prompt_tokens": (0, 10**6, True), "num_seqs": (1, 4096, True),
          "window": (0.0, 1.0, False)}


def check_space(space: Space, source: str, dimensions: Collection[str] = tuple(DIMENSIONS)) -> None:
    """InputError unless `space` has exactly these `dimensions`, each within its limits."""
    missing = sorted(set(dimensions) - set(space.names))
    unknown = sorted(set(space.names) - set(dimensions))
    if missing or unknown:
        raise InputError(source, "dimensions", ", ".join(unknown or missing),
                         f"exactly the dimensions {', '.join(dimensions)} ({'unknown' if unknown else 'missing'} "
                         "ones named)")
    for item in space.dimensions:
        low, high, counts = LIMITS[item.name]
        if item.low < low or item.high > high:
            raise InputError(source, item.name, f"{item.low:g} to {item.high:g}", f"bounds from {low:g} to {high:g}")
        if counts and not (item.integer and item.low == int(item.low) and item.high == int(item.high)):
            raise InputError(source, item.name, f"{item.low:g} to {item.high:g}, integer: {item.integer}",
                             "integer: true and whole bounds")


def default_space(max_rows: int) -> Space:
    """The default space of EE scheduling at operating scale; N goes up to what the profile covers, at most 32."""
    dimensions = (
        Dimension("load", 0.2, 2.0, meaning="offered load (1 = the decode capacity of full passes)"),
        Dimension("exit_rate", 0.0, 1.0, meaning=DIMENSIONS["exit_rate"][0]),
        Dimension("persistence", 0.0, 0.9, meaning=DIMENSIONS["persistence"][0]),
        Dimension("output_tokens", 4, 32, integer=True, log=True, unit="tokens", meaning="mean output length"),
        Dimension("prompt_tokens", 1, 64, integer=True, log=True, unit="tokens", meaning="mean prompt length"),
        Dimension("num_seqs", min(4, max_rows), min(32, max_rows), integer=True, log=True,
                  meaning=DIMENSIONS["num_seqs"][0]),
    )
    return Space("ee-operating", dimensions)


def full_pass_ticks(profile: CostProfile, rows: int, context: int) -> int:
    """Ticks of one pass through all segments without ramps, `context` = sum over rows."""
    return sum(profile.segment_cost(s, rows, context) for s in range(1, profile.num_segments + 1))


def generate(point: Point, profile: CostProfile, batch_max: int, seed: int, replicate: int) -> Workload:
    """The workload of `point` (dimensions of `default_space`) and replicate number.

    Poisson arrivals; log-normal lengths (sigma 0.5 around the stated means, at least 1 token); depths by the same
    exit model as for traces, exit_rate spread evenly over the ramps.
    """
    rng = np.random.default_rng([seed, replicate])
    places = int(point["num_seqs"])
    count = REQUESTS_PER_PLACE * places
    rows = min(places, batch_max)
    outputs = _lengths(rng, point["output_tokens"], count)
    prompts = _lengths(rng, point["prompt_tokens"], count) if point["prompt_tokens"] else np.zeros(count, np.int64)
    context = int(rows * (point["prompt_tokens"] + point["output_tokens"] / 2))
    token_gap = full_pass_ticks(profile, rows, context) / rows / point["load"]
    gaps = rng.exponential(1.0, count) * token_gap * point["output_tokens"]
    arrivals = np.floor(np.cumsum(gaps) - gaps[0]).astype(np.int64)
    depths = _depths(point, profile.num_segments, outputs, prompts > 0, seed * 1_000_003 + replicate)
    ends = np.cumsum(outputs)
    requests = [Request(index, int(arrivals[index]), int(prompts[index]),
                        tuple(depths[ends[index] - outputs[index]:ends[index]].tolist())) for index in range(count)]
    return Workload(profile.num_segments, tuple(requests), profile.tick, f"generated {replicate}",
                    f"generator seed {seed} replicate {replicate}")


def _depths(point: Point, num_segments: int, outputs: IntArray, prompted: npt.NDArray[np.bool_], seed: int) -> IntArray:
    if num_segments == 1:
        return np.ones(int(outputs.sum()), np.int64)
    share = Fraction(point["exit_rate"]).limit_denominator(10**6) / (num_segments - 1)
    persistence = Fraction(point["persistence"]).limit_denominator(10**6)
    return ExitModel((share,) * (num_segments - 1), persistence).depths(outputs, seed, prompted)


def _lengths(rng: np.random.Generator, mean: float, count: int) -> IntArray:
    drawn = rng.lognormal(0.0, LENGTH_SIGMA, count) * mean / np.exp(LENGTH_SIGMA**2 / 2)
    lengths: IntArray = np.maximum(1, np.rint(drawn)).astype(np.int64)
    return lengths
