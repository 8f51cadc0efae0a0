"""Samples and regions over the two dimensions that tell most, as a chart and as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from xplain.records import Dimension, Region, Sample
from xplain.report.plots import scatter
from xplain.report.svg import Figure
from xplain.report.units import threshold as threshold_text

GRID = 5
Meanings = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class GridRow:
    """A row of the scatter plot's table: ranges of both dimensions, how many samples, how they fare."""

    x: str
    y: str
    samples: int
    bad: float
    gap: float


@dataclass(frozen=True)
class Plot:
    """Regions of one scale over their two most telling dimensions."""

    scale: str
    figure: Figure
    x: str
    y: str
    grid: tuple[GridRow, ...]


def region_plots(samples: Sequence[Sample], regions: Sequence[Region], dimensions: Sequence[Dimension],
                 threshold: float, scales: Sequence[str], *, meanings: Meanings | None = None, scaled: bool = True,
                 gap: Callable[[float], str] = threshold_text) -> Iterable[Plot]:
    """A plot per scale that has samples of the declared distribution; features beside the dimensions are named by
    `meanings`."""
    known = {name: Dimension(name, 0, 0, unit=unit, meaning=text) for name, (text, unit) in (meanings or {}).items()}
    known |= {dimension.name: dimension for dimension in dimensions}
    for scale in scales:
        own = [sample for sample in samples if sample.scale == scale and sample.unbiased and sample.feasible]
        ours = [region for region in regions if region.scale == scale]
        axes = _axes(own, ours, known)
        if axes is not None:
            yield Plot(scale, scatter(own, ours, axes, threshold, scale if scaled else "", gap),
                       meaning(known, axes[0].name), meaning(known, axes[1].name), tuple(_grid(own, axes, threshold)))


def meaning(known: dict[str, Dimension], name: str) -> str:
    """What a dimension means; for others their name in words."""
    return (known[name].meaning if name in known else "") or name.replace("_", " ")


def unit(known: dict[str, Dimension], name: str) -> str:
    """The unit of a dimension, "" for others."""
    return known[name].unit if name in known else ""


def _axes(samples: Sequence[Sample], regions: Sequence[Region],
          known: dict[str, Dimension]) -> tuple[Dimension, Dimension] | None:
    """The two dimensions that the costliest regions speak of, filled up by what a shallow tree on the gap uses."""
    if len(samples) < 2:
        return None
    names = [name for name in samples[0].features if len({sample.features.get(name) for sample in samples}) > 1
             and all(math.isfinite(sample.features.get(name, math.nan)) for sample in samples)]
    if len(names) < 2:
        return None
    table = np.array([[sample.features[name] for name in names] for sample in samples])
    tree = DecisionTreeRegressor(max_depth=4, min_samples_leaf=max(2, len(samples) // 50), random_state=0)
    tree.fit(table, [sample.relative_gap for sample in samples])
    weight = dict(zip(names, tree.feature_importances_, strict=True))
    for region in regions:
        for predicate in region.predicates:
            weight[predicate.feature] = weight.get(predicate.feature, 0.0) + 10 * region.share.value * region.mean_gap
    first, second = sorted(names, key=lambda name: -weight[name])[:2]
    return _dimension(first, samples, known), _dimension(second, samples, known)


def _dimension(name: str, samples: Sequence[Sample], known: dict[str, Dimension]) -> Dimension:
    if name in known and not known[name].fixed:
        return known[name]
    values = [sample.features[name] for sample in samples]
    return Dimension(name, min(values), max(values), unit=unit(known, name), meaning=meaning(known, name))


def _grid(samples: Sequence[Sample], axes: tuple[Dimension, Dimension], threshold: float) -> Iterable[GridRow]:
    columns = [np.array([sample.features[axis.name] for sample in samples]) for axis in axes]
    gaps = np.array([sample.relative_gap for sample in samples])
    edges = [np.unique(np.quantile(column, np.linspace(0, 1, GRID + 1))) for column in columns]
    cells = [np.clip(np.searchsorted(edge, column, side="right") - 1, 0, max(0, len(edge) - 2))
             for edge, column in zip(edges, columns, strict=True)]
    for i in range(max(1, len(edges[0]) - 1)):
        for j in range(max(1, len(edges[1]) - 1)):
            inside = (cells[0] == i) & (cells[1] == j)
            if inside.any():
                yield GridRow(_range(edges[0], i), _range(edges[1], j), int(inside.sum()),
                              float((gaps[inside] >= threshold).mean()), float(gaps[inside].mean()))


def _range(edges: np.ndarray[tuple[int], np.dtype[np.float64]], k: int) -> str:
    return f"{edges[k]:.3g}\N{EN DASH}{edges[min(k + 1, len(edges) - 1)]:.3g}"


