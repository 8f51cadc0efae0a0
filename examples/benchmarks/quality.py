"""Quality and memory of the KV modes on a model, per threshold: the table of the README.

    python examples/benchmarks/quality.py --out examples/benchmarks/results/quality.md

Given text: windows of held-out documents, the first tokens of each as prompt. Generation: prompts from the same
documents continued greedily. `agreement` is the share of exited tokens that full depth confirms at the same state.
KV saved: bytes of K and V that decode tokens did not take, as a share of what they take at full depth; only `share`
saves any, as the other modes write every layer's entries.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.demo.calibrate import HeldOutSample, draw_sample, halves
from drex_runtime.demo.card import Measurement, read_card
from drex_runtime.demo.corpus import read_corpus
from drex_runtime.model import EarlyExitLlama, Tokenizer, load_model
from drex_runtime.model.quality import TextScore, forced, generated
from drex_runtime.model.sequence import KV_FILLS

THRESHOLDS = ("0.05", "0.1", "0.15", "0.2", "0.3", "0.5", "0.9", "1")


def saved_share(model: EarlyExitLlama, score: TextScore) -> float:
    """Share of the decode tokens' full-depth KV bytes that sharing does not take."""
    config = model.config
    layers = [config.kv_layers(segment) for segment in range(1, config.num_segments + 1)]
    owned = sum(count * sum(layers[:depth]) for depth, count in enumerate(score.by_depth, start=1))
    return 1 - owned / (score.counts.tokens * sum(layers))


def table(model: EarlyExitLlama, sample: HeldOutSample, thresholds: Sequence[str]) -> list[str]:
    """Rows of Markdown, one per threshold and mode."""
    lines = [
        "| threshold | KV mode | exit rate, given text | agreement | perplexity | P95 confidence "
        "| exit rate, generated | agreement | KV bytes saved |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for text in thresholds:
        limits = [float(text)] * len(model.config.ramps)
        for fill in KV_FILLS if limits[0] < 1 else KV_FILLS[:1]:
            given = forced(model, sample.text, sample.prompts.shape[1], limits, kv_fill=fill)
            own = generated(model, sample.prompts, sample.new_tokens, limits, fill)
            sure = "-" if given.p95_confidence is None else f"{given.p95_confidence:.3f}"
            saved = saved_share(model, given) if fill == "share" else 0.0
            name = fill if limits[0] < 1 else "no exits"
            lines.append(
                f"| {text} | {name} | {given.counts.exit_rate:.3f} | {given.counts.agreement:.3f} "
                f"| {given.perplexity:.2f} | {sure} | {own.exit_rate:.3f} | {own.agreement:.3f} | {saved:.1%} |"
            )
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=64, help="prompts continued")
    parser.add_argument("--windows", type=int, default=32, help="windows of given text")
    parser.add_argument("--out", type=Path, help="also write the table here")
    options = parser.parse_args()
    model, card, tokenizer = load_model(DEMO_FOLDER), read_card(DEMO_FOLDER), Tokenizer.load(DEMO_FOLDER)
    _, claim_on = halves(read_corpus(card.seed).held_out)
    sizes = Measurement(prompts=options.prompts, windows=options.windows)
    sample = draw_sample(claim_on, tokenizer, sizes)
    used = sample.measurement
    head = [
        "# Quality and memory of the KV modes, demo model", "",
        f"`python examples/benchmarks/quality.py --prompts {options.prompts} --windows {options.windows}`: float32, "
        f"{used.windows} windows of {used.window_tokens} held-out tokens and {used.prompts} prompts of "
        f"{used.prompt_tokens} continued by {used.new_tokens}; text of Python {card.python}'s library that the model "
        "was not trained on.", "",
    ]
    lines = [*head, *table(model, sample, THRESHOLDS)]
    print("\n".join(lines))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
