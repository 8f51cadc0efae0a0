"""Where the workloads of the operating scale come from: the generator, or (`trace_source`) windows of a trace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from drex_runtime.records import CostProfile, Workload
from xplain.problems.generator import DIMENSIONS, generate
from xplain.records import Point


class WorkloadSource(Protocol):
    """Workloads by point, seed and replicate; the same arguments give the same workload."""

    @property
    def meanings(self) -> Mapping[str, tuple[str, str]]:
        """(meaning, unit) of dimensions and features."""
        ...

    def workload(self, point: Point, profile: CostProfile, batch_max: int, seed: int, replicate: int) -> Workload:
        """One workload of a point."""
        ...

    def features(self, point: Point, profile: CostProfile, batch_max: int, seed: int,
                 replicates: int) -> dict[str, float]:
        """What regions are read over: the point, and what is known of its workloads beyond it."""
        ...


class Generated:
    """Workloads of the generator; a point says all there is to know."""

    meanings: Mapping[str, tuple[str, str]] = DIMENSIONS

    def workload(self, point: Point, profile: CostProfile, batch_max: int, seed: int, replicate: int) -> Workload:
        """See `generate`."""
        return generate(point, profile, batch_max, seed, replicate)

    def features(self, point: Point, profile: CostProfile, batch_max: int, seed: int,
                 replicates: int) -> dict[str, float]:
        """The point."""
        return dict(point)
