"""One call for all gap methods; `auto` picks one by the size of the problem and says why."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast

from drex_runtime.errors import LimitError
from xplain.encodings.gap.answer import GapAnswer
from xplain.encodings.gap.enumeration.orbits import Orbits, obstacle_to_symmetry
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress

ENUMERABLE = 2_000_000  # workloads; measured: minutes at most (examples/benchmarks/results/proved_gaps.md)


class Maximize(Protocol):
    """What every method offers."""

    def __call__(self, problem: GapProblem, *, solver: str = "auto", seconds: float | None = None,
                 on_progress: OnProgress | None = None) -> GapAnswer:
        """The largest gap within `seconds`."""


# Imported when chosen: solvers are heavy, and some do not live in one process with others.
METHODS = {"enumerate": ("enumerate_method", "maximize"), "lattice": ("lattice", "maximize"),
           "steps": ("steps_method", "by_steps"), "smt": ("smt_method", "by_smt")}


def method_named(name: str) -> Maximize:
    """The method's function. LimitError for a name that is none."""
    if name not in METHODS:
        raise LimitError(f"method = {name}: expected auto, {', '.join(METHODS)}")
    module, function = METHODS[name]
    return cast(Maximize, getattr(import_module(f"xplain.encodings.gap.{module}"), function))


def maximize(problem: GapProblem, method: str = "auto", solver: str = "auto", seconds: float | None = None,
             on_progress: OnProgress | None = None) -> GapAnswer:
    """The largest gap of `problem` by `method` with `solver`, within `seconds` of wall clock (None: no limit).

    Raises LimitError for unknown names and for what the method does not cover; see the methods.
    """
    if method != "auto":
        return method_named(method)(problem, solver=solver, seconds=seconds, on_progress=on_progress)
    name, why = chosen(problem)
    answer = method_named(name)(problem, solver=solver if name != "enumerate" else "auto", seconds=seconds,
                                on_progress=on_progress)
    return replace(answer, detail=f"{name}, because {why}; {answer.detail}")


def chosen(problem: GapProblem) -> tuple[str, str]:
    """The method for this problem, and why."""
    count = num_workloads(problem)
    if count is None:
        return "smt", "a request has more token strings than can be listed"
    if count <= ENUMERABLE:
        return "enumerate", f"its {count} workloads are few enough to try each (limit {ENUMERABLE})"
    return "smt", f"its {count} workloads are too many to try each (limit {ENUMERABLE})"


def num_workloads(problem: GapProblem) -> int | None:
    """Workloads that enumeration would list; None if there are too many even to list what a request can be."""
    try:
        return Orbits(problem.space, obstacle_to_symmetry(problem) is None).count()
    except LimitError:
        return None
