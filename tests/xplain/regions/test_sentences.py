"""Sentences say exactly what the predicates say."""

from __future__ import annotations

import pytest

from tests.xplain.synthetic import SyntheticProblem, box, plane
from xplain.records import Predicate
from xplain.regions.sentences import percent, sentence

WHOLE = frozenset({"in_flight", "prompt"})


@pytest.mark.parametrize(("predicates", "expected"), [
    ((Predicate("exit_rate", "<=", 0.31), Predicate("in_flight", ">", 11.0)),
     "exit rate at most 0.31 and requests in flight at least 12: drex loses 14 % on average"),
    ((Predicate("exit_rate", ">", 0.2), Predicate("exit_rate", "<=", 0.31)),
     "exit rate between 0.2 and 0.31: drex loses 14 % on average"),
    ((Predicate("prompt", ">", 1023.0), Predicate("prompt", "<=", 2000.0)),
     "prompt from 1,024 to 2,000 tokens: drex loses 14 % on average"),
    ((Predicate("prompt", ">", 15.0), Predicate("prompt", "<=", 16.0)),
     "prompt exactly 16 tokens: drex loses 14 % on average"),
    ((Predicate("exit_rate", ">", 0.5),), "exit rate above 0.5: drex loses 14 % on average"),
    ((), "everywhere: drex loses 14 % on average"),
])
def test_sentences(predicates: tuple[Predicate, ...], expected: str) -> None:
    assert sentence(SyntheticProblem(box, plane()), predicates, WHOLE, 0.14, "drex") == expected


def test_a_region_without_loss_is_not_called_one() -> None:
    assert sentence(SyntheticProblem(box, plane()), (), WHOLE, -0.02, "drex").endswith("drex gains 2.0 % on average")


@pytest.mark.parametrize(("share", "expected"), [(0, "0 %"), (0.14, "14 %"), (0.0312, "3.1 %"), (0.0004, "0.04 %"),
                                                 (1.5, "150 %")])
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected
