"""`solve`: one question to any MILP solver, one kind of answer; nothing is believed that integers do not confirm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from time import perf_counter

from drex_runtime.errors import RecordError
from xplain.encodings.solvers.choose import chosen
from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import (
    BackEnd,
    Ended,
    Order,
    Seen,
    SolverMismatchError,
    SolverName,
    SolverProgress,
    SolverResult,
)
from xplain.encodings.terms import TermError, evaluate
from xplain.encodings.terms.milp import MilpModel

OnProgress = Callable[[SolverProgress], None]


def solve(milp: MilpModel, solver: SolverName = "auto", *, seconds: float | None = None,
          log_folder: Path | None = None, on_progress: OnProgress | None = None, seed: int = 0,
          threads: int | None = None) -> SolverResult:
    """Optimise `milp` within `seconds` (None: no limit), counted from here and translation included.

    `on_progress` hears of every better verified point and every better bound; what it raises ends the solver and comes
    out here. Raises MissingSolverError for a solver that is not installed, SolverMismatchError for an answer that does
    not hold in integers, RecordError for a negative limit. Running out of time or a solver that dies is no error: the
    result says so and holds what was found.
    """
    if seconds is not None and not seconds >= 0:
        raise RecordError("solver", "seconds", seconds, "0 or more seconds, or None")
    began = perf_counter()
    if milp.contradiction is not None:
        return SolverResult("infeasible", None, None, None, 0.0, "bounds", "exact",
                            f"by its bounds alone, this can never hold: {milp.contradiction}")
    if not milp.has_variables:
        return _evaluated(milp, perf_counter() - began)
    back_end, why = chosen(solver)
    if seconds == 0:
        return SolverResult("time-limit", None, None, None, 0.0, f"{back_end.name} {back_end.version()}", None,
                            f"{why}; with 0 seconds nothing was tried")
    linear = Linear.of(milp)
    left = None if seconds is None else max(0.0, seconds - (perf_counter() - began))
    return _Question(milp, back_end, began, on_progress).ask(linear, Order(left, seed, threads,
                                                                           _log(log_folder, back_end)), why)


def verified(milp: MilpModel, point: Mapping[str, int], solver: str) -> tuple[int, dict[str, int]]:
    """The objective at `point` and the whole assignment (variables that nothing depends on at their lower bound).

    SolverMismatchError, with the constraint's name, if it breaks a bound or what is required.
    """
    values = {name: point.get(name, node.low) for name, node in milp.terms.variables.items()}
    goal = [] if milp.objective is None else [milp.objective]
    try:
        found = evaluate([*goal, *(condition for _, condition in milp.terms.required)], values)
    except TermError as error:
        raise SolverMismatchError(f"{solver}: its answer, rounded to integers, breaks a bound: {error}") from error
    for name, condition in milp.terms.required:
        if not found[condition.index]:
            label = name or milp.terms.names.get(condition.index) or str(condition)
            raise SolverMismatchError(f"{solver}: its answer, rounded to integers, breaks the constraint '{label}'; "
                                      "use a coarser quantum, CP-SAT or SMT")
    return (0 if milp.objective is None else found[milp.objective.index]), values


class _Question:
    """Best point and bound so far."""

    def __init__(self, milp: MilpModel, back_end: BackEnd, began: float, on_progress: OnProgress | None) -> None:
        self.milp, self.back_end, self.began, self.on_progress = milp, back_end, began, on_progress
        self.incumbent: int | None = None
        self.values: Mapping[str, int] | None = None
        self.bound: int | None = None
        self.progress: list[SolverProgress] = []
        self.solver = f"{back_end.name} {back_end.version()}"

    def ask(self, linear: Linear, order: Order, why: str) -> SolverResult:
        """Follow the solver to its end."""
        last = Ended("failed", None, "the solver gave no answer")
        with closing(self.back_end.run(linear, order)) as reports:
            for said in reports:
                if isinstance(said, Ended):
                    last = said
                    self._hear(None, said.bound)
                else:
                    self._hear(said, said.bound)
        return self._answer(last, why, order.log)

    def _hear(self, seen: Seen | None, bound: int | None) -> None:
        moved = False
        if seen is not None and seen.point is not None:
            objective, values = verified(self.milp, seen.point, self.solver)
            if self.incumbent is None or self._better(objective, self.incumbent):
                self.incumbent, self.values, moved = objective, values, True
        if self.milp.objective is not None and bound is not None and (
                self.bound is None or self._better(self.bound, bound)):
            self.bound, moved = bound, True
        if moved:
            self.progress.append(SolverProgress(self._seconds, self.incumbent, self.bound, self.values))
            if self.on_progress is not None:
                self.on_progress(self.progress[-1])

    def _answer(self, last: Ended, why: str, log: Path | None) -> SolverResult:
        stopped, detail, incumbent = last.stopped, last.detail, self.incumbent
        if self.milp.objective is None:
            self.bound = incumbent
        if stopped == "infeasible" and incumbent is not None:
            raise SolverMismatchError(f"{self.solver} says that nothing is feasible after a verified point of "
                                      f"{incumbent}")
        if incumbent is not None and self.bound is not None:
            if self._better(incumbent, self.bound):
                raise SolverMismatchError(f"{self.solver}: a verified point of {incumbent} beats its bound "
                                          f"{self.bound}")
            if incumbent == self.bound:
                stopped, detail = "optimal", ""
        if stopped == "optimal" and (incumbent is None or incumbent != self.bound):
            stopped, detail = "failed", f"it claims an optimum, but has {incumbent} with a bound of {self.bound}"
        proof = self.back_end.proof if stopped == "infeasible" or self.bound is not None else None
        return SolverResult(stopped, incumbent, self.bound, self.values, self._seconds, self.solver, proof,
                            "; ".join(part for part in (why, detail) if part), "" if log is None else str(log),
                            tuple(self.progress))

    def _better(self, one: int, other: int) -> bool:
        return one > other if self.milp.maximize else one < other

    @property
    def _seconds(self) -> float:
        return perf_counter() - self.began


def _evaluated(milp: MilpModel, seconds: float) -> SolverResult:
    """Everything was folded into constants: there is one assignment and no need of a solver."""
    objective, values = verified(milp, {}, "evaluation")
    return SolverResult("optimal", objective, objective, values, seconds, "evaluation", "exact",
                        "the bounds decide everything; no solver was needed")


def _log(folder: Path | None, back_end: BackEnd) -> Path | None:
    """A log file that does not exist yet."""
    if folder is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    stem, number = back_end.name.lower().replace("-", ""), 1
    while (path := folder / f"{stem}-{number}.log").exists():
        number += 1
    return path
