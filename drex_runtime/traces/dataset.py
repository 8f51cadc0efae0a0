"""Datasets as commands take them: a workload file, an own recording or a public trace, as one workload."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from drex_runtime.errors import InputError, LimitError
from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.records.ticks import Tick
from drex_runtime.records.workload import Workload, load_workload
from drex_runtime.traces.exits import ExitModel
from drex_runtime.traces.load import load_trace
from drex_runtime.traces.workload import to_workload

WORKLOAD_SUFFIX = ".json"


def stated_exits(rates: str | None, persistence: str = "0", similarity: str = "0") -> ExitModel | None:
    """The exit model of `--exit-rates 0.3,0.2` (one share per ramp); None without rates."""
    if rates is None:
        return None
    shares = tuple(parse_fraction(rate.strip(), "--exit-rates") for rate in rates.split(","))
    return ExitModel(shares, parse_fraction(persistence, "--persistence"), parse_fraction(similarity, "--similarity"))


def open_dataset(path: Path, exits: ExitModel | None = None, *, num_segments: int, seed: int = 0, tick: Tick = "ns",
                 first: int | None = None, max_tokens: int = 5_000_000) -> Workload:
    """The workload of `path`: `.json` is a workload file, anything else is told by its columns (`load_trace`).

    Depths are the file's own where it has them; `exits` supplies the others, and `Workload.source` says how many.
    InputError where they are missing or the segments are not `num_segments`; LimitError beyond `max_tokens`.
    """
    if path.suffix == WORKLOAD_SUFFIX:
        loaded = load_workload(path).in_tick(tick)
        found = loaded if first is None else replace(loaded, requests=loaded.requests[:first])
    else:
        rows = load_trace(path)
        rows = rows if first is None else rows.first(first)
        _within(path, int(rows.output_tokens.sum()), max_tokens)
        found = to_workload(rows, exits, seed=seed, tick=tick)
    _within(path, found.num_tokens, max_tokens)
    if found.num_segments != num_segments:
        raise InputError(str(path), "num_segments", found.num_segments, f"{num_segments}, as the profile or model has "
                         f"{num_segments - 1} ramps")
    return found


def _within(path: Path, tokens: int, most: int) -> None:
    if tokens > most:
        raise LimitError(f"{path}: {tokens} output tokens: take fewer of its requests (at most {most} tokens)")
