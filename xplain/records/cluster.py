"""What clustering hands on: clusters of regions (or parts of them) that lose for the same reason.

Immutable and serialisable like `xplain.records`. Shares are of a workload's regret, averaged over workloads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from xplain.records.basic import STRICT
from xplain.records.region import Predicate
from xplain.records.schedule import Witness


@dataclass(frozen=True)
class CauseShare:
    """A cause (`Cause` without amounts) and its mean share of the regret."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: str
    rule: str
    atom: str
    share: float


@dataclass(frozen=True)
class ClusterPart:
    """A region, or what a region was split into because its workloads lose for different reasons.

    `predicates`: all that must hold, the region's own first; `split`: those added; `samples`: how many workloads with a
    loss were attributed here.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    region: str
    predicates: tuple[Predicate, ...]
    split: tuple[Predicate, ...]
    samples: int
    causes: tuple[CauseShare, ...]


@dataclass(frozen=True)
class Contrast:
    """The nearest workload without the cluster's loss: the change in words, how many structural moves it takes, and
    both schedules of that workload."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    change: str
    moves: int
    workload: Witness


@dataclass(frozen=True)
class Cluster:
    """Parts of regions with one dominant cause. `rule`, `atom`: whom to blame (kind as in `Cause`); `share`: of the
    regret of its workloads, the cause's; `samples`: indices of the attributed workloads in it.

    `mixed`: no cause holds half of the regret, and no predicate parts the workloads by cause. `no_witness` says why
    there is none, `contrast` is None if no workload within three structural moves is without the cluster's loss.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    title: str
    kind: str
    rule: str
    atom: str
    parameters: tuple[str, ...]
    share: float
    mixed: bool
    parts: tuple[ClusterPart, ...]
    causes: tuple[CauseShare, ...]
    samples: tuple[int, ...]
    mean_gap: float
    witness: Witness | None = None
    contrast: Contrast | None = None
    no_witness: str = ""
