"""PRIM and CART as `regions.py` runs them. Needs ema_workbench (extra `benchmarks`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from xplain.regions.box import Box
from xplain.regions.table import Mask, Table

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # of optional parts of ema_workbench that are not installed
    from ema_workbench.analysis import cart, prim


def frame(table: Table) -> pd.DataFrame:
    """The table's features as PRIM and CART take them."""
    return pd.DataFrame(table.values, columns=[f"c{k}" for k in range(len(table.names))])


def as_box(limits: pd.DataFrame, first: pd.DataFrame) -> Box:
    """Limits as a box without the bounds that are the data's own; lower limits of theirs are inclusive."""
    lows, highs = limits.iloc[0].to_numpy(float), limits.iloc[1].to_numpy(float)
    least, most = first.iloc[0].to_numpy(float), first.iloc[1].to_numpy(float)
    return Box(tuple(np.where(lows > least, np.nextafter(lows, -np.inf), -np.inf).tolist()),
               tuple(np.where(highs < most, highs, np.inf).tolist()))


def by_prim(table: Table, threshold: float, mass: float) -> list[Box]:
    """Boxes one after the other; of each peeling trajectory the box with the largest F1 on what is left."""
    values, boxes = frame(table), list[Box]()
    left: Mask = np.ones(len(table), dtype=bool)
    while len(boxes) < 6 and table.bad[left].sum() >= 10:
        rest = values[left].reset_index(drop=True)
        found = prim.Prim(rest, table.bad[left], threshold=0.05, mass_min=mass)  # or its last box is thrown away
        trajectory = found.find_box().peeling_trajectory
        density, coverage = trajectory["density"].to_numpy(), trajectory["coverage"].to_numpy()
        good = np.where(density >= threshold, 2 * density * coverage / np.maximum(density + coverage, 1e-9), -1)
        at = int(np.argmax(good))
        if good[at] <= 0:
            break
        chosen = as_box(found._boxes[0].box_lims[at], found.box_init)
        boxes.append(chosen)
        held = chosen.inside(table.values) & left
        if not held.any():
            break
        left &= ~held
    return boxes


def by_cart(table: Table, threshold: float, mass: float) -> list[Box]:
    """The leaves that are bad with at least the threshold."""
    found = cart.CART(frame(table), table.bad.astype(int), mass_min=mass)
    found.build_tree()
    first = found.boxes[0].copy()
    first.iloc[0], first.iloc[1] = frame(table).min(), frame(table).max()
    return [as_box(box, first) for box, stats in zip(found.boxes, found.stats, strict=True)
            if stats["density"] >= threshold]


Rival = Callable[[Table, float, float], list[Box]]
RIVALS: dict[str, Rival] = {"PRIM": by_prim, "CART": by_cart}
SETTINGS = {  # (least density of a box, least mass), of which the best is shown
    "PRIM": [(threshold, mass) for threshold in (0.2, 0.5, 0.8) for mass in (0.02, 0.05)],
    "CART": [(threshold, mass) for threshold in (0.2, 0.5, 0.8) for mass in (0.01, 0.02, 0.05)],
    "PRIM with sums": [(0.5, 0.05)], "CART with sums": [(0.5, 0.01), (0.5, 0.02), (0.5, 0.05)]}
