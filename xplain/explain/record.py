"""What explanations beyond a single run say: when a rule is wrong, what mending it wins back, a verdict.

Immutable and serialisable like `xplain.records`. Shares and gains are fractions; `Rate` carries the 95 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from xplain.records import STRICT, Predicate, Rate

Site = Literal["launch", "consult", "ramp", "join"]
Verdict = Literal["loss", "none", "unknown"]


@dataclass(frozen=True)
class WrongWhen:
    """Observations under which a rule's choice (fired, or not fired) costs most: a leaf of a shallow tree.

    Fitted on one half of the workloads; everything but `predicates` is counted on the other: `regret` = share of the
    rule's regret inside, `decisions` = share of its decisions inside, `precision` = share of those inside that cost
    anything, `mean_ticks` = mean loss of a decision inside.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    predicates: tuple[Predicate, ...]
    sentence: str
    regret: float
    decisions: Rate
    precision: Rate
    mean_ticks: float


@dataclass(frozen=True)
class Remedy:
    """A change of the table or its parameters and what it wins back on held-out workloads.

    `gain` = mean of H(policy) / H(changed) - 1 with its 95 % interval; `table`: the changed part as text.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    change: str
    gain: float
    low: float
    high: float
    workloads: int


@dataclass(frozen=True)
class Blame:
    """A rule's part in a policy's loss. `regret`: its ticks / the optimum's; `share`: / all regret.

    `amount` = min(regret, gain of the best remedy): a rule is to blame for at most what its decisions lose and at
    most what mending it wins back.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    site: Site
    kind: str
    rule: str
    atom: str
    parameters: tuple[str, ...]
    regret: float
    share: float
    amount: float
    remedy: Remedy | None
    when: tuple[WrongWhen, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """Whether a policy has a problem of its own, and which rule is to blame (`blames`, as ranked by `diagnose`).

    `gap`: mean relative gap to the optimum, of which `order`: lost by taking the first rows instead of the best, and
    the rest of what no remedy wins back is the price of not seeing the future and of the policy's class.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    verdict: Verdict
    threshold: float
    gap: float
    order: float
    blames: tuple[Blame, ...]
    workloads: int
    held_out: int
    sentence: str

    @property
    def cause(self) -> Blame | None:
        """Whom to blame; None without a loss."""
        return self.blames[0] if self.verdict == "loss" else None
