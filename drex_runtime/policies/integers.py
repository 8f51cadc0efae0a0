"""Conditions with their parameters put in and denominators cleared: the same truth, in integer arithmetic.

An engine asks a policy several times per pass of a few milliseconds, and Python's fractions take a microsecond per
operation. What remains fractional (inside min and max) stays exact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import lcm
from typing import Any

import sympy
from sympy.core.relational import Relational

from drex_runtime.policies.expressions import Condition, lambdified, rational, symbol


def integer_function(condition: Condition, names: Sequence[str],
                     values: Mapping[str, Fraction]) -> Callable[..., Any]:
    """`condition` as a function of the view `names`, parameters at `values`."""
    used = {item.name for item in condition.free_symbols}
    given = tuple(sorted((name, value) for name, value in values.items() if name in used and name not in names))
    return _compiled(condition, tuple(names), given)


@lru_cache(maxsize=1024)  # an engine is made anew more often than its policy changes
def _compiled(condition: Condition, names: tuple[str, ...], given: tuple[tuple[str, Fraction], ...]
              ) -> Callable[..., Any]:
    bound = condition.subs({symbol(name): rational(value) for name, value in given})
    return lambdified(bound.replace(lambda node: isinstance(node, Relational), _cleared), names)


def _cleared(relation: Any) -> Condition:
    """a < b as an integer combination < 0."""
    difference = sympy.expand(relation.lhs - relation.rhs)
    shared = lcm(*(int(part.as_coeff_Mul()[0].q) for part in sympy.Add.make_args(difference)))
    return type(relation)(sympy.expand(difference * shared), 0)
