"""The predicate grammar as columns to test: trend(f), step(f, c), f acting differently where g <= c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xplain.generalise.controls import controls, scores
from xplain.generalise.table import Drawn
from xplain.generalise.test import Null
from xplain.regions.table import Floats

Kind = Literal["trend", "step", "interaction"]
MOST_CUTS = {"step": 19, "interaction": 5}
SIDE, LEAST_SIDE = 0.15, 4  # a cut leaves at least this share, and number, of instances on each side


@dataclass(frozen=True)
class Hypothesis:
    """`other` is g of an interaction."""

    kind: Kind
    feature: str
    other: str = ""


class Bench:
    """Instances with a response, ready for tests of every hypothesis over `names`. Controls are those of the kind:
    for trend and step all other features, for an interaction all features (both included)."""

    def __init__(self, drawn: Drawn, names: tuple[str, ...], seed: tuple[int, ...], most: int) -> None:
        self.drawn, self.names, self._seed, self._most = drawn, names, seed, most
        self.response = scores(drawn.response)
        self._all: Null | None = None

    def __len__(self) -> int:
        return len(self.drawn)

    def with_permutations(self, most: int) -> Bench:
        """The same, with this many permutations at most."""
        return Bench(self.drawn, self.names, self._seed, most)

    def column(self, name: str) -> Floats:
        """A feature as it is."""
        return np.asarray(self.drawn.columns([name])[:, 0])

    def others(self, name: str) -> Floats:
        """Orthonormal columns of everything but one feature (whether that is defined is held fixed)."""
        rest = [other for other in self.names if other != name]
        column = self.column(name)
        missing = ~np.isfinite(column)
        values = self.drawn.columns(rest)
        if missing.any():
            values = np.column_stack([values, missing.astype(np.float64)])
        return controls(values, np.column_stack([self.response, scores(column)]))

    def everything(self) -> Floats:
        """Orthonormal columns of all features, without products: those are what interactions are made of."""
        return controls(self.drawn.columns(self.names), self.response, products=False)

    def null(self, hypothesis: Hypothesis, beside: Floats | None = None) -> Null:
        """What columns of the hypothesis are tested against; `beside`: more columns to hold fixed."""
        if hypothesis.kind != "interaction":
            span = self.others(hypothesis.feature)
            return Null(self.response, span, (*self._seed, self.names.index(hypothesis.feature)), self._most)
        seed = (*self._seed, len(self.names))
        if beside is not None:
            span = np.linalg.qr(np.column_stack([self.everything(), beside]))[0]
            return Null(self.response, np.asarray(span), seed, self._most)
        if self._all is None:  # hundreds of pairs share it
            self._all = Null(self.response, self.everything(), seed, self._most)
        return self._all

    def cuts(self, hypothesis: Hypothesis) -> Floats:
        """Where the hypothesis may cut (of f for a step, of g for an interaction); empty for a trend."""
        if hypothesis.kind == "trend":
            return np.zeros(0)
        name = hypothesis.feature if hypothesis.kind == "step" else hypothesis.other
        return cuts(self.column(name), MOST_CUTS[hypothesis.kind])

    def columns(self, hypothesis: Hypothesis, at: Floats) -> Floats:
        """[instance, cut]; a trend has one column."""
        own = self.column(hypothesis.feature)
        if hypothesis.kind == "trend":
            return scores(own)[:, None]
        if hypothesis.kind == "step":
            return (own[:, None] > at[None, :]).astype(np.float64)
        return np.column_stack([np.zeros((len(own), 0)), *(
            _within(scores(own), self.column(hypothesis.other) <= cut) for cut in at)])


def cuts(values: Floats, most: int) -> Floats:
    """Bounds between neighbouring values, at most `most`, evenly over the instances."""
    finite = np.sort(values[np.isfinite(values)])
    least = max(LEAST_SIDE, int(np.ceil(SIDE * len(finite))))
    distinct = np.unique(finite)
    below = np.searchsorted(finite, distinct[:-1], side="right")  # instances at most that value
    allowed = np.flatnonzero((below >= least) & (len(finite) - below >= least))
    if len(allowed) > most:
        wanted = np.linspace(below[allowed[0]], below[allowed[-1]], most)
        allowed = np.unique(allowed[[int(np.abs(below[allowed] - each).argmin()) for each in wanted]])
    if (distinct == np.round(distinct)).all():
        return np.asarray(distinct[allowed])
    return np.asarray((distinct[allowed] + distinct[allowed + 1]) / 2)


def _within(column: Floats, side: Floats) -> Floats:
    """The column on one side, around its mean there: a step between the sides is no part of it."""
    inside = np.asarray(side, dtype=np.bool_)
    return np.where(inside, column - column[inside].mean(), 0.0) if inside.any() else np.zeros(len(column))
