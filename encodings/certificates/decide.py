"""Decide a claim: by a survey of all workloads, or by one SMT query."""

from __future__ import annotations

import time

from drex_runtime import __version__
from drex_runtime.errors import LimitError
from xplain.encodings.certificates.claim import Claim, Method, Status, Verdict
from xplain.encodings.certificates.survey import OutOfTimeError, Survey
from xplain.encodings.certificates.workloads import MAX_WORKLOADS, count
from xplain.encodings.gap import ReplayedGap

SOLVER = "compiled simulator, exact search"


def usual_method(claim: Claim) -> tuple[Method, str]:
    """What decides this claim best, and why."""
    number = count(claim.problem.space)
    if number <= MAX_WORKLOADS:
        return "enumerate", f"{number:,} workloads can be enumerated"
    return "smt", f"{number:,} workloads: more than the {MAX_WORKLOADS:,} that enumeration takes"


def decide(claim: Claim, method: Method, seconds: float) -> Verdict:
    """What `method` says within `seconds`; what does not end is unknown, with how far it got."""
    if method == "smt":
        from xplain.encodings.certificates.query import ask  # z3 takes a second to load

        return ask(claim, seconds)
    began = time.monotonic()
    try:
        survey = Survey(claim.problem, began + seconds)
        return judge(claim, survey, began + seconds, began)
    except OutOfTimeError as error:
        return _verdict("unknown", began, None, str(error))


def judge(claim: Claim, survey: Survey, deadline: float, began: float | None = None) -> Verdict:
    """Decide a claim by a survey of its problem. Raises OutOfTimeError."""
    start = time.monotonic() if began is None else began
    if survey.problem is not claim.problem:
        raise LimitError("a claim is judged by a survey of its own problem")
    row = survey.worst(claim, deadline, stop_beyond=True)
    inside = int(survey.inside(claim.where, claim.grid).sum())
    detail = f"{inside:,} of {len(survey):,} workloads"
    if survey.optima is not None:
        detail += f", {survey.optima.searches:,} exact searches"
    if row is None:
        return _verdict("proved", start, None, f"{detail}: nothing to show")
    witness = claim.problem.replay(survey.workload(row))
    if (witness.heuristic, witness.benchmark) != (int(survey.heuristic[row]), int(survey.benchmark[row])):
        raise RuntimeError(f"the reference says {witness.heuristic} against {witness.benchmark}, the survey "
                           f"{survey.heuristic[row]} against {survey.benchmark[row]}")
    status: Status = "refuted" if claim.violated(witness.heuristic, witness.benchmark) else "proved"
    return _verdict(status, start, witness, detail)


def _verdict(status: Status, began: float, witness: ReplayedGap | None, detail: str) -> Verdict:
    return Verdict(status, "enumerate", SOLVER, __version__, time.monotonic() - began, witness, detail)
