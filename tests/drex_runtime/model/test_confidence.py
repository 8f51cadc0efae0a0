"""Confidence lies in [0, 1], is 0 when nothing is known and 1 when everything is."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from drex_runtime.model import CONFIDENCE_KINDS, confidence, exit_ready
from drex_runtime.model.errors import ModelError


@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_the_ends_of_the_scale(kind: str) -> None:
    uniform, certain = torch.zeros(1, 8), torch.full((1, 8), -torch.inf)
    certain[0, 3] = 0.0
    assert confidence(certain, kind).item() == pytest.approx(1.0)
    assert confidence(uniform, kind).item() == pytest.approx(0.125 if kind == "max" else 0.0, abs=1e-6)


def test_against_the_definitions() -> None:
    logits = torch.randn(50, 17, generator=torch.Generator().manual_seed(1)) * 3
    p = torch.softmax(logits.double(), dim=-1)
    ordered = p.sort(dim=-1, descending=True).values
    expected = {
        "top2": ordered[:, 0] - ordered[:, 1],
        "max": ordered[:, 0],
        "entropy": 1 + (p * p.log()).sum(dim=-1) / torch.tensor(17.0).double().log(),
    }
    for kind, value in expected.items():
        torch.testing.assert_close(confidence(logits, kind).double(), value, atol=1e-5, rtol=1e-5)


def test_half_precision_logits_give_float32() -> None:
    logits = torch.randn(3, 9).bfloat16()
    assert confidence(logits).dtype == torch.float32
    assert torch.equal(confidence(logits), confidence(logits.float()))


def test_exit_is_strictly_above_and_one_is_never() -> None:
    value = torch.tensor([0.5, 0.75, 1.0])
    assert exit_ready(value, Fraction(1, 2)).tolist() == [False, True, True]
    assert exit_ready(value, Fraction(1)).tolist() == [False, False, False]
    assert exit_ready(torch.nextafter(torch.tensor([1.0]), torch.tensor(2.0)), Fraction(1)).tolist() == [False]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(ModelError, match="'softmax' is not known; one of top2"):
        confidence(torch.zeros(1, 4), "softmax")
