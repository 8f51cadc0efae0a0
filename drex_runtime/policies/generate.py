"""Random policies from the grammar, for tests that must hold for every policy, not for the ones we thought of.

A policy is a function of the generator's state. It always makes progress: after the random rules come
`prefill`, `decode`, `drain`, so whenever work is runnable some rule holds, and nothing idles voluntarily.
Sizes of terms are tracked in bits, so that every policy compiles to int64 at up to 2^20 rows and places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

import sympy

from drex_runtime.policies.expressions import Condition, Scalar, parse_scalar, rational, symbol
from drex_runtime.policies.observation import GLOBAL_NAMES, MAX_AGE, MAX_WAITING, POOL_NAMES, RAMP_NAMES, SLACK_CAP
from drex_runtime.policies.table import (
    DEEP_TIME,
    LaunchRule,
    Parameter,
    Policy,
    RampAction,
    RampRule,
    Scope,
    pool_of_name,
)
from drex_runtime.policies.text import is_variable

MAX_BITS = 58
_PLACES_BITS = 20
_BITS = {"waiting": MAX_WAITING.bit_length(), "decodes_since_prefill": MAX_AGE.bit_length(),
         "age": MAX_AGE.bit_length(), "oldest": SLACK_CAP.bit_length(), "slack": SLACK_CAP.bit_length(),
         DEEP_TIME: SLACK_CAP.bit_length(), "segment": 6,
         "recent_consults": 5, "recent_rows": _PLACES_BITS + 5, "recent_exits": _PLACES_BITS + 5,
         "recent_emptied": 5, "passes_unseen": MAX_AGE.bit_length()}
_SCOPES: tuple[Scope, ...] = ("policy", "ramp", "pool")
_TIMES = ("oldest", "slack", DEEP_TIME)
_RELATIONS: tuple[Callable[[Scalar, Scalar], Condition], ...] = (sympy.Lt, sympy.Le, sympy.Gt, sympy.Ge, sympy.Eq,
                                                                 sympy.Ne)


@dataclass(frozen=True)
class _Term:
    """|value| < 2^bits, value * 2^scale bounds the integer after clearing denominators; `degree` in variables."""

    expression: Scalar
    bits: int
    scale: int
    degree: int

    @property
    def fits(self) -> bool:
        return self.bits + self.scale <= MAX_BITS and self.degree <= 2


class _Conditions:
    """Draws conditions over some variables and parameters."""

    def __init__(self, rng: Random, variables: tuple[str, ...], parameters: list[Parameter]) -> None:
        self.rng, self.variables, self.parameters = rng, variables, parameters

    def condition(self, depth: int = 1) -> Condition:
        """A condition that mentions a variable (sympy folds some to a constant: drawn again)."""
        while True:
            found = self._boolean(depth)
            if any(is_variable(item.name) for item in found.free_symbols):
                return found

    def _boolean(self, depth: int) -> Condition:
        kind = self.rng.random()
        if depth == 0 or kind < 0.45:
            return self._atom()
        deeper = 1 if self.rng.random() < 0.15 else 0
        parts = [self._boolean(depth - 1 + deeper) for _ in range(self.rng.choice((2, 2, 3)))]
        joined = (sympy.And if kind < 0.72 else sympy.Or)(*parts)
        return sympy.Not(joined) if self.rng.random() < 0.3 else joined

    def _atom(self) -> Condition:
        while True:
            left = self._scalar(self.rng.choice((0, 1, 1, 2)))
            right = self._scalar(1) if self.rng.random() < 0.5 else self._constant(left)
            both = _Term(left.expression, max(left.bits, right.bits), left.scale + right.scale, 2)
            if both.fits:
                return self.rng.choice(_RELATIONS)(left.expression, right.expression)

    def _scalar(self, depth: int) -> _Term:
        if depth == 0 or self.rng.random() < 0.4:
            return self._leaf()
        while True:
            drawn = self.rng.choice((self._sum, self._sum, self._product, self._choice))(depth - 1)
            if drawn.fits:
                return drawn

    def _sum(self, depth: int) -> _Term:
        one, other = self._scalar(depth), self._scalar(depth)
        sign = self.rng.choice((1, -1))
        return _Term(one.expression + sign * other.expression, max(one.bits, other.bits) + 1, one.scale + other.scale,
                     max(one.degree, other.degree))

    def _product(self, depth: int) -> _Term:
        one = self._leaf() if self.rng.random() < 0.7 else self._number()
        other = self._scalar(depth)
        return _Term(one.expression * other.expression, one.bits + other.bits, one.scale + other.scale,
                     one.degree + other.degree)

    def _choice(self, depth: int) -> _Term:
        one, other = self._scalar(depth), self._scalar(depth)
        chosen = self.rng.choice((sympy.Min, sympy.Max))(one.expression, other.expression)
        return _Term(chosen, max(one.bits, other.bits), one.scale + other.scale, max(one.degree, other.degree))

    def _leaf(self) -> _Term:
        if self.parameters and self.rng.random() < 0.25:
            name = self.rng.choice(self.parameters).name
            return _Term(symbol(name), _PLACES_BITS if name == "batch_limit" else 6, 4, 0)
        return self._variable() if self.rng.random() < 0.85 else self._number()

    def _variable(self) -> _Term:
        name = self.rng.choice(self.variables)
        return _Term(symbol(name), _BITS.get(_stem(name), _PLACES_BITS), 0, 1)

    def _number(self) -> _Term:
        value = Fraction(self.rng.randint(0, 8), self.rng.choice((1, 1, 1, 2, 4, 5)))
        return _Term(rational(value), 4, (value.denominator - 1).bit_length(), 0)

    def _constant(self, beside: _Term) -> _Term:
        times = any(_stem(item.name) in _TIMES for item in beside.expression.free_symbols)
        return _Term(rational(self.rng.randint(0, 60)), 6, 0, 0) if times else self._number()


def _stem(name: str) -> str:
    return name.rpartition("_")[0] if pool_of_name(name) else name


def generate_policy(rng: Random, *, voluntary: bool = True, num_segments: int = 2) -> Policy:
    """A random policy for models of at least `num_segments` segments (named pools go up to that).

    `voluntary`: ramp rules are SPLIT and CONTINUE only; else EXIT_ALL and RELEASE occur as well.
    """
    parameters = _draw_parameters(rng)
    launch, ramp = _launch_rules(rng, parameters, num_segments), _ramp_rules(rng, parameters, voluntary)
    at_ramp = _Conditions(rng, RAMP_NAMES, _scoped(parameters, "ramp"))

    def choice_at_ramp(always: float) -> Condition:
        drawn = rng.random()
        return sympy.true if drawn < always else sympy.false if drawn < always + 0.1 else at_ramp.condition(1)

    return Policy(f"generated-{rng.getrandbits(32):08x}", tuple(parameters), launch, choice_at_ramp(0.5), ramp,
                  choice_at_ramp(0.3), rng.choice(("fcfs", "edf")), "Drawn at random from the grammar.")


def _scoped(parameters: list[Parameter], scope: Scope) -> list[Parameter]:
    return [item for item in parameters if item.scope in ("policy", scope) and item.name != "art_share"]


def _draw_parameters(rng: Random) -> list[Parameter]:
    limit = rng.choice(("batch_max", "batch_max", "1", "2", "3", "max(1, batch_max - 1)"))
    found = [Parameter("batch_limit", parse_scalar(limit, "batch_limit"), Fraction(1), None, True, "rows",
                       "most rows of a RUN launch")]
    for index in range(rng.randint(0, 3)):
        integer, scope = rng.random() < 0.5, rng.choice(_SCOPES)
        value = Fraction(rng.randint(0, 10), 1 if integer else rng.choice((2, 3, 5, 10)))
        found.append(Parameter(f"p{index}", rational(value), Fraction(0), Fraction(50), integer, scope=scope))
    if rng.random() < 0.3:
        found.append(Parameter("art_share", symbol("art"), Fraction(0), None, False, "rows/row", scope="ramp"))
    return found


def _launch_rules(rng: Random, parameters: list[Parameter], num_segments: int) -> tuple[LaunchRule, ...]:
    concrete = tuple(f"{name}_{s}" for s in range(1, num_segments + 1) for name in POOL_NAMES)
    alone = _Conditions(rng, (*GLOBAL_NAMES, *concrete), [p for p in parameters if p.scope == "policy"])
    family = _Conditions(rng, (*GLOBAL_NAMES, *concrete, *2 * POOL_NAMES, DEEP_TIME), _scoped(parameters, "pool"))
    actions = ("RUN(s)", "RUN(s)", "PREFILL", *(f"RUN({s})" for s in range(1, num_segments + 1)))
    rules = []
    for index in range(rng.randint(0, 5)):
        action = rng.choice(actions)
        drawn = (family if action == "RUN(s)" else alone).condition()
        rules.append(LaunchRule(f"r{index}", action, drawn))
    return (*rules, LaunchRule("prefill", "PREFILL"), LaunchRule("decode", "RUN(1)"), LaunchRule("drain", "RUN(s)"))


def _ramp_rules(rng: Random, parameters: list[Parameter], voluntary: bool) -> tuple[RampRule, ...]:
    actions: tuple[RampAction, ...] = ("SPLIT", "CONTINUE") if voluntary else ("SPLIT", "CONTINUE", "EXIT_ALL",
                                                                               "RELEASE")
    conditions = _Conditions(rng, RAMP_NAMES, _scoped(parameters, "ramp"))
    rules = [RampRule(f"a{index}", rng.choice(actions), conditions.condition(1)) for index in range(rng.randint(0, 3))]
    if any(item.name == "art_share" for item in parameters):
        rules.insert(0, RampRule("art", "SPLIT", symbol("exits") > symbol("art_share") * symbol("batch")))
    return (*rules, RampRule("otherwise", rng.choice(actions)))


def usage(policy: Policy) -> Counter[str]:
    """How often each variable, operator, action and pool order occurs in `policy`."""
    rules: list[LaunchRule | RampRule] = [*policy.launch, *policy.ramp]
    found: Counter[str] = Counter([policy.order, *(rule.action for rule in rules)])
    conditions = [*(rule.when for rule in rules), policy.consult, policy.join]
    for node in (node for condition in conditions for node in sympy.preorder_traversal(condition)):
        found.update(_operators(node))
        if isinstance(node, sympy.Symbol):
            found[node.name] += 1
    return found


_OPERATORS: dict[Any, str] = {sympy.And: "and", sympy.Or: "or", sympy.Not: "not", sympy.Min: "min", sympy.Max: "max",
                              sympy.StrictLessThan: "<", sympy.LessThan: "<=", sympy.StrictGreaterThan: ">",
                              sympy.GreaterThan: ">=", sympy.Equality: "==", sympy.Unequality: "!="}


def _operators(node: sympy.Basic) -> list[str]:
    if isinstance(node, sympy.Add):
        signs = [bool(term.as_coeff_Mul()[0] < 0) for term in node.args]
        return ["-"] * any(signs) + ["+"] * (signs.count(False) > 1)
    if isinstance(node, sympy.Mul | sympy.Pow):
        factors = node.args if isinstance(node, sympy.Mul) else [node.args[0]] * int(node.args[1])
        variable = sum(any(is_variable(item.name) for item in factor.free_symbols) for factor in factors)
        plain_minus = node.args[0] == -1 and len(node.args) == 2
        return [] if plain_minus else ["*"] + ["product of two variables"] * (variable > 1)
    return [_OPERATORS[type(node)]] if type(node) in _OPERATORS else []
