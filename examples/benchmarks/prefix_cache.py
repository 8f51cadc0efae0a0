"""Time to the first token with and without the prefix cache, by the share of a prompt that is cached: one table.

    python examples/benchmarks/prefix_cache.py [--rounds 15] [--out FILE]

Each round draws a beginning, sends it as one prompt, then measures another that begins alike and goes on by itself;
cache off and on take turns. Alone: nobody else is there. Burst: eight such requests at once, the mean of all. Medians
over rounds; `differs` is the largest difference that the cache made to the log probability of the first token (float32:
the rest of the prompt is computed in another chunk, as with another --max-num-batched-tokens), `tokens differ` counts
greedy texts of 8 tokens that are not the same. Prompts are random tokens: no choice is an easy one.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import torch

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.model import EarlyExitLlama, load_model, parse_config, random_model
from drex_runtime.records.ticks import TICKS_PER_SECOND

PROMPT, BURST = 384, 8
HELD = (0, 96, 192, 368)
PARAMS = SamplingParams(max_tokens=8, ignore_eos=True, logprobs=0)
LARGER = {"model_type": "llama", "vocab_size": 4096, "hidden_size": 512, "intermediate_size": 1408,
          "num_hidden_layers": 8, "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 512,
          "early_exit": {"ramps": [4], "thresholds": ["0.1"]}}


@dataclass(frozen=True)
class Measured:
    """One measured burst: mean time to the first token (ms), texts, log probabilities of their first tokens."""

    ttft: float
    texts: list[tuple[int, ...]]
    first: list[float]
    cached: int


def measure(llm: LLM, beginning: list[int], rests: list[list[int]]) -> Measured:
    """Send the beginning, then at once the prompts that go on with `rests`."""
    if beginning:
        llm.generate([beginning], SamplingParams(max_tokens=1, ignore_eos=True))
    sequences: list[Sequence] = [llm.engine.submit(llm.sequences([*beginning, *rest], PARAMS)[0]) for rest in rests]
    llm.engine.run()
    waited = [one.times[0] - one.spec.arrival for one in sequences]
    return Measured(1000 * sum(waited) / len(waited) / TICKS_PER_SECOND[llm.engine.profile.tick],
                    [tuple(one.output_ids) for one in sequences], [one.logprobs[0].value for one in sequences],
                    sum(one.cached or 0 for one in sequences) // len(sequences))


def row(name: str, model: EarlyExitLlama, held: int, burst: int, rounds: int) -> str:
    """One line of the table."""
    random, vocabulary = Random(held * 100 + burst), model.config.vocab_size
    engines = [LLM(model, policy="flush-now", max_num_seqs=BURST, kv=KVConfig(512, sequences=BURST, prefix_cache=on))
               for on in (False, True)]
    off, on = list[Measured](), list[Measured]()
    for at in range(rounds + 1):
        beginning = [random.randrange(vocabulary) for _ in range(held)]
        rests = [[random.randrange(vocabulary) for _ in range(PROMPT - held)] for _ in range(burst)]
        order = (0, 1) if at % 2 else (1, 0)
        found = {which: measure(engines[which], beginning, rests) for which in order}
        if at:  # the first round warms up
            off.append(found[0])
            on.append(found[1])
    plain, cached = median(each.ttft for each in off), median(each.ttft for each in on)
    pairs = [(one, two) for before, after in zip(off, on, strict=True)
             for one, two in zip(before.first, after.first, strict=True)]
    texts = sum(one != two for before, after in zip(off, on, strict=True)
                for one, two in zip(before.texts, after.texts, strict=True))
    who = "alone" if burst == 1 else f"burst of {burst}"
    return (f"| {name} | {who} | {on[-1].cached} of {PROMPT} | {plain:.1f} | {cached:.1f} | {plain / cached:.2f} | "
            f"{max(abs(one - two) for one, two in pairs):.1e} | {texts} of {len(pairs)} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = {"demo": load_model(DEMO_FOLDER),
              "random, 8 layers of 512": random_model(parse_config(LARGER), 0).requires_grad_(False)}
    lines = [f"Prompts of {PROMPT} tokens, {given.rounds} rounds, one thread, at most 512 tokens per prefill.", "",
             "| model | requests | cached tokens | TTFT off, ms | TTFT on, ms | off / on | differs | tokens differ |",
             "|---|---|---|---|---|---|---|---|"]
    print("\n".join(lines), flush=True)
    for name, model in models.items():
        for burst in (1, BURST):
            for held in HELD:
                lines.append(row(name, model, held, burst, given.rounds))
                print(lines[-1], flush=True)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
