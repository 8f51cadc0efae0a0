"""One problem, its memo and its buffers: answers questions about states within limits.

A question is answered in two steps: a narrow beam gives an incumbent; then small problems are settled by depth-first
branch and bound, whose memo of proved bounds serves the next question, and larger ones by best-first search, which
expands the fewest states, in turns with complete beams of growing width, which find better schedules before it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact import descent
from xplain.encodings.exact.beam import Beam
from xplain.encodings.exact.best_first import BestFirst
from xplain.encodings.exact.bounds import lower_bound
from xplain.encodings.exact.instance import compile_instance
from xplain.encodings.exact.kernel import DONE, MEMO_FULL, PAUSED, STACK_FULL, STEPS_FULL, WIDE
from xplain.encodings.exact.launches import AT_REST, admit, new_scratch, new_steps
from xplain.encodings.exact.memo import UNKNOWN, find, grown, key_words, learn, new_memo, write_key
from xplain.encodings.exact.meter import Meter
from xplain.encodings.exact.pairs import build_pairs
from xplain.encodings.exact.positions import Position, check_clock
from xplain.encodings.exact.results import Limits, Stopped

DEPTH_FIRST_TOKENS = 24  # more tokens than that: best first instead of depth first
FIRST_STATES, FIRST_WIDTH, GROWTH = 2048, 64, 8  # states of the best-first search before the first beam, its width
MAX_BYTES = 2**30  # of a beam's buckets, or of the best-first search's states
MAX_SUBSETS = 1 << 16
GREEDY_FROM = 5  # with more requests than that the beam tries rows of equal depth in order of urgency only
MAX_CLOCK = 2**60


@dataclass(slots=True)
class Answer:
    """Bounds on a cost-to-go; `steps`: (rows, end) of a schedule that attains `upper` (empty: not asked for)."""

    lower: int
    upper: int
    stopped: Stopped
    nodes: int
    steps: list[tuple[int, int]]


@dataclass(slots=True)
class Found:
    """What the methods have found so far: they tighten it one after the other. `steps` as in `Answer`."""

    lower: int
    upper: int
    steps: list[tuple[int, int]]

    @property
    def open(self) -> bool:
        """Nothing is proved yet."""
        return self.lower < self.upper


class Searcher:
    """Searches of one problem share memo and buffers."""

    def __init__(self, workload: Workload, profile: CostProfile, config: ServerConfig, objective: Objective, *,
                 always_consult: bool, dominance: bool = True) -> None:
        check_clock(workload, profile, MAX_CLOCK)
        instance = compile_instance(workload, profile, config, objective, always_consult=always_consult,
                                    dominance=dominance)
        pair_base, pair_table = build_pairs(instance)
        self.instance = instance._replace(pair_base=pair_base, pair_table=pair_table)
        self.tokens = workload.num_tokens
        n = self.instance.n
        self.scratch = new_scratch(self.instance, 256)
        self.steps = new_steps(n, 512)
        self.memo = new_memo(self.instance, 1024)
        self.stack = descent.new_stack(n, 4 + workload.num_tokens // 2, 512, key_words(self.instance))

    def known(self, position: Position) -> tuple[int, int]:
        """Bounds on the cost-to-go that need no search."""
        if position.pass_[0] != AT_REST:
            return 0, int(UNKNOWN)
        lower = int(lower_bound(self.instance, position.codes, position.now, UNKNOWN, self.scratch.lengths))
        write_key(self.instance, position.codes, position.now, self.stack.kinds, self.stack.key)
        slot = find(self.memo, self.stack.key)
        if self.memo.lower[slot] < 0:
            return lower, int(UNKNOWN)
        return max(lower, int(self.memo.lower[slot])), int(self.memo.upper[slot])

    def answer(self, position: Position, limits: Limits, width: int) -> Answer:
        """Cost-to-go of a position. `width`: of the beam that looks for an incumbent first; 0: none."""
        meter = Meter(limits)
        if position.pass_[0] == AT_REST:
            admit(self.instance, position.codes, position.now)
        lower, upper = self.known(position)
        found = Found(lower, upper, [])
        if lower == upper:
            return Answer(lower, upper, "proved", 0, [])
        wide = self.tokens > DEPTH_FIRST_TOKENS
        if width or wide or limits.nodes is not None or limits.seconds is not None:
            self.incumbent(position, max(1, width), found, meter)
        stopped: Stopped | None = None
        if found.open and wide:
            stopped = self.alternate(position, found, meter)
        elif found.open:
            stopped = self.prove(position, found, meter)
        if not found.open and position.pass_[0] == AT_REST:
            write_key(self.instance, position.codes, position.now, self.stack.kinds, self.stack.key)
            learn(self.memo, self.stack.key, found.lower, found.upper)
        return Answer(found.lower, found.upper, stopped if found.open and stopped else "proved", meter.nodes,
                      found.steps)

    def incumbent(self, position: Position, width: int, found: Found, meter: Meter) -> None:
        """A schedule by a narrow beam (widened if all its states lead to ones it has cut), whatever the limits."""
        while not found.steps:
            found.upper = int(UNKNOWN)
            unlimited = Meter(Limits())
            self.beam(position, width, True, found, unlimited)
            meter.nodes += unlimited.nodes
            width *= 4

    def alternate(self, position: Position, found: Found, meter: Meter) -> Stopped | None:
        """Best-first search, interrupted by wider and wider beams: its proofs are cheap, their schedules come early."""
        best_first = BestFirst(self.instance)
        states, width = FIRST_STATES, FIRST_WIDTH
        while True:
            stopped = self.best_first(position, best_first, states, found, meter)
            if stopped or not found.open:
                return stopped
            room = 4 * width * (self.tokens * self.instance.stages + self.instance.n) * (48 + 2 * self.instance.n)
            if room <= MAX_BYTES:
                stopped = self.beam(position, width, False, found, meter)
                if stopped or not found.open:
                    return stopped
            states, width = GROWTH * states, GROWTH * width

    def best_first(self, position: Position, search: BestFirst, states: int, found: Found,
                   meter: Meter) -> Stopped | None:
        """Go on until it has expanded `states` states in all; why it had to stop, if it had to."""
        search.lower_to(found.upper)
        while search.nodes < states:
            stopped = meter.exhausted()
            if stopped is None and search.num_bytes > MAX_BYTES:
                stopped = "memory"
            if stopped:
                return stopped
            before = search.nodes
            status = search.go_on(self.scratch, self.steps, position, meter.portion(states - before))
            meter.spend(search.nodes - before)
            found.lower = max(found.lower, min(search.lowest, found.upper))
            if search.best < found.upper:
                found.upper, found.steps = search.best, search.trail()
            if status == DONE:
                found.lower = found.upper
                return None
            if not self._enlarge(status):
                return "memory"
        return None

    def beam(self, position: Position, width: int, greedy: bool, found: Found, meter: Meter) -> Stopped | None:
        """One beam of this width; why it had to stop before its end, if it had to."""
        beam = Beam(self.instance, position, width, greedy and self.instance.n > GREEDY_FROM, found.upper)
        status = PAUSED
        while status != DONE:
            stopped = meter.exhausted()
            if stopped:
                return stopped
            before = beam.nodes
            status = beam.go_on(self.scratch, self.steps, position, meter.portion())
            meter.spend(beam.nodes - before)
            if beam.best < found.upper:
                found.upper, found.steps = beam.best, beam.trail()
            if not self._enlarge(status):
                if not greedy:
                    return "memory"
                beam.greedy = True
        if not beam.greedy:
            found.lower = max(found.lower, min(found.upper, beam.cut))
        return None

    def prove(self, position: Position, found: Found, meter: Meter) -> Stopped | None:
        """Depth-first branch and bound with the memo; why it had to stop, if it had to."""
        descent.begin(self.stack, position.codes, position.now, position.pass_, found.upper)
        registers = self.stack.registers
        registers[descent.NODES] = 0
        while True:
            stopped = meter.exhausted()
            if stopped:
                return stopped
            before = int(registers[descent.NODES])
            status = descent.descend(self.instance, self.memo, self.scratch, self.steps, self.stack, meter.portion())
            registers = self.stack.registers
            meter.spend(int(registers[descent.NODES]) - before)
            if status == DONE:
                break
            if status != PAUSED and not self.enlarge(status):
                return "memory"
            registers = self.stack.registers
        best = int(registers[descent.UPPER])
        if best < found.upper:
            found.upper, found.steps = best, []
        found.lower = min(max(found.lower, int(registers[descent.LOWER])), found.upper)
        return None

    def schedule(self, position: Position, value: int) -> list[tuple[int, int]]:
        """Steps of a schedule of cost `value`, which a finished search has found."""
        trail = np.zeros((int(self.instance.done.sum()) + 2 * self.instance.n, 2), np.int64)
        while True:
            length = descent.follow(self.instance, self.memo, self.scratch, self.steps, self.stack, position.codes,
                                    position.now, position.pass_, value, trail)
            if length >= 0:
                return [(int(rows), int(end)) for rows, end in trail[:length]]
            if length == -2:
                raise RuntimeError("the memo does not hold the schedule it proved")
            self._deeper(more_steps=True)
            self._wider()

    def enlarge(self, status: int) -> bool:
        """Give a depth-first kernel what it lacks; False if that is not to be had, or if it used up its allowance."""
        if status == MEMO_FULL:
            self.memo = grown(self.instance, self.memo)
        elif status == STACK_FULL:
            self._deeper(more_steps=False)
        else:
            return status != PAUSED and self._enlarge(status)
        return True

    def _enlarge(self, status: int) -> bool:
        """Give the kernel that returned this status what it lacks; False if that is not to be had."""
        if status == STEPS_FULL:
            self._deeper(more_steps=True)
        return status != WIDE or self._wider()

    def _wider(self) -> bool:
        """Enlarge the memory for row sets; False at its limit."""
        width = self.scratch.subsets.shape[1]
        if width >= MAX_SUBSETS:
            return False
        self.scratch = new_scratch(self.instance, 4 * width)
        return True

    def _deeper(self, more_steps: bool) -> None:
        """Enlarge the buffer of steps, or the stack, keeping what they hold."""
        levels, room = len(self.stack.now), len(self.steps.ticks)
        stack = descent.new_stack(self.instance.n, levels if more_steps else 2 * levels,
                                  2 * room if more_steps else room, key_words(self.instance))
        old: Any
        new: Any
        for old, new in zip(self.stack, stack, strict=True):
            new[:len(old)] = old
        self.stack = stack
        if more_steps:
            steps = new_steps(self.instance.n, 2 * room)
            for before, after in zip(self.steps, steps, strict=True):
                after[:room] = before
            self.steps = steps
