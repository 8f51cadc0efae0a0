"""The best single bound on every feature at once: the inner loop of the search by number of predicates, compiled.

One pass per feature over its sorted values. Compiled once per installation.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xplain.regions.table import Floats, Mask

Rows = NDArray[np.int64]


@njit(cache=True, nogil=True)
def best_bounds(order: Rows, values: Floats, gains: Floats, inside: Mask, features: Rows, places: Rows,
                worth: Floats) -> None:
    """For each of `features` the lower and the upper bound that leave the largest sum of gains.

    `order`, `values` [feature, place]: rows by rising value, and the values; `inside` [row]: what every other predicate
    lets in. Writes [feature, side] (side 0: `> bound`, 1: `<= bound`) `places`, after which the bound lies (-1: no
    bound is possible), and `worth`, the sum of gains then.
    """
    last = order.shape[1] - 1
    for k in features:
        total = 0.0
        for row in range(last + 1):
            if inside[row]:
                total += gains[row]
        running = 0.0
        places[k, 0], places[k, 1] = -1, -1
        worth[k, 0], worth[k, 1] = -1e300, -1e300
        for place in range(last):
            row = order[k, place]
            if inside[row]:
                running += gains[row]
            if values[k, place + 1] > values[k, place]:
                if running > worth[k, 1]:
                    worth[k, 1], places[k, 1] = running, place
                if total - running > worth[k, 0]:
                    worth[k, 0], places[k, 0] = total - running, place
