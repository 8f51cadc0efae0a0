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
from functools import lru_cache

import sympy

from drex_runtime.policies.art import deep_time
from drex_runtime.policies.bind import BoundPolicy, scoped_names
from drex_runtime.policies.expressions import Condition, false_atoms, rational, symbol
from drex_runtime.policies.observation import BUFFERED, POOL_NAMES, RAMP_NAMES, LaunchSpace, pool_position
from drex_runtime.policies.table import DEEP_TIME
from drex_runtime.policies.text import atom_text, condition_text
from drex_runtime.records.numbers import number_text

Numbers = Mapping[str, Fraction | int]
# Small workloads ask the same few conditions about the same few observations thousands of times; sympy is slow.
_REMEMBERED = 2**16


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
    names = names_in(condition)
    return tuple(item.name for item in policy.policy.parameters if item.name in names)


@lru_cache(maxsize=_REMEMBERED)
def names_in(condition: Condition) -> tuple[str, ...]:
    """Names of variables and parameters in a condition, sorted."""
    return tuple(sorted(item.name for item in condition.free_symbols))


@lru_cache(maxsize=_REMEMBERED)
def readable(condition: Condition) -> str:
    """`condition_text`, remembered."""
    return condition_text(condition)


@lru_cache(maxsize=64)
def _launch_names(num_segments: int) -> tuple[str, ...]:
    return LaunchSpace(num_segments).names


def launch_numbers(policy: BoundPolicy, view: Sequence[int], pool: int) -> dict[str, Fraction | int]:
    """Values of all names of a launch rule; family names are those of `pool` (if >= 2)."""
    numbers: dict[str, Fraction | int] = dict(zip(_launch_names(policy.num_segments), view, strict=True))
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
    shown = (f"{name} = {_short(Fraction(numbers[name]))}" for name in names_in(condition))
    return ", ".join(shown) or "it has no condition"


def _short(value: Fraction) -> str:
    text = number_text(value)
    return text if len(text) <= 8 else f"{float(value):.3g}"


def blame_missed(policy: BoundPolicy, offers: Sequence[Offer]) -> tuple[CauseKey, str]:
    """The earlier rule nearest to firing, with its false atom and that atom in numbers."""
    atoms = [(offer, atom) for offer in offers for atom in _false_atoms(
        offer.condition, tuple((name, offer.numbers[name]) for name in names_in(offer.condition)))]
    if not atoms:
        raise ValueError("no offer to blame")
    offer, atom = min(atoms, key=lambda found: found[1].distance)
    return CauseKey("missed", offer.rule, readable(atom.condition), parameters_of(policy, atom.condition)), atom.text


@dataclass(frozen=True, slots=True)
class _Atom:
    """A false comparison, in numbers, and how far it is from holding."""

    condition: Condition
    text: str
    distance: float


@lru_cache(maxsize=_REMEMBERED)
def _false_atoms(condition: Condition, values: tuple[tuple[str, Fraction | int], ...]) -> tuple[_Atom, ...]:
    numbers = dict(values)
    atoms = false_atoms(condition, numbers) or (sympy.false,)
    return tuple(_Atom(atom, atom_text(atom, numbers), _distance(atom, numbers)) for atom in atoms)


def _distance(atom: sympy.Basic, numbers: Numbers) -> float:
    """How far a false comparison is from holding, relative to its right side."""
    if not isinstance(atom, sympy.core.relational.Relational):
        return float("inf")
    left, right = (_value(side, numbers) for side in (atom.lhs, atom.rhs))
    return float(abs(left - right)) / max(1.0, abs(float(right)))


def _value(side: sympy.Basic, numbers: Numbers) -> Fraction:
    found = side.subs({symbol(item.name): rational(numbers[item.name]) for item in side.free_symbols})
    return Fraction(int(found.p), int(found.q))
