"""How regions are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import InputError
from xplain.regions.record import Method

MOST_SIZES = 12  # sets of so many predicates are found in seconds


@dataclass(frozen=True)
class Slices:
    """How the paper's method samples around a seed.

    `cube`, `step`: first edge of the cube and width of a slice, as shares of a dimension's declared distribution.
    `density`: least share of bad inputs in a slice that is added. `epsilon`, `delta`: how far the share in a slice may
    be off, and how often: together they give the inputs per slice (Dvoretzky-Kiefer-Wolfowitz). `evaluations`: at most
    this many inputs over all regions.
    """

    cube: float = 0.1
    step: float = 0.1
    density: float = 0.5
    epsilon: float = 0.15
    delta: float = 0.1
    evaluations: int = 20_000


@dataclass(frozen=True)
class Options:
    """How regions are looked for.

    `method`: `refine` works on the samples it is given, `slices` is the paper's and evaluates inputs around a seed.
    `targets`: precisions aimed at, from the best down; the first that some box reaches is used. `slack`: how much
    precision a shorter sentence may cost. `support`: fewest search samples in a region. `price`, `least_price`: what
    a further predicate must be worth, as a share of all bad samples and as a number of them (at most a tenth).
    `starts`: boxes that are refined. `linear`: sums and differences of at most so many features are formed (0: none;
    regions over them need the samples extended, see `RegionSearch.linear` and `with_linear`). `curve`: precisions of
    the trade-off curve. `sizes`: most predicates of the sets of regions that are sought by number of predicates.
    """

    targets: tuple[float, ...] = (0.8, 0.6, 0.4, 0.2)
    slack: float = 0.05
    support: int = 10
    price: float = 0.02
    least_price: float = 3.0
    starts: int = 12
    max_regions: int = 6
    method: Method = "refine"
    linear: int = 0
    curve: tuple[float, ...] = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
    slices: Slices = Slices()
    sizes: int = 6

    def __post_init__(self) -> None:
        if self.method not in ("refine", "slices"):
            raise InputError("regions", "method", self.method, "refine or slices")
        if not self.targets or not all(0 < target < 1 for target in self.targets):
            raise InputError("regions", "targets", self.targets, "at least one precision, each above 0 and below 1")
        if list(self.targets) != sorted(self.targets, reverse=True):
            raise InputError("regions", "targets", self.targets, "precisions from the largest down")
        if self.linear not in (0, 2, 3):
            raise InputError("regions", "linear", self.linear, "0 (no sums), 2 or 3 (features in a sum)")
        if not 0 <= self.sizes <= MOST_SIZES:
            raise InputError("regions", "sizes", self.sizes, f"a number of predicates from 0 to {MOST_SIZES}")
