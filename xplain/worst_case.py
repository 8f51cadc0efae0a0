"""How bad it can get at exact scale: the largest gap over *all* workloads of a size, proved where the budget allows.

Two ladders of spaces, one request more per rung: n requests of T tokens all at 0, and the same with arrivals on the
exact scale's grid. Each is climbed until a rung is not proved. Kept are the largest proved space and the rung above it
with its bound. N is that of the exact scale on every rung, so all are subsets of what the search looks through, and
its samples must obey every bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import comb
from typing import TYPE_CHECKING, Protocol

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.records import Workload
from xplain.problems.exact import ExactProblem
from xplain.records import ProofMethod, ProofSolver, Sample, WorstCase
from xplain.report.units import duration

if TYPE_CHECKING:
    from xplain.encodings.gap import GapAnswer, GapProblem, Progress
    from xplain.encodings.steps import InputSpace

Tell = Callable[[str], None]
# Without a limit in seconds (results must repeat) rungs end here; enumerating as many takes seconds on one core.
COUNTED_INPUTS = 20_000
FEW_TOKENS = 4  # of all requests: so far CP-SAT solves the general formulation faster than many small ones
LEAST_SECONDS = 0.05  # not worth starting for less
AT_ONCE_SHARE = 0.7  # of the seconds, at most, for the first ladder


class Maximize(Protocol):
    """`encodings.gap.auto.maximize`."""

    def __call__(self, problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
                 on_progress: Callable[[Progress], None] | None = None) -> GapAnswer: ...


@dataclass(frozen=True)
class Means:
    """`method`: auto, enumerate, milp, smt or blackbox (nothing is proved); `solver` as in `maximize`. To name a solver
    is to ask for what it solves: with it, `auto` is `milp`.

    `seconds` for both ladders together; None: rungs of more than COUNTED_INPUTS workloads are left out instead.
    """

    method: ProofMethod
    solver: ProofSolver
    seconds: float | None

    @property
    def asks_for_solver(self) -> bool:
        """Whether `auto` has no choice left."""
        return self.method == "auto" and self.solver != "auto"


@dataclass(frozen=True)
class Rung:
    """`requests` of `tokens` tokens; `inputs`: how many workloads that is, those equal but for names counted once."""

    requests: int
    tokens: int
    open_arrivals: bool
    inputs: int
    text: str


def require_solver(name: ProofSolver) -> None:
    """SolverMissing, a line that says what to install, if a solver asked for by name is not there."""
    from xplain.encodings.solvers.choose import chosen

    chosen(name)


def warm_up(problem: ExactProblem, method: ProofMethod) -> None:
    """Compile what enumeration runs on, by enumerating two requests of one token; nothing to do for other methods."""
    if method not in ("auto", "enumerate"):
        return
    small = ExactProblem(problem.heuristic, problem.profile, problem.objective, problem.threshold,
                         requests=min(2, problem.shape.requests), tokens=1, limits=problem.limits)
    worst_cases(small, Means("enumerate", "auto", None), (), lambda _: None)


def worst_cases(problem: ExactProblem, means: Means, samples: Sequence[Sample], tell: Tell,
                maximize: Maximize | None = None) -> tuple[tuple[WorstCase, ...], tuple[str, ...]]:
    """What was proved or bounded, and in words what was not.

    Raises ArithmeticError if a sample's gap exceeds a bound, which would be a defect.
    """
    if means.method == "blackbox":
        return (), ("exact scale: nothing proved of its worst case (--method blackbox)",)
    found: list[WorstCase] = []
    notes: list[str] = []
    begun = time.monotonic()
    for part, open_arrivals in ((AT_ONCE_SHARE, False), (1.0, True)):
        best: WorstCase | None = None
        for number in range(1, problem.shape.requests + 1):
            rung = rung_of(problem, number, open_arrivals)
            left = None if means.seconds is None else round(begun + part * means.seconds - time.monotonic(), 2)
            if left is None and rung.inputs > COUNTED_INPUTS:
                notes.append(f"not proved, more than {COUNTED_INPUTS:,} workloads: {rung.text} ({rung.inputs:,})")
                break
            if left is not None and left < LEAST_SECONDS:
                notes.append(f"not proved, no time left: {rung.text} ({rung.inputs:,} workloads)")
                break
            tell(f"worst case of {rung.text}: {rung.inputs:,} workloads")
            try:
                case = _one(problem, rung, replace(means, seconds=left), samples, tell, maximize)
            except (LimitError, PolicyError) as error:
                notes.append(f"not proved: {rung.text}: {error}")
                break
            if not case.proved:
                found += [each for each in (best, case) if each is not None]
                best = None
                break
            best = case
        if best is not None:
            found.append(best)
    return tuple(found), tuple(notes)


def rung_of(problem: ExactProblem, requests: int, open_arrivals: bool) -> Rung:
    """A rung with the number of its workloads."""
    shape = problem.shape
    strings = shape.num_segments ** shape.tokens
    times = shape.arrival_steps + 1 if open_arrivals else 1
    # Requests of equal arrival are interchangeable only where no cap makes one wait for another.
    inputs = (comb(times * strings + requests - 1, requests) if problem.bound.batch_limit >= requests
              else comb(times + requests - 1, requests) * strings ** requests)
    step = duration(problem.grid, problem.profile.tick)
    when = f"each arriving at 0 or up to {shape.arrival_steps} steps of {step} later" if open_arrivals else "all at 0"
    size = f"{_number(requests, 'request')} of {_number(shape.tokens, 'token')}"
    return Rung(requests, shape.tokens, open_arrivals, inputs,
                f"{size}, {when}; N = {problem.config.max_num_seqs}, batch_max = {problem.config.batch_max}")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def space_of(problem: ExactProblem, rung: Rung) -> InputSpace:
    """The workloads of a rung."""
    from xplain.encodings.steps import InputSpace
    from xplain.encodings.steps.inputs import RequestSpace

    each = RequestSpace((rung.tokens,), problem.arrivals if rung.open_arrivals else (0,))
    return InputSpace(problem.profile.num_segments, (each,) * rung.requests, problem.profile.tick)


def _one(problem: ExactProblem, rung: Rung, means: Means, samples: Sequence[Sample], tell: Tell,
         maximize: Maximize | None) -> WorstCase:
    from xplain.encodings.gap import GapProblem

    gap = GapProblem(space_of(problem, rung), problem.bound, objective=problem.objective)

    def told(progress: Progress) -> None:
        bound = "none" if progress.upper is None else duration(progress.upper, problem.profile.tick)
        known = "none" if progress.lower is None else duration(progress.lower, problem.profile.tick)
        tell(f"worst case of {rung.text}: largest gap {known}, bound {bound}")

    answer = _answer(gap, means, told, maximize or _by_size())
    case = WorstCase(
        rung.text, rung.requests, rung.tokens, rung.open_arrivals, rung.inputs, answer.method, answer.solver,
        answer.stopped, answer.proof, None, answer.upper, None, None, (), (), answer.seconds, answer.detail,
        tuple((item.seconds, item.lower, item.upper) for item in answer.progress))
    if answer.witness is not None:
        case = _with_witness(case, answer.witness.workload, answer.witness.heuristic, answer.witness.benchmark)
    return _with_samples(case, problem, samples)


def _by_size() -> Maximize:
    """The method that picks one by the size of the space, imported when it is needed: solvers are heavy."""
    from xplain.encodings.gap.auto import maximize

    return maximize


def _answer(gap: GapProblem, means: Means, told: Callable[[Progress], None], maximize: Maximize) -> GapAnswer:
    """`milp`: the lattice formulation, which is the faster one, or where it does not apply the general one.

    With open arrivals the lattice is many programs, and CP-SAT starts a process for each: the general one is faster up
    to FEW_TOKENS (at 3 x 3 it did not end in half an hour).
    """
    if means.method != "milp" and not means.asks_for_solver:
        return maximize(gap, means.method, means.solver, means.seconds, told)
    tokens = sum(max(each.lengths) for each in gap.space.requests)
    if means.solver == "cpsat" and tokens <= FEW_TOKENS and any(len(each.arrivals) > 1 for each in gap.space.requests):
        return maximize(gap, "steps", means.solver, means.seconds, told)
    try:
        return maximize(gap, "lattice", means.solver, means.seconds, told)
    except LimitError as error:
        answer = maximize(gap, "steps", means.solver, means.seconds, told)
        return replace(answer, detail=f"{answer.detail}; the lattice formulation does not apply: {error}".lstrip("; "))


def _with_witness(case: WorstCase, workload: Workload, heuristic: int, benchmark: int) -> WorstCase:
    return replace(case, lower=heuristic - benchmark, heuristic=heuristic, benchmark=benchmark,
                   arrivals=tuple(request.arrival for request in workload.requests),
                   depths=tuple(request.depths for request in workload.requests))


def _with_samples(case: WorstCase, problem: ExactProblem, samples: Sequence[Sample]) -> WorstCase:
    """The search's samples inside the space: none may exceed the bound; the worst is a witness like any other."""
    for sample in samples:
        workload = problem.workload(sample.point)
        if not _holds(case, workload):
            continue
        if case.upper is not None and sample.gap > case.upper:
            raise ArithmeticError(f"{case.method} says that no gap exceeds {case.upper} ticks, sample {sample.index} "
                                  f"has {sample.gap}: {workload}")
        if sample.proved and (case.lower is None or sample.gap > case.lower):
            case = _with_witness(case, workload, sample.heuristic, sample.upper)
    return replace(case, stopped="proved") if case.lower is not None and case.lower == case.upper else case


def _holds(case: WorstCase, workload: Workload) -> bool:
    requests = workload.requests
    return (len(requests) == case.requests and all(request.output_tokens == case.tokens for request in requests)
            and (case.open_arrivals or not any(request.arrival for request in requests)))
