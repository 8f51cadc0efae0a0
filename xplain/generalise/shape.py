"""Which sentence fits a feature that matters: does the response rise steadily, jump at a place, or turn back?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.polynomial.legendre import legvander
from scipy.stats import t as student

from xplain.generalise.controls import scores, without
from xplain.generalise.effects import slopes
from xplain.generalise.hypotheses import Bench, Hypothesis, cuts
from xplain.regions.table import Floats

Shape = Literal["trend", "step", "turns"]
FOLDS, REPEATS = 5, 4
TURNS = 3  # places at which a turn is looked for


@dataclass(frozen=True)
class Judged:
    """`cut` of a step."""

    shape: Shape
    cut: float | None = None


def shape_of(bench: Bench, name: str, seed: int, level: float) -> Judged:
    """By cross-validation a step must beat a line and a cubic by more than its standard error; a turn is two opposite
    slopes, the smaller one significant as well."""
    column, span = bench.column(name), bench.others(name)
    at = bench.cuts(Hypothesis("step", name))
    if len(at) and len(np.unique(column[np.isfinite(column)])) == 2:
        return Judged("step", float(at[0]))
    own = scores(column)
    if turns(bench.response, own, span, level):
        return Judged("turns")
    if not len(at):
        return Judged("trend")
    line, cubic = own[:, None], np.asarray(legvander(own, 3)[:, 1:], np.float64)
    steps = (column[:, None] > at[None, :]).astype(np.float64)
    aim = without(span, bench.response)
    errors = _errors(aim, [without(span, each) for each in (line, cubic)], without(span, steps), seed)
    smooth = errors[:2][int(errors[:2].mean(axis=1).argmin())]
    better = smooth - errors[2]
    if better.mean() > better.std(ddof=1) / np.sqrt(len(better)):
        found = _best(without(span, steps), aim)
        return Judged("step", float(at[found]))
    return Judged("trend")


def turns(response: Floats, column: Floats, span: Floats, level: float) -> bool:
    """Whether slopes below and above some place have opposite signs, both significantly (corrected for the places)."""
    for place in cuts(column, TURNS):
        pieces = np.column_stack([np.minimum(column - place, 0), np.maximum(column - place, 0)])
        found = slopes(response, pieces, span)
        errors = np.sqrt(np.maximum(np.diag(found.covariance), 1e-18))
        limit = float(student.isf(level / (2 * TURNS), found.free))
        below, above = found.values / errors
        if below * above < 0 and min(abs(below), abs(above)) > limit:
            return True
    return False


def _errors(aim: Floats, smooth: list[Floats], steps: Floats, seed: int) -> Floats:
    """[model, instance] squared errors on left-out instances, over repeats."""
    rng, count = np.random.default_rng([seed, 86_028_121]), len(aim)
    errors = np.zeros((len(smooth) + 1, count))
    for _ in range(REPEATS):
        fold = rng.permutation(np.arange(count) % FOLDS)
        for number in range(FOLDS):
            train, test = fold != number, fold == number
            best = steps[:, [_best(steps[train], aim[train])]]
            for row, columns in enumerate((*smooth, best)):
                fitted = np.linalg.lstsq(columns[train], aim[train], rcond=None)[0]
                errors[row, test] += (aim[test] - columns[test] @ fitted)**2 / REPEATS
    return errors


def _best(steps: Floats, aim: Floats) -> int:
    sizes = (steps**2).sum(axis=0)
    return int(np.where(sizes > 1e-9, (steps.T @ aim)**2 / np.maximum(sizes, 1e-9), -1.0).argmax())
