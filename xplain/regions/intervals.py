"""The best interval of every feature at once: the inner loop of refining boxes, compiled.

One pass per feature over its sorted values (Kadane's largest sum of consecutive gains, an interval costing a price for
each finite end). Compiled once per installation.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xplain.regions.table import Floats, Mask

Rows = NDArray[np.int64]


@njit(cache=True, nogil=True)
def best_intervals(order: Rows, values: Floats, gains: Floats, misses: Rows, outside: Mask, prices: Floats,
                   features: Rows, ends: Rows, worth: Floats) -> None:
    """For each of `features` the interval with the largest sum of gains less its price, everything else unchanged.

    `order`, `values` [feature, place]: rows by rising value, and the values; `misses` [row]: how many features keep the
    row out of the box, `outside` [feature, row]: whether this one does. Writes `ends` [feature, 2]: places after which
    the interval begins and ends (-1: no such bound), and `worth` [feature].
    """
    last = order.shape[1] - 1
    for k in features:
        price = prices[k]
        running = 0.0
        least, least_at = 0.0, -1      # smallest sum up to a cut
        most, most_at = 0.0, -1        # largest sum up to a cut
        widest, from_at, to_at = -1e300, -1, -1
        for place in range(last + 1):
            row = order[k, place]
            if misses[row] == outside[k, row]:
                running += gains[row]
            if place < last and values[k, place + 1] > values[k, place]:
                if least_at >= 0 and running - least > widest:
                    widest, from_at, to_at = running - least, least_at, place
                if least_at < 0 or running < least:
                    least, least_at = running, place
                if most_at < 0 or running > most:
                    most, most_at = running, place
        best, low, high = running, -1, -1
        if least_at >= 0 and running - least - price > best:
            best, low, high = running - least - price, least_at, -1
        if most_at >= 0 and most - price > best:
            best, low, high = most - price, -1, most_at
        if to_at >= 0 and widest - 2 * price > best:
            best, low, high = widest - 2 * price, from_at, to_at
        ends[k, 0], ends[k, 1], worth[k] = low, high, best
