"""Method "smt": does any workload lose at least g? Asked of z3 with rising and halving g.

The time-stepped encoding as integer arithmetic: exact, and not bothered by large numbers (a MILP's big-M). "Yes" gives
a workload, which is replayed; "no" proves that no gap reaches g; "unknown" (a query ran out of time) proves nothing.
"""

from __future__ import annotations

import z3

from drex_runtime.errors import LimitError
from xplain.encodings.gap.answer import GapAnswer, Stopped
from xplain.encodings.gap.model import GapModel, gap_model
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.watch import OnProgress
from xplain.encodings.gap.witness import Witness
from xplain.encodings.terms import TermError
from xplain.encodings.terms.smt import SmtModel

SAMPLES = 40  # random workloads replayed before the first query
RISE = 8  # after the first "yes" the next level lies this part of the gap higher, then twice as far, ...
LEAST = 1.0  # seconds below which a query is not cut further


def by_smt(problem: GapProblem, *, solver: str = "auto", seconds: float | None = None,
           query_seconds: float | None = None, at_least: int | None = None, on_progress: OnProgress | None = None,
           seed: int = 0, samples: int = SAMPLES, symmetry: bool = True) -> GapAnswer:
    """The largest gap in ticks; with `at_least` only whether there is one of that size.

    `seconds` (None: no limit) for everything, `query_seconds` for each query (None: half of what is left, so that one
    hard level does not take it all). `solver` is z3 ("auto"): LimitError for another. Raises ReplayMismatch;
    PolicyError and LimitError for what the encodings do not model. Terms beyond 2^70 end in an answer that says so.
    """
    if solver not in ("auto", "z3"):
        raise LimitError(f"solver = {solver}: method smt asks z3; leave the solver out")
    witness = Witness(problem, on_progress)
    witness.sample(samples, seed, seconds)
    if at_least is not None and witness.lower is not None and witness.lower >= at_least:
        return witness.answer("smt", "replay", None, "reached", "a random workload has it")
    goal = at_least if at_least is not None else None if witness.lower is None else witness.lower + 1
    try:
        model = gap_model(problem, at_least=goal, symmetry=symmetry)
    except TermError as error:
        return witness.answer("smt", "none", None, "failed", str(error))
    return _Bisection(model, witness, seconds, query_seconds, seed).run(at_least)


class _Bisection:
    """Queries between what is attained and what is excluded."""

    def __init__(self, model: GapModel, witness: Witness, seconds: float | None, query_seconds: float | None,
                 seed: int) -> None:
        self.model, self.witness, self.seconds, self.query_seconds = model, witness, seconds, query_seconds
        self.smt = SmtModel(model.terms, seed=seed)
        self.gap = self.smt.expression(model.gap)
        self.unknown: list[int] = []
        self.queries = 0
        self.step = 1  # an exclusion costs about as much far above what is attained as next to it: so ask there first

    def run(self, at_least: int | None) -> GapAnswer:
        """Ask until the bounds meet, the time is up, or only levels are left that z3 could not decide."""
        witness, model = self.witness, self.model
        done = model.gap.low - 1 if witness.lower is None else witness.lower  # attained, or given up
        witness.bound(max(model.gap.high, done))  # by interval arithmetic
        stopped: Stopped = "proved"
        while done < (upper := model.gap.high if witness.upper is None else witness.upper):
            level = at_least if at_least is not None else done + max(1, min(self.step, (upper - done) // 2))
            if level > upper:
                break
            if self._left() == 0:
                stopped = "time-limit"
                break
            answer = self._ask(level)
            if answer == z3.unsat:
                witness.bound(level - 1)
            elif answer == z3.sat and witness.lower is not None:
                done = witness.lower
                self.step = max(2 * self.step, abs(done) // RISE)
            else:
                self.unknown.append(level)
                done = level
                self.step = max(2 * self.step, abs(done) // RISE)
            if at_least is not None:
                break
        if at_least is not None and (witness.lower is None or witness.lower < at_least):
            stopped = "time-limit" if self.unknown or stopped == "time-limit" else "infeasible"
        elif at_least is not None:
            stopped = "reached"
        elif self.unknown:
            stopped = "time-limit"
        elif witness.lower is None and stopped == "proved":
            stopped = "infeasible"
        return witness.answer("smt", f"z3 {z3.get_version_string()}", "exact", stopped, self._detail())

    def _ask(self, level: int) -> z3.CheckSatResult:
        """Whether a gap of `level` ticks exists; a workload that has it is replayed."""
        self.queries += 1
        solver, limit = self.smt.solver, self._left()
        solver.set("timeout", 2**32 - 1 if limit is None else max(1, round(1000 * limit)))
        solver.push()
        solver.add(self.gap >= level)
        answer = solver.check()
        if answer == z3.sat:
            self.witness.offer(self.model.replayed(self.smt.values(solver.model())))
        solver.pop()
        return answer

    def _left(self) -> float | None:
        """Seconds for the next query; None: no limit."""
        limits = [] if self.query_seconds is None else [self.query_seconds]
        if self.seconds is not None:
            left = max(0.0, self.seconds - self.witness.seconds)
            limits.append(left if self.query_seconds is not None or left < LEAST else max(LEAST, left / 2))
        return min(limits) if limits else None

    def _detail(self) -> str:
        given_up = f"; undecided in time: a gap of {', '.join(map(str, self.unknown))}" if self.unknown else ""
        return f"{self.model.detail}; {self.queries} queries{given_up}"
