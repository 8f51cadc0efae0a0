"""Compile conditions to integer stack programs that one kernel interprets.

Denominators are cleared, so the programs are pure int64; interval arithmetic over the declared bounds of
the variables proves that no intermediate result overflows. Source: scheduling model, Observations.

A program is a sequence of (opcode, argument) pairs on a value stack; conditions leave 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.expressions import Condition
from drex_runtime.policies.observation import RAMP_NAMES, Bounds, LaunchSpace, ramp_bounds

VAR, CONST, ADD, MUL, MIN, MAX, LT, LE, EQ, NE, AND, OR, NOT = range(13)
INT_LIMIT = 2**62
MAX_STACK = 64
RAMP_ACTION_CODES = {"SPLIT": 0, "CONTINUE": 1, "EXIT_ALL": 2, "RELEASE": 3}
IntArray = npt.NDArray[np.int64]


class Program(NamedTuple):
    """A compiled policy: plain arrays that a numba kernel takes as they are.

    `launch_target[i]` (0 PREFILL, -1 IDLE, s RUN(s)) with code span `launch_span[i]`; per ramp r (row r - 1)
    `consult_span`, `join_span` and the rules `ramp_action[r - 1]`, `ramp_span[r - 1]`; `code[j]` = (op, arg).
    `uses_slack`: some rule asks for `slack_s` or `batch_slack`; likewise `uses_oldest`.
    """

    code: IntArray
    launch_target: IntArray
    launch_span: IntArray
    consult_span: IntArray
    join_span: IntArray
    ramp_action: IntArray
    ramp_span: IntArray
    batch_limit: int
    edf: bool
    uses_oldest: bool
    uses_slack: bool


@dataclass(frozen=True)
class _Term:
    """Code whose value is `value * scale`, an integer in [low, high] (already scaled)."""

    code: tuple[tuple[int, int], ...]
    scale: int
    low: int
    high: int


class _Compiler:
    def __init__(self, names: tuple[str, ...], bounds: Bounds, values: dict[str, Fraction], what: str) -> None:
        self.index = {name: i for i, name in enumerate(names)}
        self.bounds, self.values, self.what = bounds, values, what

    def check(self, term: _Term, node: sympy.Basic) -> _Term:
        if term.low < -INT_LIMIT or term.high > INT_LIMIT:
            raise PolicyError(f"{self.what}: {str(node)[:120]} can exceed 64-bit integers (bounds {term.low} to "
                              f"{term.high}); use smaller parameters or fewer decimals")
        return term

    def constant(self, value: Fraction) -> _Term:
        return _Term(((CONST, value.numerator),), value.denominator, value.numerator, value.numerator)

    def scalar(self, node: sympy.Basic) -> _Term:
        if isinstance(node, sympy.Symbol):
            if node.name in self.index:
                low, high = self.bounds[node.name]
                return _Term(((VAR, self.index[node.name]),), 1, low, high)
            return self.check(self.constant(self.values[node.name]), node)
        if isinstance(node, sympy.Rational):
            return self.check(self.constant(Fraction(int(node.p), int(node.q))), node)
        if isinstance(node, sympy.Pow):
            return self.product([self.scalar(node.args[0])] * int(node.args[1]), node)
        parts = [self.scalar(arg) for arg in node.args]
        if isinstance(node, sympy.Mul):
            return self.product(parts, node)
        parts = self.common(parts, node)
        if isinstance(node, sympy.Add):
            total = parts[0]
            for part in parts[1:]:
                total = self.check(_Term((*total.code, *part.code, (ADD, 0)), total.scale, total.low + part.low,
                                         total.high + part.high), node)
            return total
        best, operation = (min, MIN) if isinstance(node, sympy.Min) else (max, MAX)
        found = parts[0]
        for part in parts[1:]:
            found = _Term((*found.code, *part.code, (operation, 0)), found.scale, best(found.low, part.low),
                          best(found.high, part.high))
        return found

    def product(self, parts: list[_Term], node: sympy.Basic) -> _Term:
        total = parts[0]
        for part in parts[1:]:
            ends = [a * b for a in (total.low, total.high) for b in (part.low, part.high)]
            total = self.check(_Term((*total.code, *part.code, (MUL, 0)), total.scale * part.scale, min(ends),
                                     max(ends)), node)
        return total

    def common(self, parts: list[_Term], node: sympy.Basic) -> list[_Term]:
        """All parts brought to their least common scale."""
        scale = lcm(*(part.scale for part in parts))
        if scale > INT_LIMIT:
            raise PolicyError(f"{self.what}: {str(node)[:120]} needs denominators beyond 64-bit integers")
        found = []
        for part in parts:
            factor = scale // part.scale
            if factor == 1:
                found.append(part)
            else:
                found.append(self.check(_Term((*part.code, (CONST, factor), (MUL, 0)), scale, part.low * factor,
                                              part.high * factor), node))
        return found

    def boolean(self, node: sympy.Basic) -> tuple[tuple[int, int], ...]:
        if node == sympy.true or node == sympy.false:
            return ((CONST, int(bool(node))),)
        if isinstance(node, sympy.Not):
            return (*self.boolean(node.args[0]), (NOT, 0))
        if isinstance(node, sympy.And | sympy.Or):
            code = self.boolean(node.args[0])
            for arg in node.args[1:]:
                code = (*code, *self.boolean(arg), (AND if isinstance(node, sympy.And) else OR, 0))
            return code
        operation, swap = {sympy.StrictLessThan: (LT, False), sympy.LessThan: (LE, False),
                           sympy.StrictGreaterThan: (LT, True), sympy.GreaterThan: (LE, True),
                           sympy.Equality: (EQ, False), sympy.Unequality: (NE, False)}[type(node)]
        left, right = self.common([self.scalar(node.args[0]), self.scalar(node.args[1])], node)
        if swap:
            left, right = right, left
        return (*left.code, *right.code, (operation, 0))


def stack_depth(code: tuple[tuple[int, int], ...]) -> int:
    """Largest number of values a program keeps on its stack."""
    depth = deepest = 0
    for operation, _ in code:
        depth += 1 if operation in (VAR, CONST) else 0 if operation == NOT else -1
        deepest = max(deepest, depth)
    return deepest


def compile_policy(bound: BoundPolicy) -> Program:
    """The integer program of a bound policy. PolicyError if int64 could overflow or a parameter is online."""
    bound.require_frozen("the compiled simulator")
    config, num_segments, rules = bound.config, bound.num_segments, bound.rules
    space = LaunchSpace(num_segments)
    at_launch = (space.names, space.bounds(config.batch_max, config.max_num_seqs))
    at_ramp = (RAMP_NAMES, ramp_bounds(num_segments, config.batch_max, config.max_num_seqs))
    code: list[tuple[int, int]] = []

    def add(condition: Condition, where: tuple[tuple[str, ...], Bounds], what: str) -> tuple[int, int]:
        compiled = _Compiler(*where, bound.values, f"policy {bound.policy.name}, {what}").boolean(condition)
        if stack_depth(compiled) > MAX_STACK:
            raise PolicyError(f"policy {bound.policy.name}, {what}: needs a stack deeper than {MAX_STACK}")
        code.extend(compiled)
        return len(code) - len(compiled), len(code)

    launch_span = [add(rule.closed, at_launch, f"rule {rule.label}") for rule in rules.launch]
    consult_span = [add(condition, at_ramp, "consult") for condition in rules.consult]
    join_span = [add(condition, at_ramp, "join") for condition in rules.join]
    ramp_span = [[add(rule.when, at_ramp, f"ramp rule {rule.name}") for rule in ramp] for ramp in rules.ramp]
    ramp_action = [[RAMP_ACTION_CODES[rule.action] for rule in ramp] for ramp in rules.ramp]
    at_ramps = [*rules.consult, *rules.join, *(rule.when for ramp in rules.ramp for rule in ramp)]
    used = {item.name for condition in [*(rule.closed for rule in rules.launch), *at_ramps]
            for item in condition.free_symbols}
    ramps, per_ramp = num_segments - 1, len(bound.policy.ramp)
    return Program(
        np.array(code, np.int64).reshape(-1, 2), np.array([rule.target for rule in rules.launch], np.int64),
        np.array(launch_span, np.int64).reshape(-1, 2), np.array(consult_span, np.int64).reshape(ramps, 2),
        np.array(join_span, np.int64).reshape(ramps, 2), np.array(ramp_action, np.int64).reshape(ramps, per_ramp),
        np.array(ramp_span, np.int64).reshape(ramps, per_ramp, 2), bound.batch_limit,
        bound.policy.order == "edf", any(name.startswith("oldest_") for name in used),
        any(name.startswith("slack_") or name == "batch_slack" for name in used))
