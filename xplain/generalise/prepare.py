"""Which features can be tested at all: those that vary, are defined often enough, and are not another one again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xplain.generalise.controls import scores
from xplain.generalise.record import Status
from xplain.generalise.table import Drawn

FEWEST = 8  # instances with a response (or with a feature) below which nothing is tested
SAME = 0.98  # rank correlation from which two features are one


@dataclass(frozen=True)
class Prepared:
    """`names` can be tested, in the order of the family; `same` by name those that move exactly like it; `unfit`:
    status and reason of the others."""

    names: tuple[str, ...]
    same: dict[str, tuple[str, ...]]
    unfit: dict[str, tuple[Status, str]]


def prepared(search: Drawn, held_out: Drawn) -> Prepared:
    """Look at both halves' features, never at responses."""
    unfit, kept = dict[str, tuple[Status, str]](), list[str]()
    same = dict[str, tuple[str, ...]]()
    for name in search.names:
        halves = [half.columns([name])[:, 0] for half in (search, held_out)]
        defined = [column[np.isfinite(column)] for column in halves]
        every = np.concatenate(defined)
        if not len(every) or min(map(len, defined)) < FEWEST:
            count, of = len(every), len(search) + len(held_out)
            unfit[name] = "undefined", f"defined on {count} of {of} instances only: cannot tell"
        elif (every == every[0]).all():
            unfit[name] = "constant", f"{every[0]:.6g} on every instance: cannot tell"
        elif min(len(np.unique(column)) for column in defined) < 2:
            unfit[name] = "constant", "the same on all instances of one half: cannot tell"
        else:
            twin = _twin(name, kept, search)
            if twin:
                same[twin] = (*same[twin], name)
                unfit[name] = "duplicate", f"cannot be told apart from {twin}"
            else:
                kept.append(name)
                same[name] = ()
    return Prepared(tuple(kept), same, unfit)


def _twin(name: str, kept: list[str], search: Drawn) -> str:
    column = scores(search.columns([name])[:, 0])
    for other in kept:
        if abs(float(column @ scores(search.columns([other])[:, 0])) / len(search)) >= SAME:
            return other
    return ""
