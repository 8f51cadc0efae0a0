"""Tuning: search what the causes name, challenge the candidate, check it on held-out workloads.

Minimised on training workloads: half the mean, half the mean of the worst quarter (CVaR) of the relative gap to the
benchmark, under a constraint: throughput never below a floor of `no-exit`'s at equal N. The candidate is challenged
with workloads sought against it; those on which it falls below the floor join the constraint, and the search goes on.
The held-out check uses points and workload seeds that no search has seen. Source: analyzer design, Tuning.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

import numpy as np

from xplain.problems.operating import OperatingProblem
from xplain.records import Attribution, Cluster, Comparison, NamedParameters, Region, Sample, Tuning
from xplain.tuning.accept import verdict
from xplain.tuning.challenge import counterexamples
from xplain.tuning.front import choice_text, front, settings_of
from xplain.tuning.held_out import held_out
from xplain.tuning.named import NamedGroup, named_groups, named_parameters
from xplain.tuning.optimise import Effort, Progress, ends, explore, fewest_changes, towards
from xplain.tuning.prepared import PreparedPoint, prepared, recorded_points, worst_and_benign
from xplain.tuning.ranges import SearchRange, search_ranges
from xplain.tuning.recovered import independent_best, recovery
from xplain.tuning.scoring import FLOOR, TAIL, TAIL_WEIGHT
from xplain.tuning.trials import REFUSED, Trials, Values

OBJECTIVE = (f"{1 - TAIL_WEIGHT:.0%} mean (benign and recorded workloads) + {TAIL_WEIGHT:.0%} mean of the worst "
             f"{TAIL:.0%} (all) of the relative gap to the benchmark, where throughput keeps {FLOOR:g} of no-exit's")
NAMED_SHARE, ALL_SHARE = 0.4, 0.4  # of the settings: on what the causes name, then on all parameters
REPAIR_SHARE = 0.1  # after each challenge
CHALLENGES = 5  # rounds
INDEPENDENT_POINTS = 24


@dataclass(frozen=True)
class Plan:
    """How much tuning may cost and what it may touch. `trials`: settings tried, about; `seconds`: limit of the search;
    `adversarial`, `benign`, `recorded`: training points; `challenge`: points of each challenge; `held_out`: points of
    each slice. `parameters`: search only these; () = those that the causes name, then all. `independent`: settings of
    the search that says what could have been reached, per trial (0: none); it may take as many seconds per setting as
    the search itself."""

    trials: int = 100
    seconds: float | None = None
    adversarial: int = 8
    benign: int = 24
    recorded: int = 8
    challenge: int = 24
    held_out: int = 32
    parameters: tuple[str, ...] = ()
    seed: int = 0
    jobs: int = 2
    independent: float = 0.0


class Search:
    """One tuning under way: its trials, what was searched, and when time is up."""

    def __init__(self, problem: OperatingProblem, points: Sequence[PreparedPoint], plan: Plan,
                 progress: Progress) -> None:
        self.problem, self.plan, self.progress = problem, plan, progress
        self.trials = Trials(problem, points, jobs=plan.jobs)
        self.largest = int(problem.space.dimension("num_seqs").high)
        self.current = problem.bound(problem.heuristic, {"num_seqs": self.largest})
        self.searched: list[str] = []
        self.trials.score({})  # the current settings are a candidate, however early time is up

    def ranges(self, names: tuple[str, ...]) -> list[SearchRange]:
        """Ranges of these parameters, noted as searched."""
        found = search_ranges(self.problem.heuristic.policy, names, self.current, self.largest)
        self.searched += [item.name for item in found if item.name not in self.searched]
        return found

    def explore(self, names: tuple[str, ...], share: float, refuted: Values | None = None) -> None:
        """Spend a share of the effort on these parameters, from the best setting so far; first what lies between
        the current settings and those just `refuted`."""
        before, best, seconds = tuple(self.searched), self.trials.best(), self.plan.seconds
        ranges, default = self.ranges(names), self.current.values
        if ranges:
            guesses = None  # the corners
            if refuted is not None:
                guesses = towards(refuted, default, ranges)
            elif before:  # corners were tried before
                guesses = ends(best, default, [item for item in ranges if item.name not in before])
            effort = Effort(max(1, ceil(self.plan.trials * share)),
                            None if seconds is None else time.monotonic() + seconds * share)
            explore(self.trials, ranges, default, effort, self.plan.seed, self.progress, best, guesses)

    def named(self, group: NamedGroup, share: float) -> NamedParameters:
        """Search what one cluster names."""
        tried, before = len(self.trials), self._score()
        self.explore(group.parameters, share)
        return NamedParameters(group.source, group.cause, group.parameters, len(self.trials) - tried, before,
                               self._score())

    def candidate(self) -> dict[str, Fraction]:
        """The best setting so far with as few changes as it takes."""
        return fewest_changes(self.trials, self.trials.best())

    def challenged(self, names: tuple[str, ...]) -> dict[str, Fraction]:
        """A candidate that withstood a challenge; the last one if none does within CHALLENGES rounds.

        After the first one, and where there are counter-examples, the search goes on with a part of the effort.
        """
        found = self.candidate()
        for number in range(CHALLENGES):
            self.progress(f"tuning, challenge {number + 1}: workloads on which the candidate falls below the floor")
            against = counterexamples(self.trials, found, number, self.plan.seed, self.plan.challenge)
            self.trials.challenges += against
            if number and not against:
                break
            self.explore(names, REPAIR_SHARE, found)
            found = self.candidate()
        return found

    def _score(self) -> float | None:
        best = self.trials.score(self.trials.best())
        return best if best < REFUSED else None


def tune(problem: OperatingProblem, samples: Sequence[Sample], regions: Sequence[Region],
         attributions: Sequence[Attribution], plan: Plan, progress: Progress = lambda _: None,
         clusters: Sequence[Cluster] = ()) -> Tuning:
    """Proposed settings for the problem's heuristic with their held-out effect."""
    every = tuple(item.name for item in problem.heuristic.policy.parameters)
    search = Search(problem, training_set(problem, samples, regions, plan), plan, progress)
    named: list[NamedParameters] = []
    if plan.parameters:
        search.explore(plan.parameters, NAMED_SHARE + ALL_SHARE)
    else:
        # First what the causes name, then everything from there: a cure can need a parameter that no run blames.
        groups = named_groups(clusters, attributions) or (
            NamedGroup("no cluster", "no cause has a cost", named_parameters(every, attributions)),)
        named = [search.named(group, NAMED_SHARE / len(groups)) for group in groups]
        search.explore(every, ALL_SHARE)
    chosen = search.challenged(plan.parameters or every)
    trials, best = search.trials, search.trials.best()
    settings = settings_of(chosen, search.current.values)
    tuned = replace(problem.heuristic, name=f"{problem.heuristic.name} (tuned)",
                    settings={**problem.heuristic.settings, **{item.name: item.proposed for item in settings}})
    progress("tuning: held-out check")
    comparisons = held_out(problem, tuned, regions, points=plan.held_out, seed=plan.seed, jobs=plan.jobs)
    accepted, reason = verdict(comparisons, bool(settings))
    share, text = _recovered(search, comparisons[0])
    tried = trials.settings()
    return Tuning(settings, tuple(search.searched), len(tried), comparisons, accepted, reason,
                  front(trials, search.current.values, chosen), share, "", tuple(named), OBJECTIVE,
                  choice_text(trials, best, chosen), text, FLOOR, sum(not trials.allowed(item) for item in tried),
                  dict(Counter(point.kind for point in (*trials.points, *trials.challenges))))



def training_set(problem: OperatingProblem, samples: Sequence[Sample], regions: Sequence[Region],
                 plan: Plan) -> list[PreparedPoint]:
    """Adversarial, benign and recorded points with their workloads; recorded ones only where there is a recording.

    Where the search drew fewer benign ones than wanted, others are drawn from the declared distribution.
    """
    worst, benign = worst_and_benign(samples, regions, plan.adversarial, plan.benign)
    rng = np.random.default_rng([plan.seed, 982_451_653])
    drawn = [problem.draw(rng) for _ in range(plan.benign - len(benign))]
    return [*(prepared(problem, item.point, "adversarial") for item in worst),
            *(prepared(problem, point, "benign") for point in (*(item.point for item in benign), *drawn)),
            *(prepared(problem, point, "recorded")
              for point in recorded_points(problem, plan.recorded, plan.seed))]


def _recovered(search: Search, whole: Comparison) -> tuple[float | None, str]:
    plan, tried = search.plan, len(search.trials)
    if not plan.independent:
        return None, "not looked for"
    seconds = None if plan.seconds is None else time.monotonic() + plan.seconds * plan.independent
    effort = Effort(max(1, ceil(tried * plan.independent)), seconds)
    best, count = independent_best(search.problem, INDEPENDENT_POINTS, effort, plan.seed, plan.jobs, search.progress)
    found = recovery(search.problem, whole.before, whole.after, best, count, plan.held_out, plan.seed, plan.jobs)
    return found.share, found.text
