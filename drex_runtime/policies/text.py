"""Conditions as the text a person would write, and as a sentence why one is false.

sympy keeps sums and products in an order of its own (`1 + alpha*age` may come back as `age*alpha + 1`). The
printers here use a fixed reading order instead: numbers and parameters before observation variables before
brackets in a product, variables before parameters before numbers in a sum. The text lies in the grammar:
`parse_condition(condition_text(c), ...) == c`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.expressions import Condition, Scalar, rational, symbol
from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES
from drex_runtime.policies.table import DEEP_TIME, pool_of_name
from drex_runtime.records.numbers import number_text

_SIGNS = {sympy.StrictLessThan: "<", sympy.LessThan: "<=", sympy.StrictGreaterThan: ">", sympy.GreaterThan: ">=",
          sympy.Equality: "==", sympy.Unequality: "!="}
READABLE = 9  # characters
_OPPOSITES = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
_VARIABLES = {*GLOBAL_NAMES, *POOL_NAMES, *RAMP_NAMES, DEEP_TIME}


def readable_number(value: Fraction | int) -> str:
    """As `number_text`, but a number too long to read is rounded and marked: `~0.453`."""
    text = number_text(value)
    return text if len(text) <= READABLE else f"~{float(value):.3g}"


def is_variable(name: str) -> bool:
    """Whether a name is an observation variable (or `deep_time`), not a parameter."""
    return name in _VARIABLES or pool_of_name(name) is not None


def condition_text(condition: Condition) -> str:
    """`condition` as text of the grammar; `always` and `never` for the constants."""
    if condition == sympy.true or condition == sympy.false:
        return "always" if condition == sympy.true else "never"
    if isinstance(condition, sympy.Not):
        return f"not ({condition_text(condition.args[0])})"
    if isinstance(condition, sympy.And | sympy.Or):
        word = " and " if isinstance(condition, sympy.And) else " or "
        parts = sorted(condition.args, key=_condition_rank)
        return word.join(f"({condition_text(part)})" if isinstance(part, sympy.And | sympy.Or) else
                         condition_text(part) for part in parts)
    left, right = condition.args
    return f"{scalar_text(left)} {_sign(condition)} {scalar_text(right)}"


def scalar_text(value: Scalar) -> str:
    """A number-valued expression as text of the grammar."""
    return _sum(value, inner=False) if isinstance(value, sympy.Add) else _term(value)


def atom_text(atom: Condition, values: Mapping[str, Fraction | int]) -> str:
    """Why a false comparison is false: `buffered = 3 < flush_size = 8` for `buffered >= flush_size`.

    `values` holds every name of the atom; PolicyError names one that is missing. Long numbers are rounded
    and marked: `exits = 3 <= art_factor*batch = ~3.62 (...)`.
    """
    missing = sorted(item.name for item in atom.free_symbols if item.name not in values)
    if missing:
        raise PolicyError(f"{condition_text(atom)}: no value for {missing[0]!r}")
    if not atom.free_symbols:
        return condition_text(atom)
    if type(atom) not in _SIGNS:
        return f"{condition_text(atom)} does not hold ({_given(atom, values)})"
    left, right = (_valued(side, values) for side in atom.args)
    compound = [item for side in atom.args if not isinstance(side, sympy.Symbol) for item in side.free_symbols]
    details = _given(sympy.Tuple(*compound), values) if compound else ""
    text = f"{left} {_OPPOSITES[_sign(atom)]} {right}"
    return f"{text} ({details})" if details else text


def _given(node: sympy.Basic, values: Mapping[str, Fraction | int]) -> str:
    names = sorted((item.name for item in node.free_symbols), key=lambda name: (not is_variable(name), name))
    return ", ".join(f"{name} = {readable_number(values[name])}" for name in names)


def _valued(side: Scalar, values: Mapping[str, Fraction | int]) -> str:
    if side.is_Rational:
        return scalar_text(side)
    found = side.subs({symbol(item.name): rational(values[item.name]) for item in side.free_symbols})
    return f"{scalar_text(side)} = {readable_number(Fraction(int(found.p), int(found.q)))}"


def _sign(relation: Condition) -> str:
    return _SIGNS[type(relation)]


def _condition_rank(part: Condition) -> tuple[int, str]:
    compound = isinstance(part, sympy.And | sympy.Or | sympy.Not)
    equality = isinstance(part, sympy.Equality | sympy.Unequality)
    return (2 if compound else 1 if equality else 0, condition_text(part))


def _split(term: Scalar) -> tuple[Fraction, list[Scalar]]:
    """A term as coefficient and factors; powers are written out, the grammar has none."""
    coefficient, rest = term.as_coeff_Mul(rational=True)
    factors = [] if rest == 1 else list(sympy.Mul.make_args(rest))
    flat: list[Scalar] = []
    for factor in factors:
        base, power = factor.args if isinstance(factor, sympy.Pow) else (factor, 1)
        flat += [base] * int(power)
    return Fraction(int(coefficient.p), int(coefficient.q)), flat


def _factor_rank(factor: Scalar) -> tuple[int, str]:
    if isinstance(factor, sympy.Symbol):
        return (1 if is_variable(factor.name) else 0, factor.name)
    return (3 if isinstance(factor, sympy.Add) else 2, _factor(factor))


def _factor(factor: Scalar) -> str:
    if isinstance(factor, sympy.Add):
        return f"({_sum(factor, inner=True)})"
    if isinstance(factor, sympy.Min | sympy.Max):
        name = "min" if isinstance(factor, sympy.Min) else "max"
        return f"{name}({', '.join(sorted((scalar_text(arg) for arg in factor.args), key=_text_rank))})"
    if isinstance(factor, sympy.Symbol):
        return str(factor.name)
    return number_text(Fraction(int(factor.p), int(factor.q)))


def _text_rank(text: str) -> tuple[bool, bool, str]:
    return (text.lstrip("-")[:1].isdigit(), not is_variable(text), text)


def _unsigned(coefficient: Fraction, factors: list[Scalar]) -> str:
    parts = [_factor(factor) for factor in sorted(factors, key=_factor_rank)]
    if abs(coefficient) != 1 or not parts:
        parts.insert(0, number_text(abs(coefficient)))
    return "*".join(parts)


def _term(term: Scalar) -> str:
    coefficient, factors = _split(term)
    text = _unsigned(coefficient, factors)
    if coefficient >= 0:
        return text
    return f"-({text})" if "/" in text and "." not in text.split("/")[0] else f"-{text}"


def _sum(value: Scalar, *, inner: bool) -> str:
    """`inner`: the sum is a factor, where a leading number reads better (`1 + alpha*age`)."""

    def rank(term: tuple[Fraction, list[Scalar]]) -> tuple[bool, int, str]:
        coefficient, factors = term
        names = {item.name for factor in factors for item in factor.free_symbols}
        kind = 2 if any(map(is_variable, names)) else 3 if names else (1 if inner else 4)
        return (coefficient < 0, kind, _unsigned(coefficient, factors))

    terms = sorted(map(_split, value.args), key=rank)
    first = "-" if terms[0][0] < 0 else ""
    head = _unsigned(*terms[0])
    text = f"{first}({head})" if first and "/" in head else f"{first}{head}"
    for coefficient, factors in terms[1:]:
        text += f" {'-' if coefficient < 0 else '+'} {_unsigned(coefficient, factors)}"
    return text
