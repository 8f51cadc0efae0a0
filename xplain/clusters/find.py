"""Clusters regions by why the policy loses in them.

Each region (split first where its workloads mix causes) has a mean vector of regret shares; regions are joined by
average linkage on half the L1 distance (the share of regret on which two vectors disagree) up to one half. Regions of a
cluster may be disjoint. Raw microseconds are not compared: they are as large as the workloads are.
Source: analyzer design, Regions, then clusters of regions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from drex_runtime.errors import RecordError
from xplain.clusters.shares import NOBODY, Floats, Shares, listed, shares_of
from xplain.clusters.split import Part, parts_of
from xplain.records import Attribution, Region, Sample
from xplain.records.cluster import Cluster, ClusterPart

APART = 0.5  # share of regret on which two clusters disagree
MIXED = 0.5  # share below which no cause is called dominant


def cluster(regions: Sequence[Region], attributions: Mapping[str, Sequence[Attribution]], samples: Sequence[Sample],
            seed: int) -> tuple[Cluster, ...]:
    """Clusters named C1, C2, ..., the one with the largest sum of gaps first.

    `attributions`: per region name those of workloads inside; `samples` holds their features and gaps. Workloads
    without a gap are dropped; a region without any loss belongs to no cluster. RecordError for an attribution whose
    sample is missing.
    """
    by_index = {sample.index: sample for sample in samples}
    every = [item for region in regions for item in attributions.get(region.name, ())]
    for item in every:
        if item.sample not in by_index:
            raise RecordError("cluster", "sample", item.sample, "the index of one of the samples given")
    keys = shares_of(every).keys
    features = {index: sample.features for index, sample in by_index.items()}
    parts: list[tuple[Part, Shares]] = []
    for region in regions:
        shares = shares_of(attributions.get(region.name, ()), keys)
        if len(shares.rows):
            parts += [(part, shares) for part in parts_of(region, shares, features, seed)]
    if not parts:
        return ()
    means = np.array([shares.of(part.rows) for part, shares in parts])
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(_groups(means)):
        groups.setdefault(group, []).append(place)
    found = [_cluster([parts[k] for k in places], means[places], keys, by_index, every) for places in groups.values()]
    found.sort(key=lambda item: (-item.mean_gap * len(item.samples), item.title))
    return tuple(replace(item, name=f"C{k + 1}") for k, item in enumerate(found))


def _groups(means: Floats) -> list[int]:
    if len(means) == 1:
        return [1]
    tree = linkage(means, method="average", metric=lambda one, other: float(np.abs(one - other).sum() / 2))
    return [int(group) for group in fcluster(tree, APART, criterion="distance")]


def _cluster(parts: Sequence[tuple[Part, Shares]], means: Floats, keys: Sequence[tuple[str, str, str]],
             by_index: Mapping[int, Sample], every: Sequence[Attribution]) -> Cluster:
    counts = np.array([int(part.rows.sum()) for part, _ in parts])
    mean = np.average(means, axis=0, weights=counts)
    blamed = [k for k, key in enumerate(keys) if key[0] not in NOBODY and mean[k] > 0]
    best = max(blamed or range(len(keys)), key=lambda k: (mean[k], keys[k]))
    kind, rule, atom = keys[best]
    inside = sorted({shares.samples[row] for part, shares in parts for row in np.flatnonzero(part.rows)})
    parameters = next(cause.parameters for item in every for cause in item.causes
                      if (cause.kind, cause.rule, cause.atom) == keys[best])
    share = float(mean[best])
    recorded = tuple(ClusterPart(part.region.name, (*part.region.predicates, *part.split), part.split,
                                 int(part.rows.sum()), listed(keys, shares.of(part.rows))) for part, shares in parts)
    return Cluster("", title(kind, rule, atom, share), kind, rule, atom, parameters, share, share < MIXED, recorded,
                   listed(keys, mean), tuple(inside), float(np.mean([by_index[k].relative_gap for k in inside])))


def title(kind: str, rule: str, atom: str, share: float) -> str:
    """A cluster's name in words."""
    said = {"missed": f"{rule} should have fired but {atom} was false",
            "fired": f"{rule} fired{f' ({atom})' if atom else ''} although something else was better",
            "batch_limit": "batch_limit keeps launches too small",
            "order": "other rows than the first in order would have been better"}.get(kind, f"{kind} {rule}")
    return said if share >= MIXED else f"several causes; most often {said}"
