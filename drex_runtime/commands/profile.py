"""`drex profile`: measure what launches cost on this machine's engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def profile(
    model: Annotated[Path | None, typer.Argument(help="Model folder. Default: the shipped demo model.",
                                                 show_default=False)] = None,
    random_model: Annotated[str | None, typer.Option(help="Random weights of a shape instead: a config.json, or "
                            "layers=12,hidden=512,ramps=6 (also heads, kv_heads, intermediate, vocab).")] = None,
    out: Annotated[Path, typer.Option(help="Where to write the profile (JSON).")] = Path("profile.json"),
    max_batch_rows: Annotated[int, typer.Option(help="Largest batch to measure.")] = 32,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds over all points.")] = 5,
    seconds: Annotated[float | None, typer.Option(help="Stop after this time, but not before one full round.")] = 30.0,
    kv_fill: Annotated[str, typer.Option(help="KV fill of the engine to measure: share or propagate. The profile's "
                       "kv_fill is its price per exit, for propagate the mean over all ramps.")] = "share",
    threads: Annotated[int | None, typer.Option(help="torch threads. Default: torch's own choice.")] = None,
) -> None:
    """Time every cost of the scheduling model on the real engine and fit a CostProfile.

    The raw medians and the fit's error are stored with it; simulator, analyzer and drex replay use its KV fill.
    """
    from typing import cast, get_args

    import torch

    from drex_runtime.bench.model import bench_model
    from drex_runtime.errors import InputError
    from drex_runtime.profiling.fit import fit_profile
    from drex_runtime.profiling.measure import Plan, measure
    from drex_runtime.progress import progress
    from drex_runtime.records import save_profile
    from drex_runtime.records.profile import KVFill

    if max_batch_rows < 1 or rounds < 1:
        raise InputError("profile", "max_batch_rows, rounds", f"{max_batch_rows}, {rounds}", "1 or more each")
    if kv_fill not in get_args(KVFill):
        raise InputError("profile", "kv_fill", kv_fill, "share or propagate, whose price a profile can state")
    if threads is not None:
        torch.set_num_threads(threads)
    opened = bench_model(model, random_model, who="drex profile")
    loaded = opened.model
    batches = tuple(size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if size < max_batch_rows)
    plan = Plan((*batches, max_batch_rows), rounds=rounds, seconds=seconds,
                kv_fill=cast(KVFill, kv_fill))
    with progress("profiling") as tell:
        points, done = measure(loaded, plan, lambda text: tell(f"profiling: {text}"))
    fitted = fit_profile(points, plan, name=f"{opened.name}-{max_batch_rows}", model=opened.name,
                         num_segments=loaded.config.num_segments, dtype="float32", rounds=done)
    save_profile(out, fitted)
    rows = max_batch_rows
    for s in range(1, fitted.num_segments + 1):
        one, many = fitted.segment_cost(s, 1, 0), fitted.segment_cost(s, rows, 0)
        print(f"segment {s}: {one / 1e6:.3f} ms at 1 row, {many / 1e6:.3f} ms at {rows} rows, "
              f"{fitted.segments[s - 1].per_context} ns per context token")
    for r in range(1, fitted.num_segments):
        print(f"ramp {r}: {fitted.ramp_cost(r, rows) / 1e6:.3f} ms at {rows} rows; start of segment {r + 1}: "
              f"{fitted.start_cost(r + 1) / 1e6:.3f} ms")
    if fitted.num_segments > 1:
        print(f"KV fill ({kv_fill}), handing out tokens included: {fitted.fill_cost(1) / 1e6:.3f} ms where 1 row "
              f"leaves, {fitted.fill_cost(rows) / 1e6:.3f} ms where {rows} do")
    print(f"rebatch {fitted.rebatch / 1e6:.3f} ms; median relative error of the fit {fitted.meta.fit_error:.1%}; "
          f"{done} rounds")
    print(out)
