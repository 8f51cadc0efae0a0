"""`drex serve`: an OpenAI-compatible server over an early-exit model under any policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

API_KEY_VARIABLE = "DREX_API_KEY"


def serve(
    model: Annotated[Path | None, typer.Argument(help="Model folder. Default: the shipped demo model.",
                                                 show_default=False)] = None,
    policy: Annotated[str, typer.Option(help="Shipped policy, YAML file or file.py:Name.")] = "drex",
    policy_config: Annotated[Path | None, typer.Option(help="Settings file such as tuned.yaml; names its "
                                                       "policy.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Cost profile for policies that use costs.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on. The default is not reachable from "
                                      "elsewhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 = any free one.")] = 8000,
    api_key: Annotated[str | None, typer.Option(help=f"Require it as Bearer token (all but /health). The variable "
                                                f"{API_KEY_VARIABLE} does not show in process lists.")] = None,
    served_model_name: Annotated[str | None, typer.Option(help="Name in the API. Default: the folder's.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    max_model_len: Annotated[int | None, typer.Option(help="Prompt and output of a request, in tokens. Default: the "
                                                      "model's.")] = None,
    max_num_seqs: Annotated[int, typer.Option(help="N, requests in flight.")] = 16,
    max_batch_rows: Annotated[int | None, typer.Option(help="Rows per launch. Default: N.")] = None,
    max_num_batched_tokens: Annotated[int, typer.Option(help="Prompt tokens per prefill launch.")] = 512,
    max_waiting: Annotated[int, typer.Option(help="Sequences that may wait for a row; beyond: 429.")] = 256,
    max_logprobs: Annotated[int, typer.Option(help="Log probabilities per token a client may ask for.")] = 20,
    max_body_bytes: Annotated[int, typer.Option(help="Largest request body.")] = 4 * 2**20,
    exit_threshold: Annotated[str | None, typer.Option(help="Confidence above which a token exits, for all ramps; "
                              "1 = never. Default: the model's own.")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Thresholds file of drex calibrate.")] = None,
    kv_fill: Annotated[str, typer.Option(help="What deeper layers keep of a token that exits: share (its exit "
                       "layer's entry, no memory), propagate (K, V of its exit state) or recompute (those of full "
                       "depth, computed when a later token first needs them).")] = "share",
    kv_max_debt: Annotated[int | None, typer.Option(help="With recompute: tokens per request whose K, V may be put "
                           "off. Default: 64.", show_default=False)] = None,
    enable_prefix_caching: Annotated[bool, typer.Option("--enable-prefix-caching", help="Prompts that begin alike "
                                     "share K and V of what was computed once. Simulators do not model it. The time to "
                                     "the first token shows clients whether a beginning was sent before.")] = False,
    kv_seqs: Annotated[int | None, typer.Option(help="Room of the KV pool, in requests of the full length; when it "
                       "runs short the youngest request is preempted. Default: N.")] = None,
    admission: Annotated[str, typer.Option(help="Memory a request must find: likely (what it needs now) or full (its "
                         "longest output; nothing is ever preempted).")] = "likely",
    watermark: Annotated[float, typer.Option(help="Share of the KV pool that likely admission leaves free.")] = 0.02,
    seed: Annotated[int, typer.Option(help="With a request's number, the seed of one that brings none.")] = 0,
    record: Annotated[Path | None, typer.Option(help="Record lengths, depths and confidences of every request: a "
                      "workload for the analyzer (JSONL).")] = None,
    stay: Annotated[str, typer.Option(help="What a ready row emits that had to stay: commit (its ramp's token) or deep "
                                      "(the LM head's).")] = "commit",
    drain_seconds: Annotated[float, typer.Option(help="Time for open requests after SIGTERM; a second signal ends "
                                                 "at once.")] = 30.0,
    pace_ms: Annotated[float, typer.Option(help="Beat on which streamed tokens leave, at most one of an output "
                                           "each. With 0 the time between tokens shows after which layer each was "
                                           "emitted.")] = 0.0,
    threads: Annotated[int | None, typer.Option(help="torch threads. Default: torch's own choice.")] = None,
) -> None:
    """Serve /v1/completions, /v1/chat/completions, /v1/models, /health, /metrics and /version."""
    from contextlib import nullcontext

    import torch

    from drex_runtime.commands.model_options import kv_of, open_model
    from drex_runtime.errors import InputError
    from drex_runtime.execution.llm import LLM
    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.settings import load_policy_config
    from drex_runtime.recording import Recorder
    from drex_runtime.records import load_profile
    from drex_runtime.server.app import create_app
    from drex_runtime.server.chat import ChatTemplate
    from drex_runtime.server.limits import Limits
    from drex_runtime.server.run import listen, server_of

    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in kinds:
        raise InputError("serve", "--dtype", dtype, ", ".join(kinds))
    key = api_key if api_key is not None else os.environ.get(API_KEY_VARIABLE)
    if key is not None and not (key and key.isascii() and key.isprintable()):
        raise InputError("serve", "--api-key", "a key", "printable ASCII, not empty")
    limits = Limits(body_bytes=max_body_bytes, waiting=max_waiting, logprobs=max_logprobs,
                    drain_seconds=drain_seconds, pace_ms=pace_ms)
    if threads is not None:
        torch.set_num_threads(threads)
    bound = listen(host, port)  # before the model is loaded: a taken port is told at once
    table, settings = load_policy_config(policy_config) if policy_config else (load_policy(policy), {})
    opened = open_model(model, exit_threshold, thresholds, kv_fill)
    loaded = opened.model if dtype == "float32" else opened.model.to(kinds[dtype])
    llm = LLM(loaded, policy=table, settings=settings, profile=load_profile(profile) if profile else None,
              max_num_seqs=max_num_seqs, batch_max=max_batch_rows, prefill_tokens=max_num_batched_tokens,
              max_model_len=max_model_len, tokenizer=opened.tokenizer, stay=stay, seed=seed,
              kv=kv_of(loaded, max_num_seqs, max_model_len, kv_seqs, kv_fill, admission, watermark,
                       prefix_cache=enable_prefix_caching, max_debt=kv_max_debt))
    name = served_model_name or opened.folder.resolve().name
    app = create_app(llm, model_name=name, template=ChatTemplate.load(opened.folder), limits=limits, api_key=key)
    print(f"drex serve: {name} under policy {table.name} on http://{host}:{bound.getsockname()[1]}", flush=True)
    with Recorder(record, llm.engine, model=name) if record else nullcontext():
        server_of(app).run(sockets=[bound])
