"""Drawn instances as arrays, and how they are drawn: from seed, split and number alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import SupportsFloat

import numpy as np
from joblib import Parallel, delayed

from drex_runtime.errors import InputError
from xplain.generalise.family import NOT_DEFINED, I, InstanceFamily
from xplain.generalise.record import InstanceResult, Split
from xplain.regions.table import Floats, Mask

SPLITS: tuple[Split, ...] = ("search", "held-out")


@dataclass(frozen=True)
class Drawn:
    """`values` [instance, feature], NaN where not defined; `response` [instance], NaN where it cannot be had."""

    names: tuple[str, ...]
    values: Floats
    response: Floats

    def __len__(self) -> int:
        return len(self.response)

    def where(self, rows: Mask) -> Drawn:
        """Some of the instances."""
        return Drawn(self.names, self.values[rows], self.response[rows])

    @property
    def answered(self) -> Drawn:
        """Those with a response."""
        return self.where(np.isfinite(self.response))

    def columns(self, names: Sequence[str]) -> Floats:
        """[instance, name]."""
        return self.values[:, [self.names.index(name) for name in names]]


def draw(family: InstanceFamily[I], split: Split, count: int, seed: int, jobs: int) -> Drawn:
    """`count` instances with their responses. Threads: evaluations mostly wait for compiled code. Raises InputError for
    features and responses that are no numbers."""
    def one(number: int) -> tuple[dict[str, float], float]:
        key = [seed, 15_485_863 + SPLITS.index(split), number]
        instance = family.draw(np.random.default_rng(key))
        features = {name: _number(value, family.name, name) for name, value in family.features(instance).items()}
        response = family.respond(instance, int(np.random.SeedSequence([*key, 1]).generate_state(1)[0]))
        return features, _number(response, family.name, "response")

    if jobs == 1:
        found = [one(number) for number in range(count)]
    else:
        found = Parallel(n_jobs=jobs, prefer="threads")(delayed(one)(number) for number in range(count))
    names = tuple(dict.fromkeys(name for features, _ in found for name in features))
    values = np.array([[features.get(name, NOT_DEFINED) for name in names] for features, _ in found])
    return Drawn(names, values.reshape(count, len(names)), np.array([response for _, response in found]))


def aligned(one: Drawn, other: Drawn) -> tuple[Drawn, Drawn]:
    """Both with the features of either, in the order of the first."""
    names = tuple(dict.fromkeys((*one.names, *other.names)))

    def widened(drawn: Drawn) -> Drawn:
        values = np.full((len(drawn), len(names)), NOT_DEFINED)
        for column, name in enumerate(drawn.names):
            values[:, names.index(name)] = drawn.values[:, column]
        return Drawn(names, values, drawn.response)

    return widened(one), widened(other)


def results(drawn: Drawn, split: Split) -> Iterator[InstanceResult]:
    """As records."""
    for row, response in zip(drawn.values.tolist(), drawn.response.tolist(), strict=True):
        yield InstanceResult(split, {name: _known(value) for name, value in zip(drawn.names, row, strict=True)},
                             _known(response))


def drawn_of(instances: Sequence[InstanceResult], split: Split) -> Drawn:
    """Records as arrays again. InputError if there are none of the split."""
    found = [each for each in instances if each.split == split]
    if not found:
        raise InputError("generalisation", "instances", 0, f"at least one of {split}")
    names = tuple(found[0].features)
    values = [[NOT_DEFINED if each.features[name] is None else each.features[name] for name in names]
              for each in found]
    responses = [NOT_DEFINED if each.response is None else each.response for each in found]
    return Drawn(names, np.array(values, np.float64).reshape(len(found), len(names)), np.array(responses))


def _number(value: object, family: str, field: str) -> float:
    """Infinite is as little defined as NaN: nothing can be said about "one more" of it. InputError for no number."""
    if not isinstance(value, SupportsFloat):
        raise InputError(family, field, value, "a number")
    number = float(value)
    return number if np.isfinite(number) else NOT_DEFINED


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
