"""The shipped demo model is the one of its card and does what the card claims, on held-out text."""

from __future__ import annotations

import pytest

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.demo.bigram import Bigram
from drex_runtime.demo.calibrate import draw_sample, halves
from drex_runtime.demo.card import EXIT_RATES, LEAST_AGREEMENT, Card, Measurement, file_hashes, read_card
from drex_runtime.demo.corpus import read_corpus
from drex_runtime.demo.vocabulary import token_stream
from drex_runtime.model import EarlyExitLlama, Tokenizer, load_model
from drex_runtime.model.quality import forced, generated
from drex_runtime.records.numbers import number_text
from tests.scale import scaled


@pytest.fixture(scope="module")
def card() -> Card:
    return read_card(DEMO_FOLDER)


@pytest.fixture(scope="module")
def model() -> EarlyExitLlama:
    return load_model(DEMO_FOLDER)


def test_files_are_those_of_the_card(card: Card, model: EarlyExitLlama) -> None:
    assert file_hashes(DEMO_FOLDER) == card.files
    assert sum((DEMO_FOLDER / name).stat().st_size for name in card.files) < 6_000_000
    assert [number_text(t) for t in model.config.thresholds] == [card.threshold]
    assert model.config.vocab_size == Tokenizer.load(DEMO_FOLDER).vocab_size


def test_the_card_claims_enough(card: Card) -> None:
    assert card.accepted and card.chosen.acceptable
    assert card.deep_perplexity < 0.7 * card.bigram_perplexity
    assert card.exit_perplexity < 0.7 * card.bigram_perplexity


def test_the_claim_holds_on_held_out_text(card: Card, model: EarlyExitLlama) -> None:
    corpus, tokenizer = read_corpus(card.seed), Tokenizer.load(DEMO_FOLDER)
    assert {d.name for d in corpus.training}.isdisjoint(card.held_out_documents)
    _, claim_on = halves(corpus.held_out)
    sizes = Measurement(prompts=scaled(48, 64), windows=scaled(12, 32, "windows of held-out text"))
    sample = draw_sample(claim_on, tokenizer, sizes)
    thresholds = [float(t) for t in model.config.thresholds]
    counts = generated(model, sample.prompts, sample.new_tokens, thresholds)
    assert EXIT_RATES[0] <= counts.exit_rate <= EXIT_RATES[1]
    assert counts.agreement >= LEAST_AGREEMENT
    bigram = Bigram(token_stream(corpus.training[::4], tokenizer), model.config.vocab_size)
    prompt = sample.prompts.shape[1]
    limit = 0.8 * bigram.perplexity(sample.text[:, prompt:-1], sample.text[:, prompt + 1 :])
    assert forced(model, sample.text, prompt, thresholds).perplexity < limit
    assert forced(model, sample.text, prompt, [1.0]).perplexity < limit
