"""How much, with what interval: regression of the response with other features held fixed.

Sources: MacKinnon and White (1985), HC3 errors, which do not assume that the response scatters equally everywhere;
Fisher (1921) interval of a correlation; Hansen (2000) interval of a threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t as student

from xplain.generalise.controls import TINY, without
from xplain.generalise.record import Estimate
from xplain.regions.table import Floats

CONFIDENCE = 0.95
HANSEN = 7.35  # 95 % quantile of the likelihood ratio of a threshold's place


@dataclass(frozen=True)
class Slopes:
    """Coefficients of some columns, their covariance, degrees of freedom."""

    values: Floats
    covariance: Floats
    free: int

    def of(self, weights: tuple[float, ...]) -> Estimate:
        """A weighted sum of coefficients with its interval."""
        by = np.array(weights)
        value = float(by @ self.values)
        half = float(student.ppf((1 + CONFIDENCE) / 2, self.free)) * math.sqrt(max(0.0, by @ self.covariance @ by))
        return Estimate(value, value - half, value + half)


def slopes(response: Floats, columns: Floats, span: Floats) -> Slopes:
    """Least squares of the response on columns [instance, k], with an orthonormal span held fixed."""
    left, aim = without(span, columns), without(span, response)
    inverse = np.linalg.pinv(left.T @ left)
    values = inverse @ (left.T @ aim)
    leverage = (span**2).sum(axis=1) + np.einsum("ij,jk,ik->i", left, inverse, left)
    weighted = left * ((aim - left @ values) / np.maximum(1 - leverage, TINY))[:, None]
    free = max(1, len(response) - span.shape[1] - columns.shape[1])
    return Slopes(np.asarray(values), np.asarray(inverse @ (weighted.T @ weighted) @ inverse), free)


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


def threshold_range(response: Floats, column: Floats, span: Floats) -> tuple[float, float]:
    """Between which values of the column a step of the response lies; every place that leaves two instances on each
    side is tried."""
    values = np.unique(column[np.isfinite(column)])
    steps = (column[:, None] > values[None, :-1]).astype(np.float64)
    upper = steps.sum(axis=0)
    allowed = (upper >= 2) & (len(column) - upper >= 2)
    left, aim = without(span, steps), without(span, response)
    sizes = (left**2).sum(axis=0)
    explained = np.where(allowed & (sizes > TINY), (left.T @ aim)**2 / np.maximum(sizes, TINY), 0.0)
    rest = float(aim @ aim) - explained
    least = float(rest.min())
    within = np.flatnonzero(allowed & (len(response) * (rest - least) <= HANSEN * least + TINY))
    if not len(within):
        return float(values[0]), float(values[-1])
    return float(values[within[0]]), float(values[within[-1] + 1])
