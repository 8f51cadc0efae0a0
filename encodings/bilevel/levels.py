"""Leader inputs restricted to a finite set of levels, one binary each (one-hot).

A choice may fix several inputs together (a demand and its pinned part): they share binaries instead of being tied by
big-M rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from numpy.typing import ArrayLike

from drex_runtime.errors import InputError
from xplain.encodings.bilevel.follower import Array

EXACT = 1e-9  # a level may lie this far (relatively) outside its variable's bounds: rounding


@dataclass(frozen=True, eq=False)
class Choice:
    """One of the rows of `table` (levels, inputs) gives the values of the inputs at positions `leaders`."""

    leaders: tuple[int, ...]
    table: Array


def choice(leaders: int | Sequence[int], table: ArrayLike) -> Choice:
    """A choice for one input (a list of levels) or several (a row of values per level). InputError if shapes differ."""
    positions = (leaders,) if isinstance(leaders, int) else tuple(leaders)
    made = np.array(table, dtype=np.float64)
    made = made[:, None] if made.ndim == 1 else made
    if made.ndim != 2 or not len(made) or made.shape[1] != len(positions) or not np.isfinite(made).all():
        raise InputError("levels", "table", table, f"at least one row of {len(positions)} finite values")
    return Choice(positions, made)


class Levels:
    """The one-hot binaries of all choices on a block of the model, and the values they stand for."""

    def __init__(self, block: Any, choices: tuple[Choice, ...], num_leaders: int) -> None:
        self.block, self.choices = block, choices
        self._of = {leader: (at, column) for at, each in enumerate(choices)
                    for column, leader in enumerate(each.leaders)}
        self.num_leaders = num_leaders

    def terms(self, leader: int) -> list[tuple[float, Any]] | None:
        """(value, binary) for every level of an input, or None if it is not quantised."""
        if leader not in self._of:
            return None
        at, column = self._of[leader]
        return [(float(value), self.block.on[at, level])
                for level, value in enumerate(self.choices[at].table[:, column])]

    def chosen(self) -> Array:
        """The inputs of the loaded solution: exact level values; NaN where an input is not quantised."""
        x = np.full(self.num_leaders, np.nan)
        for at, each in enumerate(self.choices):
            on = [pyo.value(self.block.on[at, level]) for level in range(len(each.table))]
            x[list(each.leaders)] = each.table[int(np.argmax(on))]
        return x


def quantise(model: Any, leaders: Sequence[Any], choices: Iterable[Choice], *, name: str = "levels") -> Levels:
    """Add block `name` to `model`: exactly one level per choice, and each input equal to its level's value.

    InputError for an input chosen twice, one that does not exist, or a level outside its variable's bounds.
    """
    given, seen = tuple(choices), set[int]()
    for each in given:
        for column, leader in enumerate(each.leaders):
            if leader in seen or not 0 <= leader < len(leaders):
                raise InputError("levels", "leaders", leader, f"every input 0..{len(leaders) - 1} at most once")
            seen.add(leader)
            low, high = leaders[leader].bounds
            for value in each.table[:, column]:
                slack = EXACT * max(1.0, abs(value))
                if (low is not None and value < low - slack) or (high is not None and value > high + slack):
                    raise InputError("levels", leaders[leader].name, float(value), f"a level within {low}..{high}")
    block = pyo.Block()
    model.add_component(name, block)
    block.on = pyo.Var([(at, level) for at, each in enumerate(given) for level in range(len(each.table))],
                       domain=pyo.Binary)
    block.rows = pyo.ConstraintList()
    for at, each in enumerate(given):
        on = [block.on[at, level] for level in range(len(each.table))]
        block.rows.add(sum(on) == 1)
        for column, leader in enumerate(each.leaders):
            values = zip(each.table[:, column], on, strict=True)
            block.rows.add(leaders[leader] == sum(float(value) * one for value, one in values))
    return Levels(block, given, len(leaders))
