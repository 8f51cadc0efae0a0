"""The bigram baseline is a fair one: normalised, smoothed, and better than knowing nothing."""

from __future__ import annotations

import pytest
import torch

from drex_runtime.demo.bigram import Bigram


def test_probabilities_sum_to_one_also_for_unseen_tokens() -> None:
    stream = torch.randint(0, 20, (500,), generator=torch.Generator().manual_seed(0))
    model = Bigram(stream, 30)
    torch.testing.assert_close(model.log_probability.exp().sum(dim=1), torch.ones(30).double())
    assert torch.isfinite(model.log_probability).all()


def test_pure_noise_costs_about_the_alphabet() -> None:
    draw = torch.Generator().manual_seed(0)
    train, test = (torch.randint(0, 16, (20_000,), generator=draw) for _ in range(2))
    assert Bigram(train, 16).perplexity(test[:-1], test[1:]) == pytest.approx(16, rel=0.02)


def test_a_cycle_costs_nothing() -> None:
    cycle = torch.arange(7).repeat(400)
    assert Bigram(cycle, 7).perplexity(cycle[:-1], cycle[1:]) < 1.05
