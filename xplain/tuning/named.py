"""Which parameters the causes name: of each cluster of regions, or of each attributed run where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xplain.records import Attribution, Cause, CauseShare, Cluster

PART_OF_CAUSE = 0.05  # of a cluster's regret: what a smaller cause names is not searched for it


@dataclass(frozen=True)
class NamedGroup:
    """Parameters to search, costliest cause first. `source`: the cluster or region; `cause`: in words."""

    source: str
    cause: str
    parameters: tuple[str, ...]


def named_groups(clusters: Sequence[Cluster], attributions: Sequence[Attribution]) -> tuple[NamedGroup, ...]:
    """One group per cluster, the costliest cluster first; without clusters one per attributed run with costly causes.

    A cluster names the parameters of its dominant cause, and those of other causes with at least `PART_OF_CAUSE` of its
    regret.
    """
    naming = {_identity(cause): cause.parameters for attribution in attributions for cause in attribution.causes}
    groups = []
    for cluster in sorted(clusters, key=lambda item: -item.mean_gap * len(item.samples)):
        names = list(cluster.parameters)
        for share in sorted(cluster.causes, key=lambda item: -item.share):
            if share.share >= PART_OF_CAUSE:
                names += [name for name in naming.get(_identity(share), ()) if name not in names]
        if names:
            groups.append(NamedGroup(f"cluster {cluster.name}", cluster.title, tuple(names)))
    return tuple(groups) or tuple(filter(None, map(_of_attribution, attributions)))


def named_parameters(known: Sequence[str], attributions: Sequence[Attribution]) -> tuple[str, ...]:
    """Parameters in causes with positive cost over all runs, costliest first; all of `known` if none is named."""
    ticks: dict[str, float] = {}
    for attribution in attributions:
        for name, cost in _costs(attribution).items():
            ticks[name] = ticks.get(name, 0.0) + cost / max(1, abs(attribution.gap))
    return tuple(sorted(ticks, key=lambda name: -ticks[name])) or tuple(known)


def _of_attribution(attribution: Attribution) -> NamedGroup | None:
    costs = _costs(attribution)
    if not costs:
        return None
    first = max(attribution.causes, key=lambda item: item.ticks)
    return NamedGroup(attribution.region, f"{first.kind} {first.rule}",
                      tuple(sorted(costs, key=lambda name: -costs[name])))


def _costs(attribution: Attribution) -> dict[str, float]:
    found: dict[str, float] = {}
    for cause in attribution.causes:
        if cause.ticks > 0:
            for name in cause.parameters:
                found[name] = found.get(name, 0.0) + cause.ticks
    return found


def _identity(cause: Cause | CauseShare) -> tuple[str, str, str]:
    return cause.kind, cause.rule, cause.atom
