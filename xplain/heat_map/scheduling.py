"""EE scheduling as flows: states of the pools are nodes, decisions are edges that lead out of them.

Without state in the nodes both sides use every edge and all scores are 0. A node is (rows ready, rows buffered) at the
launch, in buckets that double; an edge leads from it to a kind of decision, and the amount on it is how often a run
decided so. The benchmark's run is the optimal schedule that follows the heuristic wherever that is optimal (`tied`).
Source: analyzer design, Flow-network DSL (last sentence) and Explanations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from drex_runtime.errors import PolicyError, RecordError
from drex_runtime.scheduling.state import Kind
from drex_runtime.simulator.compiled import CompiledPolicy, CompiledWorkload
from xplain.encodings.exact.along import Along
from xplain.explain.regret import NO_REGRET
from xplain.heat_map.tied import Decision, tied_optimum
from xplain.problems.exact import ExactProblem
from xplain.problems.flows import Edge, FlowPair
from xplain.records import Dimension, Origin, Point, Sample, Scale

MAX_STATES = 20_000  # of the exact search, per workload; 4 x 4 takes about 50
IN_PASS = (Kind.CONSULT, Kind.SKIP, Kind.SPLIT, Kind.CONTINUE, Kind.JOIN, Kind.STAY_APART)
NAMES = {Kind.PREFILL: "PREFILL", Kind.RUN: "RUN", Kind.IDLE: "IDLE", Kind.CONSULT: "CONSULT", Kind.SKIP: "SKIP",
         Kind.SPLIT: "SPLIT", Kind.CONTINUE: "CONTINUE", Kind.JOIN: "JOIN", Kind.STAY_APART: "JOIN NOBODY"}


class SchedulingFlows:
    """`ExactProblem` as a FlowProblem. Amounts are numbers of decisions.

    `certain`: edges whose amounts differ and on which the heuristic, in some state of its own run, took a decision that
    no optimal schedule takes from there, or left out the only one that optimal schedules take from there. (States that
    only the optimal schedule reaches are compared, but are not certain.)
    """

    def __init__(self, problem: ExactProblem, max_states: int = MAX_STATES) -> None:
        if not problem.heuristic.policy.keeps_exits_voluntary:
            raise PolicyError(f"policy {problem.heuristic.name}: {NO_REGRET}")
        if max_states < 1:
            raise RecordError("scheduling flows", "max_states", max_states, "1 or more states of the exact search")
        self.problem, self.max_states = problem, max_states
        self._policy = CompiledPolicy.of(problem.bound)

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every decision from every bucket of pools, in order of ready, buffered, kind."""
        places = self.problem.config.max_num_seqs
        segments = self.problem.profile.num_segments
        levels = sorted({bucket(rows) for rows in range(places + 1)})
        found: list[Edge] = []
        for ready in levels:
            for buffered in levels:
                if ready[0] + buffered[0] <= places:
                    found += [self._edge(Decision(ready[0], buffered[0], kind, where))
                              for kind, where in _possible(ready[0], buffered[0], segments)]
        return tuple(found)

    def flows(self, point: Point) -> FlowPair | None:
        """Decisions of both sides; None where the optimum is not proved within `max_states` states."""
        problem = self.problem
        compiled = CompiledWorkload.of(problem.workload(point))
        along = Along(compiled.workload, compiled.arrivals, problem.profile, problem.config, problem.objective,
                      self.max_states)
        tied = tied_optimum(self._policy, compiled, along)
        if tied is None:
            return None
        heuristic, benchmark = self._amounts(tied.policy), self._amounts(tied.optimum)
        marked = {self._edge(decision) for decision in tied.avoided | tied.needed}
        return FlowPair(heuristic, benchmark,
                        frozenset(edge for edge in marked if heuristic[edge] != benchmark[edge]))

    def _amounts(self, decisions: Iterable[Decision]) -> Counter[Edge]:
        found: Counter[Edge] = Counter()
        for decision, times in Counter(decisions).items():
            found[self._edge(decision)] += times
        return found

    def _edge(self, decision: Decision) -> Edge:
        ready, buffered = (_range(bucket(rows)) for rows in decision[:2])
        return f"{ready} ready, {buffered} buffered", self._name(decision)

    def _name(self, decision: Decision) -> str:
        name = NAMES[decision.kind]
        if decision.kind == Kind.RUN:
            return f"RUN({decision.where})"
        if decision.kind in IN_PASS and self.problem.profile.num_segments > 2:
            return f"{name} at ramp {decision.where}"
        return name

    # ---- the problem itself -------------------------------------------------------------------------------
    @property
    def scale(self) -> Scale:
        """As the problem's."""
        return self.problem.scale

    @property
    def threshold(self) -> float:
        """As the problem's."""
        return self.problem.threshold

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """As the problem's."""
        return self.problem.dimensions

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """As the problem's."""
        return self.problem.draw(rng)

    def neighbour(self, point: Point, rng: np.random.Generator, width: float) -> dict[str, float]:
        """As the problem's."""
        return self.problem.neighbour(point, rng, width)

    def evaluate(self, point: Point, index: int, origin: Origin) -> Sample:
        """As the problem's."""
        return self.problem.evaluate(point, index, origin)

    def describe(self, feature: str) -> tuple[str, str]:
        """As the problem's."""
        return self.problem.describe(feature)


def bucket(rows: int) -> tuple[int, int]:
    """0, 1, 2, 3-4, 5-8, ...: (least, most) rows of the bucket."""
    if rows < 2:
        return rows, rows
    most = 1 << (rows - 1).bit_length()
    return most // 2 + 1, most


def _range(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}-{ends[1]}"


def _possible(ready: int, buffered: int, segments: int) -> Iterable[tuple[Kind, int]]:
    """Decisions that can be taken with pools of these buckets (their least rows)."""
    yield Kind.PREFILL, 0
    if ready:
        yield Kind.RUN, 1
    if buffered:
        yield from ((Kind.RUN, pool) for pool in range(2, segments + 1))
    yield Kind.IDLE, 0
    if ready or buffered:
        for ramp in range(1, segments):
            for kind in IN_PASS:
                if buffered or kind not in (Kind.JOIN, Kind.STAY_APART):
                    yield kind, ramp
