"""Traffic of a benchmark: lengths, exit depths at a stated rate, arrivals at a stated rate and burstiness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from drex_runtime.errors import RecordError
from drex_runtime.records import Request, Workload
from drex_runtime.records.ticks import TICKS_PER_SECOND, Tick
from drex_runtime.traces.exits import ExitModel


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Gaps between arrivals are gamma-distributed with mean 1/rate and shape `burstiness` (1: Poisson, smaller:
    burstier), as in vLLM's benchmark. rate None: all arrive at once."""

    rate: float | None = None
    burstiness: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("request_rate", self.rate), ("burstiness", self.burstiness)):
            if value is not None and not 0 < value < 1e9:
                raise RecordError("bench", name, value, "a number above 0")

    def draw(self, count: int, seed: int, tick: Tick) -> list[int]:
        """Arrival ticks of `count` requests; the first is 0."""
        if self.rate is None:
            return [0] * count
        gaps = np.random.default_rng([seed, 1]).gamma(self.burstiness, 1 / (self.rate * self.burstiness), count)
        times = (np.cumsum(gaps) - gaps[0]) * TICKS_PER_SECOND[tick]
        return [int(time) for time in times]


def exit_model(rate: Fraction, num_segments: int, persistence: Fraction = Fraction(0)) -> ExitModel | None:
    """Every ramp takes the same share of `rate`; None for a model without ramps."""
    ramps = num_segments - 1
    return ExitModel((rate / ramps,) * ramps, persistence) if ramps else None


def synthetic(num_segments: int, rate: Fraction, *, count: int, prompt_tokens: int, output_tokens: int, seed: int,
              tick: Tick, persistence: Fraction = Fraction(0)) -> Workload:
    """`count` requests of equal lengths, all at 0, with scripted depths at exit rate `rate`."""
    exits = exit_model(rate, num_segments, persistence)
    outputs = np.full(count, output_tokens, np.int64)
    depths = (exits.depths(outputs, seed, np.full(count, prompt_tokens > 0)).reshape(count, output_tokens).tolist()
              if exits is not None else [[1] * output_tokens] * count)
    return Workload.of(num_segments, [Request(number, 0, prompt_tokens, tuple(run))
                                      for number, run in enumerate(depths)], tick=tick, name=f"exit rate {rate}",
                       source=f"{count} requests, {prompt_tokens} prompt and {output_tokens} output tokens each; "
                              f"{exits.description if exits else 'no ramps'}, seed {seed}")


def arriving(workload: Workload, arrivals: Arrivals, seed: int) -> Workload:
    """The same requests in the same order with drawn arrivals (due dates move along)."""
    times = arrivals.draw(len(workload.requests), seed, workload.tick)
    moved = [replace(item, arrival=time, due=None if item.due is None else time + item.due - item.arrival)
             for item, time in zip(workload.requests, times, strict=True)]
    return Workload.of(workload.num_segments, moved, tick=workload.tick, name=workload.name, source=workload.source)


def exit_share(workload: Workload) -> float:
    """Share of decoded tokens (prefill tokens left out) whose depth is below K + 1."""
    decoded = [depth for item in workload.requests for depth in item.depths[1 if item.prompt_tokens else 0:]]
    return sum(depth < workload.num_segments for depth in decoded) / max(1, len(decoded))
