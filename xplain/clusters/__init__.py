"""Clusters of regions by cause: what a policy's losses have in common, each with a small witness."""

from xplain.clusters.find import cluster
from xplain.clusters.witness import with_witnesses
from xplain.records.cluster import CauseShare, Cluster, ClusterPart, Contrast

__all__ = ["CauseShare", "Cluster", "ClusterPart", "Contrast", "cluster", "with_witnesses"]
