"""The outcome of a search for regions in words, for whoever finds none and wonders why."""

from __future__ import annotations

from collections.abc import Sequence

from xplain.records import Region
from xplain.regions.record import Excluded, UnionScore
from xplain.regions.sentences import percent
from xplain.regions.table import Table


def statement(train: Table, fresh: Table, regions: Sequence[Region], unions: Sequence[UnionScore],
              excluded: Sequence[Excluded], threshold: float, subject: str) -> str:
    """One or two sentences."""
    said = _outcome(train, fresh, regions, unions, threshold, subject)
    odd = [f"{each.feature} ({each.reason})" for each in excluded if not each.reason.startswith("the same")]
    return said + (f" Left out: {'; '.join(odd)}." if odd else "")


def _outcome(train: Table, fresh: Table, regions: Sequence[Region], unions: Sequence[UnionScore], threshold: float,
             subject: str) -> str:
    bad, lost = int(train.bad.sum()), f"{percent(threshold)} or more"
    if unions:
        together = unions[-1]
        count = "one region holds" if together.regions == 1 else f"{together.regions} regions hold"
        return (f"{count} {percent(together.coverage.value)} of the fresh inputs on which {subject} loses {lost}; "
                f"{percent(together.precision.value)} of the inputs inside are such.")
    if not bad:
        return f"No region: {subject} loses {lost} on none of the {len(train)} inputs of the search" + (
            f", on {int(fresh.bad.sum())} of the {len(fresh)} fresh ones." if fresh.bad.any() else ".")
    everywhere = " (all of them)" if bad == len(train) else ""
    found = f"{subject} loses {lost} on {bad} of {len(train)} inputs of the search{everywhere}"
    if regions:
        best = min(regions, key=lambda region: region.p_value)
        return (f"No region that holds on fresh inputs: {found}; the best candidate has p = {best.p_value:.2g} "
                f"after correction and a mean loss of {percent(best.mean_gap)}.")
    if not train.names:
        return f"No region: {found}, but no feature varies."
    return f"No region: {found}, and no conjunction of features tells them from the others."
