"""`drex replay`: a workload through the real engine with scripted depths, predicted beside measured."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def replay(
    workload: Annotated[Path, typer.Argument(help="Workload file (JSON).")],
    profile: Annotated[Path, typer.Option(help="Cost profile of this machine (`drex profile`).")],
    model: Annotated[Path | None, typer.Option(help="Model folder. Default: the shipped demo model.")] = None,
    policy: Annotated[str, typer.Option(help="Shipped policy, YAML file or file.py:Name.")] = "drex",
    policy_config: Annotated[Path | None, typer.Option(help="Settings file such as tuned.yaml; names its policy.")] =
    None,
    max_num_seqs: Annotated[int, typer.Option(help="N, requests in flight.")] = 16,
    max_batch_rows: Annotated[int | None, typer.Option(help="Rows per launch. Default: N.")] = None,
    kv_fill: Annotated[str | None, typer.Option(help="KV fill of the engine: share or propagate. Default: the one that "
                       "the profile was measured with.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the prompts' tokens.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Write every launch as JSON.")] = None,
) -> None:
    """Take the same decisions as the simulator on the profile's clock, and time every launch for real."""
    import json

    from drex_runtime.commands.model_options import kv_of, open_model
    from drex_runtime.policies import bind
    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.settings import load_policy_config
    from drex_runtime.profiling import replay as replaying
    from drex_runtime.progress import progress
    from drex_runtime.records import ServerConfig, load_profile, load_workload
    from drex_runtime.records.files import write_atomic

    table, settings = load_policy_config(policy_config) if policy_config else (load_policy(policy), {})
    costs = load_profile(profile)
    config = ServerConfig(max_batch_rows or max_num_seqs, max_num_seqs)
    bound = bind(table, costs, config, settings)
    requests = load_workload(workload).in_tick(costs.tick)
    with progress(f"replaying {len(requests.requests)} requests"):
        loaded = open_model(model).model
        result = replaying.replay(loaded, bound, requests, seed=seed,
                                  kv=kv_of(loaded, max_num_seqs, None, None, kv_fill) if kv_fill else None)
    kinds = sorted({(item.launch.kind, item.launch.pool) for item in result.launches})
    print(f"{'launch':<10} {'count':>6} {'predicted ms':>13} {'measured ms':>12} {'median error':>13}")
    for kind, pool in kinds:
        chosen = [item for item in result.launches if (item.launch.kind, item.launch.pool) == (kind, pool)]
        name = kind if kind == "PREFILL" else f"RUN({pool})"
        error = result.median_error(kind, pool) or 0.0
        print(f"{name:<10} {len(chosen):>6} {sum(i.predicted for i in chosen) / 1e6:>13.2f} "
              f"{sum(i.measured for i in chosen) / 1e6:>12.2f} {error:>13.1%}")
    difference = result.predicted / result.measured - 1
    print(f"makespan: predicted {result.predicted / 1e6:.2f} ms, measured {result.measured / 1e6:.2f} ms "
          f"({difference:+.1%}); {result.run.tokens} tokens, {result.run.involuntary_exits} involuntary exits")
    if out is not None:
        rows = [{"start": item.launch.start, "kind": item.launch.kind, "pool": item.launch.pool,
                 "rows": item.launch.rows, "rule": item.launch.rule, "predicted_ns": item.predicted,
                 "measured_ns": item.measured} for item in result.launches]
        write_atomic(out, json.dumps({"launches": rows, "idle_ns": result.idle}, indent=1) + "\n")
        print(out)
