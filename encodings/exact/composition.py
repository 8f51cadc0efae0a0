"""Bound of all launches of one composition (K = 1, makespan): same time, same packing problem left behind.

A launch takes i shallow and j deep rows of pool 1 and k rows of pool 2. What it costs and what it leaves to the packing
table depends on (i, j, k) only, but for contexts, so that most row sets are dropped by one look at the table.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from xplain.encodings.exact.bounds import Codes
from xplain.encodings.exact.instance import Instance
from xplain.encodings.exact.kernel import Scalar, bits, inner


class Composition(NamedTuple):
    """Rows of a state by kind (sets: shallow and deep of pool 1, all of pool 2) and what is left (as in `packing`).

    `added`: cost of all contexts and prompts to come, which the table leaves out. `known`: bounds can be had.
    """

    known: Scalar
    shallow: Scalar
    deep: Scalar
    parked: Scalar
    num_shallow: Scalar
    num_deep: Scalar
    added: Scalar


@inner
def compose(instance: Instance, codes: Codes, at_rest: Scalar) -> Composition:
    """Sort the rows of a state at rest."""
    shallow = deep = parked = a = d = added = np.int64(0)
    known = at_rest and instance.stages == 2 and not instance.total and instance.packing.shape[0] > 1
    if known:
        for row in range(instance.n):
            code = codes[row]
            if code == instance.done[row]:
                continue
            added += instance.context_work[row, code]
            a += instance.shallow[row, code]
            d += instance.visits[row, code, 2]
            bit = np.int64(1) << row
            if instance.pool[row, code] == 2:
                parked |= bit
                d -= 1
            elif instance.pool[row, code] == 1:
                if instance.depth[row, code] == 1:
                    shallow |= bit
                else:
                    deep |= bit
    return Composition(known, shallow, deep, parked, a, d, added)


@inner
def _paid(instance: Instance, codes: Codes, rows: Scalar) -> Scalar:
    """Contexts of segment 1 that a pass with these rows has paid."""
    paid = np.int64(0)
    if instance.costs.context[1]:
        for row in range(instance.n):
            if (rows >> row) & 1 and instance.pool[row, codes[row]] == 1:
                paid += instance.costs.context[1] * instance.ctx[row, codes[row]]
    return paid


@inner
def bound_of_full(instance: Instance, codes: Codes, kinds: Composition, rows: Scalar, ticks: Scalar) -> Scalar:
    """Least cost from a state whose launch goes deep with these rows; `ticks` so far, contexts of segment 2 not in."""
    i, j, k = bits(rows & kinds.shallow), bits(rows & kinds.deep), bits(rows & kinds.parked)
    rest = instance.packing[kinds.num_shallow - i, kinds.num_deep - j, bits(kinds.parked) - k]
    return ticks - _paid(instance, codes, rows) + kinds.added + rest


@inner
def bound_of_split(instance: Instance, codes: Codes, kinds: Composition, rows: Scalar, ticks: Scalar) -> Scalar:
    """The same of a launch that ends at the ramp; `ticks` include the ramp."""
    costs = instance.costs
    i, j = bits(rows & kinds.shallow), bits(rows & kinds.deep)
    rest = instance.packing[kinds.num_shallow - i, kinds.num_deep - j, bits(kinds.parked) + j]
    ticks += costs.fill[i] + (costs.rebatch if j else 0)
    return ticks - _paid(instance, codes, rows) + kinds.added + rest
