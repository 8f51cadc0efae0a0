"""`drex train-demo`: text, vocabulary, training, measurement, card - one function, one folder."""

from __future__ import annotations

import hashlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import tokenizers
import torch

from drex_runtime.demo.bigram import Bigram
from drex_runtime.demo.calibrate import choose_threshold, draw_sample, halves, threshold_table
from drex_runtime.demo.card import Card, Measurement, file_hashes, write_card
from drex_runtime.demo.corpus import Corpus, Document, read_corpus
from drex_runtime.demo.train import Trainer, TrainingPlan, TrainingProgress, TrainingResult
from drex_runtime.demo.vocabulary import learn_vocabulary, token_stream
from drex_runtime.errors import InputError
from drex_runtime.model.config import parse_config
from drex_runtime.model.llama import random_model
from drex_runtime.model.loading import load_model, save_model
from drex_runtime.model.quality import forced, windows
from drex_runtime.model.tokenizer import Tokenizer

ARCHITECTURE: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 1024,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "dtype": "bfloat16",
}
RAMPS = [4]
NO_EXITS = ["1"] * len(RAMPS)

Progress = Callable[[str, TrainingProgress | None], None]


def train_demo(
    out: Path,
    minutes: float,
    seed: int,
    progress: Progress = lambda message, step: None,
    steps: int | None = None,
    plan: TrainingPlan | None = None,
    sizes: Measurement | None = None,
) -> Card:
    """Train the demo model for about `minutes` (or exactly `steps`) and write it to the new folder `out`.

    `progress(message, step)` is called at each stage with a message, and after each training step with
    the numbers. Measuring adds a few minutes. The folder appears only when everything is in it.
    What is reproducible: see `drex_runtime.demo.train`; the card names `steps` for a repetition.
    Raises InputError for a folder that exists or minutes that are not positive.
    """
    if out.exists():
        raise InputError("train-demo", "out", str(out), "a folder that does not exist yet")
    if not minutes > 0:
        raise InputError("train-demo", "minutes", minutes, "a number > 0")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        corpus, result = _train_into(work, minutes, replace(plan or TrainingPlan(), seed=seed), progress, steps)
        card = measure_demo(work, corpus, result, seed, progress, sizes or Measurement())
        work.chmod(0o755)
        work.rename(out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return card


def _train_into(
    folder: Path, minutes: float, plan: TrainingPlan, progress: Progress, steps: int | None
) -> tuple[Corpus, TrainingResult]:
    progress("reading the text of this Python's library", None)
    corpus = read_corpus(plan.seed)
    vocabulary = learn_vocabulary(corpus.training, ARCHITECTURE["vocab_size"])
    (folder / "tokenizer.json").write_text(vocabulary, encoding="utf-8")
    tokenizer = Tokenizer.load(folder)
    stream = token_stream(corpus.training, tokenizer)
    progress(f"training on {len(stream):,} tokens", None)
    config = parse_config({**ARCHITECTURE, "early_exit": _early_exit(NO_EXITS, {})})
    model = random_model(config, plan.seed)
    trainer = Trainer(model, stream, plan)
    result = trainer.run(lambda step: progress("", step), steps, minutes * 60)
    save_model(model, folder, {**ARCHITECTURE, "early_exit": _early_exit(NO_EXITS, {})}, torch.bfloat16)
    return corpus, result


def measure_demo(
    folder: Path, corpus: Corpus, result: TrainingResult, seed: int, progress: Progress, sizes: Measurement
) -> Card:
    """Choose the threshold of the model in `folder`, write it to its config.json, and write its card."""
    model = load_model(folder)  # what is measured are the rounded weights that are shipped
    tokenizer = Tokenizer.load(folder)
    choose_on, claim_on = halves(corpus.held_out)
    progress("choosing the threshold on one half of the held-out documents", None)
    calibration = threshold_table(model, draw_sample(choose_on, tokenizer, sizes))
    threshold = choose_threshold(calibration)
    progress("measuring on the other half", None)
    sample = draw_sample(claim_on, tokenizer, sizes)
    table = threshold_table(model, sample)
    prompt = sample.prompts.shape[1]
    text = windows(token_stream(claim_on, tokenizer), sample.text.shape[1])
    counts = Bigram(token_stream(corpus.training, tokenizer), model.config.vocab_size)
    bigram = counts.perplexity(text[:, prompt:-1], text[:, prompt + 1 :])  # the tokens the model is scored on
    with_exits = forced(model, text, prompt, [float(threshold)] * len(RAMPS)).perplexity
    full_depth = forced(model, text, prompt, [1.0] * len(RAMPS)).perplexity
    row = next(row for row in table if row.threshold == threshold)
    below = max(full_depth, with_exits) < bigram
    chosen = {"text": "python-library", "exit_rate": row.generated_exit_rate, "agreement": row.generated_agreement}
    block = _early_exit([threshold] * len(RAMPS), chosen)
    save_model(model, folder, {**ARCHITECTURE, "early_exit": block}, torch.bfloat16)
    card = Card(
        seed=seed,
        steps=result.steps,
        trained_tokens=result.tokens,
        seconds=round(result.seconds, 1),
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        torch=torch.__version__,
        tokenizers=tokenizers.__version__,
        machine=f"{sys.platform} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        training_loss=result.deep_loss,
        ramp_loss=result.ramp_loss,
        bigram_perplexity=bigram,
        deep_perplexity=full_depth,
        exit_perplexity=with_exits,
        threshold=threshold,
        accepted=row.acceptable and below,
        measurement=sample.measurement,
        table=table,
        calibration=calibration,
        training_documents=_sizes(corpus.training),
        held_out_documents=_sizes(corpus.held_out),
        corpus_sha256=_digest((*corpus.training, *corpus.held_out)),
        files=file_hashes(folder),
    )
    write_card(card, folder)
    return card


def _early_exit(thresholds: list[str], calibration: dict[str, Any]) -> dict[str, Any]:
    return {
        "ramps": RAMPS,
        "head": "shared",
        "confidence": "top2",
        "thresholds": thresholds,
        "calibration": calibration,
    }


def _sizes(documents: tuple[Document, ...]) -> dict[str, int]:
    return {document.name: len(document.text) for document in documents}


def _digest(documents: tuple[Document, ...]) -> str:
    """One hash over the names and texts of all documents."""
    whole = hashlib.sha256()
    for document in documents:
        for part in (document.name, document.text):
            data = part.encode()
            whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()
