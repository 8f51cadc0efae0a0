"""Binding: a policy table + a profile + resources + parameter values = rules ready to execute.

`bind` resolves defaults (exact rationals), instantiates rules per buffer and ramp, and replaces the look-up
`deep_time` by plain grammar (one case per batch bucket), so that everything downstream, the compiled kernel
and the encodings included, sees only + - *, comparisons, and/or/not, min/max.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from math import floor
from typing import TYPE_CHECKING, Any

import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.art import (
    art_terms,
    break_even,
    deep_time,
    doubt,
    empty_share,
    park_time,
    pass_rows,
    pass_time,
    toll,
)
from drex_runtime.policies.expressions import Condition, lambdified, parse_fraction, rational, symbol
from drex_runtime.policies.integers import integer_function
from drex_runtime.policies.observation import (
    BUFFERED,
    POOL_NAMES,
    RAMP_NAMES,
    LaunchSpace,
    pool_position,
)
from drex_runtime.policies.table import DEEP_TIME, PASS_TIME, LaunchRule, Parameter, Policy, RampAction, pool_of_name
from drex_runtime.records.config import ServerConfig
from drex_runtime.records.profile import CostProfile

if TYPE_CHECKING:
    from drex_runtime.cost_model.online import OnlineArt

PREFILL, IDLE = 0, -1  # launch targets; s >= 1 is RUN(s)
Values = Mapping[str, Fraction]
Settings = Mapping[str, Fraction | int | str]
ONLINE = "online"  # a setting: the parameter follows an estimator instead of being frozen


@dataclass(frozen=True)
class BoundRule:
    """A launch rule of one pool. `when` is readable (with deep_time), `closed` is pure grammar."""

    name: str
    target: int
    when: Condition
    closed: Condition
    origin: LaunchRule

    @property
    def label(self) -> str:
        """`flush_size@2` for a family rule, else the rule's name."""
        return f"{self.name}@{self.target}" if self.origin.is_family else self.name


@dataclass(frozen=True)
class BoundRampRule:
    """A ramp rule at one ramp, per-ramp parameters renamed to that ramp's."""

    name: str
    action: RampAction
    when: Condition


@dataclass(frozen=True)
class Rules:
    """The instantiated table: shared by all parameter values of one (policy, profile, segments)."""

    launch: tuple[BoundRule, ...]
    consult: tuple[Condition, ...]
    ramp: tuple[tuple[BoundRampRule, ...], ...]
    join: tuple[Condition, ...]
    parameter_names: tuple[str, ...]

    @cached_property
    def functions(self) -> dict[tuple[bool, Condition], Callable[..., Any]]:
        """Executable form of every (is at a ramp, condition), filled on first use."""
        return {}


@dataclass(frozen=True)
class BoundPolicy:
    """A policy that can be asked. Views are integer tuples in the order of `observation`.

    `online`: parameters that follow an estimator, with their ramp; `values` then holds what the profile says.
    """

    policy: Policy
    profile: CostProfile
    config: ServerConfig
    values: dict[str, Fraction]
    rules: Rules
    online: tuple[tuple[str, int], ...] = ()
    _arguments: tuple[int | Fraction, ...] = field(default=(), repr=False)
    _integers: dict[tuple[bool, Condition], Callable[..., Any]] | None = field(default=None, repr=False, compare=False)

    @property
    def num_segments(self) -> int:
        """K + 1."""
        return self.profile.num_segments

    @property
    def batch_limit(self) -> int:
        """Most rows of a RUN: min(batch_limit, batch_max)."""
        return min(int(self.values["batch_limit"]), self.config.batch_max)

    def estimator(self, *, kept: int | None = None) -> OnlineArt | None:
        """A new estimator for one run, its prior this profile; None if no parameter is online. `kept`: see there."""
        if not self.online:
            return None
        from drex_runtime.cost_model.model import CostModel  # it builds on this module
        from drex_runtime.cost_model.online import KEPT, OnlineArt

        prior = CostModel(self.num_segments, self.config.batch_max, self.profile)
        return OnlineArt(prior, self.batch_limit, kept=KEPT if kept is None else kept)

    def with_art(self, ramp: int, factor: Fraction) -> BoundPolicy:
        """This policy with its online parameters of `ramp` at `factor`."""
        values = self.values | {name: factor for name, index in self.online if index == ramp}
        return replace(self, values=values, _arguments=_arguments(values, self.rules))

    def in_integers(self) -> BoundPolicy:
        """This policy, answering faster: each condition is compiled for its parameters on first use. Not for online
        ones, whose values change."""
        return self if self.online else replace(self, _integers={})

    def require_frozen(self, who: str) -> None:
        """PolicyError naming the online parameters, for callers that cannot carry an estimator's state."""
        if self.online:
            raise PolicyError(f"policy {self.policy.name}: {self.online[0][0]} is online; {who} needs frozen "
                              "parameters (the reference simulator and the engine run online ones)")

    def holds(self, condition: Condition, names: Sequence[str], view: Sequence[int]) -> bool:
        """Whether a bound condition holds at `view`, in exact arithmetic."""
        key = (names is RAMP_NAMES, condition)
        if self._integers is not None:
            quick = self._integers.get(key)
            if quick is None:
                quick = self._integers[key] = integer_function(condition, names, self.values)
            return bool(quick(*view))
        function = self.rules.functions.get(key)
        if function is None:
            function = lambdified(condition, [*names, *self.rules.parameter_names])
            self.rules.functions[key] = function
        return bool(function(*view, *self._arguments))

    def launch_rule(self, view: Sequence[int], prefill_possible: bool) -> BoundRule | None:
        """The first launch rule that holds and is possible; None means IDLE."""
        names = _launch_names(self.num_segments)
        for rule in self.rules.launch:
            if rule.target == PREFILL and not prefill_possible:
                continue
            if rule.target > 0 and not view[pool_position(rule.target, BUFFERED)]:
                continue
            if self.holds(rule.closed, names, view):
                return rule
        return None

    def consults(self, ramp: int, view: Sequence[int]) -> bool:
        """Whether ramp r is consulted."""
        return self.holds(self.rules.consult[ramp - 1], RAMP_NAMES, view)

    def ramp_rule(self, ramp: int, view: Sequence[int]) -> BoundRampRule:
        """The first ramp rule of ramp r that holds."""
        for rule in self.rules.ramp[ramp - 1]:
            if self.holds(rule.when, RAMP_NAMES, view):
                return rule
        raise PolicyError(f"policy {self.policy.name}: no ramp rule holds at ramp {ramp}")

    def joins(self, ramp: int, view: Sequence[int]) -> bool:
        """Whether rows waiting behind ramp r join the passing batch."""
        return self.holds(self.rules.join[ramp - 1], RAMP_NAMES, view)


def _launch_names(num_segments: int) -> tuple[str, ...]:
    return _space(num_segments).names


@lru_cache(maxsize=64)
def _space(num_segments: int) -> LaunchSpace:
    return LaunchSpace(num_segments)


def bind(policy: Policy, profile: CostProfile, config: ServerConfig, settings: Settings | None = None) -> BoundPolicy:
    """Bind `policy`. `settings` override defaults by name (`art_factor` for all ramps or `art_factor_1`); the value
    `online` lets a threshold follow the durations of the run.

    Raises PolicyError for unknown names, values out of range, or a batch_max the profile does not cover.
    """
    if config.batch_max > profile.max_rows:
        raise PolicyError(f"batch_max = {config.batch_max}: profile {profile.name} covers 1 to {profile.max_rows} rows")
    rules = _instantiate(policy, profile)
    values = _resolve(policy, profile, config, settings or {})
    online = _online(policy, profile.num_segments, settings or {})
    return BoundPolicy(policy, profile, config, values, rules, online, _arguments(values, rules))


def _arguments(values: Values, rules: Rules) -> tuple[int | Fraction, ...]:
    ordered = (values[name] for name in rules.parameter_names)
    return tuple(value.numerator if value.denominator == 1 else value for value in ordered)


def may_be_online(parameter: Parameter) -> bool:
    """Only what the estimator estimates: a parameter per ramp whose default is `art`."""
    return parameter.scope == "ramp" and parameter.default == symbol("art")


def _online(policy: Policy, num_segments: int, settings: Settings) -> tuple[tuple[str, int], ...]:
    found: list[tuple[str, int]] = []
    for parameter in policy.parameters:
        for ramp, name in enumerate(scoped_names(parameter, num_segments), start=1):
            if settings.get(name, settings.get(parameter.name)) != ONLINE:
                continue
            if not may_be_online(parameter):
                raise PolicyError(f"policy {policy.name}: {name} = online: expected a number; only a parameter per "
                                  "ramp with default art (art_factor of drex) can be online")
            found.append((name, ramp))
    return tuple(found)


def scoped_names(parameter: Parameter, num_segments: int) -> list[str]:
    """The value names of a parameter: itself, or one per ramp or buffer."""
    if parameter.scope == "ramp":
        return [f"{parameter.name}_{ramp}" for ramp in range(1, num_segments)]
    if parameter.scope == "pool":
        return [f"{parameter.name}_{pool}" for pool in range(2, num_segments + 1)]
    return [parameter.name]


def _resolve(policy: Policy, profile: CostProfile, config: ServerConfig, settings: Settings) -> dict[str, Fraction]:
    known: dict[str, Fraction] = {"batch_max": Fraction(config.batch_max), "n_max": Fraction(config.max_num_seqs)}
    values: dict[str, Fraction] = {}
    accepted: set[str] = set()
    for parameter in policy.parameters:
        for index, name in enumerate(scoped_names(parameter, profile.num_segments), start=1):
            accepted |= {name, parameter.name}
            given = settings.get(name, settings.get(parameter.name))
            if given is not None and given != ONLINE:
                value = parse_fraction(given, f"policy {policy.name}, parameter {name}")
            else:
                rows = min(int(values.get("batch_limit", 1)), config.batch_max)
                known |= _predicted(parameter, profile, index, rows)
                value = _evaluate(parameter.default, known, f"policy {policy.name}, default of {name}")
                if parameter.integer:  # a derived default such as n_max/2 means whole rows
                    value = Fraction(floor(value))
            values[name] = _in_range(policy, parameter, name, value)
        if parameter.scope == "policy":
            known[parameter.name] = values[parameter.name]
    unknown = sorted(set(settings) - accepted)
    if unknown:
        raise PolicyError(f"policy {policy.name}: unknown parameter {unknown[0][:80]!r}; "
                          f"it has {', '.join(sorted(accepted))}")
    return values


def _predicted(parameter: Parameter, profile: CostProfile, index: int, rows: int) -> dict[str, Fraction]:
    """What the profile predicts at batch_limit rows, as far as the default of `parameter` asks for it."""
    used = {item.name for item in parameter.default.free_symbols}
    found = {PASS_TIME: Fraction(pass_time(profile, rows))} if PASS_TIME in used else {}
    if parameter.scope == "ramp":
        if "art" in used:
            found["art"] = art_terms(profile, index, rows).factor
        if "break_even" in used:
            found["break_even"] = break_even(profile, index, rows)
        if "toll" in used:
            found["toll"] = toll(profile, index, rows)
        if "pass_rows" in used:
            found["pass_rows"] = pass_rows(profile, index, rows)
        if "doubt" in used:
            found["doubt"] = doubt(profile, index, rows)
        if "empty_share" in used:
            found["empty_share"] = empty_share(profile, index, rows)
        if "park_time" in used:
            found["park_time"] = Fraction(park_time(profile, index, rows))
    return found


def _in_range(policy: Policy, parameter: Parameter, name: str, value: Fraction) -> Fraction:
    low, high = parameter.low, parameter.high
    if (low is not None and value < low) or (high is not None and value > high) or (
            parameter.integer and value.denominator != 1):
        kind = "an integer" if parameter.integer else "a number"
        raise PolicyError(f"policy {policy.name}: {name} = {value}: expected {kind} from "
                          f"{'any' if low is None else low} to {'any' if high is None else high}")
    return value


def _evaluate(expression: sympy.Expr, known: Values, what: str) -> Fraction:
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    if isinstance(expression, sympy.Symbol):
        return known[expression.name]
    value = expression.subs({symbol(name): rational(number) for name, number in known.items()})
    if not value.is_Rational:
        raise PolicyError(f"{what}: {expression} is not a number here")
    return Fraction(int(value.p), int(value.q))


@lru_cache(maxsize=512)
def _instantiate(policy: Policy, profile: CostProfile) -> Rules:
    num_segments = profile.num_segments
    names = tuple(name for parameter in policy.parameters for name in scoped_names(parameter, num_segments))
    per_ramp = [parameter.name for parameter in policy.parameters if parameter.scope == "ramp"]
    ramps = range(1, num_segments)

    def at_ramp(condition: Condition, ramp: int) -> Condition:
        return _renamed(condition, {name: f"{name}_{ramp}" for name in per_ramp})

    return Rules(
        _launch_rules(policy, profile), tuple(at_ramp(policy.consult, ramp) for ramp in ramps),
        tuple(tuple(BoundRampRule(rule.name, rule.action, at_ramp(rule.when, ramp)) for rule in policy.ramp)
              for ramp in ramps),
        tuple(at_ramp(policy.join, ramp) for ramp in ramps), names)


def _launch_rules(policy: Policy, profile: CostProfile) -> tuple[BoundRule, ...]:
    per_pool = [parameter.name for parameter in policy.parameters if parameter.scope == "pool"]
    found: list[BoundRule] = []
    block: list[LaunchRule] = []

    def expand() -> None:
        for pool in range(profile.num_segments, 1, -1):
            names = {name: f"{name}_{pool}" for name in (*POOL_NAMES, *per_pool)}
            for rule in block:
                when = _renamed(rule.when, names)
                found.append(BoundRule(rule.name, pool, when, _closed(when, profile, pool), rule))
        block.clear()

    for rule in policy.launch:
        if rule.is_family:
            block.append(rule)
            continue
        expand()
        _check_pools(policy, rule, profile.num_segments)
        target = rule.pool if rule.pool is not None else {"PREFILL": PREFILL, "IDLE": IDLE}[rule.action]
        found.append(BoundRule(rule.name, target, rule.when, rule.when, rule))
    expand()
    return tuple(found)


def _check_pools(policy: Policy, rule: LaunchRule, num_segments: int) -> None:
    named = [pool_of_name(item.name) or 0 for item in rule.when.free_symbols]
    highest = max([rule.pool or 0, *named])
    if highest > num_segments:
        raise PolicyError(f"policy {policy.name}, rule {rule.name}: pool {highest} does not exist; "
                          f"the model has {num_segments} segments")


def _renamed(condition: Condition, names: Mapping[str, str]) -> Condition:
    present = {item.name for item in condition.free_symbols} & set(names)
    if not present:
        return condition
    return condition.xreplace({symbol(name): symbol(names[name]) for name in present})


def _closed(condition: Condition, profile: CostProfile, pool: int) -> Condition:
    """Replace comparisons with `deep_time` by one case per bucket of min(buffered, batch_limit, batch_max)."""
    name = symbol(DEEP_TIME)
    if name not in condition.free_symbols:
        return condition
    rows = sympy.Min(symbol(f"buffered_{pool}"), symbol("batch_limit"), symbol("batch_max"))
    cases: list[tuple[Condition, sympy.Expr]] = []
    below = 0
    for bucket in profile.buckets:
        at = deep_time(profile, pool, bucket)
        slope = at - deep_time(profile, pool, bucket - 1) if bucket - 1 > below else 0
        inside = sympy.And(rows > below, rows <= bucket)
        cases.append((inside, at + slope * (rows - bucket) if slope else rational(at)))
        below = bucket

    def cased(relation: sympy.Basic) -> Condition:
        return sympy.Or(*(sympy.And(inside, relation.xreplace({name: value})) for inside, value in cases))

    relations = [item for item in condition.atoms(sympy.core.relational.Relational) if name in item.free_symbols]
    return condition.xreplace({relation: cased(relation) for relation in relations})
