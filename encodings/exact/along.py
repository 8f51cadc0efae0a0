"""The optimum along a run, and the optimal steps from one of its states: what explanations of thousands of runs ask.

`CostToGo` answers one question at a time; here the states of a run are one array, and one kernel walks back through
them. A state's value never exceeds its successor's, so that the value of the successor is the window of the search:
where it is equal - most of the time - the search only has to prove that nothing is cheaper.
Limits are states expanded, never time: the same question has the same answer on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.entries import Packed
from xplain.encodings.exact.bounds import Codes, lower_bound
from xplain.encodings.exact.descent import LOWER, NODES, UPPER, Stack, begin, descend
from xplain.encodings.exact.instance import Instance, Int
from xplain.encodings.exact.kernel import DONE, STEPS_FULL, WIDE, Scalar, kernel
from xplain.encodings.exact.launches import AT_REST, TOO_WIDE, Scratch, Steps, admit, expand, new_steps
from xplain.encodings.exact.memo import Memo, find, write_key
from xplain.encodings.exact.positions import members
from xplain.encodings.exact.searcher import Searcher

# Registers of a resumable kernel: the next state or step, and whether its search is under way.
NEXT_ONE, SEARCHING = 0, 1


@dataclass(frozen=True, slots=True)
class Run:
    """States of a run for the kernels: codes [k, n], clocks [k], passes [k, 4] (phase, segment, running and latched
    rows as bits), and the part of the objective that is settled, [k]."""

    codes: Codes
    now: Int
    pass_: Int
    base: Int


@dataclass(frozen=True, slots=True)
class OptimalStep:
    """A step that an optimal schedule may take: rows in the pass at its end, where it ends (`launches.Steps`)."""

    rows: tuple[int, ...]
    end: int


@kernel
def walk_back(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, codes: Codes, now: Int,
              pass_: Int, base: Int, values: Int, place: Int, limit: Scalar) -> Scalar:
    """Fill values[i] (least final objective from state i) from the last state to the first; values[-1] is given.

    DONE, PAUSED where the search has expanded `limit` states in all, or what has to be enlarged before it goes on.
    """
    registers = stack.registers
    while place[NEXT_ONE] >= 0:
        i = place[NEXT_ONE]
        window = values[i + 1] - base[i]
        if place[SEARCHING] == 0:
            values[i] = values[i + 1]
            if pass_[i, 0] == AT_REST:
                admit(instance, codes[i], now[i])
                write_key(instance, codes[i], now[i], stack.kinds, stack.key)
                slot = find(memo, stack.key)
                known = memo.lower[slot] >= 0
                if known and memo.lower[slot] == memo.upper[slot]:
                    values[i] = base[i] + memo.lower[slot]
                    place[NEXT_ONE] -= 1
                    continue
                lowest = lower_bound(instance, codes[i], now[i], window, scratch.lengths)
                if lowest >= window or (known and memo.lower[slot] >= window):
                    place[NEXT_ONE] -= 1
                    continue
            begin(stack, codes[i], now[i], pass_[i], window)
            place[SEARCHING] = 1
        status = descend(instance, memo, scratch, steps, stack, limit - registers[NODES])
        if status != DONE:
            return status
        place[SEARCHING] = 0
        if registers[UPPER] < window:
            values[i] = base[i] + registers[UPPER]
        place[NEXT_ONE] -= 1
    return DONE


@kernel
def find_loss(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, codes: Codes, now: Int,
              pass_: Int, base: Int, value: Scalar, place: Int, limit: Scalar) -> Scalar:
    """Advance place[0] to the first state whose least final objective exceeds `value`, the least one from the states
    before it (their number: there is none). Results as `walk_back`."""
    registers = stack.registers
    while place[NEXT_ONE] < len(now):
        i = place[NEXT_ONE]
        window = value + 1 - base[i]
        if place[SEARCHING] == 0:
            if pass_[i, 0] == AT_REST:
                admit(instance, codes[i], now[i])
                write_key(instance, codes[i], now[i], stack.kinds, stack.key)
                slot = find(memo, stack.key)
                if memo.lower[slot] >= 0:
                    if memo.lower[slot] >= window:
                        return DONE
                    if memo.upper[slot] < window:
                        place[NEXT_ONE] += 1
                        continue
                if lower_bound(instance, codes[i], now[i], window, scratch.lengths) >= window:
                    return DONE
            begin(stack, codes[i], now[i], pass_[i], window)
            place[SEARCHING] = 1
        status = descend(instance, memo, scratch, steps, stack, limit - registers[NODES])
        if status != DONE:
            return status
        place[SEARCHING] = 0
        if registers[LOWER] >= window:
            return DONE
        place[NEXT_ONE] += 1
    return DONE


@kernel
def list_optimal(instance: Instance, memo: Memo, scratch: Scratch, steps: Steps, stack: Stack, codes: Codes,
                 now: Scalar, pass_: Int, value: Scalar, listed: Steps, place: Int, count: Int,
                 limit: Scalar) -> Scalar:
    """List the steps from one state (at rest: after admissions) whose cost-to-go is `value`, its least: bound = value
    for these, more for the other `count[0]` steps. `place` begins at (-1, 0); results as `walk_back`."""
    registers = stack.registers
    if place[NEXT_ONE] < 0:
        nothing = np.int64(0)
        segment, running, latched = nothing, nothing, nothing
        if pass_[0] != AT_REST:
            segment, running, latched = pass_[1], pass_[2], pass_[3]
        got, _ = expand(instance, codes, now, pass_[0], segment, running, latched, np.bool_(False), value + 1, scratch,
                        listed, nothing)
        if got < 0:
            return WIDE if got == TOO_WIDE else STEPS_FULL
        count[0], place[NEXT_ONE], place[SEARCHING] = got, 0, 0
    while place[NEXT_ONE] < count[0]:
        k = place[NEXT_ONE]
        target = value - listed.cost[k]
        if listed.done[k]:
            listed.bound[k] = value + int(target != 0)
            place[NEXT_ONE] += 1
            continue
        if place[SEARCHING] == 0:
            write_key(instance, listed.codes[k], now + listed.ticks[k], stack.kinds, stack.key)
            slot = find(memo, stack.key)
            if memo.lower[slot] >= 0 and (memo.lower[slot] > target or memo.lower[slot] == memo.upper[slot]):
                listed.bound[k] = listed.cost[k] + memo.lower[slot]
                place[NEXT_ONE] += 1
                continue
            begin(stack, listed.codes[k], now + listed.ticks[k], np.zeros(4, np.int64), target + 1)
            place[SEARCHING] = 1
        status = descend(instance, memo, scratch, steps, stack, limit - registers[NODES])
        if status != DONE:
            return status
        place[SEARCHING] = 0
        listed.bound[k] = listed.cost[k] + registers[LOWER]
        place[NEXT_ONE] += 1
    return DONE


@kernel
def _fill_run(rows: Int, scalars: Int, arrivals: Int, stages: Scalar, total: bool, codes: Codes, now: Int, pass_: Int,
              base: Int) -> None:
    for i in range(len(now)):
        clock, segment = scalars[i, at.NOW], scalars[i, at.SEGMENT]
        now[i], pass_[i, 0], base[i] = clock, scalars[i, at.PHASE], 0 if total else clock
        for row in range(len(arrivals)):
            place, emitted = rows[i, at.PLACE, row], rows[i, at.EMITTED, row]
            until = clock
            if place == at.DONE:
                codes[i, row] = 1 + emitted * stages
                until = rows[i, at.COMPLETED, row]
            elif place == at.RUNNING:
                codes[i, row] = emitted * stages + segment
                pass_[i, 1] = segment
                pass_[i, 2] |= np.int64(1) << row
                if rows[i, at.LATCHED, row] > 0:
                    pass_[i, 3] |= np.int64(1) << row
            elif place != at.WAITING:
                codes[i, row] = emitted * stages + place
            if total:
                base[i] += until - arrivals[row]


def run_of(packed: Packed, workload: Workload, arrivals: Int, total: bool) -> Run:
    """Recorded states (of unlimited prefill, no RELEASE) as the kernels see them."""
    count = len(packed.rows)
    run = Run(np.zeros((count, len(arrivals)), np.int16), np.zeros(count, np.int64), np.zeros((count, 4), np.int64),
              np.zeros(count, np.int64))
    _fill_run(packed.rows, packed.scalars, arrivals, workload.num_segments, total, run.codes, run.now, run.pass_,
              run.base)
    return run


class Along:
    """Values along runs of one workload, and optimal steps at their states; one memo for all of them.

    `limit`: states that the search may expand for this workload in all. Methods return None beyond it: then nothing
    is proved.
    """

    def __init__(self, workload: Workload, arrivals: Int, profile: CostProfile, config: ServerConfig,
                 objective: Objective, limit: int) -> None:
        self.workload, self.arrivals, self.limit = workload, arrivals, limit
        self.total = objective == "total-completion"
        self._searcher = Searcher(workload, profile, config, objective, always_consult=False)
        self._searcher.stack.registers[NODES] = 0
        self._listed = new_steps(self._searcher.instance.n, 256)

    @property
    def nodes(self) -> int:
        """States expanded so far."""
        return int(self._searcher.stack.registers[NODES])

    def values(self, run: Run, final: int) -> Int | None:
        """[k + 1]: the least final objective from each state of a run, and at last its own objective `final`."""
        count, search = len(run.now), self._searcher
        values = np.full(count + 1, final, np.int64)
        place = np.array([count - 1, 0], np.int64)
        while True:
            status = walk_back(search.instance, search.memo, search.scratch, search.steps, search.stack, run.codes,
                               run.now, run.pass_, run.base, values, place, self.limit)
            if status == DONE:
                return values
            if not search.enlarge(status):
                return None

    def first_loss(self, run: Run, value: int, final: int) -> int | None:
        """The first choice of a run that begins with least final objective `value` and raises it; their number if none
        does. None beyond the limit, as everywhere here; hence no loss is told by the number of choices."""
        place, search = np.array([0, 0], np.int64), self._searcher
        while True:
            status = find_loss(search.instance, search.memo, search.scratch, search.steps, search.stack, run.codes,
                               run.now, run.pass_, run.base, value, place, self.limit)
            if status == DONE:
                break
            if not search.enlarge(status):
                return None
        count = len(run.now)
        if place[NEXT_ONE] == 0 and count:
            raise ArithmeticError(f"the least objective from a run's first state exceeds {value}")
        return int(place[NEXT_ONE]) - 1 if place[NEXT_ONE] < count or final > value else count

    def steps(self, run: Run, index: int, value: int) -> tuple[OptimalStep, ...] | None:
        """Steps that an optimal schedule may take in state `index` of a run, of which `values` has filled the codes.

        `value`: its least final objective. Steps that another one makes needless are left out, see `launches`.
        """
        search, place, count = self._searcher, np.array([-1, 0], np.int64), np.zeros(1, np.int64)
        codes, now, pass_ = run.codes[index], int(run.now[index]), run.pass_[index]
        ahead = value - int(run.base[index])
        while True:
            status = list_optimal(search.instance, search.memo, search.scratch, search.steps, search.stack, codes,
                                  now, pass_, ahead, self._listed, place, count, self.limit)
            if status == DONE:
                break
            if status == STEPS_FULL and place[NEXT_ONE] < 0:
                self._listed = new_steps(search.instance.n, 2 * len(self._listed.ticks))
            elif not search.enlarge(status):
                return None
        listed = (column[:count[0]].tolist() for column in (self._listed.bound, self._listed.rows, self._listed.end))
        return tuple(OptimalStep(tuple(members(rows)), end) for bound, rows, end in zip(*listed, strict=True)
                     if bound == ahead)

