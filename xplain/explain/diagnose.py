"""Does a policy have a problem of its own, and which rule is to blame?

Regret attribution says where the gap to the optimum arises; but the optimum knows the future, so a gap alone is no
fault. What a change of the table at the blamed rule wins back on held-out workloads is. Regret names the suspects,
the trial convicts: a rule is to blame for at most min(its regret, that gain); of the rules with at least a fifth of the
largest such amount the one whose mending wins back most comes first. (Regret alone falls on the last chance: a flush
missed at no cost, because the rows could still join, shows as a join missed; a needless consult, after which going on
would have been right, shows as a split.) The policy has a problem if the first
one's gain is at least `threshold` with 95 % confidence, none if every upper confidence limit is below, else it cannot
be told.
Source: analyzer design, Explanations; Gaps ("cannot tell" when an interval spans the threshold).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from drex_runtime.errors import LimitError, PolicyError, RecordError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.arrays import CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.explain.many import Attributed, Decision, attribute_many
from xplain.explain.record import Blame, Diagnosis, Remedy, Verdict, WrongWhen
from xplain.explain.remedies import Change, changes
from xplain.explain.when import Suspect, suspect_of, wrong_when
from xplain.report.units import percent

MENDABLE = ("fired", "missed", "batch_limit")
SUSPECTS = 6  # rules whose remedies are tried, by regret
LEAST_SHARE = 0.1  # of the threshold: regret below that is nobody's problem
LEAST_WORKLOADS = 8
OBJECTIVES: dict[Objective, str] = {"makespan": "makespan", "total-completion": "completion time",
                                    "misses": "missed due dates"}
COMPARABLE = 0.2  # of the largest amount: regret cannot tell such suspects apart, what mending them wins back can
Floats = npt.NDArray[np.float64]


@dataclass
class _Case:
    """What speaks against a suspect: ticks, the decisions blamed on it, ticks per atom."""

    ticks: int = 0
    decisions: list[Decision] = field(default_factory=list)
    atoms: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)


def diagnose(policy: BoundPolicy, workloads: Sequence[Workload], held_out: Sequence[Workload], objective: Objective, *,
             threshold: float, seed: int = 0, jobs: int = 1,
             attributed: Sequence[Attributed] | None = None) -> Diagnosis:
    """Verdict on `policy` over workloads small enough for the exact search.

    Remedies are chosen on `workloads` (whose attribution may be given) and judged on `held_out`, both drawn from the
    distribution that the policy is asked about. `threshold`: relative loss that matters. RecordError for fewer than 8
    workloads in either; PolicyError as `attribute_run`.
    """
    for name, given in (("workloads", workloads), ("held_out", held_out)):
        if len(given) < LEAST_WORKLOADS:
            raise RecordError("diagnose", name, len(given), f"at least {LEAST_WORKLOADS} workloads")
    attributed = attributed or attribute_many(policy, workloads, objective, jobs=jobs)
    optimum, total = sum(item.optimum for item in attributed), sum(item.attribution.gap for item in attributed)
    cases, order = _cases(attributed)
    judge = _Judge(policy, workloads, held_out, objective)
    blames = []
    for suspect in sorted(cases, key=lambda item: (-cases[item].ticks, item.site, item.kind, item.rule))[:SUSPECTS]:
        case = cases[suspect]
        regret = case.ticks / optimum if optimum else 0.0
        if regret < LEAST_SHARE * threshold:
            continue
        when = wrong_when(policy, attributed, suspect, seed=seed)
        remedy = judge.best(changes(policy, suspect, case.decisions, [item.predicates for item in when
                                                                      if item.predicates]))
        blames.append(_blame(suspect, case, regret, total, remedy, when))
    blames = _ranked(blames)
    gap = float(np.mean([item.relative_gap for item in attributed]))
    verdict = _verdict(blames, threshold)
    return Diagnosis(verdict, threshold, gap, order / optimum if optimum else 0.0, tuple(blames), len(workloads),
                     len(held_out), _sentence(policy, objective, verdict, blames, gap, threshold))


def _cases(attributed: Sequence[Attributed]) -> tuple[dict[Suspect, _Case], int]:
    """Regret by suspect, and that of row selection, which no rule is to blame for."""
    cases: dict[Suspect, _Case] = {}
    order = 0
    for item in attributed:
        for decision in item.decisions:
            for part in decision.parts:
                if part.cause.kind not in MENDABLE:
                    order += part.ticks
                    continue
                case = cases.setdefault(suspect_of(decision, part.cause.kind, part.cause.rule), _Case())
                case.ticks += part.ticks
                case.decisions.append(decision)
                atom = (part.cause.atom, part.cause.parameters)
                case.atoms[atom] = case.atoms.get(atom, 0) + part.ticks
    return cases, order


class _Judge:
    """Runs changed policies: chosen on the workloads at hand, judged on held-out ones."""

    def __init__(self, policy: BoundPolicy, workloads: Sequence[Workload], held_out: Sequence[Workload],
                 objective: Objective) -> None:
        self.objective = objective
        self.chosen = [compiled_workload(item) for item in workloads]
        self.held = [compiled_workload(item) for item in held_out]
        self.before = (self.run(policy, self.chosen), self.run(policy, self.held))

    def run(self, policy: BoundPolicy, workloads: Sequence[CompiledWorkload]) -> Floats:
        """Objective per workload."""
        program = compiled_policy(policy)
        return np.array([simulate_compiled(program, item).objective(self.objective) for item in workloads], np.float64)

    def best(self, candidates: Sequence[Change]) -> Remedy | None:
        """The candidate that gains most on the workloads at hand; None if none gains."""
        best: tuple[float, Change] | None = None
        for change in candidates:
            try:
                gain = float(_gains(self.before[0], self.run(change.policy, self.chosen)).mean())
            except (PolicyError, LimitError):
                continue  # this change makes a policy that waits for ever: not a remedy
            if best is None or gain > best[0] + 1e-12:
                best = (gain, change)
        if best is None or best[0] <= 0:
            return None
        try:
            gains = _gains(self.before[1], self.run(best[1].policy, self.held))
        except (PolicyError, LimitError):
            return None
        mean, half = float(gains.mean()), float(gains.std(ddof=1)) / sqrt(len(gains))
        half *= float(student.ppf(0.975, len(gains) - 1))
        return Remedy(best[1].text, mean, mean - half, mean + half, len(gains))


def _gains(before: Floats, after: Floats) -> Floats:
    """H / H' - 1, 0 where both are 0."""
    return np.where(after > 0, before / np.maximum(after, 1) - 1, np.where(before > 0, 1.0, 0.0))


def _blame(suspect: Suspect, case: _Case, regret: float, total: int, remedy: Remedy | None,
           when: tuple[WrongWhen, ...]) -> Blame:
    atom, parameters = max(sorted(case.atoms), key=lambda key: case.atoms[key])
    share, amount = case.ticks / total if total else 0.0, max(0.0, min(regret, remedy.gain)) if remedy else 0.0
    return Blame(suspect.site, suspect.kind, suspect.rule, atom, parameters, regret, share, amount, remedy, when)


def _ranked(blames: Sequence[Blame]) -> list[Blame]:
    bar = COMPARABLE * max((item.amount for item in blames), default=0.0)

    def key(item: Blame) -> tuple[bool, float, float, str, str, str]:
        first = item.amount > 0 and item.amount >= bar
        won = item.remedy.gain if first and item.remedy is not None else item.amount
        return not first, -won, -item.regret, item.site, item.kind, item.rule

    return sorted(blames, key=key)


def _verdict(blames: Sequence[Blame], threshold: float) -> Verdict:
    remedies = [(item, item.remedy) for item in blames if item.remedy is not None]
    if any(remedy.low >= threshold and item.amount >= threshold / 2 for item, remedy in remedies[:1]):
        return "loss"
    harmless = all(remedy.high < threshold or item.regret < threshold / 2 for item, remedy in remedies)
    return "none" if harmless else "unknown"


def _sentence(policy: BoundPolicy, objective: Objective, verdict: Verdict, blames: Sequence[Blame], gap: float,
              threshold: float) -> str:
    name, least = policy.policy.name, percent(threshold)
    what = f"{name} loses {percent(gap)} in {OBJECTIVES[objective]} to an optimum that knows the future"
    if verdict == "loss" and blames[0].remedy is not None:
        first, remedy = blames[0], blames[0].remedy
        said = {"missed": f"{first.rule} should have fired but {first.atom} was false",
                "fired": f"{first.rule} fired ({first.atom or 'unconditionally'}) although something else was better",
                "batch_limit": "batch_limit keeps launches smaller than the hardware allows"}[first.kind]
        return (f"{what}; {said}. Mending it ({remedy.change}) wins back {percent(remedy.gain)} ({percent(remedy.low)} "
                f"to {percent(remedy.high)}) on {remedy.workloads} held-out workloads.")
    if verdict == "none":
        return f"No {OBJECTIVES[objective]} problem of its own: {what}, and no change of a rule wins back {least}."
    return f"{what}; whether a change of a rule wins back {least} cannot be told."
