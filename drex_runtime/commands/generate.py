"""`drex generate`: text from an early-exit model under any policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drex_runtime.execution.llm import LLM
    from drex_runtime.execution.requests import RequestOutput


def generate(
    prompts: Annotated[list[str] | None, typer.Argument(help="Prompts. Default: lines of standard input.",
                                                        show_default=False)] = None,
    model: Annotated[Path | None, typer.Option(help="Model folder. Default: the shipped demo model.")] = None,
    policy: Annotated[str, typer.Option(help="Shipped policy, YAML file or file.py:Name.")] = "drex",
    policy_config: Annotated[Path | None, typer.Option(help="Settings file such as tuned.yaml; names its "
                                                       "policy.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Cost profile for policies that use costs.")] = None,
    max_tokens: Annotated[int, typer.Option(help="Output tokens per prompt.")] = 48,
    temperature: Annotated[float, typer.Option(help="0 = greedy.")] = 0.0,
    top_k: Annotated[int, typer.Option(help="0 = off.")] = 0,
    top_p: Annotated[float, typer.Option(help="Nucleus; 1 = off.")] = 1.0,
    min_p: Annotated[float, typer.Option(help="Least probability of a token, as a share of the best one's.")] = 0.0,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling noise.")] = None,
    n: Annotated[int, typer.Option(help="Outputs per prompt.")] = 1,
    presence_penalty: Annotated[float, typer.Option(help="Off the logits of tokens that are in the output.")] = 0.0,
    frequency_penalty: Annotated[float, typer.Option(help="The same per occurrence.")] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(help="Divides logits of tokens of prompt and output; 1 = "
                                                      "off.")] = 1.0,
    logit_bias: Annotated[list[str] | None, typer.Option(help="ID:BIAS, added to a token's logit; repeatable.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="Text that ends an output; repeatable.")] = None,
    stop_token_ids: Annotated[list[int] | None, typer.Option(help="Token that ends an output; repeatable.")] = None,
    include_stop_str_in_output: Annotated[bool, typer.Option("--include-stop-str-in-output",
                                                             help="Show what ended an output.")] = False,
    min_tokens: Annotated[int, typer.Option(help="Output tokens before anything may end an output.")] = 0,
    ignore_eos: Annotated[bool, typer.Option("--ignore-eos", help="Go on past the model's end token.")] = False,
    logprobs: Annotated[int | None, typer.Option(help="Print each token's log probability and the N best "
                                                 "tokens'.")] = None,
    exit_threshold: Annotated[str | None, typer.Option(help="Confidence above which a token exits, for all ramps; "
                              "1 = never. Default: the model's own.")] = None,
    thresholds: Annotated[Path | None, typer.Option(help="Thresholds file of drex calibrate.")] = None,
    kv_fill: Annotated[str, typer.Option(help="What deeper layers keep of a token that exits: share (its exit "
                       "layer's entry, no memory), propagate (K, V of its exit state) or recompute (those of full "
                       "depth, computed when a later token first needs them).")] = "share",
    kv_max_debt: Annotated[int | None, typer.Option(help="With recompute: tokens per request whose K, V may be put "
                           "off. Default: 64.", show_default=False)] = None,
    stay: Annotated[str, typer.Option(help="What a ready row emits that had to stay: commit (its ramp's token) or "
                    "deep (what it says further on).")] = "commit",
    enable_prefix_caching: Annotated[bool, typer.Option("--enable-prefix-caching", help="Prompts that begin alike "
                                     "share K and V of what was computed once. Simulators do not model it.")] = False,
    max_num_seqs: Annotated[int, typer.Option(help="N, requests in flight.")] = 16,
    max_batch_rows: Annotated[int | None, typer.Option(help="Rows per launch. Default: N.")] = None,
    kv_seqs: Annotated[int | None, typer.Option(help="Room of the KV pool, in requests of the full length. Default: "
                                                "N.")] = None,
    admission: Annotated[str, typer.Option(help="Memory a request must find: likely (what it needs now) or full (its "
                         "longest output).")] = "likely",
    watermark: Annotated[float, typer.Option(help="Share of the KV pool that likely admission leaves free.")] = 0.02,
    record: Annotated[Path | None, typer.Option(help="Record lengths, depths and confidences of every request: a "
                      "workload for the analyzer (JSONL).")] = None,
    trace_out: Annotated[Path | None, typer.Option(help="Chrome trace of the run, for ui.perfetto.dev.")] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Also print exits, launches and timing, and what the "
                                        "model's card says of its quality.")] = False,
) -> None:
    """Continue each prompt. The text does not depend on the policy as long as it consults every ramp."""
    import sys
    import time
    from contextlib import nullcontext

    from drex_runtime.commands.model_options import kv_of, open_model
    from drex_runtime.errors import InputError
    from drex_runtime.execution.llm import LLM
    from drex_runtime.execution.params import SamplingParams
    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.settings import load_policy_config
    from drex_runtime.progress import progress
    from drex_runtime.recording import Recorder, TimelineObserver
    from drex_runtime.records import load_profile

    texts = prompts or [line.rstrip("\n") for line in sys.stdin if line.strip()]
    if not texts:
        raise InputError("generate", "prompts", "none", "at least one prompt, as argument or line of standard input")
    params = SamplingParams(
        max_tokens, temperature, top_k, top_p, seed, n=n, min_p=min_p, presence_penalty=presence_penalty,
        frequency_penalty=frequency_penalty, repetition_penalty=repetition_penalty, logit_bias=biases(logit_bias or []),
        stop=tuple(stop or ()), stop_token_ids=tuple(stop_token_ids or ()), min_tokens=min_tokens,
        include_stop_str_in_output=include_stop_str_in_output, ignore_eos=ignore_eos, logprobs=logprobs)
    table, settings = load_policy_config(policy_config) if policy_config else (load_policy(policy), {})
    opened = open_model(model, exit_threshold, thresholds, kv_fill)
    llm = LLM(opened.model, policy=table, settings=settings, profile=load_profile(profile) if profile else None,
              max_num_seqs=max_num_seqs, batch_max=max_batch_rows, tokenizer=opened.tokenizer, stay=stay,
              kv=kv_of(opened.model, max_num_seqs, None, kv_seqs, kv_fill, admission, watermark,
                       prefix_cache=enable_prefix_caching, max_debt=kv_max_debt))
    timeline = TimelineObserver(llm.engine) if trace_out else None
    begun = time.perf_counter()
    with (Recorder(record, llm.engine, model=opened.folder.name) if record else nullcontext(),
          progress(f"generating for {len(texts)} prompts")):
        outputs = llm.generate(texts, params)
    seconds = time.perf_counter() - begun
    if timeline is not None and trace_out is not None:
        timeline.save(trace_out)
    for at, output in enumerate(outputs):
        print(f"{texts[at // n]}{output.text}\n")
        if logprobs is not None:
            print_logprobs(llm, output)
    if stats:
        print_run(llm, outputs, seconds)
        print_card(opened.folder)


def biases(texts: list[str]) -> tuple[tuple[int, float], ...]:
    """`ID:BIAS` as pairs. InputError for anything else."""
    from drex_runtime.errors import InputError

    found = []
    for text in texts:
        token, _, bias = text.partition(":")
        try:
            found.append((int(token), float(bias)))
        except ValueError as error:
            raise InputError("generate", "--logit-bias", text, "ID:BIAS, such as 42:-1.5") from error
    return tuple(found)


def print_logprobs(llm: LLM, output: RequestOutput) -> None:
    """A line per token: layer it left after, log probability, the best tokens with theirs."""
    def word(token: int) -> str:
        return str(token) if llm.tokenizer is None else repr(llm.tokenizer.decode([token], special=True))

    for token, layer, logprob in zip(output.token_ids, output.exit_layers, output.logprobs, strict=True):
        best = ", ".join(f"{word(other)} {value:.3f}" for other, value in logprob.best)
        print(f"  {word(token):<16} layer {layer:<3} {logprob.value:8.3f}  {best}".rstrip())
    print()


def print_run(llm: LLM, outputs: list[RequestOutput], seconds: float) -> None:
    """Exits, launches and speed of a generation."""
    depths = [depth for output in outputs for depth in output.depths]
    counted, segments = llm.engine.statistics, llm.policy.num_segments
    print(f"policy {llm.policy.policy.name}: {len(depths)} tokens in {seconds:.2f} s, "
          f"{len(depths) / seconds:.0f} tokens/s (measured)")
    for segment in range(1, segments):
        share = sum(depth == segment for depth in depths) / max(1, len(depths))
        print(f"  exits at ramp {segment}: {share:.1%}, threshold {llm.model.config.thresholds[segment - 1]}")
    print(f"  launches {counted.launches}, splits {counted.splits}, involuntary exits {counted.involuntary_exits}, "
          f"involuntary stays {counted.involuntary_stays}")
    saved = counted.cells_shared * llm.engine.runner.memory.pool.bytes_per_cell
    print(f"  KV cells owned {counted.cells_owned}, shared for skipped layers {counted.cells_shared} "
          f"({saved / 2**20:.2f} MiB saved), preemptions {counted.preemptions}")
    if llm.engine.runner.memory.prefixes is not None:
        print(f"  prefix cache: {counted.prefix_cache_hits} of {counted.prefix_cache_queries} prompt tokens were there")
    if llm.engine.runner.debts is not None:
        print(f"  tokens that left with K, V of deeper layers owed {counted.tokens_owed}, run to full depth since "
              f"{counted.tokens_recomputed}, debts at their bound {counted.debt_bound_hits}")
    if counted.stayed_tokens:
        print(f"  tokens of rows that had to stay {counted.stayed_tokens}, of these other than the ramp's "
              f"{counted.drifted_tokens}")


def print_card(folder: Path) -> None:
    """What the model's card claims, if it has one."""
    from drex_runtime.demo.card import read_card

    if not (folder / "card.json").is_file():
        return
    card = read_card(folder)
    print(f"card (measured on held-out text when trained): perplexity {card.deep_perplexity:.2f} at full depth, "
          f"bigram {card.bigram_perplexity:.2f}")
    for row in card.table:
        print(f"  threshold {row.threshold}: exit rate {row.generated_exit_rate:.1%}, agreement with full depth "
              f"{row.generated_agreement:.1%}, perplexity with exits {row.exit_perplexity:.2f}")
