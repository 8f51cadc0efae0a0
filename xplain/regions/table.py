"""Samples as arrays: what trees, boxes and tests compute on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drex_runtime.errors import InputError
from xplain.records import Sample
from xplain.regions.record import Excluded

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

    def with_rows(self, other: Table) -> Table:
        """The rows of this table and then those of another one over the same features."""
        def both(of: Callable[[Table], NDArray[Any]]) -> NDArray[Any]:
            return np.concatenate([of(self), of(other)])

        return Table(self.names, both(lambda t: t.values), both(lambda t: t.gaps), both(lambda t: t.bad),
                     both(lambda t: t.weights), both(lambda t: t.indices), self.integer & other.integer)


def tabulate(samples: Sequence[Sample], threshold: float, names: tuple[str, ...] | None = None) -> Table:
    """Arrays of `samples`; `names` defaults to the features that can be used (see `usable`).

    Raises InputError without samples, and on a feature that some sample does not have.
    """
    if not samples:
        raise InputError("regions", "samples", 0, "at least one sample")
    wanted = usable(samples)[0] if names is None else names
    values = _values(samples, wanted)
    gaps = np.array([sample.relative_gap for sample in samples])
    drawn = np.array([sample.unbiased for sample in samples])
    sought = int((~drawn).sum())
    each = min(1.0, SOUGHT_SHARE * int(drawn.sum()) / sought) if sought and drawn.any() else 1.0
    indices = np.array([sample.index for sample in samples], dtype=np.int64)
    integer = np.asarray((values == np.round(values)).all(axis=0))
    return Table(wanted, values, gaps, gaps >= threshold, np.where(drawn, 1.0, each), indices, integer)


def usable(samples: Sequence[Sample], fresh: Sequence[Sample] = ()) -> tuple[tuple[str, ...], tuple[Excluded, ...]]:
    """Features that regions can be over, in the order of the first sample, and the others with the reason.

    A feature has to be a finite number in every sample, fresh ones included, and vary among `samples`.
    """
    known = tuple(samples[0].features)
    values, judged = _values(samples, known), _values(fresh, known)
    kept, excluded = list[str](), list[Excluded]()
    for k, name in enumerate(known):
        column = np.concatenate([values[:, k], judged[:, k]])
        unusual = [f"{word} in {int(count)} of {len(column)} samples" for word, count in (
            ("not a number", np.isnan(column).sum()), ("infinite", np.isinf(column).sum())) if count]
        if unusual:
            excluded.append(Excluded(name, " and ".join(unusual)))
        elif (values[:, k] == values[0, k]).all():
            excluded.append(Excluded(name, f"the same in every sample ({values[0, k]:.10g})"))
        else:
            kept.append(name)
    return tuple(kept), tuple(excluded)


def _values(samples: Sequence[Sample], names: Sequence[str]) -> Floats:
    try:
        values = np.array([[sample.features[name] for name in names] for sample in samples], dtype=np.float64)
    except KeyError as error:
        raise InputError("regions", "features", error.args[0], "the same features in every sample") from error
    return values.reshape(len(samples), len(names))
