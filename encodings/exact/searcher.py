"""One problem, its memo and its buffers: answers questions about states within limits.

A question is answered in two steps: a narrow beam gives an incumbent; then small problems are settled by depth-first
branch and bound, whose memo of proved bounds serves the next question, and larger ones by complete beams of growing
width, which expand every state at most once per width and end with a proof when nothing had to be cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from xplain.encodings.exact import beam, descent
from xplain.encodings.exact.bounds import lower_bound
from xplain.encodings.exact.instance import compile_instance
from xplain.encodings.exact.launches import AT_REST, admit, new_scratch, new_steps
from xplain.encodings.exact.memo import UNKNOWN, find, grown, key_words, learn, new_memo, write_key
from xplain.encodings.exact.pairs import build_pairs
from xplain.encodings.exact.positions import Position, check_clock
from xplain.encodings.exact.results import Limits, Stopped

SLICE = 128  # states between two looks at the clock
DEPTH_FIRST_TOKENS = 24  # more tokens than that: widening beams instead of depth first
FIRST_WIDTH = 64
MAX_BYTES = 2**31  # of a beam's buckets
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
        began = perf_counter()
        if position.pass_[0] == AT_REST:
            admit(self.instance, position.codes, position.now)
        lower, upper = self.known(position)
        steps: list[tuple[int, int]] = []
        nodes = 0
        stopped: Stopped = "proved"
        if lower == upper:
            return Answer(lower, upper, "proved", 0, steps)
        wide = self.tokens > DEPTH_FIRST_TOKENS
        if width or wide or limits.nodes is not None or limits.seconds is not None:
            upper, steps, nodes = self.incumbent(position, max(1, width), began)
        if lower < upper and wide:
            stopped, lower, upper, steps, nodes = self.widen(position, lower, upper, steps, limits, nodes, began)
        elif lower < upper:
            stopped, below, best, spent = self.prove(position, upper, limits, nodes, began)
            nodes += spent
            lower = min(max(lower, below), upper, best)
            if best < upper:
                upper, steps = best, []
        if lower == upper and position.pass_[0] == AT_REST:
            write_key(self.instance, position.codes, position.now, self.stack.kinds, self.stack.key)
            learn(self.memo, self.stack.key, lower, upper)
        return Answer(lower, upper, "proved" if lower == upper else stopped, nodes, steps)

    def incumbent(self, position: Position, width: int, began: float) -> tuple[int, list[tuple[int, int]], int]:
        """Cost, steps and number of states of a narrow beam (widened if all its states lead to ones it has cut)."""
        while True:
            upper, steps, _, nodes, _ = self.beam(position, width, int(UNKNOWN), True, Limits(), 0, began)
            if steps:
                return upper, steps, nodes
            width *= 4

    def widen(self, position: Position, lower: int, upper: int, steps: list[tuple[int, int]], limits: Limits,
              nodes: int, began: float) -> tuple[Stopped, int, int, list[tuple[int, int]], int]:
        """Complete beams of growing width until nothing is cut: (why it stopped, lower, upper, steps, states)."""
        width = FIRST_WIDTH
        while True:
            best, found, cut, spent, stopped = self.beam(position, width, upper, False, limits, nodes, began)
            nodes += spent
            if best < upper:
                upper, steps = best, found
            if stopped != "proved":
                return stopped, lower, upper, steps, nodes
            lower = max(lower, min(upper, cut))
            if lower == upper:
                return "proved", lower, upper, steps, nodes
            width *= 8
            buckets = self.tokens * self.instance.stages + self.instance.n
            if 4 * width * buckets * (48 + 2 * self.instance.n) > MAX_BYTES:
                return "memory", lower, upper, steps, nodes

    def beam(self, position: Position, width: int, upper: int, greedy: bool, limits: Limits, used: int,
             began: float) -> tuple[int, list[tuple[int, int]], int, int, Stopped]:
        """One beam: (best cost or `upper`, its steps, least bound cut, states, why it stopped: "proved" = it ended)."""
        instance, words = self.instance, key_words(self.instance)
        seen = new_memo(instance, 1024)
        greedy = greedy and instance.n > GREEDY_FROM
        layers = beam.new_layers(instance, position.codes, width, 64 * width + 256, words)
        registers = layers.registers
        registers[beam.BEST], registers[beam.BEST_AT] = upper, -1  # in case a limit leaves no time to begin
        stopped: Stopped = "proved"
        while True:
            spent = int(registers[beam.NODES])
            allowance = SLICE if limits.nodes is None else min(SLICE, limits.nodes - used - spent)
            late = limits.seconds is not None and perf_counter() - began >= limits.seconds
            if allowance <= 0 or late:
                stopped = "seconds" if late else "nodes"
                break
            status = beam.run_beam(instance, seen, self.scratch, self.steps, layers, position.codes, position.now,
                                   position.pass_, np.bool_(greedy), upper, allowance)
            if status == beam.DONE:
                break
            if status == beam.GROW_SEEN:
                seen = grown(instance, seen)
            elif status == beam.GROW_STEPS:
                self._deeper(more_steps=True)
            elif status == beam.GROW_TRAIL:
                layers = layers._replace(trail=np.concatenate([layers.trail, np.zeros_like(layers.trail)]))
            elif status == beam.WIDE and not self._wider():
                if not greedy and used:
                    stopped = "memory"
                    break
                greedy = True
        return (int(registers[beam.BEST]), beam.trail_of(layers), int(registers[beam.CUT]),
                int(registers[beam.NODES]), stopped)

    def prove(self, position: Position, window: int, limits: Limits, used: int,
              began: float) -> tuple[Stopped, int, int, int]:
        """(why it stopped, lower bound, best cost found below `window` or UNKNOWN, states)."""
        stack = self.stack
        descent.begin(stack, position.codes, position.now, position.pass_, window)
        stack.registers[descent.NODES] = 0
        while True:
            spent = int(stack.registers[descent.NODES])
            allowance = SLICE if limits.nodes is None else min(SLICE, limits.nodes - used - spent)
            if allowance <= 0:
                return "nodes", 0, int(UNKNOWN), spent
            if limits.seconds is not None and perf_counter() - began >= limits.seconds:
                return "seconds", 0, int(UNKNOWN), spent
            status = descent.descend(self.instance, self.memo, self.scratch, self.steps, stack, allowance)
            if status == descent.FINISHED:
                registers = stack.registers
                return ("proved", int(registers[descent.LOWER]), int(registers[descent.UPPER]),
                        int(registers[descent.NODES]))
            if status == descent.MEMO_FULL:
                self.memo = grown(self.instance, self.memo)
            elif status in (descent.STEPS_FULL, descent.STACK_FULL):
                self._deeper(status == descent.STEPS_FULL)
                stack = self.stack
            elif status == descent.WIDE and not self._wider():
                return "nodes", 0, int(UNKNOWN), spent

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
