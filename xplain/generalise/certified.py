"""Verify a description of EE workloads by proof: does *every* workload of a bounded size that fits it lose so much?

The verifier decides a certificate's claim (`encodings.certificates`), by a survey of all workloads or by SMT; what it
accepts can be written down as a certificate of kind b.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from drex_runtime.errors import InputError
from drex_runtime.records import Workload
from xplain.encodings.certificates.claim import Claim, Method
from xplain.encodings.certificates.counted import Counted
from xplain.encodings.certificates.decide import decide, judge
from xplain.encodings.certificates.features import Condition, Feature, Where
from xplain.encodings.certificates.survey import OutOfTimeError, Survey
from xplain.encodings.certificates.workloads import shape_of
from xplain.encodings.gap import GapProblem
from xplain.generalise.loosen import Conditions
from xplain.generalise.record import Checked
from xplain.problems.exact_features import certifiable, feature_named
from xplain.records import Evidence, Predicate, Rate


class CertifiedVerifier:
    """Every workload of the problem's space that fits the description has a gap of at least `least` ticks more than
    `relative` times what the benchmark takes.

    `method`: `enumerate` (one survey serves all descriptions) or `smt` (a query each; only against a policy). `grid`:
    ticks in which features count arrivals. `seconds`: for the survey, or for each query. Raises LimitError.
    """

    def __init__(self, problem: GapProblem, least: int, *, grid: int, relative: Fraction = Fraction(0),
                 method: Method = "enumerate", seconds: float = 120.0) -> None:
        self.problem, self.least, self.relative, self.grid = problem, least, relative, grid
        self._method, self._seconds = method, seconds
        self.shape = shape_of(problem.space, grid)
        self._deadline = time.monotonic() + seconds
        self.survey = Survey(problem, self._deadline) if method == "enumerate" else None

    def __call__(self, conditions: Conditions) -> Checked:
        """Proved, refuted by a workload, or unknown."""
        where = Where("inside", (tuple(map(self._condition, conditions)),)) if conditions else Where()
        claim = Claim(self.problem, "at-least", self.least, where, self.relative, self.grid)
        try:
            if self.survey is None:
                verdict = decide(claim, self._method, self._seconds)
            else:
                verdict = judge(claim, self.survey, self._deadline)
        except OutOfTimeError as error:
            return Checked(None, Evidence.PROVED, str(error))
        if verdict.status == "unknown":
            return Checked(None, Evidence.PROVED, f"{verdict.method}: {verdict.detail}")
        if verdict.status == "refuted" and verdict.witness is not None:
            shown = verdict.witness
            return Checked(False, Evidence.PROVED, f"refuted: {depths(shown.workload)} has a gap of {shown.gap}")
        if verdict.witness is None and self.survey is not None:
            return Checked(None, Evidence.PROVED, "no workload fits: true, and says nothing")
        return Checked(True, Evidence.PROVED, f"{verdict.method}: {verdict.detail}", self._rate(where))

    def description(self, workload: Workload, features: Sequence[str]) -> Conditions:
        """The narrowest description over these features that fits a workload: each exactly its value."""
        counted = Counted(np.array([[request.depths for request in workload.requests]]),
                          np.array([[request.arrival for request in workload.requests]], np.int64), self.shape)
        found = list[Predicate]()
        for name, values in self.values(features).items():
            value = float(counted.values(self._feature(name))[0])
            below = [each for each in values if each < value]
            found += [Predicate(name, ">", max(below))] if below else []
            found += [Predicate(name, "<=", value)] if value < max(values) else []
        return tuple(found)

    def values(self, features: Sequence[str]) -> Mapping[str, Sequence[float]]:
        """Values that features take in the space, by enumeration. InputError without a survey."""
        if self.survey is None:
            raise InputError("loosen", "method", self._method, "enumerate, to know which values occur")
        counted = self.survey.counted(self.grid)
        return {name: np.unique(counted.values(self._feature(name))).tolist() for name in features}

    def worst(self) -> Workload:
        """A workload with the largest gap: where to start. InputError without a survey."""
        if self.survey is None:
            raise InputError("loosen", "method", self._method, "enumerate, to find a workload to start from")
        claim = Claim(self.problem, "at-most", 0, relative=self.relative, grid=self.grid)
        row = self.survey.worst(claim, self._deadline)
        if row is None:
            raise InputError("loosen", "space", 0, "at least one workload")
        return self.survey.workload(row)

    def _condition(self, predicate: Predicate) -> Condition:
        return Condition(self._feature(predicate.feature), predicate.relation, predicate.bound)

    def _feature(self, name: str) -> Feature:
        feature = feature_named(name, self.shape)
        if feature is None:
            raise InputError("loosen", "feature", name, certifiable(self.shape))
        return feature

    def _rate(self, where: Where) -> Rate | None:
        """The share of all workloads that fit: how much the description says."""
        if self.survey is None:
            return None
        share = float(self.survey.inside(where, self.grid).mean())
        return Rate(share, share, share, len(self.survey))


def depths(workload: Workload) -> str:
    """arrival:depths of every request."""
    return " ".join(f"{each.arrival}:{','.join(map(str, each.depths))}" for each in workload.requests)
