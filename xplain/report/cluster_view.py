"""Clusters of regions by cause on a page: their parts in words, their witnesses as timelines."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from drex_runtime.records.ticks import Tick
from xplain.records import Cluster, Predicate, Witness
from xplain.report.timeline import Step, draw, steps
from xplain.report.units import count, percent


@dataclass(frozen=True)
class WitnessView:
    """A witness with its picture and the picture's tables."""

    witness: Witness
    svg: Markup
    heuristic: tuple[Step, ...]
    optimum: tuple[Step, ...]

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of bars that occur, for the legend."""
        return frozenset(bar.kind for line in (self.witness.heuristic, self.witness.optimum) for bar in line.bars)

    @property
    def segments(self) -> list[int]:
        """Segments that occur, for the legend."""
        lines = (self.witness.heuristic, self.witness.optimum)
        return sorted({bar.segment for line in lines for bar in line.bars if bar.kind == "segment"})


@dataclass(frozen=True)
class ClusterView:
    """A cluster; `parts`: (where, workloads attributed, causes in words)."""

    cluster: Cluster
    parts: tuple[tuple[str, str, str], ...]
    witness: WitnessView | None


def witness_view(witness: Witness, tick: Tick) -> WitnessView:
    """Draw a witness."""
    return WitnessView(witness, draw(witness, tick), tuple(steps(witness.heuristic, tick)),
                       tuple(steps(witness.optimum, tick)))


def cluster_view(cluster: Cluster, tick: Tick) -> ClusterView:
    """Draw a cluster."""
    parts = tuple((_where(part.region, part.split), count(part.samples),
                   ", ".join(f"{percent(cause.share)} {cause.kind} {cause.rule}" for cause in part.causes[:3]))
                  for part in cluster.parts)
    return ClusterView(cluster, parts, None if cluster.witness is None else witness_view(cluster.witness, tick))


def _where(region: str, split: tuple[Predicate, ...]) -> str:
    added = " and ".join(f"{item.feature} {item.relation} {item.bound:.4g}" for item in split)
    return f"{region} where {added}" if added else region
