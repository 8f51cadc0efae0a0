"""Clusters of regions by cause: what a policy's losses have in common, each with a small witness."""

from xplain.clusters.find import cluster
from xplain.clusters.record import CauseShare, Cluster, ClusterPart, Contrast
from xplain.clusters.witness import with_witnesses

__all__ = ["CauseShare", "Cluster", "ClusterPart", "Contrast", "cluster", "with_witnesses"]
