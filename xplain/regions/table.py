"""Samples as arrays: what trees, boxes and tests compute on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import InputError
from xplain.records import Sample

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

SOUGHT_SHARE = 0.1


@dataclass(frozen=True)
class Table:
    """`values` (samples, features), `gaps` relative, `bad` = gap >= threshold, all in the order of `samples`.

    `weights`: 1 for samples of the declared distribution; the others come from a search that seeks large gaps, so
    all of them together weigh a tenth of those: enough to point at a rare region, too little to inflate a common one.
    `integer` per feature: whether it only takes whole values.
    """

    names: tuple[str, ...]
    values: Floats
    gaps: Floats
    bad: Mask
    weights: Floats
    indices: NDArray[np.int64]
    integer: Mask

    def __len__(self) -> int:
        return len(self.gaps)

    @property
    def bad_share(self) -> float:
        """Weighted share of bad samples."""
        total = float(self.weights.sum())
        return float(self.weights[self.bad].sum()) / total if total else 0.0

    def where(self, kept: Mask) -> Table:
        """The rows of `kept`."""
        return Table(self.names, self.values[kept], self.gaps[kept], self.bad[kept], self.weights[kept],
                     self.indices[kept], self.integer)


def tabulate(samples: Sequence[Sample], threshold: float, names: tuple[str, ...] | None = None) -> Table:
    """Arrays of `samples`; `names` defaults to the features that vary, in the order of the first sample.

    Raises InputError on a missing or non-finite feature.
    """
    if not samples:
        raise InputError("regions", "samples", 0, "at least one sample")
    known = tuple(samples[0].features)
    wanted = known if names is None else names
    try:
        values = np.array([[sample.features[name] for name in wanted] for sample in samples], dtype=np.float64)
    except KeyError as error:
        raise InputError("regions", "features", error.args[0], "the same features in every sample") from error
    values = values.reshape(len(samples), len(wanted))
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        raise InputError("regions", wanted[int(np.argmin(finite))], "not a number or infinite", "finite features")
    if names is None:
        varies = (values != values[0]).any(axis=0)
        wanted, values = tuple(np.array(wanted, dtype=object)[varies]), values[:, varies]
    gaps = np.array([sample.relative_gap for sample in samples])
    drawn = np.array([sample.unbiased for sample in samples])
    sought = int((~drawn).sum())
    each = min(1.0, SOUGHT_SHARE * int(drawn.sum()) / sought) if sought and drawn.any() else 1.0
    indices = np.array([sample.index for sample in samples], dtype=np.int64)
    integer = np.asarray((values == np.round(values)).all(axis=0))
    return Table(wanted, values, gaps, gaps >= threshold, np.where(drawn, 1.0, each), indices, integer)
