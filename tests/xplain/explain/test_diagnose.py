"""Verdicts: what theory says is no problem is none, remedies touch nothing but the rule that is blamed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from drex_runtime.errors import RecordError
from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.simulator import simulate
from tests.scale import scaled
from tests.xplain.explain.cases import regret_case
from xplain.explain.diagnose import diagnose
from xplain.explain.many import attribute_many
from xplain.explain.regret import attribute_run
from xplain.explain.remedies import changes
from xplain.explain.values import ReferenceValues
from xplain.explain.when import suspect_of


def costs(fixed: int, per_row: int, start: int = 0, ramps: int = 1) -> CostProfile:
    """Every segment the same; ramp, rebatch and fill cost nothing."""
    return CostProfile("theory", (8,), (SegmentCost((fixed,), per_row),) * (ramps + 1), (LinearCost(),) * ramps,
                       (start,) * ramps)


def workload(seed: int, segments: int, spread: int, requests: int = 4, tokens: int = 3) -> Workload:
    random = Random(f"theory {seed}")
    return Workload.of(segments, [
        Request(i, random.randint(0, spread), 0, tuple(random.randint(1, segments)
                                                       for _ in range(random.randint(1, tokens))))
        for i in range(requests)])


@pytest.mark.parametrize("ramps", [1, 2])
def test_flush_now_has_no_makespan_problem_where_passes_have_no_fixed_price(ramps: int) -> None:
    """Nothing but rows costs anything: `flush-now` does the least work each token allows (its own segments) and is
    never idle with work at hand, so no schedule ends earlier, whatever the arrivals, caps and places."""
    for places, rows in ((4, 4), (3, 2)):
        policy = bind(shipped_policy("flush-now"), costs(0, 5, ramps=ramps), ServerConfig(rows, places))
        given = [workload(seed, ramps + 1, spread=60) for seed in range(scaled(24, 400))]
        found = diagnose(policy, given[:len(given) // 2], given[len(given) // 2:], "makespan", threshold=0.01)
        assert (found.verdict, found.gap, found.blames) == ("none", 0.0, ())
        assert found.sentence.startswith("No makespan problem")
        exact = attribute_many(policy, given, "makespan")
        assert all(item.attribution.exact and item.attribution.gap == 0 for item in exact)


def test_flush_now_never_ends_after_full_passes_where_a_second_pass_is_free() -> None:
    """A fixed price per pass, but none for a second one (start, rebatch, ramp 0): with room for everybody, all there at
    0, each round of `flush-now` costs at most the full pass of the same rows. Not so against the optimum: it may pay to
    wait for company, which theory does not rule out and the proved gap shows."""
    waiting_pays = 0
    for seed in range(scaled(40, 600)):
        given = workload(seed, 2, spread=0)
        config = ServerConfig(4, 4)
        policy = bind(shipped_policy("flush-now"), costs(10, 3), config)
        reference = bind(shipped_policy("no-exit"), costs(10, 3), config)
        found = attribute_run(policy, given, "makespan", ReferenceValues(given, "makespan", reference))
        assert found.total <= 0
        waiting_pays += attribute_many(policy, [given], "makespan")[0].attribution.gap > 0
    assert waiting_pays > 0


def test_a_dear_second_pass_makes_it_a_problem() -> None:
    policy = bind(shipped_policy("flush-now"), costs(10, 1, start=40), ServerConfig(4, 4))
    given = [workload(seed, 2, spread=0) for seed in range(60)]
    found = diagnose(policy, given[:30], given[30:], "makespan", threshold=0.05)
    assert found.verdict == "loss" and found.cause is not None
    # Splitting, running the parked rows at once, or looking for exits at all: the second pass is what is too dear.
    assert found.cause.kind == "fired" and found.cause.rule in ("split", "flush", "consult")
    assert found.cause.remedy is not None and found.cause.remedy.low >= 0.05
    assert found == diagnose(policy, given[:30], given[30:], "makespan", threshold=0.05)


def _unchanged(policy: BoundPolicy, changed: BoundPolicy, site: str) -> None:
    one, other = policy.policy, changed.policy
    assert (site == "consult" or one.consult == other.consult) and (site == "join" or one.join == other.join)
    assert site == "launch" or one.launch == other.launch
    assert site == "ramp" or one.ramp == other.ramp
    assert (one.parameters, one.order, policy.profile, policy.config) == (
        other.parameters, other.order, changed.profile, changed.config)


def test_remedies_change_the_blamed_choice_and_nothing_else() -> None:
    tried = 0
    for seed in range(scaled(12, 400)):
        case = regret_case(seed)
        for decision in attribute_many(case.policy, [case.workload], case.objective)[0].decisions:
            for part in decision.parts:
                if part.cause.kind not in ("fired", "missed", "batch_limit"):
                    continue
                suspect = suspect_of(decision, part.cause.kind, part.cause.rule)
                for change in changes(case.policy, suspect, [decision], []):
                    tried += 1
                    if suspect.kind == "batch_limit":
                        assert change.policy.policy == case.policy.policy
                        assert change.policy.batch_limit > case.policy.batch_limit
                    else:
                        _unchanged(case.policy, change.policy, suspect.site)
                        assert change.policy.values == case.policy.values
                        assert change.policy.policy != case.policy.policy
    assert tried > 100


def test_a_remedy_reverses_the_decision_it_was_made_for() -> None:
    """Some change of a missed rule makes it fire where it was missed: the atom is loosened by what it lacked there."""
    checked = 0
    for seed in range(scaled(60, 400)):
        case = regret_case(seed)
        for decision in attribute_many(case.policy, [case.workload], case.objective)[0].decisions:
            missed = [part for part in decision.parts if part.cause.kind == "missed" and part.cause.atom != "never"]
            if not missed or decision.ramp:
                continue
            suspect = suspect_of(decision, "missed", missed[0].cause.rule)
            rules = [change.policy.launch_rule(decision.view, True)
                     for change in changes(case.policy, suspect, [decision], [])]
            checked += 1
            assert any(rule is not None and rule.name == suspect.rule for rule in rules)
    assert checked >= 5


def test_too_little_to_go_by_is_refused() -> None:
    policy = bind(shipped_policy("drex"), costs(10, 1), ServerConfig(2, 2))
    given = [workload(seed, 2, 0, requests=2) for seed in range(10)]
    with pytest.raises(RecordError, match="held_out = 3: expected at least 8"):
        diagnose(policy, given, given[:3], "makespan", threshold=0.05)


def test_one_segment_one_request_one_token_is_no_problem() -> None:
    profile = replace(costs(10, 1), segments=(SegmentCost((10,), 1),), ramps=(), starts=())
    policy = bind(shipped_policy("drex"), profile, ServerConfig(1, 1))
    given = [Workload.of(1, [Request(0, seed, 0, (1,))]) for seed in range(8)]
    found = diagnose(policy, given, given, "total-completion", threshold=0.05)
    assert (found.verdict, found.gap) == ("none", 0.0)
    assert simulate(policy, given[0]).makespan == 11
