"""Prove what can be proved of a run: one function per kind of certificate.

The strongest value is read off a survey of all workloads where they can be enumerated; the claim with that value is
then decided, by the survey or by SMT. Where they cannot, SMT climbs from witness to witness until none is worse.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property

from drex_runtime.policies import BoundPolicy
from xplain.certify.boxes import completing, feature_values, losing
from xplain.certify.claims import claim_of, table_of, where
from xplain.certify.exact_regions import exact_regions
from xplain.certify.record import Certificate, Evidence, Kind, Model, NamedRegion, model_hash, profile_hash
from xplain.certify.space import Size, config_of, grid_of, space_of
from xplain.certify.statement import statement_of
from xplain.certify.subject import Subject
from xplain.encodings.certificates.claim import Bound, Claim, Method, Verdict
from xplain.encodings.certificates.decide import decide, judge, usual_method
from xplain.encodings.certificates.features import Side, Where
from xplain.encodings.certificates.survey import OutOfTimeError, Survey
from xplain.encodings.certificates.workloads import MAX_WORKLOADS, count, shape_of
from xplain.encodings.gap import GapProblem

MOST_REGIONS = 3  # of kind b
MEANINGFUL = 0.95  # a union that holds a larger share of all workloads says nothing
FINENESS = Fraction(1, 1000)
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What is asked for. `seconds`: for each problem (policy, benchmark, space), its certificates together."""

    kinds: tuple[Kind, ...]
    size: Size = field(default_factory=Size)
    against: str = "flush-now"
    method: Method | None = None
    seconds: float = 120.0


@dataclass(frozen=True)
class Note:
    """Why there is no certificate of a kind."""

    kind: Kind
    text: str


class Bench:
    """One problem with its survey and its deadline: what certificates of one kind are made from."""

    def __init__(self, kind: Kind, subject: Subject, wish: Wish, policy: BoundPolicy, benchmark: BoundPolicy | None
                 ) -> None:
        self.kind, self.subject, self.wish = kind, subject, wish
        self.grid = grid_of(subject.profile)
        self.problem = GapProblem(space_of(kind, wish.size, subject.profile), policy, benchmark,
                                  subject.request.objective)
        self.deadline = time.monotonic() + wish.seconds
        self.enumerable = count(self.problem.space) <= MAX_WORKLOADS

    @cached_property
    def survey(self) -> Survey:
        """Raises OutOfTimeError."""
        return Survey(self.problem, self.deadline)

    def claim(self, relation: Bound, value: int, side: Side = "everywhere", regions: tuple[NamedRegion, ...] = (),
              relative: Fraction = Fraction(0)) -> Claim:
        """A claim about this problem."""
        return Claim(self.problem, relation, value, self.part(side, regions), relative, self.grid)

    def part(self, side: Side, regions: tuple[NamedRegion, ...]) -> Where:
        """A part of the space. InputError for a region over a feature that cannot be certified."""
        return where(side, regions, shape_of(self.problem.space, self.grid), "certificate")

    def strongest(self, claim: Claim) -> int | None:
        """The strongest value with which the claim holds, found; None: not found in time, or nobody is inside."""
        if self.enumerable:
            row = self.survey.worst(claim, self.deadline)
            if row is None:
                return None
            return claim.measured(int(self.survey.heuristic[row]), int(self.survey.benchmark[row]))
        while True:  # every witness is a stronger claim
            verdict = decide(claim, "smt", self.deadline - time.monotonic())
            if verdict.status != "refuted" or verdict.witness is None:
                return claim.value if verdict.status == "proved" else None
            claim = replace(claim, value=claim.measured(verdict.witness.heuristic, verdict.witness.benchmark))

    def decided(self, claim: Claim) -> Verdict:
        """By the method asked for, else by the survey where there can be one."""
        method = self.wish.method or usual_method(claim)[0]
        if method == "enumerate":
            return judge(claim, self.survey, self.deadline)
        return decide(claim, method, max(0.0, self.deadline - time.monotonic()))

    def certificate(self, name: str, claim: Claim, side: Side = "everywhere",
                    regions: tuple[NamedRegion, ...] = ()) -> Certificate:
        """Decide the claim and write it down."""
        problem, subject = self.problem, self.subject
        benchmark = None if problem.benchmark is None else table_of(problem.benchmark)
        model = Model(self.kind, problem.space, self.grid, table_of(problem.policy), problem.profile, problem.config,
                      problem.objective, claim.relation, claim.value, side, regions, str(claim.relative),
                      subject.quantum, benchmark)
        again = claim_of(model, name)  # what a reader will check is what is proved here
        verdict = self.decided(replace(again, problem=problem))
        return certified(name, model, verdict)


def certified(name: str, model: Model, verdict: Verdict) -> Certificate:
    """A verdict as a record."""
    found = verdict.witness
    witness = None if found is None else Evidence(found.workload, found.heuristic, found.benchmark)
    return Certificate(name, statement_of(model), verdict.status, model, model_hash(model),
                       profile_hash(model.profile), verdict.method, verdict.solver, verdict.version,
                       round(verdict.seconds, 3), datetime.now(UTC).isoformat(timespec="seconds"),
                       None if verdict.status == "unknown" else "exact", witness, verdict.detail)


def certify(subject: Subject, wish: Wish, tell: Tell = lambda _: None) -> Iterator[Certificate | Note]:
    """Certificates as they are made, and why one is missing."""
    makers = {"a": bounded_loss, "b": losing_regions, "c": no_regression, "d": completeness}
    for kind in wish.kinds:
        tell(f"certificate {kind}")
        try:
            yield from makers[kind](subject, wish)
        except OutOfTimeError as error:
            yield Note(kind, f"cannot tell within {wish.seconds:g} s: {error}")


def bounded_loss(subject: Subject, wish: Wish) -> Iterator[Certificate | Note]:
    """(a) No workload of this size loses more than g to the optimum."""
    config = config_of("a", wish.size, subject.profile)
    bench = Bench("a", subject, wish, subject.current(config), None)
    value = bench.strongest(bench.claim("at-most", 0))
    if value is None:
        yield Note("a", f"cannot tell within {wish.seconds:g} s")
        return
    yield bench.certificate("a", bench.claim("at-most", value))


def losing_regions(subject: Subject, wish: Wish) -> Iterator[Certificate | Note]:
    """(b) Every workload in region D loses at least g to another policy. D: regions of the run in which that is so, and
    the largest boxes over the certifiable features in which every workload loses."""
    config = config_of("b", wish.size, subject.profile)
    bench = Bench("b", subject, wish, subject.current(config), subject.other(wish.against, config))
    if not bench.enumerable:
        yield Note("b", f"{count(bench.problem.space):,} workloads: too many to look for regions in; take a smaller "
                        "--size")
        return
    survey = bench.survey
    values, gaps = feature_values(survey, bench.grid, single=True), survey.heuristic - survey.benchmark
    found = losing(values, gaps, MOST_REGIONS, "D", subject.request.seed)
    made = 0
    for region in (*subject.regions, *found):
        value = bench.strongest(bench.claim("at-least", 0, "inside", (region,)))
        if value is not None and value > 0:
            made += 1
            claim = bench.claim("at-least", value, "inside", (region,))
            yield bench.certificate(f"b-{region.name}", claim, "inside", (region,))
    if not made:
        share = float((gaps > 0).mean())
        yield Note("b", f"no workload loses to {wish.against}" if not share else "no region over the certifiable "
                        f"features in which every workload loses to {wish.against} ({share:.1%} of all do)")


def no_regression(subject: Subject, wish: Wish) -> Iterator[Certificate | Note]:
    """(c) The tuned parameters never lose more than e to the current ones."""
    config = config_of("c", wish.size, subject.profile)
    if subject.tuned is None:
        yield Note("c", "there is no tuned.yaml in the run")
        return
    current, proposed = subject.current(config), subject.proposed(config)
    if current.values == proposed.values:
        yield Note("c", "tuned.yaml keeps the current parameters: there is nothing to compare")
        return
    bench = Bench("c", subject, wish, proposed, current)
    value = bench.strongest(bench.claim("at-most", 0))
    if value is None:
        yield Note("c", f"cannot tell within {wish.seconds:g} s")
        return
    yield bench.certificate("c", bench.claim("at-most", value))


def completeness(subject: Subject, wish: Wish) -> Iterator[Certificate | Note]:
    """(d) Outside the union of regions no workload is bad. Regions of the run, else those found in the space; where
    they leave something out, that is shown by a witness and completed."""
    config = config_of("d", wish.size, subject.profile)
    bench = Bench("d", subject, wish, subject.current(config), None)
    if not bench.enumerable:
        yield Note("d", f"{count(bench.problem.space):,} workloads: too many to look for regions in; take a smaller "
                        "--size")
        return
    survey, tau = bench.survey, subject.tau
    regions = subject.regions or exact_regions(survey, subject, bench.grid, bench.deadline)

    def certificate(name: str, regions: tuple[NamedRegion, ...], tau: Fraction) -> Certificate:
        return bench.certificate(name, bench.claim("at-most", -1, "outside", regions, tau), "outside", regions)

    reported = certificate("d", regions, tau)
    yield reported
    if reported.status != "refuted":
        return
    yield certificate("d-least", regions, least_tau(bench, regions, tau))
    bad = survey.reaching(bench.claim("at-most", -1, relative=tau), bench.deadline)
    outside = survey.inside(bench.part("outside", regions), bench.grid)
    extra = completing(feature_values(survey, bench.grid).where(outside), bad[outside], "C", subject.request.seed)
    union = survey.inside(bench.part("inside", (*regions, *extra)), bench.grid)
    share = f"the regions hold {union.mean():.1%} of all workloads, {bad[union].mean():.1%} of which are bad"
    if union.mean() > MEANINGFUL:
        yield Note("d", f"regions that leave out no bad workload would say little: {share}")
        return
    made = certificate("d-complete", (*regions, *extra), tau)
    yield replace(made, detail=f"{made.detail}; {share}")


def least_tau(bench: Bench, regions: tuple[NamedRegion, ...], tau: Fraction) -> Fraction:
    """The smallest multiple of FINENESS above `tau` that no workload outside the regions reaches."""
    while True:
        claim = bench.claim("at-most", -1, "outside", regions, tau)
        row = bench.survey.worst(claim, bench.deadline, stop_beyond=True)
        if row is None:
            return tau
        heuristic, benchmark = int(bench.survey.heuristic[row]), int(bench.survey.benchmark[row])
        if not claim.violated(heuristic, benchmark):
            return tau
        tau = (Fraction(heuristic - benchmark, benchmark) // FINENESS + 1) * FINENESS
