"""EE scheduling: on which workloads does a policy lose, said as loosely as can be proved, or shown by samples?"""

from __future__ import annotations

from fractions import Fraction

from drex_runtime.policies import bind
from drex_runtime.records import CostProfile
from drex_runtime.scheduling.state import Objective
from xplain.certify.space import Size, config_of, grid_of, space_of
from xplain.encodings.exact import Limits
from xplain.encodings.gap import GapProblem
from xplain.generalise.certified import CertifiedVerifier, depths
from xplain.generalise.loosen import loosen, loosest
from xplain.generalise.record import Loosened
from xplain.generalise.sampled import SampledVerifier, pool, values_of
from xplain.problems.exact import ExactProblem
from xplain.problems.exact_features import FEATURES, feature_named, members
from xplain.problems.operating import Contender
from xplain.records import Predicate
from xplain.regions.find import find_regions
from xplain.regions.sentences import number, percent

SLACK = 0.05  # what a promise may be weaker than the precision of the region it starts from
NODES = 10_000  # of one exact search: results must not depend on the clock
ORDERS = 8


def proved(subject: Contender, profile: CostProfile, *, objective: Objective, threshold: float,
           against: Contender | None = None, size: Size | None = None, seconds: float = 120.0, seed: int = 0
           ) -> Loosened:
    """From the worst workload of a small size, described completely, to the widest description that was found under
    which *every* workload loses `threshold` of what the benchmark (None: the clairvoyant optimum) takes.

    Raises LimitError if the survey does not end within `seconds`.
    """
    size = size or Size((3, 2), 1)
    config = config_of("b", size, profile)
    other = None if against is None else bind(against.policy, profile, config, against.settings)
    problem = GapProblem(space_of("b", size, profile), bind(subject.policy, profile, config, subject.settings), other,
                         objective)
    verifier = CertifiedVerifier(problem, 0, grid=grid_of(profile), relative=Fraction(str(threshold)), seconds=seconds)
    names = [*FEATURES, *members(verifier.shape)]
    worst = verifier.worst()
    requests, tokens = size.of("b")
    promise = (f"every workload of {requests} x {tokens} on which {subject.name} runs loses at least "
               f"{percent(threshold)} to {against.name if against else 'the optimum'}")

    def said(predicate: Predicate) -> str:
        feature = feature_named(predicate.feature, verifier.shape)
        meaning = feature.meaning if feature else predicate.feature
        return f"{meaning} {'at most' if predicate.relation == '<=' else 'above'} {number(predicate.bound)}"

    found = loosest(verifier.description(worst, names), verifier.values(names), verifier, promise=promise,
                    orders=ORDERS, seed=seed, describe=said)
    return _with_start(found, depths(worst))


def sampled(problem: ExactProblem, subject: Contender, *, count: int, seed: int) -> Loosened | None:
    """From the first significant region of `count` samples to a looser description under which the policy loses as
    often (within SLACK), confirmed on as many fresh samples. None: there is no such region."""
    drawn, fresh = pool(problem, count, seed), pool(problem, count, seed, fresh=True)
    regions = find_regions(problem, drawn, fresh[:len(fresh) // 2], problem.threshold, seed, subject=subject.name)
    if not regions:
        return None
    start, fresh = regions[0].predicates, fresh[len(fresh) // 2:]  # what chose the region does not confirm
    verifier = SampledVerifier(drawn, problem.threshold, 1e-9, looks=1)
    rate = verifier(start).rate
    target = max(0.01, round((rate.low if rate else 0.0) - SLACK, 2))

    def said(predicate: Predicate) -> str:
        meaning, unit = problem.describe(predicate.feature)
        relation = "at most" if predicate.relation == "<=" else "above"
        return f"{meaning} {relation} {number(predicate.bound)}{f' {unit}' if unit else ''}"

    promise = (f"{subject.name} loses {percent(problem.threshold)} or more in at least {percent(target)} of workloads")
    values = values_of(drawn, sorted({predicate.feature for predicate in start}))
    return loosen(start, values, SampledVerifier(drawn, problem.threshold, target, looks=1), promise=promise,
                  confirm=SampledVerifier(fresh, problem.threshold, target), describe=said)


def exact_problem(subject: Contender, profile: CostProfile, objective: Objective, threshold: float, requests: int,
                  tokens: int) -> ExactProblem:
    """The exact scale against the optimum; searches are cut by size, so that results repeat."""
    return ExactProblem(subject, profile, objective, threshold, requests=requests, tokens=tokens,
                        limits=Limits(nodes=NODES))


def _with_start(found: Loosened, workload: str) -> Loosened:
    return Loosened(found.start, found.predicates, found.final, found.trials,
                    f"{found.sentence}; started from {workload} (arrival:depths)")
