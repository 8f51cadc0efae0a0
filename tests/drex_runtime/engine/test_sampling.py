"""Sampling: the right distribution, cut where asked, noise that depends on (seed, output index) alone."""

from __future__ import annotations

import numpy as np
import torch

from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.sampling import Sampler, uniforms

LOGITS = torch.tensor([0.3, 2.0, -1.0, 1.5, 0.0])
DRAWS = 20_000


def frequencies(params: SamplingParams) -> torch.Tensor:
    """How often each token is drawn from LOGITS over many output indices."""
    sampler = Sampler(DRAWS)
    for row in range(DRAWS):
        sampler.admit(row, params, seed=9)
    sampler.counter[:] = np.arange(DRAWS)
    tokens = [choice.token for choice in sampler.choose(LOGITS.expand(DRAWS, -1), range(DRAWS))]
    return torch.bincount(torch.tensor(tokens), minlength=5) / DRAWS


def test_temperature_gives_the_softmax() -> None:
    for temperature in (0.5, 1.0, 2.0):
        found = frequencies(SamplingParams(temperature=temperature))
        torch.testing.assert_close(found, (LOGITS / temperature).softmax(0), atol=0.012, rtol=0)


def test_top_k_and_top_p_cut() -> None:
    full = LOGITS.softmax(0)
    kept = torch.tensor([0, 1, 0, 1, 0]) * full
    for params in (SamplingParams(temperature=1, top_k=2), SamplingParams(temperature=1, top_p=float(full[1]) + 0.01)):
        torch.testing.assert_close(frequencies(params), kept / kept.sum(), atol=0.012, rtol=0)
    only = frequencies(SamplingParams(temperature=1, top_p=float(full[1]) - 0.01))
    assert only[1] == 1
    assert frequencies(SamplingParams(temperature=1, top_k=1))[1] == 1


def test_noise_is_counter_based_and_uniform() -> None:
    seeds = np.arange(4, dtype=np.uint64)[:, None]
    numbers = uniforms(np.broadcast_to(seeds, (4, 5000)), np.broadcast_to(np.arange(5000, dtype=np.uint64), (4, 5000)))
    assert np.array_equal(numbers[2:3, 7:8], uniforms(np.array([[2]], np.uint64), np.array([[7]], np.uint64)))
    assert np.unique(numbers).size == numbers.size
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] - 2000).max() < 200
    correlation = np.corrcoef(numbers)
    assert np.abs(correlation - np.eye(4)).max() < 0.05


def test_rows_are_chosen_by_their_own_parameters() -> None:
    sampler = Sampler(3)
    sampler.admit(0, SamplingParams(), seed=1)
    sampler.admit(1, SamplingParams(temperature=1.0, logprobs=2), seed=1)
    sampler.admit(2, SamplingParams(temperature=50.0), seed=3)
    mixed = sampler.choose(LOGITS.expand(3, -1), [2, 0, 1])
    assert mixed[1].token == 1 and mixed[1].logprob is None
    assert [mixed[2]] == sampler.choose(LOGITS[None], [1])
    logprob = mixed[2].logprob
    assert logprob is not None and [token for token, _ in logprob.best] == [1, 3]
    assert abs(logprob.value - float(LOGITS.log_softmax(0)[mixed[2].token])) < 1e-6
