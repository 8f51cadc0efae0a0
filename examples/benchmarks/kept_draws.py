"""Drawn instances of a family, kept in a folder: drawing takes minutes, testing seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from xplain.generalise import InstanceFamily
from xplain.generalise.record import Split
from xplain.generalise.table import Drawn, draw


def kept_draw(family: InstanceFamily[Any], split: Split, count: int, seed: int, jobs: int, keep: Path | None) -> Drawn:
    """As `draw`, which is a function of everything in the file's name. `keep`: None keeps nothing."""
    if keep is None:
        return draw(family, split, count, seed, jobs)
    path = keep / f"{family.name.replace(' ', '-')}-{split}-{count}-{seed}.npz"
    if not path.exists():
        drawn = draw(family, split, count, seed, jobs)
        keep.mkdir(parents=True, exist_ok=True)
        np.savez(path, names=np.array(drawn.names), values=drawn.values, response=drawn.response)
    with np.load(path) as stored:
        return Drawn(tuple(stored["names"].tolist()), stored["values"], stored["response"])
