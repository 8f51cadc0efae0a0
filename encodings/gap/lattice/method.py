"""Method `lattice`: the largest gap as flow through executed states, by a mixed-integer program of few binaries."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from drex_runtime.errors import LimitError
from drex_runtime.records import Request, Workload
from xplain.encodings.gap.answer import GapAnswer, Proof, Stopped
from xplain.encodings.gap.enumeration.orbits import arrival_sequences, obstacle_to_symmetry
from xplain.encodings.gap.lattice.highs import Solved, solve_with_highs
from xplain.encodings.gap.lattice.model import GapModel, gap_model
from xplain.encodings.gap.lattice.policy_side import policy_network
from xplain.encodings.gap.lattice.schedule_side import schedule_network
from xplain.encodings.gap.lattice.through_seam import solve_through_seam
from xplain.encodings.gap.mismatch import ReplayMismatch
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress, TimeUpError, Watch
from xplain.encodings.solvers.result import SolverName
from xplain.encodings.steps.inputs import InputSpace

SOLVERS = ("auto", "highs", "cpsat", "gurobi")


def obstacle(problem: GapProblem) -> str | None:
    """None if the lattice covers the problem; else what it does not have."""
    for i, each in enumerate(problem.space.requests):
        if len(each.arrivals) > 1:
            return f"request {i} has {len(each.arrivals)} possible arrivals; the lattice has depths as inputs only"
        if len(each.lengths) > 1:
            return f"request {i} has {len(each.lengths)} possible lengths; the lattice has depths as inputs only"
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

    Raises LimitError for what the lattice does not cover or cannot hold, PolicyError for a policy that idles for ever.
    """
    if solver not in SOLVERS:
        raise LimitError(f"lattice: solver = {solver}: expected one of {', '.join(SOLVERS)}")
    name = "highs" if solver == "auto" else solver
    watch = Watch(seconds, on_progress)
    if next(arrival_sequences(problem.space), None) is None:
        return GapAnswer("lattice", name, "infeasible", None, None, None, watch.elapsed,
                         "no workload of the space has its requests in (arrival, id) order")
    try:
        model = network(problem, watch)
    except TimeUpError as error:
        return GapAnswer("lattice", name, "time-limit", None, None, None, watch.elapsed, str(error))
    if not model.bits:  # nothing is open: no ramps, or no token but those of prefills
        only = problem.replay(_workload(problem.space, model, ()))
        watch.note(only.gap, only.gap)
        return GapAnswer("lattice", name, "proved", only, only.gap, "exact", watch.elapsed,
                         "the space has one workload", tuple(watch.reports))
    made = watch.elapsed
    solved, proof = _solved(model, name, watch)
    detail = f"{model.size}, made in {made:.2f} s; {solved.status}"
    witness = None
    if solved.bits is not None:
        witness = problem.replay(_workload(problem.space, model, solved.bits))
        # Short of an optimum its schedule may be dearer than the best one for these bits, so it may report less.
        if solved.gap is None or solved.gap > witness.gap or (solved.upper is not None and solved.upper < witness.gap):
            raise ReplayMismatch(f"lattice: {name} reports a gap of {solved.gap} ticks and a bound of "
                                 f"{solved.upper}, its point replays to {witness.gap}: {witness.workload}")
    stopped: Stopped = "failed"
    if witness is not None and solved.upper is not None and solved.upper <= witness.gap:
        stopped = "proved"
    elif watch.is_over or "ime limit" in solved.status:
        stopped = "time-limit"
    upper = solved.upper if stopped != "proved" or witness is None else witness.gap
    return GapAnswer("lattice", name, stopped, witness, upper, None if upper is None else proof,
                     watch.elapsed, detail, tuple(watch.reports), solved.log)


def _solved(model: GapModel, solver: str, watch: Watch) -> tuple[Solved, Proof]:
    if solver == "highs":
        solved = solve_with_highs(model, watch.remaining(), watch.note)
        return replace(solved, status=f"HiGHS: {solved.status}"), "floating-point"
    return solve_through_seam(model, cast(SolverName, solver), watch.remaining(), watch.note)


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
