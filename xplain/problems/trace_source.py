"""Workloads from a trace: windows put together from blocks of consecutive requests (a local block bootstrap).

A window has as many requests as the generator's workloads. It consists of BLOCKS runs of consecutive requests, with
their own gaps between arrivals, lengths and depths, so that bursts stay bursts; the runs start at seeded places near
the point's `window`, the place in the trace. Arrivals are scaled so that the *whole* trace would offer `load`: quiet
and busy hours keep their relation. Source: local block bootstrap, Paparoditis and Politis 2002.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from drex_runtime.records import CostProfile, Workload
from xplain.problems.generator import REQUESTS_PER_PLACE, full_pass_ticks
from xplain.records import Dimension, Point
from xplain.space import Space

BLOCKS = 4
NEARBY = 0.05  # share of the trace within which the blocks of one window start, to each side

TRACE_DIMENSIONS = {
    "load": ("offered load of the whole trace", ""),
    "window": ("place in the trace", ""),
    "num_seqs": ("requests in flight (N)", ""),
}
FEATURES = {
    "window_load": ("offered load of the window", ""),
    "burstiness": ("coefficient of variation of the gaps between arrivals", ""),
    "exit_rate": ("exit rate", ""),
    "output_tokens": ("mean output length", "tokens"),
    "prompt_tokens": ("mean prompt length", "tokens"),
}
Places = npt.NDArray[np.int64]


def trace_space(max_rows: int) -> Space:
    """The default space for a trace: load, place in the trace, N up to what the profile covers, at most 32."""
    return Space("ee-trace", (
        Dimension("load", 0.2, 2.0, meaning="offered load of the whole trace (1 = the decode capacity of full passes)"),
        Dimension("window", 0.0, 1.0, meaning="place in the trace (0 = its start, 1 = its end)"),
        Dimension("num_seqs", min(4, max_rows), min(32, max_rows), integer=True, log=True,
                  meaning=TRACE_DIMENSIONS["num_seqs"][0])))


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
        early = [sum(depth < trace.num_segments for depth in item.depths) for item in requests]
        self._early = np.array(early, np.int64)

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
        requests = []
        for index, (place, arrival) in enumerate(zip(chosen.tolist(), arrivals, strict=True)):
            item = self.trace.requests[place]
            due = None if item.due is None else arrival + item.due - item.arrival
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
        context = int(rows * (self._prompts.mean() + self._outputs.mean() / 2))
        return float(full_pass_ticks(profile, rows, context) / rows * self._outputs.mean())

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
        return {"window_load": min(float(offered), 1e6), "burstiness": float(gaps.std() / mean) if mean else 0.0,
                "exit_rate": float(self._early[chosen].sum() / max(1, decoded)),
                "output_tokens": float(outputs.mean()), "prompt_tokens": float(self._prompts[chosen].mean())}
