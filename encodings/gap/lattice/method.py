"""Method `lattice`: the largest gap as flow through executed states, by a mixed-integer program of few binaries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, product
from typing import cast

from drex_runtime.errors import LimitError
from drex_runtime.records import Request, Workload
from xplain.encodings.gap.answer import GapAnswer, Proof, Stopped
from xplain.encodings.gap.enumeration.orbits import arrival_sequences, obstacle_to_symmetry
from xplain.encodings.gap.lattice.highs import Note, Solved, solve_with_highs
from xplain.encodings.gap.lattice.model import GapModel, gap_model
from xplain.encodings.gap.lattice.policy_side import policy_network
from xplain.encodings.gap.lattice.schedule_side import schedule_network
from xplain.encodings.gap.lattice.through_seam import solve_through_seam
from xplain.encodings.gap.mismatch import ReplayMismatch
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress, TimeUpError, Watch
from xplain.encodings.solvers.choose import chosen
from xplain.encodings.solvers.result import SolverName
from xplain.encodings.steps.inputs import InputSpace

SOLVERS = ("auto", "highs", "cpsat", "gurobi")


def obstacle(problem: GapProblem) -> str | None:
    """None if one program covers the problem; else what it does not have."""
    for i, each in enumerate(problem.space.requests):
        if len(each.arrivals) > 1:
            return f"request {i} has {len(each.arrivals)} possible arrivals; one program has depths as inputs only"
        if len(each.lengths) > 1:
            return f"request {i} has {len(each.lengths)} possible lengths; one program has depths as inputs only"
    if problem.objective == "misses":
        return "the objective misses does not add up along a schedule"
    return None


def network(problem: GapProblem, watch: Watch | None = None) -> GapModel:
    """The problem as a mixed-integer program. LimitError, by name, for what it does not cover; or past its limits."""
    if (why := obstacle(problem)) is not None:
        raise LimitError(f"lattice: {why}; use another method")
    watch = watch or Watch(None)
    space, objective = problem.space, problem.objective
    heuristic = policy_network(problem.policy, space, objective, watch)
    benchmark = (schedule_network(space, problem.profile, problem.config, objective, watch)
                 if problem.benchmark is None else policy_network(problem.benchmark, space, objective, watch))
    return gap_model(space, heuristic, benchmark, symmetric=obstacle_to_symmetry(problem) is None)


def maximize(problem: GapProblem, solver: str = "auto", seconds: float | None = None,
             on_progress: OnProgress | None = None) -> GapAnswer:
    """The largest gap over the problem's space, in the solver's arithmetic; the witness is replayed in integers.

    A program has depths as its only inputs. Where arrivals or lengths are open too, one is solved per choice of them
    (`shapes`), and the largest gap is that of the worst; cut short, it has a witness but no bound.
    Raises LimitError for what the lattice does not cover or cannot hold, PolicyError for a policy that idles for ever.
    """
    if solver not in SOLVERS:
        raise LimitError(f"lattice: solver = {solver}: expected one of {', '.join(SOLVERS)}")
    name = cast(SolverName, "highs" if solver == "auto" else solver)
    back_end, _ = chosen(name)
    called = f"{back_end.name} {back_end.version()}"
    watch = Watch(seconds, on_progress)
    found = shapes(problem)
    first = next(found, None)
    if first is None:
        return GapAnswer("lattice", called, "infeasible", None, None, None, watch.elapsed,
                         "no workload of the space has its requests in (arrival, id) order")
    second = next(found, None)
    if second is None:
        return _of_shape(first, name, called, watch, watch.note)
    answers: list[GapAnswer] = []
    for shape in chain((first, second), found):
        answers.append(_of_shape(shape, name, called, watch, partial(_raised, watch, _largest(answers))))
        if answers[-1].stopped != "proved":
            break
    return _of_the_whole(answers, watch)


def _of_the_whole(answers: Sequence[GapAnswer], watch: Watch) -> GapAnswer:
    """The largest gap of several programs; the last of them may have been cut short, and those after it not tried."""
    lower, last = _largest(answers), answers[-1]
    worst = next((answer for answer in answers if answer.lower == lower), last)
    if last.stopped != "proved":
        return replace(last, witness=worst.witness, upper=None, proof=None, progress=tuple(watch.reports),
                       detail=f"cut short in choice {len(answers)} of arrivals and lengths: {last.detail}")
    watch.note(lower, lower)
    proofs = {answer.proof for answer in answers}
    return replace(worst, proof="floating-point" if "floating-point" in proofs else "exact", seconds=watch.elapsed,
                   progress=tuple(watch.reports),
                   detail=f"{len(answers)} programs, one per choice of arrivals and lengths; the worst: {worst.detail}")


def _largest(answers: Iterable[GapAnswer]) -> int | None:
    return max((answer.lower for answer in answers if answer.lower is not None), default=None)


def shapes(problem: GapProblem) -> Iterator[GapProblem]:
    """The problem with arrivals and lengths fixed, in every way; one of each orbit where requests are exchangeable."""
    requests = problem.space.requests
    same = ({(i, j) for j, each in enumerate(requests) for i in range(j) if requests[i] == each}
            if obstacle_to_symmetry(problem) is None else set())
    for arrivals in arrival_sequences(problem.space):
        for lengths in product(*(each.lengths for each in requests)):
            if any(arrivals[i] == arrivals[j] and lengths[i] > lengths[j] for i, j in same):
                continue
            fixed = tuple(replace(each, arrivals=(time,), lengths=(length,))
                          for each, time, length in zip(requests, arrivals, lengths, strict=True))
            yield replace(problem, space=replace(problem.space, requests=fixed))


def _raised(watch: Watch, least: int | None, lower: int | None, upper: int | None) -> None:
    """A program's point is news of the whole only if it exceeds what others found; its bound is none of the whole."""
    watch.note(max((value for value in (least, lower) if value is not None), default=None), None)


def _of_shape(problem: GapProblem, name: SolverName, called: str, watch: Watch, note: Note) -> GapAnswer:
    """One program."""
    try:
        model = network(problem, watch)
    except TimeUpError as error:
        return GapAnswer("lattice", called, "time-limit", None, None, None, watch.elapsed, str(error))
    if not model.bits:  # nothing is open: no ramps, or no token but those of prefills
        only = problem.replay(_workload(problem.space, model, ()))
        note(only.gap, only.gap)
        return GapAnswer("lattice", called, "proved", only, only.gap, "exact", watch.elapsed,
                         "the space has one workload", tuple(watch.reports))
    made = watch.elapsed
    solved, proof = _solved(model, name, watch, note)
    detail = f"{model.size}, made after {made:.2f} s; {solved.status}"
    witness = None
    if solved.bits is not None:
        witness = problem.replay(_workload(problem.space, model, solved.bits))
        # Short of an optimum its schedule may be dearer than the best one for these bits, so it may report less.
        if solved.gap is None or solved.gap > witness.gap or (solved.upper is not None and solved.upper < witness.gap):
            raise ReplayMismatch(f"lattice: {called} reports a gap of {solved.gap} ticks and a bound of "
                                 f"{solved.upper}, its point replays to {witness.gap}: {witness.workload}")
    stopped: Stopped = "failed"
    if witness is not None and solved.upper is not None and solved.upper <= witness.gap:
        stopped = "proved"
    elif watch.is_over or "ime limit" in solved.status:
        stopped = "time-limit"
    upper = solved.upper if stopped != "proved" or witness is None else witness.gap
    return GapAnswer("lattice", called, stopped, witness, upper, None if upper is None else proof,
                     watch.elapsed, detail, tuple(watch.reports), solved.log)


def _solved(model: GapModel, name: SolverName, watch: Watch, note: Note) -> tuple[Solved, Proof]:
    if name == "highs":
        solved = solve_with_highs(model, watch.remaining(), note)
        return replace(solved, status=f"HiGHS: {solved.status}"), "floating-point"
    return solve_through_seam(model, name, watch.remaining(), note)


def _workload(space: InputSpace, model: GapModel, bits: tuple[bool, ...]) -> Workload:
    """The workload whose depths these bits are."""
    on = {bit for bit, value in zip(model.bits, bits, strict=True) if value}
    requests = []
    for i, each in enumerate(space.requests):
        depths = tuple(next((s for s in range(1, space.num_segments) if (i, t, s) in on), space.num_segments)
                       for t in range(each.lengths[0]))
        requests.append(Request(i if each.id is None else each.id, each.arrivals[0], each.prompt_tokens, depths,
                                each.due, each.ttft, each.tpot))
    return Workload.of(space.num_segments, requests, tick=space.tick)
