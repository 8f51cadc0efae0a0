"""Which rule, and which false atom of it, made a decision costly.

A decision is compared with what the policy's own table offers at that state. If the best offer belongs to an
earlier rule, that rule was *missed* and its false atom is named; if it lies below the rule that fired, the *fired*
rule is blamed. (Blaming only fired rules puts four fifths of a late-flush defect on `decode`.)
Source: analyzer design, Explanations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import sympy

from drex_runtime.policies.art import deep_time
from drex_runtime.policies.bind import BoundPolicy, scoped_names
from drex_runtime.policies.expressions import Condition, false_atoms, rational, symbol
from drex_runtime.policies.observation import BUFFERED, POOL_NAMES, RAMP_NAMES, LaunchSpace, pool_position
from drex_runtime.policies.table import DEEP_TIME
from drex_runtime.policies.text import atom_text, condition_text
from drex_runtime.records.numbers import number_text

Numbers = Mapping[str, Fraction | int]


@dataclass(frozen=True, slots=True)
class CauseKey:
    """What regret is summed under."""

    kind: str
    rule: str
    atom: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """A rule of the table that would act differently: its place in the table, its condition and names."""

    position: int
    rule: str
    condition: Condition
    numbers: Numbers


def parameters_of(policy: BoundPolicy, condition: Condition) -> tuple[str, ...]:
    """Parameters of the policy that occur in a condition."""
    names = {item.name for item in condition.free_symbols}
    return tuple(item.name for item in policy.policy.parameters if item.name in names)


def launch_numbers(policy: BoundPolicy, view: Sequence[int], pool: int) -> dict[str, Fraction | int]:
    """Values of all names of a launch rule; family names are those of `pool` (if >= 2)."""
    numbers: dict[str, Fraction | int] = dict(zip(LaunchSpace(policy.num_segments).names, view, strict=True))
    numbers |= _parameters(policy, "pool", pool)
    if pool >= 2:
        for which, name in enumerate(POOL_NAMES):
            numbers[name] = view[pool_position(pool, which)]
        rows = min(view[pool_position(pool, BUFFERED)], policy.batch_limit)
        numbers[DEEP_TIME] = deep_time(policy.profile, pool, rows) if rows else 0
    return numbers


def ramp_numbers(policy: BoundPolicy, view: Sequence[int], ramp: int) -> dict[str, Fraction | int]:
    """Values of all names of a ramp rule at `ramp`."""
    return {**dict(zip(RAMP_NAMES, view, strict=True)), **_parameters(policy, "ramp", ramp)}


def _parameters(policy: BoundPolicy, scope: str, index: int) -> dict[str, Fraction | int]:
    found: dict[str, Fraction | int] = {}
    for parameter in policy.policy.parameters:
        if parameter.scope == "policy":
            found[parameter.name] = policy.values[parameter.name]
        elif parameter.scope == scope and index >= 1:
            name = f"{parameter.name}_{index}"
            if name in scoped_names(parameter, policy.num_segments):
                found[parameter.name] = policy.values[name]
    return found


def given(condition: Condition, numbers: Numbers) -> str:
    """The values that made a condition hold: `batch = 2, exits = 1, art_factor = 0.45`."""
    names = sorted(item.name for item in condition.free_symbols)
    return ", ".join(f"{name} = {_short(Fraction(numbers[name]))}" for name in names) or "it has no condition"


def _short(value: Fraction) -> str:
    text = number_text(value)
    return text if len(text) <= 8 else f"{float(value):.3g}"


def blame_missed(policy: BoundPolicy, offers: Sequence[Offer]) -> tuple[CauseKey, str]:
    """The earlier rule nearest to firing, with its false atom and that atom in numbers."""
    best: tuple[float, CauseKey, str] | None = None
    for offer in offers:
        atoms = false_atoms(offer.condition, offer.numbers)
        for atom in atoms or (sympy.false,):
            key = CauseKey("missed", offer.rule, condition_text(atom),
                           parameters_of(policy, atom))
            distance = _distance(atom, offer.numbers)
            if best is None or distance < best[0]:
                best = (distance, key, atom_text(atom, offer.numbers))
    if best is None:
        raise ValueError("no offer to blame")
    return best[1], best[2]


def _distance(atom: sympy.Basic, numbers: Numbers) -> float:
    """How far a false comparison is from holding, relative to its right side."""
    if not isinstance(atom, sympy.core.relational.Relational):
        return float("inf")
    left, right = (_value(side, numbers) for side in (atom.lhs, atom.rhs))
    return float(abs(left - right)) / max(1.0, abs(float(right)))


def _value(side: sympy.Basic, numbers: Numbers) -> Fraction:
    found = side.subs({symbol(item.name): rational(numbers[item.name]) for item in side.free_symbols})
    return Fraction(int(found.p), int(found.q))
