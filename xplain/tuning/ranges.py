"""Over which values a parameter is searched: its declared range, or one that its unit implies."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import optuna

from drex_runtime.policies.bind import BoundPolicy, scoped_names
from drex_runtime.policies.table import Parameter, Policy

SENSIBLE = 1000  # declared bounds beyond this are limits of validity, not of search
BY_UNIT = {"decisions": 256, "launches": 16, "1/decision": 1, "rows/row": 1}
REAL_STEP = Fraction(1, 100)


@dataclass(frozen=True)
class SearchRange:
    """Values low..high of one parameter value (`name` as bound, e.g. art_factor_1), integers or steps of 0.01."""

    name: str
    parameter: Parameter
    low: Fraction
    high: Fraction

    def suggest(self, trial: optuna.Trial) -> Fraction:
        """A value proposed by an optuna trial, exact."""
        if self.parameter.integer:
            low, high = int(self.low), int(self.high)
            return Fraction(trial.suggest_int(self.name, low, high, log=low >= 1 and high > 8))
        steps = int((self.high - self.low) / REAL_STEP)
        return self.low + REAL_STEP * trial.suggest_int(self.name, 0, steps)

    def drawn(self, rng: np.random.Generator) -> Fraction:
        """A value of the range, each as likely."""
        if self.parameter.integer:
            return Fraction(int(rng.integers(int(self.low), int(self.high) + 1)))
        return self.low + REAL_STEP * int(rng.integers(0, int((self.high - self.low) / REAL_STEP) + 1))

    def value(self, encoded: int) -> Fraction:
        """What `encoded` stands for."""
        return Fraction(encoded) if self.parameter.integer else self.low + REAL_STEP * encoded

    def decoded(self, value: Fraction, current: Fraction) -> Fraction:
        """`current` itself where the search proposes its nearest grid point."""
        return current if self.encoded(value) == self.encoded(current) else value

    def encoded(self, value: Fraction) -> int:
        """The optuna value that `suggest` turns into (the nearest to) `value`."""
        clipped = min(max(value, self.low), self.high)
        return int(clipped) if self.parameter.integer else round((clipped - self.low) / REAL_STEP)


def search_ranges(policy: Policy, names: tuple[str, ...], bound: BoundPolicy, max_rows: int) -> list[SearchRange]:
    """Ranges of the named parameters (per ramp or buffer where they are scoped)."""
    found = []
    for parameter in policy.parameters:
        if parameter.name not in names:
            continue
        low = parameter.low if parameter.low is not None else Fraction(0)
        limit = Fraction(max_rows if parameter.unit == "rows" else BY_UNIT.get(parameter.unit, SENSIBLE))
        high = parameter.high if parameter.high is not None and parameter.high <= SENSIBLE else limit
        if parameter.unit in BY_UNIT:
            high = min(high, limit)
        found += [SearchRange(name, parameter, low, max(low, high))
                  for name in scoped_names(parameter, bound.num_segments)]
    return found
