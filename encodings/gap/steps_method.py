"""Method "steps": the time-stepped encoding as one MILP, maximised by any solver of the seam.

A single level suffices for the inner minimum: see `encodings.gap.model`. Random workloads are replayed first; the
solver then has to beat the best of them, so that "infeasible" proves that workload the worst.
"""

from __future__ import annotations

from pathlib import Path

from drex_runtime.errors import LimitError
from xplain.encodings.gap.answer import GapAnswer, Stopped
from xplain.encodings.gap.model import GapModel, gap_model
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress
from xplain.encodings.gap.witness import Witness
from xplain.encodings.solvers import SolverName, SolverProgress, SolverResult, solve
from xplain.encodings.terms import TermError
from xplain.encodings.terms.milp import MilpModel

SAMPLES = 40  # random workloads replayed before the solver starts


def by_steps(problem: GapProblem, *, solver: SolverName = "auto", seconds: float | None = None,
             at_least: int | None = None, log_folder: Path | None = None, on_progress: OnProgress | None = None,
             seed: int = 0, threads: int | None = None, samples: int = SAMPLES, symmetry: bool = True) -> GapAnswer:
    """The largest gap in ticks; with `at_least` only whether there is one of that size.

    `seconds` (None: no limit) include sampling and encoding. Raises MissingSolverError, SolverMismatchError (see
    `encodings.solvers`), ReplayMismatch; PolicyError and LimitError for what the encodings do not model. Numbers too
    large for a MILP, a time limit and a failing solver end in an answer that says so and keeps what was found.
    """
    witness = Witness(problem, on_progress)
    witness.sample(samples, seed, seconds)
    if at_least is not None and witness.lower is not None and witness.lower >= at_least:
        return witness.answer("steps", "replay", None, "reached", "a random workload has it")
    goal = at_least if at_least is not None else None if witness.lower is None else witness.lower + 1
    try:
        model = gap_model(problem, at_least=goal, symmetry=symmetry)
    except TermError as error:
        return witness.answer("steps", "none", None, "failed", str(error))
    try:
        milp = MilpModel(model.terms, model.gap if at_least is None else None, maximize=at_least is None)
    except LimitError as error:
        return witness.answer("steps", "none", None, "failed", str(error))
    left = None if seconds is None else max(0.0, seconds - witness.seconds)
    follower = _Follower(model, witness, at_least)
    result = solve(milp, solver, seconds=left, log_folder=log_folder, on_progress=follower.hear, seed=seed,
                   threads=threads)
    return _answer(result, model, witness, goal, at_least)


class _Follower:
    """Replays what the solver finds while it searches."""

    def __init__(self, model: GapModel, witness: Witness, at_least: int | None) -> None:
        self.model, self.witness, self.at_least = model, witness, at_least
        self.last: object = None

    def hear(self, seen: SolverProgress) -> None:
        """Called by the seam for every better point and bound."""
        if seen.values is not None and seen.values is not self.last:
            self.last = seen.values
            self.witness.offer(self.model.replayed(seen.values))
        if self.at_least is None and seen.bound is not None:
            self.witness.bound(seen.bound)


def _answer(result: SolverResult, model: GapModel, witness: Witness, goal: int | None,
            at_least: int | None) -> GapAnswer:
    """`goal`: the gap that was required of the solver's workloads."""
    if result.stopped == "infeasible" and goal is not None:
        witness.bound(goal - 1)
    elif result.bound is not None and at_least is None:
        witness.bound(result.bound)
    stopped: Stopped = "proved" if result.stopped == "optimal" else result.stopped
    if at_least is not None and witness.lower is not None and witness.lower >= at_least:
        stopped = "reached"
    return witness.answer("steps", result.solver, result.proof, stopped, f"{model.detail}; {result.detail}", result.log)
