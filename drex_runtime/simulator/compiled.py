"""The compiled simulator: the integers of the reference, a thousand times faster.

One numba kernel interprets the integer programs of `policies.program`; nothing is compiled per policy, nothing is
kept between calls, the GIL is released while it runs (threads run in parallel). Times in ticks of the profile.
Callers that run many times make `CompiledWorkload` and `CompiledPolicy` once and pass those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.observation import LaunchSpace
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Objective, State
from drex_runtime.simulator import entries
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.accounting import NUM_CATEGORIES, PlaceTime
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.entries import Asked, Captured, Packed, Trace
from drex_runtime.simulator.memory import Int, new_memory
from drex_runtime.simulator.trajectory import Trajectory, Values

__all__ = ["CompiledPolicy", "CompiledRun", "CompiledWorkload", "Recorded", "Trajectory", "Values",
           "costs_to_go", "recorded", "reference_values", "simulate_compiled", "states_at"]

OBJECTIVES: dict[Objective, int] = {"makespan": entries.MAKESPAN, "total-completion": entries.TOTAL_COMPLETION,
                                    "misses": entries.MISSES}
AnyPolicy = BoundPolicy | CompiledPolicy
AnyWorkload = Workload | CompiledWorkload


def _trace(choices: int, width: int, launches: int, rows: int) -> Trace:
    return Trace(np.zeros((choices, len(entries.TRACE_COLUMNS)), np.int64), np.zeros((choices, width), np.int64),
                 np.zeros((launches, 4), np.int64), np.zeros(launches + 1, np.int64), np.zeros(rows, np.int64))


NO_TRACE = _trace(0, 0, 0, 0)


@dataclass(frozen=True)
class CompiledRun:
    """A finished run. Tokens of request i: token_times[offsets[i]:offsets[i + 1]] and token_depths likewise
    (before a start state: -1 and 0). `row_segments`: rows summed over executed segments; `end`: last clock reading.
    """

    workload: CompiledWorkload
    completed: Int
    token_times: Int
    token_depths: Int
    offsets: Int
    launches: int
    splits: int
    involuntary_exits: int
    involuntary_stays: int
    busy: int
    row_segments: int
    choices: int
    begin: int
    end: int
    places: int
    spent: tuple[int, ...]
    trajectory: Trajectory | None = None

    def objective(self, objective: Objective) -> int:
        """The integer objective of this run."""
        completed, dues = self.completed, self.workload.dues
        if objective == "makespan":
            return int(completed.max())
        if objective == "misses":
            return int(((dues >= 0) & (completed > dues)).sum())
        return sum((completed - self.workload.arrivals).tolist())

    @property
    def makespan(self) -> int:
        """Last completion, from clock 0."""
        return int(self.completed.max())

    @property
    def tokens(self) -> int:
        """Output tokens of the workload."""
        return int(self.offsets[-1])

    @property
    def place_time(self) -> PlaceTime:
        """N places x (end - begin), partitioned; LimitError if that passes 64 bits."""
        return PlaceTime.of(self.spent, self.places, self.end - self.begin)


def simulate_compiled(policy: AnyPolicy, workload: AnyWorkload, *, start: State | None = None,
                      record: bool = False) -> CompiledRun:
    """Run to the end, from `start` if given; `record` keeps every choice and launch (costs a second run).

    Raises PolicyError if the policy idles for ever, LimitError if profile and workload do not fit.
    """
    compiled, program, begin = _begin(policy, workload, start)
    m, _ = _run(program, compiled, begin, keep_tokens=True)
    trajectory = _trajectory(program, compiled, begin, m) if record else None
    n, tokens = len(compiled.arrivals), compiled.workload.num_tokens
    counts = m[:at.ROWS].tolist()
    rows = m[at.ROWS:at.ROWS + at.ROW_WIDTH * n].reshape(n, at.ROW_WIDTH)
    flat = m[m[at.TOKENS_AT]:].reshape(2, tokens)
    return CompiledRun(
        compiled, rows[:, at.COMPLETED].copy(), flat[0].copy(), flat[1].copy(), compiled.offsets, counts[at.LAUNCHES],
        counts[at.SPLITS], counts[at.INVOLUNTARY_EXITS], counts[at.INVOLUNTARY_STAYS], counts[at.BUSY],
        counts[at.ROW_SEGMENTS], counts[at.CHOICES], int(begin.scalars[0, at.NOW]), counts[at.NOW],
        program.bound.config.max_num_seqs, tuple(counts[at.SPENT:at.SPENT + NUM_CATEGORIES]), trajectory)


@dataclass(frozen=True)
class Recorded:
    """Every choice of a run with the state in which it was made, and the objective of the run."""

    trajectory: Trajectory
    states: Packed
    objective: int


def recorded(policy: AnyPolicy, workload: AnyWorkload, objective: Objective, *,
             start: Packed | None = None) -> Recorded:
    """Run to the end and keep all choices and states; errors as `simulate_compiled`. `start`: one packed state."""
    compiled, program, begin = _begin(policy, workload, None)
    begin = start or begin
    m, _ = _run(program, compiled, begin)
    captured = _captured(compiled, range(int(m[at.CHOICES])))
    trace = _new_trace(compiled, m)
    _, values = _run(program, compiled, begin, trace=trace, captured=captured, objective=objective)
    return Recorded(Trajectory(program.bound, trace), Packed(captured.rows, captured.scalars), int(values[0]))


def costs_to_go(policy: AnyPolicy, workload: AnyWorkload, states: Sequence[State] | Packed,
                objective: Objective) -> Int:
    """[i]: the final objective when `policy` runs from states[i] (any phase). Errors as `simulate_compiled`."""
    compiled, program = compiled_workload(workload), compiled_policy(policy)
    program.check(compiled)
    packed = states if isinstance(states, Packed) else compiled.pack(states, program.bound.config)
    return _run(program, compiled, packed, objective=objective)[1]


def reference_values(policy: AnyPolicy, reference: AnyPolicy, workload: AnyWorkload, objective: Objective, *,
                     every: int = 1, start: State | None = None) -> Values:
    """Run `policy`; at its choice points, what `reference` would reach from there.

    A value carries over from a choice point to the next when both policies choose alike, so one run of `reference`
    is paid per *difference* only: exact for all choice points with every = 1. With every = k > 1, only choice points
    divisible by k are evaluated after a difference; those in between are missing from the result. Between
    consecutive known points the regrets against `reference` sum to the difference of their values.
    """
    if every < 1:
        raise LimitError(f"every = {every}: expected 1 or more")
    compiled, program, begin = _begin(policy, workload, start)
    other = compiled_policy(reference)
    if program.bound.config != other.bound.config or program.bound.profile != other.bound.profile:
        raise PolicyError(f"policies {program.bound.policy.name} and {other.bound.policy.name}: reference values need "
                          "the same profile and the same server config for both")
    trajectory = _trajectory(program, compiled, begin, _run(program, compiled, begin)[0])
    points = len(trajectory) + 1
    asked = Asked(OBJECTIVES[objective], every, np.zeros(points, np.int64), np.zeros(points, np.int64), _outcome())
    m, beside = new_memory(compiled.w, program.c), new_memory(compiled.w, program.c)
    entries.run(program.p, compiled.w, program.c, begin, m, NO_TRACE, _captured(compiled, ()), other.p, beside, asked)
    _check(m, program)
    _check(beside, other, f"from choice point {asked.outcome[1]} of {program.bound.policy.name}: ")
    steps = np.flatnonzero(asked.known)
    times = np.append(trajectory.column("now"), m[at.NOW])
    return Values(steps, asked.values[steps], times[steps], int(asked.outcome[2]), trajectory)


def states_at(policy: AnyPolicy, workload: AnyWorkload, steps: Sequence[int], *,
              start: State | None = None) -> list[State]:
    """The states of `policy`'s run at these choice points (as numbered by its trajectory), in ascending order."""
    compiled, program, begin = _begin(policy, workload, start)
    wanted = sorted(set(steps))
    captured = _captured(compiled, wanted)
    choices = int(_run(program, compiled, begin, captured=captured)[0][at.CHOICES])
    if wanted and not 0 <= wanted[0] <= wanted[-1] < choices:
        raise LimitError(f"choice points {wanted[0]} to {wanted[-1]}: the run has 0 to {choices - 1}")
    packed = Packed(captured.rows, captured.scalars)
    return [compiled.unpack(packed, i) for i in range(len(wanted))]


def _begin(policy: AnyPolicy, workload: AnyWorkload,
           start: State | None) -> tuple[CompiledWorkload, CompiledPolicy, Packed]:
    compiled, program = compiled_workload(workload), compiled_policy(policy)
    program.check(compiled)
    return compiled, program, compiled.initial if start is None else compiled.pack([start], program.bound.config)


def _run(policy: CompiledPolicy, compiled: CompiledWorkload, begin: Packed, *, keep_tokens: bool = False,
         trace: Trace = NO_TRACE, captured: Captured | None = None,
         objective: Objective = "makespan") -> tuple[Int, Int]:
    """Memory after the last run, and the objective of the run from each state."""
    m = new_memory(compiled.w, policy.c, keep_tokens=keep_tokens)
    asked = Asked(OBJECTIVES[objective], 0, np.zeros(0, np.int64), np.zeros(len(begin.rows), np.int64), _outcome())
    entries.run(policy.p, compiled.w, policy.c, begin, m, trace, captured or _captured(compiled, ()), policy.p, m,
                asked)
    _check(m, policy, "" if len(begin.rows) == 1 else f"from state {asked.outcome[0]}: ")
    return m, asked.values


def _outcome() -> Int:
    return np.zeros(3, np.int64)


def _trajectory(policy: CompiledPolicy, compiled: CompiledWorkload, begin: Packed, m: Int) -> Trajectory:
    """The run again, recorded: `m` is the memory of its first run, which says how much there is to record."""
    trace = _new_trace(compiled, m)
    _run(policy, compiled, begin, trace=trace)
    return Trajectory(policy.bound, trace)


def _new_trace(compiled: CompiledWorkload, m: Int) -> Trace:
    choices, launches, rows = m[[at.CHOICES, at.LAUNCHES, at.LAUNCHED_ROWS]].tolist()
    return _trace(choices, len(LaunchSpace(compiled.workload.num_segments).names), launches, rows)


def _captured(compiled: CompiledWorkload, steps: Sequence[int]) -> Captured:
    rows, scalars = compiled.initial.rows.shape[1:], compiled.initial.scalars.shape[1:]
    return Captured(np.array(steps, np.int64), np.zeros((len(steps), *rows), np.int64),
                    np.zeros((len(steps), *scalars), np.int64))


def _check(m: Int, policy: CompiledPolicy, where: str = "") -> None:
    """Raise what stopped the run, in the reference simulator's words."""
    status, now, rule = (int(m[field]) for field in (at.STATUS, at.NOW, at.RULE))
    bound = policy.bound
    if status == at.FINE:
        return
    if status == at.IDLES_FOR_EVER:
        segments = bound.num_segments
        sizes = (m[at.TAIL + 1:at.TAIL + 1 + segments] - m[at.HEAD + 1:at.HEAD + 1 + segments]).tolist()
        listed = ", ".join(f"pool {pool}: {size}" for pool, size in enumerate(sizes, start=1))
        label = bound.rules.launch[rule].label if rule >= 0 else "none holds"
        raise PolicyError(f"{where}policy idles for ever at clock {now} (rule {label}): nothing is "
                          f"to come, {sum(sizes)} rows wait: {listed}")
    if status == at.CLOCK_PASSED:
        raise LimitError(f"{where}the clock passed {MAX_TIME} {bound.profile.tick}; use a coarser tick")
    if status == at.TOO_MANY_CHOICES:
        raise LimitError(f"{where}policy {bound.policy.name} took more than {policy.c[at.MAX_CHOICES]} choices by "
                         f"clock {now}")
    raise LimitError(f"{where}the total completion time passes {entries.MAX_SUM} {bound.profile.tick}; use a coarser "
                     "tick")
