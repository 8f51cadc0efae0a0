"""Every method finds the largest gap that enumeration finds, proves it, and shows a workload that has it.

Out of time, its bounds still hold what enumeration finds; how many were proved is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice

import pytest

from tests.encodings.gap.tiny_problems import as_case, gap_problems, gaps_by_hand
from tests.generators import Quota
from tests.scale import scaled
from xplain.encodings.gap import GapAnswer, GapProblem
from xplain.encodings.gap.smt_method import by_smt
from xplain.encodings.gap.steps_method import by_steps

Method = Callable[..., GapAnswer]
METHODS: dict[str, tuple[Method, str]] = {"steps-highs": (partial(by_steps, solver="highs"), "floating-point"),
                                          "steps-cpsat": (partial(by_steps, solver="cpsat"), "exact"),
                                          "smt": (by_smt, "exact")}
LIMIT = scaled(8, 200, "seconds a gap problem may take")
every_method = pytest.mark.parametrize("name", METHODS)


def check(name: str, problem: GapProblem, samples: int) -> GapAnswer:
    """Hold one answer to enumeration."""
    method, proof = METHODS[name]
    gaps = gaps_by_hand(problem)
    answer = method(problem, seconds=LIMIT, samples=samples)
    if not gaps:
        assert (answer.stopped, answer.witness) == ("infeasible", None), answer.detail
        return answer
    worst = max(each.gap for each in gaps)
    assert answer.stopped in ("proved", "time-limit"), answer
    if answer.proved:
        assert answer.lower == answer.upper == worst, answer.detail
        assert answer.proof in (proof, "exact"), "what bounds decide is exact"
    if answer.witness is not None:
        assert problem.replay(answer.witness.workload) == answer.witness
    assert all(each.lower is None or each.lower <= worst for each in answer.progress)
    assert all(each.upper is None or each.upper >= worst for each in answer.progress)
    return answer


@every_method
def test_the_method_agrees_with_enumeration(name: str) -> None:
    quota, proved = Quota(), 0
    for number, problem in enumerate(islice(gap_problems(), scaled(8, 120))):
        proved += check(name, problem, samples=0 if number % 2 else 3).stopped != "time-limit"
        quota.add(as_case(problem))
    print(f"{name}: {proved} of {quota.cases} answered in {LIMIT} s each")
    assert proved >= quota.cases // 4
    quota.require(scaled(1, 10), ("batch_max < n", "N < n", "arrivals", "prompts", "K = 2"))


@every_method
def test_a_question_of_size_has_yes_or_no(name: str) -> None:
    method, _ = METHODS[name]
    for problem in islice(gap_problems(), scaled(2, 30)):
        gaps = gaps_by_hand(problem)
        if not gaps:
            continue
        worst = max(each.gap for each in gaps)
        yes = method(problem, at_least=worst, seconds=LIMIT, samples=0)
        assert yes.stopped == "time-limit" or (yes.lower == worst and yes.stopped in ("reached", "proved")), yes.detail
        no = method(problem, at_least=worst + 1, seconds=LIMIT, samples=1)
        assert no.stopped == "time-limit" or (no.upper == worst and no.stopped in ("infeasible", "proved")), no.detail
