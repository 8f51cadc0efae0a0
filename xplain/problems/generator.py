"""Workloads at operating scale from dimensions an operator knows.

A point of the space and a replicate number give one workload, deterministically. Replicates use the same random
numbers at every point, so that differences between points are differences between points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.special import gammainccinv

from drex_runtime.errors import InputError
from drex_runtime.records import CostProfile, Request, Workload
from drex_runtime.traces.exits import ExitModel
from xplain.records import Dimension, Point
from xplain.space import Space

REQUESTS_PER_PLACE = 4
LENGTH_SIGMA = 0.5
LONGEST_PROMPTS = 2048  # of a default space, where the profile covers more
IntArray = npt.NDArray[np.int64]

DIMENSIONS = {
    "load": ("offered load", ""),
    "burstiness": ("burstiness of arrivals", ""),
    "exit_rate": ("exit rate", ""),
    "persistence": ("persistence of exits along a request", ""),
    "similarity": ("similarity of exits across requests", ""),
    "output_tokens": ("mean output length", "tokens"),
    "prompt_tokens": ("mean prompt length", "tokens"),
    "num_seqs": ("requests in flight (N)", ""),
    "slo": ("time allowed per request", ""),
}

# What a dimension may range over, and whether it counts something.
LIMITS = {"load": (0.001, 1000.0, False), "burstiness": (0.01, 100.0, False), "exit_rate": (0.0, 1.0, False),
          "persistence": (0.0, 1.0, False), "similarity": (0.0, 1.0, False), "output_tokens": (1, 10**5, True),
          "prompt_tokens": (0, 10**6, True), "num_seqs": (1, 4096, True), "slo": (0.0, 10_000.0, False),
          "window": (0.0, 1.0, False)}

# The value of a dimension that a space does not name: Poisson arrivals, independent exits, no due dates.
FIXED: Mapping[str, float] = {"burstiness": 1.0, "persistence": 0.0, "similarity": 0.0, "slo": 0.0}
USUAL_SLO = 3.0  # where due dates are asked for and the space does not name them
SLO_MEANING = "time allowed per request (1 = its prefill and its tokens by full passes of full batches, no waiting)"


def check_space(space: Space, source: str, dimensions: Collection[str] = tuple(DIMENSIONS)) -> None:
    """InputError unless `space` has these `dimensions` and no others, each within its limits. Those in FIXED may be
    missing."""
    missing = sorted(set(dimensions) - set(space.names) - set(FIXED))
    unknown = sorted(set(space.names) - set(dimensions))
    if missing or unknown:
        raise InputError(source, "dimensions", ", ".join(unknown or missing),
                         f"the dimensions {', '.join(dimensions)} ({'unknown' if unknown else 'missing'} ones named; "
                         f"{', '.join(sorted(set(FIXED) & set(dimensions)))} may be left out)")
    for item in space.dimensions:
        low, high, counts = LIMITS[item.name]
        if item.low < low or item.high > high:
            raise InputError(source, item.name, f"{item.low:g} to {item.high:g}", f"bounds from {low:g} to {high:g}")
        if counts and not (item.integer and item.low == int(item.low) and item.high == int(item.high)):
            raise InputError(source, item.name, f"{item.low:g} to {item.high:g}, integer: {item.integer}",
                             "integer: true and whole bounds")


def with_dues(space: Space) -> Space:
    """`space` with due dates: as it varies them, else at USUAL_SLO."""
    if "slo" in space.names:
        return space
    return Space(space.name, (*space.dimensions, Dimension("slo", USUAL_SLO, USUAL_SLO, meaning=SLO_MEANING)))


def slo_dimension() -> Dimension:
    """Due dates as a default space varies them."""
    return Dimension("slo", 1.0, 8.0, log=True, meaning=SLO_MEANING)


def default_space(max_rows: int, *, max_context: int | None = None, dues: bool = False) -> Space:
    """The default space of EE scheduling at operating scale; N goes up to what the profile covers, at most 32, prompts
    up to a third of the context it covers. `dues`: requests have due dates."""
    longest = min(LONGEST_PROMPTS, max(64, (max_context or 0) // 3))
    dimensions = (
        Dimension("load", 0.2, 2.0, meaning="offered load (1 = the decode capacity of full passes)"),
        Dimension("burstiness", 0.5, 4.0, log=True, meaning="burstiness of arrivals (squared coefficient of variation "
                  "of the gaps between them; 1 = Poisson)"),
        Dimension("exit_rate", 0.0, 1.0, meaning=DIMENSIONS["exit_rate"][0]),
        Dimension("persistence", 0.0, 0.9, meaning=DIMENSIONS["persistence"][0]),
        Dimension("similarity", 0.0, 0.9, meaning="similarity of exits across requests (0 = independent, 1 = the same "
                  "by token position)"),
        Dimension("output_tokens", 4, 32, integer=True, log=True, unit="tokens", meaning="mean output length"),
        Dimension("prompt_tokens", 1, longest, integer=True, log=True, unit="tokens", meaning="mean prompt length"),
        Dimension("num_seqs", min(4, max_rows), min(32, max_rows), integer=True, log=True,
                  meaning=DIMENSIONS["num_seqs"][0]),
        *((slo_dimension(),) if dues else ()),
    )
    return Space("ee-operating", dimensions)


def full_pass_ticks(profile: CostProfile, rows: int, context: int) -> int:
    """Ticks of one pass through all segments without ramps, `context` = sum over rows."""
    return sum(profile.segment_cost(s, rows, context) for s in range(1, profile.num_segments + 1))


def generate(point: Point, profile: CostProfile, batch_max: int, seed: int, replicate: int) -> Workload:
    """The workload of `point` (dimensions of `default_space`; those in FIXED may be missing) and replicate number.

    Gaps between arrivals are gamma with `burstiness` as their squared coefficient of variation (1: Poisson arrivals);
    lengths log-normal (sigma 0.5 around the stated means, at least 1 token); depths by the same exit model as for
    traces, exit_rate spread evenly over the ramps; due dates as `due_of` says.
    """
    point = {**FIXED, **point}
    rng = np.random.default_rng([seed, replicate])
    places = int(point["num_seqs"])
    count = REQUESTS_PER_PLACE * places
    rows = min(places, batch_max)
    outputs = _lengths(rng, point["output_tokens"], count)
    prompts = _lengths(rng, point["prompt_tokens"], count) if point["prompt_tokens"] else np.zeros(count, np.int64)
    context = int(rows * (point["prompt_tokens"] + point["output_tokens"] / 2))
    token_gap = full_pass_ticks(profile, rows, context) / rows / point["load"]
    gaps = _gaps(rng.exponential(1.0, count), point["burstiness"]) * token_gap * point["output_tokens"]
    arrivals = np.floor(np.cumsum(gaps) - gaps[0]).astype(np.int64)
    depths = _depths(point, profile.num_segments, outputs, prompts > 0, seed * 1_000_003 + replicate)
    ends = np.cumsum(outputs)
    full_pass = full_pass_ticks(profile, rows, context)
    requests = [Request(index, int(arrivals[index]), int(prompts[index]),
                        tuple(depths[ends[index] - outputs[index]:ends[index]].tolist()),
                        due_of(profile, full_pass, int(arrivals[index]), int(prompts[index]), int(outputs[index]),
                               point["slo"])) for index in range(count)]
    return Workload(profile.num_segments, tuple(requests), profile.tick, f"generated {replicate}",
                    f"generator seed {seed} replicate {replicate}")


def due_of(profile: CostProfile, full_pass: int, arrival: int, prompt: int, tokens: int, slo: float) -> int | None:
    """Due date of a request: `slo` times its own prefill and one `full_pass` (ticks) per token it decodes, from its
    arrival on; None for slo = 0."""
    if not slo:
        return None
    alone = profile.prefill_cost(prompt, 0) + (tokens - 1) * full_pass if prompt else tokens * full_pass
    return arrival + int(Fraction(slo).limit_denominator(10**6) * alone)


def _gaps(exponential: npt.NDArray[np.float64], burstiness: float) -> npt.NDArray[np.float64]:
    """Gamma gaps of mean 1 with this squared coefficient of variation: each takes the rank that its exponential number
    has, so that workloads of different burstiness are the same requests in the same order of long and short gaps."""
    if burstiness == 1:
        return exponential
    gaps: npt.NDArray[np.float64] = gammainccinv(1 / burstiness, np.exp(-exponential)) * burstiness
    return gaps


def _depths(point: Point, num_segments: int, outputs: IntArray, prompted: npt.NDArray[np.bool_], seed: int) -> IntArray:
    if num_segments == 1:
        return np.ones(int(outputs.sum()), np.int64)
    share = Fraction(point["exit_rate"]).limit_denominator(10**6) / (num_segments - 1)
    persistence = Fraction(point["persistence"]).limit_denominator(10**6)
    similarity = Fraction(point["similarity"]).limit_denominator(10**6)
    return ExitModel((share,) * (num_segments - 1), persistence, similarity).depths(outputs, seed, prompted)


def _lengths(rng: np.random.Generator, mean: float, count: int) -> IntArray:
    drawn = rng.lognormal(0.0, LENGTH_SIGMA, count) * mean / np.exp(LENGTH_SIGMA**2 / 2)
    lengths: IntArray = np.maximum(1, np.rint(drawn)).astype(np.int64)
    return lengths
