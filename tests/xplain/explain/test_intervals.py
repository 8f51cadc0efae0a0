"""Where the search hits its limit, V* is an interval: the attribution says so, and how wide it is."""

from __future__ import annotations

from tests.scale import scaled
from tests.xplain.explain.cases import regret_case
from tests.xplain.explain.test_sums import CLAIRVOYANT_KINDS
from xplain.encodings.exact import CostToGo, Limits, solve
from xplain.explain.regret import attribute_run, summarise
from xplain.explain.values import ClairvoyantValues


def test_unproved_values_are_labelled_and_still_sum() -> None:
    open_runs = 0
    for seed in range(scaled(55, 600)):
        case = regret_case(seed)
        limits = Limits(nodes=seed % 7)
        search = CostToGo(case.workload, case.policy.profile, case.policy.config, case.objective, limits=limits)
        found = attribute_run(case.policy, case.workload, case.objective,
                              ClairvoyantValues(case.workload, case.objective, search))
        optimum = solve(case.workload, case.policy.profile, case.policy.config, case.objective).interval
        gap = found.run.objective(case.objective) - optimum.upper
        summary = summarise(found, 0, "", "clairvoyant")
        assert sum(cause.ticks for cause in summary.causes) == summary.gap
        assert (summary.exact, summary.uncertainty) == (found.exact, found.uncertainty)
        if found.exact:
            assert found.total == gap and found.uncertainty == 0
            continue
        open_runs += 1
        assert found.uncertainty > 0
        assert 0 <= found.total <= gap <= found.total + found.uncertainty
        assert found.start.lower <= optimum.upper <= found.start.upper
        for step in found.steps:
            # The incumbents are taken together: what one state can reach, every state before it can.
            assert step.regret >= 0 and step.before.lower <= step.before.upper
            assert sum(part.ticks for part in step.parts) == step.regret
            assert all(part.ticks > 0 and part.cause.kind in CLAIRVOYANT_KINDS for part in step.parts)
    assert open_runs >= 10
