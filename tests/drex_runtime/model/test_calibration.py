"""`drex calibrate` chooses on one half, claims on the other, and what it writes is what `drex generate` uses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers
from typer.testing import CliRunner

from drex_runtime.cli import app
from drex_runtime.commands.model_options import open_model
from drex_runtime.errors import DrexError
from drex_runtime.model import EarlyExitLlama, Tokenizer, confidence
from drex_runtime.model.calibration import Example, calibrate, read_examples, read_thresholds, score
from drex_runtime.model.loading import save_model
from drex_runtime.model.quality import forced
from drex_runtime.model.sequence import KV_FILLS
from tests.drex_runtime.model.configs import SMALL, small_model
from tests.drex_runtime.model.naive import NaiveDecoder

GRID = ("0.05", "0.2", "0.5", "1")


def tokenizer() -> Tokenizer:
    """Words w0 to w60, one token each."""
    inner = tokenizers.Tokenizer(models.WordLevel({f"w{i}": i for i in range(61)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return Tokenizer(inner)


def examples(count: int, length: int = 14, prompt: int = 4) -> list[Example]:
    generator = torch.Generator().manual_seed(1)
    return [Example(tuple(torch.randint(0, 61, (length,), generator=generator).tolist()), prompt)
            for _ in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(small_model(), tmp_path, SMALL, torch.float32)
    words = {f"w{i}": i for i in range(61)}
    inner = tokenizers.Tokenizer(models.WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


@pytest.mark.parametrize("fill", KV_FILLS)
def test_a_score_is_what_a_naive_decoder_gives(fill: str) -> None:
    model, example, limits = small_model(), examples(1)[0], (0.2, 0.1)
    decoder, loss, sure, agreed = NaiveDecoder(model, fill), 0.0, [], 0
    for position, token in enumerate(example.ids[:-1]):
        taken: list[float] = []

        def leaves(at: int, ramp: int, logits: torch.Tensor, taken: list[float] = taken) -> bool:
            value = float(confidence(logits[None])[0])
            if at < example.prompt or value <= limits[ramp - 1]:
                return False
            taken.append(value)
            return True

        depth, logits, deep = decoder.feed(token, leaves)
        if position >= example.prompt:
            loss -= float(torch.log_softmax(logits, dim=-1)[example.ids[position + 1]])
        if depth < model.config.num_segments:
            sure += taken
            agreed += int(logits.argmax() == deep.argmax())
    row = score(model, [example], ("0.2", "0.1"), fill)
    assert row.tokens == len(example.ids) - 1 - example.prompt
    assert row.exit_rate == len(sure) / row.tokens and 0 < len(sure) < row.tokens
    assert row.agreement == agreed / len(sure)
    assert row.perplexity == pytest.approx(math.exp(loss / row.tokens), rel=1e-4)
    assert row.p95_confidence == pytest.approx(torch.tensor(sure).quantile(0.05).item(), rel=1e-4)


def test_scores_add_up_and_count_depths() -> None:
    model, texts = small_model(), torch.tensor([example.ids for example in examples(3)])
    whole = forced(model, texts, 4, [0.2, 0.1], batch=2)
    parts = [forced(model, text[None], 4, [0.2, 0.1]) for text in texts]
    assert sum(part.counts.exited for part in parts) == whole.counts.exited
    assert sum(whole.by_depth) == whole.counts.tokens and sum(whole.by_depth[:-1]) == whole.counts.exited
    assert sum(part.loss for part in parts) == pytest.approx(whole.loss, rel=1e-5)


def agreeing_model() -> EarlyExitLlama:
    """Deeper layers add nothing, so that ramps say what full depth says."""
    model = small_model()
    for index in range(2, 6):
        for part in (model.layer(index).o_proj, model.layer(index).down_proj):
            part.weight.zero_()
    return model


def test_ramps_that_always_agree_get_the_lowest_threshold() -> None:
    found = calibrate(agreeing_model(), examples(6), 0.95, "share", GRID)
    assert found.thresholds == ("0.05", "0.05") and found.confirmed
    assert found.held_out.agreement == 1.0 and found.held_out.exit_rate > 0
    assert found.held_out.perplexity == pytest.approx(found.full_depth.perplexity, rel=1e-4)


def test_ramps_that_never_agree_stay_closed() -> None:
    model = small_model()
    model.norm.weight.neg_()
    texts = examples(8)
    found = calibrate(model, texts, 0.95, "propagate", GRID)
    table = [row for row in found.table if row.thresholds[1] == "1"]
    assert table[0].agreement < 0.95 and found.thresholds[0] != "0.05"
    assert found.held_out.agreement >= 0.95 or not found.confirmed


@pytest.mark.parametrize("fill", KV_FILLS)
def test_the_smallest_safe_threshold_of_each_ramp_is_chosen(fill: str) -> None:
    target, texts = 0.5, examples(10)
    found = calibrate(small_model(), texts, target, fill, GRID)
    safe = target + (1 - target) / 5
    for ramp, chosen in enumerate(found.thresholds):
        alone = found.table[ramp * len(GRID):(ramp + 1) * len(GRID)]
        assert all(row.thresholds[1 - ramp] == "1" for row in alone)
        safe_ones = [row.thresholds[ramp] for row in alone if row.agreement >= safe]
        assert GRID.index(chosen) >= GRID.index(safe_ones[0])
    assert found.held_out == score(small_model(), texts[1::2], found.thresholds, fill)


def test_the_command_writes_what_generate_reads(folder: Path) -> None:
    data, out = folder / "x.jsonl", folder / "t.json"
    lines: list[dict[str, str]] = [{"text": " ".join(f"w{i}" for i in e.ids)} for e in examples(4, 24)]
    lines.append({"prompt": "w1 w2", "completion": "w3 w4 w5 w6"})
    data.write_text("\n".join(json.dumps(line) for line in lines) + "\n\n")
    found = CliRunner().invoke(app, ["calibrate", str(folder), "--data", str(data), "--out", str(out), "--agreement",
                                     "0.5", "--kv-fill", "share", "--kv-fill", "propagate", "--prompt-tokens", "4"])
    assert found.exit_code == 0, found.output
    assert "kv_fill propagate" in found.output and "<- chosen" in found.output
    opened = open_model(folder, thresholds=out)
    stored = json.loads(out.read_text())["choices"]["share"]["thresholds"]
    assert [float(t) for t in opened.model.config.thresholds] == [float(text) for text in stored]
    config = opened.model.config
    assert len(read_thresholds(out, config, "propagate")) == 2
    with pytest.raises(DrexError, match=r"choices = \['propagate', 'share'\]: must be with a choice for kv_fill recom"):
        read_thresholds(out, config, "recompute")
    with pytest.raises(DrexError, match="one of --exit-threshold and --thresholds, not both"):
        open_model(folder, "0.5", out)
    ran = CliRunner().invoke(app, ["generate", "w5 w6", "--model", str(folder), "--thresholds", str(out),
                                   "--max-tokens", "3"])
    assert ran.exit_code == 0, ran.output


def test_a_file_for_other_ramps_is_refused(folder: Path) -> None:
    out = folder / "t.json"
    out.write_text(json.dumps({"schema": "drex-thresholds/1", "ramps": [3], "confidence": "top2", "choices": {}}))
    with pytest.raises(DrexError, match=r"t\.json: ramps = \[3\]: must be those of the model, \[2, 4\]"):
        open_model(folder, thresholds=out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 examples: at least 2 are needed"),
        ('{"text": "w1 w2 w3 w4"}\n[]', "line 2: must be one JSON object"),
        ('{"text": "w1 w2 w3 w4"}\n{', "line 2: not JSON"),
        ('{"text": 3}', "line 1: text is missing or no text"),
        ('{"prompt": "w1"}', "line 1: completion is missing or no text; accepted: text, or prompt and completion"),
        ('{"text": "w1 w2 w3"}', r"line 1: 3 tokens \(cut at 8\) with a prompt of 2: at least 4 tokens"),
        ('{"prompt": "w1 w1 w1 w1 w1 w1 w1 w1 w1", "completion": "w2 w2"}', "with a prompt of 9: at least 11"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(DrexError, match=message):
        read_examples(path, tokenizer(), prompt_tokens=2, most_tokens=8)
