"""Training repeats exactly, learns, and leaves a complete folder or none."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from drex_runtime.demo import make
from drex_runtime.demo.calibrate import choose_threshold, halves
from drex_runtime.demo.card import Measurement, ThresholdRow, file_hashes, read_card
from drex_runtime.demo.corpus import Corpus, Document
from drex_runtime.demo.make import train_demo
from drex_runtime.demo.muon import orthogonalised
from drex_runtime.demo.train import Trainer, TrainingPlan, TrainingProgress, TrainingResult
from drex_runtime.errors import DrexError
from drex_runtime.model import EarlyExitLlama, load_model, random_model
from drex_runtime.model.errors import ModelError
from drex_runtime.model.quality import forced, generated, windows
from drex_runtime.model.sequence import forward_sequence
from tests.drex_runtime.model.configs import small_config, small_model

PLAN = TrainingPlan(batch_tokens=128, length=16, long_length=32, warmup_steps=5)


def trained(steps: int, seed: int = 0) -> tuple[EarlyExitLlama, TrainingResult, list[TrainingProgress]]:
    """A small model after some steps on a stream that repeats itself."""
    model = random_model(small_config(initializer_range=0.05), seed)
    seen: list[TrainingProgress] = []
    result = Trainer(model, torch.arange(61).repeat(50), PLAN).run(seen.append, steps=steps)
    return model, result, seen


def test_the_same_seed_and_steps_give_the_same_bits() -> None:
    first, second = trained(12)[0].state_dict(), trained(12)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_loss_falls() -> None:
    _, result, seen = trained(60)
    assert seen[0].deep_loss > 3.5
    assert result.deep_loss < 1.0 and result.ramp_loss < 1.5
    assert result.steps == len(seen) == 60
    assert result.tokens == 60 * 128


def test_a_time_budget_becomes_a_number_of_steps() -> None:
    model = random_model(small_config(), 0)
    seen: list[TrainingProgress] = []
    result = Trainer(model, torch.arange(61).repeat(50), PLAN).run(seen.append, seconds=1.0)
    assert seen[-1].step == seen[-1].steps == result.steps > PLAN.warmup_steps


def test_muon_evens_out_singular_values() -> None:
    for shape in ((16, 40), (40, 16)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalised(matrix))
        assert values.min() > 0.5 and values.max() < 1.4


def test_thresholds_of_one_measure_full_depth() -> None:
    model = small_model()
    text = torch.randint(0, 61, (4, 33), generator=torch.Generator().manual_seed(0))
    result = forced(model, text, 8, [1.0, 1.0])
    assert result.counts.exited == 0 and result.counts.agreement == 1.0
    logits = forward_sequence(model, text[:, :-1]).deep_logits[:, 8:]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 9:].flatten())
    assert result.perplexity == pytest.approx(loss.exp().item(), rel=1e-5)
    assert generated(model, text[:, :8], 10, [1.0, 1.0]).exit_rate == 0.0


def test_a_threshold_of_zero_sends_nearly_everything_out() -> None:
    model = small_model()
    text = torch.randint(0, 61, (4, 33), generator=torch.Generator().manual_seed(0))
    counts = generated(model, text[:, :8], 10, [0.0, 0.0])
    assert (counts.tokens, counts.exit_rate) == (36, 1.0)
    assert counts.agreement < 0.9  # random weights: early and late opinions have little in common


def test_windows_are_spread_over_the_stream() -> None:
    assert windows(torch.arange(25), 5).shape == (5, 5)
    assert windows(torch.arange(25), 5, 2)[:, 0].tolist() == [0, 20]


def row(threshold: str, rate: float, agreement: float) -> ThresholdRow:
    return ThresholdRow(threshold, rate, agreement, rate, agreement, 10.0)


def test_the_threshold_is_chosen_with_a_margin() -> None:
    table = [row("0.5", 0.66, 0.97), row("0.6", 0.60, 0.955), row("0.7", 0.40, 0.97), row("0.8", 0.2, 1.0)]
    assert choose_threshold(table) == "0.7"
    assert choose_threshold([table[1], table[3]]) == "0.6"
    assert choose_threshold([table[3]]) == "1"


def little_corpus() -> Corpus:
    documents = [Document(f"d{i}.py", f"def f{i}(x):\n    return x + {i}\n" * 12) for i in range(8)]
    return Corpus(tuple(documents[:4]), tuple(documents[4:]))


def test_the_folder_is_complete_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "read_corpus", lambda seed: little_corpus())
    messages: list[str] = []

    def report(message: str, step: TrainingProgress | None) -> None:
        messages.append(message if step is None else f"step {step.step}/{step.steps}")

    out = tmp_path / "deep" / "demo"
    card = train_demo(out, 1.0, 7, report, steps=2, plan=PLAN, sizes=Measurement(2, 16, 4, 2, 32))
    assert "step 2/2" in messages
    assert sorted(path.name for path in out.iterdir()) == sorted((*card.files, "card.json"))
    assert card.files == file_hashes(out) and read_card(out) == card
    assert (card.seed, card.steps, card.threshold, card.accepted) == (7, 2, "1", False)
    assert "NOT accepted" in card.render()
    assert load_model(out).config.ramps == (4,)
    with pytest.raises(DrexError, match="a folder that does not exist yet"):
        train_demo(out, 1.0, 7)

    def fail(message: str, step: TrainingProgress | None) -> None:
        if step is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_demo(tmp_path / "deep" / "other", 1.0, 7, fail, steps=2, plan=PLAN)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["demo"]


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan")])
def test_a_budget_must_be_positive(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(DrexError, match="minutes"):
        train_demo(tmp_path / "demo", minutes, 0)


def test_halves_share_out_documents_by_size() -> None:
    documents = [Document(f"{n}", "x" * n) for n in (5, 1, 4, 2, 3)]
    assert [[d.name for d in half] for half in halves(documents)] == [["1", "3", "5"], ["2", "4"]]


@pytest.mark.parametrize("content", ['{"version": 2}', '{"version": 1}', "{}", "[]"])
def test_another_file_is_no_card(tmp_path: Path, content: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match=r"card\.json"):
        read_card(tmp_path)


def test_hashes_are_of_the_files(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_text(name)
    assert file_hashes(tmp_path)["config.json"] == hashlib.sha256(b"config.json").hexdigest()
