"""Workloads from a trace: windows put together from blocks of consecutive requests (a local block bootstrap).

A window has as many requests as the generator's workloads. It consists of BLOCKS runs of consecutive requests, with
their own gaps between arrivals, lengths and depths, so that bursts stay bursts; the runs start at seeded places near
the point's `window`, the place in the trace. Arrivals are scaled so that the *whole* trace would offer `load`: quiet
and busy hours keep their relation. Source: local block bootstrap, Paparoditis and Politis 2002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from drex_runtime.records import CostProfile, Workload
from xplain.problems.generator import REQUESTS_PER_PLACE, due_of, full_pass_ticks, slo_dimension
from xplain.records import Dimension, Point
from xplain.space import Space

BLOCKS = 4
NEARBY = 0.05  # share of the trace within which the blocks of one window start, to each side

TRACE_DIMENSIONS = {
    "load": ("offered load of the whole trace", ""),
    "window": ("place in the trace", ""),
    "num_seqs": ("requests in flight (N)", ""),
    "slo": ("time allowed per request", ""),
}
FEATURES = {
    "window_load": ("offered load of the window", ""),
    "burstiness": ("burstiness of arrivals", ""),
    "exit_rate": ("exit rate", ""),
    "similarity": ("similarity of exits across requests", ""),
    "output_tokens": ("mean output length", "tokens"),
    "prompt_tokens": ("mean prompt length", "tokens"),
}
Places = npt.NDArray[np.int64]


def trace_space(max_rows: int, *, dues: bool = False) -> Space:
    """The default space for a trace: load, place in the trace, N up to what the profile covers, at most 32.

    `dues`: due dates are set too; else they stay the trace's own, if it has any.
    """
    return Space("ee-trace", (
        Dimension("load", 0.2, 2.0, meaning="offered load of the whole trace (1 = the decode capacity of full passes)"),
        Dimension("window", 0.0, 1.0, meaning="place in the trace (0 = its start, 1 = its end)"),
        Dimension("num_seqs", min(4, max_rows), min(32, max_rows), integer=True, log=True,
                  meaning=TRACE_DIMENSIONS["num_seqs"][0]),
        *((slo_dimension(),) if dues else ())))


class TraceSource:
    """Windows of `trace`, a workload with every depth known."""

    meanings: Mapping[str, tuple[str, str]] = {**TRACE_DIMENSIONS, **FEATURES}

    def __init__(self, trace: Workload) -> None:
        self.trace = trace
        requests = trace.requests
        self._arrivals = np.array([item.arrival for item in requests], np.int64)
        self._gaps = np.diff(self._arrivals, prepend=self._arrivals[:1])
        self._prompts = np.array([item.prompt_tokens for item in requests], np.int64)
        self._outputs = np.array([item.output_tokens for item in requests], np.int64)
        # Token 1 of a prompted request comes from the prefill, which never exits: it says nothing about exits.
        self._exits = [np.array([depth < trace.num_segments for depth in item.depths[item.prompt_tokens > 0:]])
                       for item in requests]
        self._early = np.array([exits.sum() for exits in self._exits], np.int64)

    @property
    def mean_gap(self) -> float:
        """Mean ticks between arrivals over the whole trace (0: all arrive at once)."""
        return float(self._gaps[1:].mean()) if len(self._gaps) > 1 else 0.0

    def recorded_load(self, profile: CostProfile, rows: int) -> float | None:
        """Offered load of the whole trace at its own speed; None if all arrive at once."""
        return self._unit_gap(profile, rows) / self.mean_gap if self.mean_gap else None

    def workload(self, point: Point, profile: CostProfile, batch_max: int, seed: int, replicate: int) -> Workload:
        """The window of a point, seed and replicate; ids count from 0, arrivals start at 0."""
        chosen = self._chosen(point, seed, replicate)
        arrivals = self._scaled_arrivals(chosen, point, profile, batch_max).tolist()
        slo, requests = point.get("slo", 0.0), []
        full_pass = self._full_pass(profile, min(int(point["num_seqs"]), batch_max))
        for index, (place, arrival) in enumerate(zip(chosen.tolist(), arrivals, strict=True)):
            item = self.trace.requests[place]
            due = None if item.due is None else arrival + item.due - item.arrival
            if slo:
                due = due_of(profile, full_pass, arrival, item.prompt_tokens, item.output_tokens, slo)
            requests.append(replace(item, id=index, arrival=arrival, due=due))
        return Workload(self.trace.num_segments, tuple(requests), self.trace.tick, f"window {replicate}",
                        f"{BLOCKS} blocks near {point['window']:.3f} of {self.trace.name}, seed {seed} replicate "
                        f"{replicate}")

    def features(self, point: Point, profile: CostProfile, batch_max: int, seed: int,
                 replicates: int) -> dict[str, float]:
        """The point and means over its windows."""
        rows = [self._measured(point, profile, batch_max, seed, replicate) for replicate in range(replicates)]
        return {**point, **{name: float(np.mean([row[name] for row in rows])) for name in FEATURES}}

    # ---- inside -------------------------------------------------------------------------------------------
    def _chosen(self, point: Point, seed: int, replicate: int) -> Places:
        """Places in the trace of the window's requests, in order of arrival."""
        wanted, have = REQUESTS_PER_PLACE * int(point["num_seqs"]), len(self.trace.requests)
        length = min(have, -(-wanted // BLOCKS))
        last = have - length
        near = max(length, NEARBY * have)
        # The same numbers at every point: differences between points are differences between points.
        shifts = np.random.default_rng([seed, replicate]).uniform(-near, near, -(-wanted // length))
        starts = np.clip(np.rint(point["window"] * last + shifts), 0, last).astype(np.int64)
        places: Places = (starts[:, None] + np.arange(length)).ravel()[:wanted]
        return places

    def _unit_gap(self, profile: CostProfile, rows: int) -> float:
        """Mean ticks between arrivals at which the whole trace would offer load 1."""
        return float(self._full_pass(profile, rows) / rows * self._outputs.mean())

    def _full_pass(self, profile: CostProfile, rows: int) -> int:
        context = int(rows * (self._prompts.mean() + self._outputs.mean() / 2))
        return full_pass_ticks(profile, rows, context)

    def _scaled_arrivals(self, chosen: Places, point: Point, profile: CostProfile, batch_max: int) -> Places:
        if not self.mean_gap:
            return np.zeros(len(chosen), np.int64)
        rows = min(int(point["num_seqs"]), batch_max)
        scale = self._unit_gap(profile, rows) / point["load"] / self.mean_gap
        gaps = self._gaps[chosen] * scale
        arrivals: Places = np.floor(np.cumsum(gaps) - gaps[0]).astype(np.int64)
        return arrivals

    def _measured(self, point: Point, profile: CostProfile, batch_max: int, seed: int,
                  replicate: int) -> dict[str, float]:
        chosen = self._chosen(point, seed, replicate)
        gaps = np.diff(self._scaled_arrivals(chosen, point, profile, batch_max))
        mean, outputs = float(gaps.mean()) if len(gaps) else 0.0, self._outputs[chosen]
        rows = min(int(point["num_seqs"]), batch_max)
        offered = self._unit_gap(profile, rows) * outputs.mean() / self._outputs.mean() / mean if mean else np.inf
        decoded = int((outputs - (self._prompts[chosen] > 0)).sum())
        return {"window_load": min(float(offered), 1e6), "burstiness": float((gaps.std() / mean)**2) if mean else 0.0,
                "exit_rate": float(self._early[chosen].sum() / max(1, decoded)),
                "similarity": measured_similarity([self._exits[place] for place in chosen.tolist()]),
                "output_tokens": float(outputs.mean()), "prompt_tokens": float(self._prompts[chosen].mean())}


def measured_similarity(exits: Sequence[npt.NDArray[np.bool_]]) -> float:
    """The similarity of the exit model under which requests would agree as these do: `exits[i][t]`, whether token t of
    request i exits early.

    Two tokens at one position follow the common sequence with probability similarity^2 and are independent otherwise,
    so the square root of the correlation over pairs of requests at equal positions estimates it (0 if negative).
    """
    length = max(map(len, exits))
    early, present = np.zeros(length), np.zeros(length)
    for row in exits:
        early[:len(row)] += row
        present[:len(row)] += 1
    tokens = present.sum()
    share = early.sum() / tokens if tokens else 0.0
    pairs = (present * (present - 1)).sum()
    if not pairs or share in (0.0, 1.0):
        return 0.0
    # Over ordered pairs at a position: (sum of deviations)^2 - sum of their squares.
    squares = early * (1 - share) ** 2 + (present - early) * share**2
    together = ((early - share * present) ** 2 - squares).sum() / pairs
    return float(np.sqrt(max(0.0, together / (share * (1 - share)))))
