"""The predicate grammar as columns to test: trend(f), step(f, c), f acting differently where g <= c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xplain.generalise.controls import SHARE, controls, orthonormal, scores
from xplain.generalise.table import Drawn
from xplain.generalise.test import Null, Shuffles
from xplain.regions.table import Floats, Mask

Kind = Literal["trend", "step", "interaction"]
MOST_CUTS = {"step": 19, "interaction": 5}
FINE = 39  # cuts among which the place of an interaction is refined once it is known to be one
SIDE, LEAST_SIDE = 0.15, 4  # a cut leaves at least this share, and number, of instances on each side


@dataclass(frozen=True)
class Hypothesis:
    """`other` is g of an interaction."""

    kind: Kind
    feature: str
    other: str = ""


class Bench:
    """Instances with a response, ready for tests of hypotheses over `names`. Held fixed: those of `kept` (what was
    selected as mattering) that the hypothesis is not about; for an interaction all features."""

    def __init__(self, drawn: Drawn, names: tuple[str, ...], shuffles: Shuffles, most: int = 0,
                 kept: tuple[str, ...] = ()) -> None:
        self.drawn, self.names, self.kept, self._shuffles, self._most = drawn, names, kept, shuffles, most
        self.response = scores(drawn.response)
        self._all: Null | None = None

    def __len__(self) -> int:
        return len(self.drawn)

    def keeping(self, kept: tuple[str, ...], most: int | None = None) -> Bench:
        """The same instances with these features held fixed, and so many permutations."""
        return Bench(self.drawn, self.names, self._shuffles, self._most if most is None else most, kept)

    def column(self, name: str) -> Floats:
        """A feature as it is."""
        return np.asarray(self.drawn.columns([name])[:, 0])

    def others(self, name: str, beside: tuple[str, ...] = ()) -> Floats:
        """Orthonormal columns of what is held fixed for one feature, and of `beside` (whether the feature is defined
        is held fixed too)."""
        rest = [other for other in dict.fromkeys((*self.kept, *beside)) if other != name]
        column = self.column(name)
        missing = ~np.isfinite(column)
        values = self.drawn.columns(rest)
        if missing.any():
            values = np.column_stack([values, missing.astype(np.float64)])
        return controls(values, np.column_stack([self.response, scores(column)]))

    def everything(self) -> Floats:
        """Orthonormal columns of all features; no products: those are what interactions are made of."""
        rest = [name for name in self.names if name not in self.kept]
        span = controls(self.drawn.columns(self.kept), self.response, products=False)
        room = max(0, len(self) // SHARE - span.shape[1])
        linear = np.column_stack([np.zeros((len(self), 0)), *(scores(self.column(name)) for name in rest)])
        if linear.shape[1] > room:  # too few instances for all: those that move most with the response
            related = np.abs(linear.T @ self.response)
            linear = linear[:, np.sort(np.argsort(-related, kind="stable")[:room])]
        return orthonormal(np.column_stack([span, linear]))

    def null(self, name: str, beside: tuple[str, ...] = ()) -> Null:
        """What trend and step of a feature are tested against."""
        return Null(self.response, self.others(name, beside), self._shuffles, self._most)

    def null_of_all(self) -> Null:
        """What features not yet selected are tested against, all alike."""
        span = controls(self.drawn.columns(self.kept), self.response)
        return Null(self.response, span, self._shuffles, self._most)

    def null_of_interactions(self, beside: Floats | None = None) -> Null:
        """What interactions are tested against; `beside`: more columns to hold fixed."""
        if beside is not None:
            span = orthonormal(np.column_stack([self.everything(), beside]))
            return Null(self.response, span, self._shuffles, self._most)
        if self._all is None:  # all pairs share it
            self._all = Null(self.response, self.everything(), self._shuffles, self._most)
        return self._all

    def cuts(self, hypothesis: Hypothesis, most: int | None = None) -> Floats:
        """Where the hypothesis may cut (of f for a step, of g for an interaction); empty for a trend."""
        if hypothesis.kind == "trend":
            return np.zeros(0)
        name = hypothesis.feature if hypothesis.kind == "step" else hypothesis.other
        return cuts(self.column(name), most or MOST_CUTS[hypothesis.kind])

    def columns(self, hypothesis: Hypothesis, at: Floats) -> Floats:
        """[instance, cut]; a trend has one column."""
        own = self.column(hypothesis.feature)
        if hypothesis.kind == "trend":
            return scores(own)[:, None]
        if hypothesis.kind == "step":
            return (own[:, None] > at[None, :]).astype(np.float64)
        other = self.column(hypothesis.other)
        return np.column_stack([np.zeros((len(own), 0)), *(interaction_column(own, other, cut) for cut in at)])


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


def interaction_column(feature: Floats, other: Floats, cut: float) -> Floats:
    """What f does where g <= cut and not elsewhere."""
    return _within(scores(feature), other <= cut)


def around(feature: Floats, other: Floats, cut: float) -> Floats:
    """The same with the step of g at the cut beside it: for finding the place, where the step tells too."""
    return np.column_stack([interaction_column(feature, other, cut), (other > cut).astype(np.float64)])


def _within(column: Floats, inside: Mask) -> Floats:
    """The column on one side, around its mean there: a step between the sides is no part of it."""
    return np.where(inside, column - column[inside].mean(), 0.0) if inside.any() else np.zeros(len(column))
