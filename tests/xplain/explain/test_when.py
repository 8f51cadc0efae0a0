"""When a rule is wrong: the tree finds the planted condition, scores itself on workloads it was not fitted on, and says
nothing where there is nothing."""

from __future__ import annotations

from random import Random

from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from tests.scale import scaled
from xplain.explain.many import attribute_many
from xplain.explain.when import Suspect, population, wrong_when

PROFILE = CostProfile("when", (8,), (SegmentCost((10,), 1), SegmentCost((10,), 12)), (LinearCost(),), (14,))


def _policy(settings: dict[str, str]) -> BoundPolicy:
    return bind(shipped_policy("drex"), PROFILE, ServerConfig(4, 4), settings)


def _workloads(count: int) -> list[Workload]:
    random = Random("when")
    return [Workload.of(2, [Request(i, 0, 0, tuple(1 if random.random() < 0.5 else 2 for _ in range(3)))
                            for i in range(4)]) for _ in range(count)]


def test_a_split_that_pays_from_two_exits_on_is_said_so() -> None:
    """Splitting costs a start of 14, a row that goes deep 12: worth it from two exits on."""
    policy = _policy({"art_factor": "100", "flush_size": "1"})
    found = attribute_many(policy, _workloads(scaled(60, 300)), "makespan")
    leaves = wrong_when(policy, found, Suspect("ramp", "missed", "split"))
    assert leaves
    for leaf in leaves:
        assert any(item.feature == "exits" and item.relation == ">" and item.bound >= 1 for item in leaf.predicates)
        assert leaf.precision.low > 0.5
    assert "rule split should have fired when" in leaves[0].sentence and "exits >=" in leaves[0].sentence
    assert sum(leaf.regret for leaf in leaves) > 0.6, "held-out workloads agree"
    assert leaves == wrong_when(policy, found, Suspect("ramp", "missed", "split"))


def test_populations_hold_the_decisions_and_all_of_the_regret() -> None:
    policy = _policy({"art_factor": "100", "flush_size": "1"})
    found = attribute_many(policy, _workloads(20), "makespan")
    for kind, rule in {(part.cause.kind, part.cause.rule) for item in found for decision in item.decisions
                       for part in decision.parts if part.cause.kind in ("fired", "missed")}:
        for site in ("launch", "consult", "ramp", "join"):
            suspect = Suspect(site, kind, rule)
            if rule not in ("consult", "join") and site in ("consult", "join"):
                continue
            if rule in ("consult", "join") and site != rule:
                continue
            table = policy.policy.launch if site == "launch" else policy.policy.ramp
            if site in ("launch", "ramp") and rule not in [item.name for item in table]:
                continue
            blamed = sum(part.ticks for item in found for decision in item.decisions for part in decision.parts
                         if (part.cause.kind, part.cause.rule) == (kind, rule))
            assert population(policy, found, suspect).regret.sum() == blamed


def test_nothing_is_said_of_a_rule_without_regret() -> None:
    policy = _policy({})
    found = attribute_many(policy, _workloads(20), "makespan")
    assert wrong_when(policy, found, Suspect("join", "missed", "join")) == ()
    assert wrong_when(policy, (), Suspect("launch", "fired", "decode")) == ()
