"""How much, with what interval: regression of the response with other features held fixed.

Sources: MacKinnon and White (1985), HC3 errors, which do not assume that the response scatters equally everywhere;
Fisher (1921) interval of a correlation; Hansen (2000) interval of a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

from xplain.generalise.controls import TINY, without
from xplain.generalise.record import Estimate
from xplain.regions.table import Floats

CONFIDENCE = 0.95
FEWEST_BESIDE = 4  # instances on either side of a cut
HANSEN = 7.35  # 95 % quantile of the likelihood ratio of a threshold's place


@dataclass(frozen=True)
class Slopes:
    """Coefficients of some columns and their covariance, both in units of `scale` (huge responses overflow when
    squared); degrees of freedom."""

    values: Floats
    covariance: Floats
    free: int
    scale: float

    def of(self, weights: tuple[float, ...]) -> Estimate:
        """A weighted sum of coefficients with its interval."""
        by = np.array(weights)
        value = float(by @ self.values)
        half = float(student.ppf((1 + CONFIDENCE) / 2, self.free)) * math.sqrt(max(0.0, by @ self.covariance @ by))
        return Estimate(value * self.scale, (value - half) * self.scale, (value + half) * self.scale)


def slopes(response: Floats, columns: Floats, span: Floats) -> Slopes:
    """Least squares of the response on columns [instance, k], with an orthonormal span held fixed."""
    tall, wide = (float(np.abs(each).max()) or 1.0 for each in (response, columns))
    left, aim = without(span, columns / wide), without(span, response / tall)
    inverse = np.linalg.pinv(left.T @ left)
    values = inverse @ (left.T @ aim)
    leverage = (span**2).sum(axis=1) + np.einsum("ij,jk,ik->i", left, inverse, left)
    weighted = left * ((aim - left @ values) / np.maximum(1 - leverage, TINY))[:, None]
    free = max(1, len(response) - span.shape[1] - columns.shape[1])
    return Slopes(np.asarray(values), np.asarray(inverse @ (weighted.T @ weighted) @ inverse), free, tall / wide)


def partial_correlation(response: Floats, column: Floats, span: Floats) -> Estimate:
    """Correlation of what the span leaves of both."""
    one, other = without(span, response), without(span, column)
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    value = float(one @ other) / size if size > TINY else 0.0
    free = len(response) - span.shape[1] - 2
    if size <= TINY or free < 1:
        return Estimate(value, -1.0, 1.0)
    middle = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, value)))
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) / math.sqrt(free)
    return Estimate(value, math.tanh(middle - half), math.tanh(middle + half))


def unexplained(response: Floats, columns: Callable[[float], Floats], cuts: Floats, span: Floats) -> Floats:
    """By cut, the squares that the span and `columns(cut)` [instance, k] together leave of the response."""
    aim = without(span, response)
    found = []
    for cut in cuts.tolist():
        left = without(span, columns(cut))
        found.append(float(((aim - left @ (np.linalg.pinv(left) @ aim))**2).sum()))
    return np.array(found)


def threshold_range(response: Floats, feature: Floats, columns: Callable[[float], Floats], span: Floats
                    ) -> tuple[float, float]:
    """Between which values of the feature a cut lies; every place that leaves some instances on each side is tried."""
    values = np.unique(feature)
    below = np.searchsorted(np.sort(feature), values, side="right")
    allowed = np.flatnonzero((below >= FEWEST_BESIDE) & (len(feature) - below >= FEWEST_BESIDE))
    if not len(allowed):
        return float(values[0]), float(values[-1])
    rest = unexplained(response, columns, values[allowed], span)
    within = allowed[len(response) * (rest - rest.min()) <= HANSEN * rest.min() + TINY]
    return float(values[within[0]]), float(values[within[-1] + 1])
