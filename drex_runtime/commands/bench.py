"""`drex bench`: policies on the real engine at equal N, equal batch and equal output, interleaved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drex_runtime.bench.drive import Entry


def bench(
    model: Annotated[Path | None, typer.Argument(help="Model folder. Default: the shipped demo model.",
                                                 show_default=False)] = None,
    random_model: Annotated[str | None, typer.Option(help="Random weights of a shape instead: a config.json, or "
                            "layers=12,hidden=512,ramps=6 (also heads, kv_heads, intermediate, vocab).")] = None,
    policies: Annotated[str, typer.Option(help="Shipped names, YAML files, file.py:Name, separated by commas; no-exit "
                                          "always takes part.")] = "flush-now,drex",
    policy_config: Annotated[list[Path] | None, typer.Option(help="Settings file such as tuned.yaml, repeatable: takes "
                             "part under the file's name.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Cost profile for policies that use costs.")] = None,
    exit_rates: Annotated[str, typer.Option(help="Exit rates of the scripted depths; spread evenly over the ramps.")] =
    "0,.15,.3,.5,.7,.9,1",
    persistence: Annotated[str, typer.Option(help="Chance that a token exits where the one before did.")] = "0",
    dataset: Annotated[Path | None, typer.Option(help="Lengths, arrivals and (if it has them) depths from a recording, "
                       "public trace or workload file.")] = None,
    num_prompts: Annotated[int, typer.Option(help="Requests (of a dataset: the first).", min=1)] = 64,
    input_len: Annotated[int, typer.Option(help="Prompt tokens without a dataset.", min=0)] = 16,
    output_len: Annotated[int, typer.Option(help="Output tokens without a dataset.", min=1)] = 32,
    request_rate: Annotated[float | None, typer.Option(help="Requests per second. Default: all at once, or as the "
                            "dataset has them.")] = None,
    burstiness: Annotated[float, typer.Option(help="Shape of the gamma-distributed gaps; 1 = Poisson.")] = 1.0,
    max_concurrency: Annotated[int | None, typer.Option(help="Most unfinished requests at a time.")] = None,
    goodput: Annotated[list[str] | None, typer.Option(help="Targets in ms, as in 'ttft:200 tpot:50 e2e:5000'; "
                       "repeatable.")] = None,
    max_num_seqs: Annotated[int, typer.Option(help="N, requests in flight.", min=1)] = 16,
    max_batch_rows: Annotated[int | None, typer.Option(help="Rows per launch. Default: N.")] = None,
    kv_fill: Annotated[str, typer.Option(help="What deeper layers keep of a token that exits, in the first table: "
                       "share (its exit layer's entry, no memory), propagate (K, V of its exit state) or recompute "
                       "(those of full depth, computed later).")] = "share",
    kv_max_debt: Annotated[int | None, typer.Option(help="With --kv-fill recompute: tokens per request whose K, V "
                           "may be put off. Default: 64.", show_default=False)] = None,
    stay: Annotated[str, typer.Option(help="What a ready row emits that had to stay: commit (its ramp's token) or "
                    "deep (what it says further on).")] = "commit",
    kv_fills: Annotated[str | None, typer.Option(help="A second table at equal pool bytes: these KV fills, such as "
                        "share,propagate, under the first of --policies: requests in flight, preemptions, cells per "
                        "token; throughput as a ratio to the last one named.", show_default=False)] = None,
    kv_bytes: Annotated[str | None, typer.Option(help="Its pool: bytes such as 512K or 8M, or a share of what N "
                        "requests of the full length need; rounded down to whole requests. Default: 25%.",
                        show_default=False)] = None,
    kv_block_tokens: Annotated[int | None, typer.Option(help="Its superblocks, in tokens of the longest segment. "
                               "Requests hold whole ones: far shorter than a request, or they hide what a fill saves. "
                               "Default: 32.", min=1, max=4096, show_default=False)] = None,
    rounds: Annotated[int, typer.Option(help="Interleaved rounds; from 6 on, the interval of a median ratio has a "
                      "level of 95 % or more.", min=1)] = 6,
    reference: Annotated[str | None, typer.Option(help="transformers: its generate beside no-exit.")] = None,
    reference_batches: Annotated[str, typer.Option(help="Batch sizes of the reference.")] = "1,8,32",
    threads: Annotated[int | None, typer.Option(help="torch threads. Default: torch's own choice.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of depths, prompts and arrivals.", min=0)] = 0,
    save_result: Annotated[Path | None, typer.Option(help="Write everything as JSON (schema drex-bench/1).")] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture (.svg or .png): throughput and latency against exit "
                                              "rate.")] = None,
) -> None:
    """Compare policies: throughput and latency against no-exit in the same round, with what it costs in quality.

    Ratios are medians over rounds with an interval (order statistics, no distribution assumed): one that holds 1 tells
    nothing apart. With --kv-fills, KV fills are compared too, in pools of the same bytes.
    """
    import sys
    from dataclasses import replace
    from datetime import UTC, datetime

    import torch

    from drex_runtime.bench.cases import Traffic, cases_of, quality_prompts
    from drex_runtime.bench.compare import compare
    from drex_runtime.bench.drive import Contestant
    from drex_runtime.bench.fills import compare_fills, parse_fills
    from drex_runtime.bench.metrics import parse_slo
    from drex_runtime.bench.model import bench_model
    from drex_runtime.bench.picture import draw
    from drex_runtime.bench.pool_size import pool_size
    from drex_runtime.bench.quality import measure_quality
    from drex_runtime.bench.reference import against_transformers, check_reference
    from drex_runtime.bench.result import BenchResult
    from drex_runtime.bench.tables import tables
    from drex_runtime.bench.traffic import Arrivals
    from drex_runtime.commands.model_options import kv_of
    from drex_runtime.errors import InputError
    from drex_runtime.execution.memory import TOKENS_PER_BLOCK
    from drex_runtime.policies.expressions import parse_fraction
    from drex_runtime.profiling.device import device_name
    from drex_runtime.progress import progress
    from drex_runtime.records import ServerConfig, load_profile

    if reference not in (None, "transformers"):
        raise InputError("drex bench", "--reference", reference, "transformers")
    if reference:
        check_reference()
    sizes = _numbers(reference_batches)
    if plot is not None and plot.suffix not in (".svg", ".png"):
        raise InputError("drex bench", "--plot", plot, "a name ending in .svg or .png")
    if threads is not None:
        torch.set_num_threads(threads)
    entries, slo = _entries(policies, policy_config or []), parse_slo(goodput or [])
    fills = parse_fills(kv_fills) if kv_fills is not None else ()
    if fills and len(entries) < 2:
        raise InputError("drex bench", "--policies", policies, "a policy besides no-exit, for --kv-fills to run")
    for option, value in (("--kv-bytes", kv_bytes), ("--kv-block-tokens", kv_block_tokens)):
        if value is not None and not fills:
            raise InputError("drex bench", option, value, "--kv-fills too, whose table it is about")
    opened = bench_model(model, random_model)
    costs = load_profile(profile) if profile else None
    config = ServerConfig(max_batch_rows or max_num_seqs, max_num_seqs, 512)
    traffic = Traffic(tuple(parse_fraction(item.strip(), "--exit-rates") for item in exit_rates.split(",")),
                      parse_fraction(persistence, "--persistence"), num_prompts, input_len, output_len,
                      Arrivals(request_rate, burstiness), seed)
    cases = cases_of(traffic, opened.model.config.num_segments, costs.tick if costs else "ns", dataset)
    longest = max(item.prompt_tokens + item.output_tokens for case in cases for item in case.workload.requests)
    longest = min(longest, opened.model.config.max_positions)
    pool = pool_size(kv_bytes or "25%", opened.model, max_num_seqs, longest,
                     kv_block_tokens or TOKENS_PER_BLOCK) if fills else None
    kv = kv_of(opened.model, max_num_seqs, longest, None, kv_fill, max_debt=kv_max_debt)
    contestants = [Contestant(entry, opened.model, config, profile=costs, max_model_len=longest, kv=kv, stay=stay)
                   for entry in entries]
    with progress("benchmarking") as tell:
        rows = compare(contestants, cases, slo, rounds=rounds, seed=seed, max_concurrency=max_concurrency, tell=tell)
        middle = cases[len(cases) // 2].workload
        parts = {item.name: item.timed_parts(middle, seed) for item in contestants}
        in_pool = compare_fills(entries[1], opened.model, config, cases, fills, pool, slo=slo, rounds=rounds, seed=seed,
                                max_concurrency=max_concurrency, stay=stay, profile=costs, tell=tell) if pool else None
        quality = []
        if any(threshold < 1 for threshold in opened.model.config.thresholds):
            tell("quality with the model's own thresholds")
            prompts = quality_prompts(cases[0].workload, opened.model.config.vocab_size, seed)
            quality = measure_quality(entries, opened.model, config, prompts, output_len, costs,
                                      replace(kv, capacity_tokens=opened.model.config.max_positions), stay)
        compared = against_transformers(opened, sizes, prompt_tokens=max(1, input_len), output_tokens=output_len,
                                        rounds=rounds, seed=seed, tell=tell) if reference else []
    about = {"command": "drex " + " ".join(sys.argv[1:]), "model": opened.name, "device": device_name(),
             "dtype": "float32", "threads": torch.get_num_threads(), "torch": torch.__version__, "seed": seed,
             "date": datetime.now(UTC).isoformat(timespec="seconds"), "max_num_seqs": max_num_seqs,
             "batch_max": config.batch_max, "rounds": rounds, "num_prompts": num_prompts, "kv_fill": kv_fill,
             "stay": stay, "workloads": [case.workload.source for case in cases],
             "profile": costs.name if costs else "nominal", "settings": {c.name: c.values for c in contestants}}
    notes = [] if quality else ["depths are scripted and no ramp has a threshold: quality is not measured"]
    if costs is not None and costs.meta.kv_fill not in (None, kv_fill):
        notes.append(f"profile {costs.name} was measured with KV fill {costs.meta.kv_fill}; the policies ran with "
                     f"{kv_fill}")
    result = BenchResult(about, tuple(rows), parts, tuple(quality), tuple(compared), tuple(notes), in_pool)
    print(f"{opened.name}, N = {max_num_seqs}, batch_max = {config.batch_max}, {rounds} rounds, {device_name()}, "
          f"{torch.get_num_threads()} threads, KV fill {kv_fill}, stay {stay} (measured)")
    print("\n".join(tables(result)))
    if save_result is not None:
        result.save(save_result)
        print(save_result)
    if plot is not None:
        draw(rows, plot, f"{opened.name}, N = {max_num_seqs}, KV fill {kv_fill}, {rounds} rounds")
        print(plot)


def _entries(policies: str, configs: list[Path]) -> list[Entry]:
    from drex_runtime.bench.compare import BASELINE
    from drex_runtime.bench.drive import Entry
    from drex_runtime.errors import InputError
    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.settings import load_policy_config

    names = [BASELINE, *(name.strip() for name in policies.split(",") if name.strip() not in ("", BASELINE))]
    found = [Entry(name, load_policy(name), {}) for name in names]
    for path in configs:
        table, settings = load_policy_config(path)
        found.append(Entry(path.stem, table, settings))
    labels = [entry.name for entry in found]
    if len(set(labels)) != len(labels):
        raise InputError("drex bench", "policies", ", ".join(labels), "policies and settings files of different names")
    return found


def _numbers(text: str) -> list[int]:
    from drex_runtime.errors import InputError

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 4096 for part in parts):
        raise InputError("drex bench", "--reference-batches", text, "batch sizes from 1 to 4096, separated by commas")
    return [int(part) for part in parts]
