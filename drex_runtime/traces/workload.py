"""From a trace to a workload: arrivals and lengths of the trace, depths of a recording or of a stated model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from drex_runtime.errors import InputError, LimitError
from drex_runtime.records.ticks import TICKS_PER_SECOND, Tick
from drex_runtime.records.workload import Request, Workload
from drex_runtime.traces.exits import ExitModel
from drex_runtime.traces.record import Trace
from drex_runtime.traces.recorded import UNKNOWN

MAX_TOKENS = 200_000_000


def to_workload(trace: Trace, exits: ExitModel | None = None, *, seed: int = 0, tick: Tick = "ns",
                name: str = "") -> Workload:
    """A workload of all rows of `trace` (cut it first with `Trace.first` or `Trace.between`).

    Depths: recorded ones where known, else drawn from `exits`; which of the two, and how many, is written to
    `Workload.source`. Times coarser than the trace's are rounded down, and that is written there too.
    Raises InputError if a depth is missing and there is no model, or model and recording differ in ramps;
    LimitError beyond 2e8 tokens.
    """
    total = int(trace.output_tokens.sum())
    if total > MAX_TOKENS:
        raise LimitError(f"trace {trace.name}: {total} output tokens: cut it to at most {MAX_TOKENS}")
    num_segments = trace.num_segments or (exits.num_segments if exits else None)
    if num_segments is None:
        raise InputError(trace.name, "depths", "none", "an exit model, as this trace has no depths")
    if exits is not None and exits.num_segments != num_segments:
        raise InputError(trace.name, "num_segments", num_segments, f"the exit model's {exits.num_segments}")
    depths, said = _depths(trace, exits, seed, num_segments)
    per_tick, rest = divmod(TICKS_PER_SECOND["ns"], TICKS_PER_SECOND[tick])
    finer = TICKS_PER_SECOND[tick] // TICKS_PER_SECOND["ns"]

    def ticks(nanoseconds: int | None) -> int | None:
        return None if nanoseconds is None else nanoseconds * finer if rest else nanoseconds // per_tick

    requests = []
    prompts, arrivals = trace.prompt_tokens.tolist(), trace.arrivals.tolist()
    for index, (arrival, prompt, run) in enumerate(zip(arrivals, prompts, depths, strict=True)):
        recorded = trace.recorded[index] if trace.recorded else None
        request = Request(index, ticks(arrival) or 0, prompt, run)
        if recorded is not None:
            request = replace(request, id=recorded.id, due=ticks(recorded.due), ttft=ticks(recorded.ttft),
                              tpot=ticks(recorded.tpot))
        requests.append(request)
    rounded = [] if rest or per_tick == 1 else [f"times rounded down to {tick}"]
    source = "; ".join([trace.provenance, *said, *rounded])
    return Workload.of(num_segments, requests, tick=tick, name=name or trace.name, source=source)


def _depths(trace: Trace, exits: ExitModel | None, seed: int,
            num_segments: int) -> tuple[list[tuple[int, ...]], list[str]]:
    """Depths per request, and where they come from."""
    recorded = [request.depths for request in trace.recorded] if trace.recorded else None
    missing = sum(_missing(run, prompt) for run, prompt in zip(recorded, trace.prompt_tokens, strict=True)) \
        if recorded is not None else int(trace.output_tokens.sum())
    if recorded is not None and not missing:
        return [_filled(run, run, num_segments) for run in recorded], ["depths recorded"]
    if exits is None:
        raise InputError(trace.name, "depths", f"{missing} unknown", "an exit model that supplies them")
    flat = exits.depths(trace.output_tokens, seed, trace.prompt_tokens > 0).tolist()
    ends = np.cumsum(trace.output_tokens).tolist()
    drawn = [tuple(flat[end - count : end]) for end, count in zip(ends, trace.output_tokens.tolist(), strict=True)]
    said = f"{exits.description}, seed {seed}"
    if recorded is None:
        return drawn, [said]
    both = [_filled(run, other, num_segments) for run, other in zip(recorded, drawn, strict=True)]
    return both, [f"recorded depths, {missing} unknown ones filled: {said}"]


def _missing(run: tuple[int, ...], prompt: int) -> int:
    return run.count(UNKNOWN) - (1 if prompt and run[0] == UNKNOWN else 0)


def _filled(run: tuple[int, ...], other: tuple[int, ...], num_segments: int) -> tuple[int, ...]:
    """Known depths, then `other`'s; an unknown prefill token has depth K + 1 (only such can be left)."""
    return tuple(depth or filler or num_segments for depth, filler in zip(run, other, strict=True))
