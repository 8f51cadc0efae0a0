"""A follower: a linear program in y whose right-hand sides and objective are affine in the leader's input x.

    min or max  (c + C x)'y + d + e'x   subject to   A y {<=, =, >=} b + B x,   lower <= y <= upper

Bounds of y are constants: one that depends on x is a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drex_runtime.errors import InputError

Array: TypeAlias = NDArray[np.float64]
Sense = Literal["min", "max"]
Relation = Literal["<=", "=", ">="]


@dataclass(frozen=True, eq=False)
class Follower:
    """n variables, m rows, p inputs of the leader; build it with `follower(...)`, which checks shapes and numbers.

    `objective` (n), `objective_leader` (n, p), `constant` and `constant_leader` (p) are c, C, d and e; `matrix` (m,
    n), `rhs` (m) and `rhs_leader` (m, p) are A, b and B; `relations`: one per row. Infinite `lower` or `upper` (n):
    no bound.
    """

    name: str
    sense: Sense
    objective: Array
    matrix: Array
    relations: tuple[Relation, ...]
    rhs: Array
    lower: Array
    upper: Array
    rhs_leader: Array
    objective_leader: Array
    constant: float
    constant_leader: Array
    row_names: tuple[str, ...]
    variable_names: tuple[str, ...]

    @property
    def num_leaders(self) -> int:
        """How many inputs the leader has."""
        return int(self.rhs_leader.shape[1])

    def value(self, y: Array, x: Array) -> float:
        """The objective at y, in the follower's own sense."""
        return float((self.objective + self.objective_leader @ x) @ y + self.constant + self.constant_leader @ x)


def follower(
    name: str,
    sense: Sense,
    objective: ArrayLike,
    matrix: ArrayLike,
    relations: str | list[Relation] | tuple[Relation, ...],
    rhs: ArrayLike,
    rhs_leader: ArrayLike,
    *,
    lower: ArrayLike = 0.0,
    upper: ArrayLike = np.inf,
    objective_leader: ArrayLike | None = None,
    constant: float = 0.0,
    constant_leader: ArrayLike | None = None,
    row_names: tuple[str, ...] | None = None,
    variable_names: tuple[str, ...] | None = None,
) -> Follower:
    """A checked follower. One relation for all rows, or one each; one bound for all variables, or one each.

    InputError for a shape that does not fit, a number that is not finite (bounds may be infinite), crossed bounds, an
    unknown sense or relation.
    """
    source = f"follower {name}"
    if sense not in get_args(Sense):
        raise InputError(source, "sense", sense, "'min' or 'max'")
    c = _array(source, "objective", objective, None)
    n = c.shape[0]
    b = _array(source, "rhs", rhs, None)
    m = b.shape[0]
    p = _array(source, "rhs_leader", rhs_leader, None, dimensions=2).shape[1]
    each = (relations,) * m if isinstance(relations, str) else tuple(relations)
    for index, relation in enumerate(each):
        if relation not in get_args(Relation):
            raise InputError(source, f"relations[{index}]", relation, "'<=', '=' or '>='")
    if len(each) != m:
        raise InputError(source, "relations", len(each), f"one per row ({m})")
    low, high = (_array(source, field, [given] * n if isinstance(given, int | float) else given, (n,), finite=False)
                 for field, given in (("lower", lower), ("upper", upper)))
    for index in np.flatnonzero(~((low <= high) & (low < np.inf) & (high > -np.inf))).tolist():
        raise InputError(source, f"bounds[{index}]", (float(low[index]), float(high[index])), "lower <= upper")
    return Follower(
        name, sense, c, _array(source, "matrix", matrix, (m, n)), each, b, low, high,
        _array(source, "rhs_leader", rhs_leader, (m, p)),
        _array(source, "objective_leader", np.zeros((n, p)) if objective_leader is None else objective_leader, (n, p)),
        float(_array(source, "constant", [constant], (1,))[0]),
        _array(source, "constant_leader", np.zeros(p) if constant_leader is None else constant_leader, (p,)),
        _names(source, "row_names", row_names, "row", m), _names(source, "variable_names", variable_names, "y", n),
    )


def _array(source: str, field: str, given: ArrayLike, shape: tuple[int, ...] | None, *, dimensions: int = 1,
           finite: bool = True) -> Array:
    """Numbers of a given shape, or (None) of any with so many dimensions."""
    try:
        made = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:  # text, ragged rows
        raise InputError(source, field, given, "numbers in a rectangle") from error
    if made.size == 0 and shape is not None and 0 in shape:
        made = made.reshape(shape)
    if shape is None and made.ndim != dimensions:
        raise InputError(source, field, made.shape, f"{dimensions} dimension(s)")
    if shape is not None and made.shape != shape:
        raise InputError(source, field, made.shape, f"shape {shape}")
    if np.isnan(made).any() or (finite and not np.isfinite(made).all()):
        raise InputError(source, field, made[~np.isfinite(made)][0], "finite numbers" if finite else "numbers")
    made.setflags(write=False)
    return made


def _names(source: str, field: str, given: tuple[str, ...] | None, stem: str, count: int) -> tuple[str, ...]:
    names = tuple(f"{stem}{index}" for index in range(count)) if given is None else given
    if len(names) != count or len(set(names)) != count:
        raise InputError(source, field, names, f"{count} different names")
    return names
