"""The gap as one term: the policy's machine and the benchmark's, side by side on the same inputs.

Maximising H(x) - C over inputs x *and* free schedules with cost C is a single-level problem: C enters with a minus
sign, so whoever maximises picks the cheapest schedule by itself, and max over x, C of H(x) - C is max over x of
H(x) - min C = H(x) - OPT(x). (With a plus sign, or a follower whose choice helps the leader otherwise, this would be
wrong and take a bilevel rewrite.) A second policy leaves nothing to choose: its cost is what its rules make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xplain.encodings.exact import Limits
from xplain.encodings.gap.horizons import proved_horizons
from xplain.encodings.gap.mismatch import ReplayMismatch
from xplain.encodings.gap.problem import GapProblem, ReplayedGap
from xplain.encodings.gap.service import least_cost_conditions
from xplain.encodings.gap.symmetry import exchangeable, require_sorted
from xplain.encodings.steps import Inputs, Steps, unroll
from xplain.encodings.steps.chooser import FreeChooser, PolicyChooser
from xplain.encodings.terms import Int, Terms, evaluate


@dataclass(frozen=True)
class GapModel:
    """`gap` = heuristic - benchmark in ticks, over `inputs`; what makes it meaningful is required in `terms`."""

    problem: GapProblem
    terms: Terms
    inputs: Inputs
    heuristic: Steps
    benchmark: Steps
    gap: Int
    detail: str

    def replayed(self, values: Mapping[str, int], limits: Limits | None = None) -> ReplayedGap:
        """What the assignment's workload really loses.

        Raises ReplayMismatch if the policy does not cost what the terms say, or the benchmark costs more (a free
        schedule may cost more than the optimum, so the replayed gap may be larger than the claimed one; a policy's run
        may not). LimitError if the exact search does not end within `limits`.
        """
        objective = self.problem.objective
        heuristic, benchmark = self.heuristic.cost(objective), self.benchmark.cost(objective)
        found = evaluate([heuristic, benchmark], values)
        claimed = (found[heuristic.index], found[benchmark.index])
        real = self.problem.replay(self.inputs.workload(values), limits)
        fits = real.benchmark <= claimed[1] if self.problem.benchmark is None else real.benchmark == claimed[1]
        if real.heuristic != claimed[0] or not fits:
            raise ReplayMismatch(f"the solver claims {claimed[0]} against {claimed[1]}, replay gives {real.heuristic} "
                                 f"against {real.benchmark} on {self.inputs.workload(values).requests}")
        return real


def gap_model(problem: GapProblem, *, at_least: int | None = None, symmetry: bool = True) -> GapModel:
    """Encode `problem`; `at_least`: require a gap of that many ticks; `symmetry`: break it where that is sound.

    Raises PolicyError for policies that force exits, LimitError for an objective that the encodings do not have.
    """
    terms = Terms()
    inputs = Inputs(terms, problem.space)
    groups = exchangeable(problem) if symmetry else ()
    require_sorted(inputs, groups)
    horizons = proved_horizons(problem, at_least)
    heuristic = unroll("H", terms, inputs, problem.profile, problem.config,
                       PolicyChooser("H", terms, inputs, problem.policy), horizons.policy, horizons.clock)
    chooser = FreeChooser("C", terms, inputs, problem.config) if problem.benchmark is None else \
        PolicyChooser("C", terms, inputs, problem.benchmark)
    benchmark = unroll("C", terms, inputs, problem.profile, problem.config, chooser, horizons.benchmark,
                       horizons.clock)
    terms.require(terms.truth(horizons.possible), "some workload can lose that much")
    for name, machine in (("policy", heuristic), ("benchmark", benchmark)):
        terms.require(machine.finished, f"the {name} finishes within its horizon")
        terms.require(~machine.stuck, f"the {name} is never at a loss")
    gap = heuristic.cost(problem.objective) - benchmark.cost(problem.objective)
    if problem.benchmark is None:
        for condition in least_cost_conditions(problem.profile, problem.config, inputs, problem.objective,
                                               benchmark.cost(problem.objective)):
            terms.require(condition, "no schedule undercuts the service that is needed")
    if at_least is not None:
        terms.require(gap >= at_least, f"a gap of at least {at_least}")
    sorted_ = f"{sum(map(len, groups))} exchangeable requests sorted" if groups else ""
    return GapModel(problem, terms, inputs, heuristic, benchmark, gap,
                    "; ".join(part for part in (horizons.detail, sorted_) if part))
