"""The cases of a benchmark: one per exit rate, or the one a recording has."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from drex_runtime.bench.compare import Case
from drex_runtime.bench.traffic import Arrivals, arriving, exit_model, exit_share, synthetic
from drex_runtime.errors import RecordError
from drex_runtime.execution.scripted import prompt_of
from drex_runtime.records import Workload, load_workload
from drex_runtime.records.numbers import number_text
from drex_runtime.records.ticks import Tick
from drex_runtime.traces import UNKNOWN, load_trace
from drex_runtime.traces.dataset import WORKLOAD_SUFFIX, open_dataset

MAX_TOKENS = 1_000_000


@dataclass(frozen=True)
class Traffic:
    """What is asked for: exit rates, lengths, arrivals. A dataset brings its own lengths, and arrivals unless a rate
    is stated."""

    rates: tuple[Fraction, ...]
    persistence: Fraction
    count: int
    prompt_tokens: int
    output_tokens: int
    arrivals: Arrivals
    seed: int

    def __post_init__(self) -> None:
        for rate in self.rates:
            if not 0 <= rate <= 1:
                raise RecordError("bench", "exit_rates", rate, "shares from 0 to 1")


def cases_of(traffic: Traffic, num_segments: int, tick: Tick, dataset: Path | None = None) -> list[Case]:
    """One case per exit rate; a single one for a dataset whose depths are all known. InputError, LimitError."""
    if dataset is not None and _has_depths(dataset):
        found = open_dataset(dataset, num_segments=num_segments, tick=tick, first=traffic.count, max_tokens=MAX_TOKENS)
        return [_case("as recorded", found, traffic)]
    cases = []
    for rate in traffic.rates:
        if dataset is None:
            made = synthetic(num_segments, rate, count=traffic.count, prompt_tokens=traffic.prompt_tokens,
                             output_tokens=traffic.output_tokens, seed=traffic.seed, tick=tick,
                             persistence=traffic.persistence)
            made = arriving(made, traffic.arrivals, traffic.seed)
            cases.append(Case(number_text(rate), exit_share(made), made))
        else:
            exits = exit_model(rate, num_segments, traffic.persistence)
            made = open_dataset(dataset, exits, num_segments=num_segments, seed=traffic.seed, tick=tick,
                                first=traffic.count, max_tokens=MAX_TOKENS)
            cases.append(_case(number_text(rate), made, traffic))
    return cases


def quality_prompts(workload: Workload, vocabulary: int, seed: int) -> list[list[int]]:
    """The prompts of a workload (at least one token each)."""
    return [prompt_of(item, seed, vocabulary) or [0] for item in workload.requests]


def _case(label: str, workload: Workload, traffic: Traffic) -> Case:
    moved = workload if traffic.arrivals.rate is None else arriving(workload, traffic.arrivals, traffic.seed)
    return Case(label, exit_share(moved), moved)


def _has_depths(path: Path) -> bool:
    if path.suffix == WORKLOAD_SUFFIX:
        return bool(load_workload(path).requests)
    trace = load_trace(path)
    return trace.recorded is not None and not any(UNKNOWN in item.depths[1 if item.prompt_tokens else 0:]
                                                  for item in trace.recorded)
