"""`drex calibrate`: per ramp the threshold that keeps a stated agreement, chosen on one half, claimed on the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from drex_runtime.model.config import ModelConfig, read_json_object
from drex_runtime.model.errors import ModelError
from drex_runtime.model.fields import FieldReader
from drex_runtime.model.llama import EarlyExitLlama
from drex_runtime.model.quality import TextScore, forced
from drex_runtime.model.sequence import KV_FILLS
from drex_runtime.model.tokenizer import Tokenizer

SCHEMA = "drex-thresholds/1"
GRID = ("0.05", "0.1", "0.15", "0.2", "0.25", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "0.95", "0.99", "1")
NEVER = "1"


@dataclass(frozen=True)
class Example:
    """Token ids of a text; the first `prompt` of them never exit and are not scored."""

    ids: tuple[int, ...]
    prompt: int


@dataclass(frozen=True)
class QualityRow:
    """Behaviour on given text under `thresholds` (one per ramp). Shares of decode tokens; perplexity per token."""

    kv_fill: str
    thresholds: tuple[str, ...]
    tokens: int
    exit_rate: float
    agreement: float
    perplexity: float
    p95_confidence: float | None


@dataclass(frozen=True)
class Chosen:
    """The choice for one fill: what was measured while choosing, and what the held-out half says of it."""

    thresholds: tuple[str, ...]
    table: tuple[QualityRow, ...]
    held_out: QualityRow
    full_depth: QualityRow
    confirmed: bool


def read_examples(path: Path, tokenizer: Tokenizer, prompt_tokens: int, most_tokens: int) -> list[Example]:
    """Lines {"text": ...} (the first `prompt_tokens` are the prompt) or {"prompt": ..., "completion": ...}.

    Examples are cut after `most_tokens`. Raises ModelError naming file and line, also for one that leaves nothing
    to score: at least two tokens must follow the start of the prompt, one of them after it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: not UTF-8 text at byte {error.start}") from error
    examples = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            examples.append(_example(line, f"{path}, line {number}", tokenizer, prompt_tokens, most_tokens))
    if len(examples) < 2:
        raise ModelError(f"{path}: {len(examples)} examples: at least 2 are needed, to choose on and to claim on")
    return examples


def _example(line: str, where: str, tokenizer: Tokenizer, prompt_tokens: int, most_tokens: int) -> Example:
    try:
        raw = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ModelError(f"{where}: must be one JSON object")
    fields = ("text",) if "text" in raw else ("prompt", "completion")
    for name in fields:
        if not isinstance(raw.get(name), str):
            raise ModelError(f"{where}: {name} is missing or no text; accepted: text, or prompt and completion")
    ids = tokenizer.encode(raw[fields[0]], special=True, control=True)
    prompt = prompt_tokens
    if len(fields) > 1:
        prompt = len(ids)
        ids = ids + tokenizer.encode(raw["completion"], control=True)
    ids = ids[:most_tokens]
    # The token at position p predicts p + 1: the last prompt token's prediction is made at full depth.
    if prompt >= len(ids) - 1:
        raise ModelError(f"{where}: {len(ids)} tokens (cut at {most_tokens}) with a prompt of {prompt}: "
                         f"at least {prompt + 2} tokens are needed")
    return Example(tuple(ids), prompt)


def score(model: EarlyExitLlama, examples: Sequence[Example], thresholds: Sequence[str], kv_fill: str) -> QualityRow:
    """Run all examples under these thresholds."""
    total, limits = TextScore(), [float(Fraction(text)) for text in thresholds]
    device = model.head_weight.device
    for example in examples:
        ids = torch.tensor([example.ids], dtype=torch.int64, device=device)
        total += forced(model, ids, example.prompt, limits, kv_fill=kv_fill)
    counts = total.counts
    return QualityRow(kv_fill, tuple(thresholds), counts.tokens, counts.exit_rate, counts.agreement,
                      total.perplexity, total.p95_confidence)


def calibrate(model: EarlyExitLlama, examples: Sequence[Example], target: float, kv_fill: str,
              grid: Sequence[str] = GRID, report: Callable[[QualityRow], None] = lambda row: None) -> Chosen:
    """Choose on the even examples, claim on the odd ones.

    Per ramp, with the others closed, the smallest threshold of `grid` (ascending, ending in "1") whose agreement
    keeps a fifth of the way from `target` to 1 as distance, for the claim is made on other text. If the ramps
    together fall below that, all of them go up the grid until they do not. Raises ModelError without ramps.
    """
    ramps = len(model.config.ramps)
    if not ramps:
        raise ModelError("calibrate: the model has no ramps; describe them in an early_exit block")
    if kv_fill not in KV_FILLS:
        raise ModelError(f"kv_fill: {kv_fill!r} is not known; one of {', '.join(KV_FILLS)}")
    choose_on, claim_on = examples[0::2], examples[1::2]
    safe = target + (1 - target) / 5
    rows: list[QualityRow] = []

    def measured(thresholds: Sequence[str]) -> QualityRow:
        row = score(model, choose_on, thresholds, kv_fill)
        report(row)
        rows.append(row)
        return row

    picks = []
    for ramp in range(ramps):
        table = [measured([text if at == ramp else NEVER for at in range(ramps)]) for text in grid]
        picks.append(next(at for at, row in enumerate(table) if row.agreement >= safe))
    while ramps > 1 and measured([grid[at] for at in picks]).agreement < safe:
        picks = [min(at + 1, len(grid) - 1) for at in picks]
    thresholds = tuple(grid[at] for at in picks)
    held_out = score(model, claim_on, thresholds, kv_fill)
    full = score(model, claim_on, [NEVER] * ramps, kv_fill)
    return Chosen(thresholds, tuple(rows), held_out, full, held_out.agreement >= target)


def write_thresholds(path: Path, config: ModelConfig, target: float, chosen: dict[str, Chosen]) -> None:
    """Write a thresholds file: a choice per KV fill, with the tables behind it."""
    content = {
        "schema": SCHEMA,
        "ramps": list(config.ramps),
        "confidence": config.confidence,
        "target_agreement": target,
        "choices": {fill: asdict(choice) for fill, choice in chosen.items()},
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_thresholds(path: Path, config: ModelConfig, kv_fill: str = "share") -> tuple[str, ...]:
    """Thresholds per ramp for this model and fill. Raises ModelError where the file is for another model or fill."""
    fields = FieldReader(read_json_object(path), str(path))
    fields.choice("schema", (SCHEMA,))
    ramps = fields.listed("ramps", int)
    if ramps != config.ramps:
        raise fields.wrong("ramps", list(ramps), f"those of the model, {list(config.ramps)}")
    fields.choice("confidence", (config.confidence,))
    choices = fields.section("choices")
    choice = choices.section(kv_fill) if choices is not None else None
    if choices is None or choice is None:
        found: dict[str, Any] = {} if choices is None else dict(choices.raw)
        raise fields.wrong("choices", sorted(found), f"with a choice for kv_fill {kv_fill}")
    thresholds = choice.listed("thresholds", str)
    if len(thresholds) != len(ramps):
        raise choice.wrong("thresholds", list(thresholds), f"{len(ramps)} decimals, one per ramp")
    return thresholds
