"""Metrics of one benchmark run, from the stamps the engine put on tokens.

TTFT = first token - arrival; E2E = last token - arrival; TPOT = (E2E - TTFT)/(out - 1) where out > 1; ITL = every
gap between tokens of a request; goodput = requests that meet all their SLOs, per second; attainment = their share.
Delaying tokens and dropping requests both flatter goodput: it is reported with attainment, dropped and completion.
"""

from __future__ import annotations

from collections.abc import Sequence as Items
from dataclasses import asdict, dataclass

import numpy as np

from drex_runtime.errors import InputError
from drex_runtime.execution.requests import Sequence

FORMULAS = ("TTFT = first token - arrival; E2E = last token - arrival; TPOT = (E2E - TTFT)/(out-1), out > 1; "
            "ITL = every gap; goodput = requests meeting all their SLOs / second; attainment = their share of all")
SLO_KEYS = ("ttft", "tpot", "e2e")
SATURATED_BELOW = 0.9  # achieved / offered request rate


@dataclass(frozen=True, slots=True)
class Slo:
    """Targets in ms; None: no target."""

    ttft: float | None = None
    tpot: float | None = None
    e2e: float | None = None


def parse_slo(items: Items[str]) -> Slo:
    """`ttft:200 tpot:50 e2e:5000`, as separate items or one text. InputError for anything else."""
    found: dict[str, float] = {}
    for item in " ".join(items).split():
        key, sign, value = item.partition(":")
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if key not in SLO_KEYS or not sign or not 0 < number < float("inf"):
            raise InputError("--goodput", "target", item, "ttft:MS, tpot:MS or e2e:MS with a number above 0")
        found[key] = number
    return Slo(**found)


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, median and tail of one latency in ms (0 where there is nothing to measure)."""

    mean: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: Items[float]) -> Spread:
        """Of values in ms."""
        if not len(values):
            return cls(0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = np.percentile(values, (50, 95, 99))
        return cls(float(np.mean(values)), float(p50), float(p95), float(p99))


@dataclass(frozen=True, slots=True)
class Metrics:
    """One run. Rates per second of its duration (first arrival to last token). `offered`: requests per second that
    arrived (None: all at once, a burst); `saturated`: less than 90 % of them were served at that rate."""

    seconds: float
    tokens: int
    tokens_per_second: float
    requests_per_second: float
    ttft: Spread
    tpot: Spread
    itl: Spread
    e2e: Spread
    goodput: float
    attainment: float
    dropped: int
    completion_rate: float
    offered: float | None
    saturated: bool

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self)


def measure_run(sequences: Items[Sequence], slo: Slo, ns_per_tick: float) -> Metrics:
    """Metrics of finished (or dropped) requests of one run."""
    done = [item for item in sequences if item.finished in ("stop", "length")]
    scale = ns_per_tick / 1e6  # ticks to ms
    if not done:
        raise InputError("bench", "requests", "none finished", "at least one that finishes")
    begun = min(item.spec.arrival for item in sequences)
    seconds = max((max(item.times[-1] for item in done) - begun) * scale / 1000, 1e-9)
    ttft = [(item.times[0] - item.spec.arrival) * scale for item in done]
    e2e = [(item.times[-1] - item.spec.arrival) * scale for item in done]
    tpot = [(total - first) / (len(item.times) - 1) if len(item.times) > 1 else None
            for item, first, total in zip(done, ttft, e2e, strict=True)]
    itl = np.concatenate([np.diff(item.times) for item in done]) * scale
    good = sum((slo.ttft is None or first <= slo.ttft) and (slo.e2e is None or total <= slo.e2e)
               and (slo.tpot is None or each is None or each <= slo.tpot)
               for first, each, total in zip(ttft, tpot, e2e, strict=True))
    tokens = sum(len(item.times) for item in done)
    span = (max(item.spec.arrival for item in sequences) - begun) * scale / 1000
    offered = (len(sequences) - 1) / span if span else None
    rate = len(done) / seconds
    return Metrics(seconds, tokens, tokens / seconds, rate, Spread.of(ttft),
                   Spread.of([each for each in tpot if each is not None]), Spread.of(itl.tolist()), Spread.of(e2e),
                   good / seconds, good / len(sequences), len(sequences) - len(done), len(done) / len(sequences),
                   offered, offered is not None and rate < SATURATED_BELOW * offered)
