"""`drex workload`: a trace or recording as a workload file for `drex replay` and the analyzer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drex_runtime.records.ticks import Tick

if TYPE_CHECKING:
    from drex_runtime.traces import ExitModel


def workload(
    trace: Annotated[Path, typer.Argument(help="Azure or BurstGPT CSV, Mooncake or Qwen-Bailian JSONL, a recording.")],
    out: Annotated[Path, typer.Option(help="Workload file to write.")],
    format: Annotated[str, typer.Option(help="azure, burstgpt, mooncake, qwen-bailian, recording, or auto: by the "
                                             "columns.")] = "auto",
    exit_rates: Annotated[str | None, typer.Option(
        help="Share of tokens that exit at each ramp, as in 0.5 or 0.3,0.2. Only recordings do without.")] = None,
    persistence: Annotated[str, typer.Option(help="Chance that a token exits where the one before it did.")] = "0",
    similarity: Annotated[str, typer.Option(help="How alike requests are: 0 independent, 1 the same.")] = "0",
    seed: Annotated[int, typer.Option(help="Seed of the exit model.", min=0)] = 0,
    start: Annotated[str, typer.Option(help="Leave out arrivals before this many seconds.")] = "0",
    seconds: Annotated[str | None, typer.Option(help="Length of the window from --start.")] = None,
    first: Annotated[int | None, typer.Option(help="Most requests to take.", min=1)] = None,
    speed: Annotated[str, typer.Option(help="Factor on the arrival rate.")] = "1",
    tick: Annotated[str, typer.Option(help="ps, ns or us: that of the cost profile it will run on.")] = "ns",
) -> None:
    """Convert a trace. Depths are recorded ones or drawn from the stated exit model; the file says which."""
    from drex_runtime.policies.expressions import parse_fraction
    from drex_runtime.records import save_workload
    from drex_runtime.traces import load_trace, to_workload

    unit, model = _tick(tick), _exit_model(exit_rates, persistence, similarity)
    factor = parse_fraction(speed, "--speed")
    begin = _nanoseconds(start, "--start")
    rows = load_trace(trace, format)
    if begin or seconds is not None:
        rows = rows.between(begin, 2**62 if seconds is None else begin + _nanoseconds(seconds, "--seconds"))
    rows = rows if first is None else rows.first(first)
    rows = rows if factor == 1 else rows.faster(factor)
    made = to_workload(rows, model, seed=seed, tick=unit)
    save_workload(out, made)
    size = f"{len(made.requests)} requests, {made.num_tokens} output tokens, {made.num_ramps} ramps"
    print(made.source, size, out, sep="\n")


def _tick(text: str) -> Tick:
    from drex_runtime.errors import InputError

    ticks: dict[str, Tick] = {"ps": "ps", "ns": "ns", "us": "us"}
    if text not in ticks:
        raise InputError("drex workload", "--tick", text, "ps, ns or us")
    return ticks[text]


def _exit_model(rates: str | None, persistence: str, similarity: str) -> ExitModel | None:
    from drex_runtime.policies.expressions import parse_fraction
    from drex_runtime.traces import ExitModel

    if rates is None:
        return None
    return ExitModel(tuple(parse_fraction(rate.strip(), "--exit-rates") for rate in rates.split(",")),
                     parse_fraction(persistence, "--persistence"), parse_fraction(similarity, "--similarity"))


def _nanoseconds(text: str, option: str) -> int:
    from drex_runtime.errors import InputError
    from drex_runtime.policies.expressions import parse_fraction

    value = parse_fraction(text, option) * 10**9
    if value < 0 or value.denominator != 1 or value >= 2**61:
        raise InputError("drex workload", option, text, "seconds, 0 or more, with at most 9 decimals")
    return int(value)
