"""Changes of a policy that would mend one cause: what an operator would try after reading the blame.

A false atom is made true, or loosened by what it lacked at the costly decisions; a rule that fires wrongly is
tightened by as much as it exceeded its bound there, guarded by the leaf in which it is wrong, dropped, moved behind
the rule that was better, or preceded by the choice that was; `batch_limit` is raised. With several ramps each change
of a rule at a ramp is also offered for one ramp alone. Nothing else of the policy changes: what a change wins back is
this cause's. Source: analyzer design, Explanations (causes are interventions on the policy's own table).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import PREFILL, BoundPolicy, bind
from drex_runtime.policies.expressions import Condition, rational, symbol
from drex_runtime.policies.observation import EXITS
from drex_runtime.policies.table import LaunchRule, Policy, RampAction, RampRule
from drex_runtime.policies.text import condition_text
from drex_runtime.scheduling.state import Action, Kind
from xplain.explain.blame import launch_numbers, ramp_numbers
from xplain.explain.many import Decision
from xplain.explain.when import Suspect
from xplain.records import Predicate

STEPS = 4  # amounts by which a bound is moved
LEAST_STEP = Fraction(1, 1024)  # beyond equality, of a strict comparison
MENDED = "mended"  # name of an inserted rule
RAMP_ACTIONS: dict[Kind, RampAction] = {Kind.SPLIT: "SPLIT", Kind.CONTINUE: "CONTINUE"}


@dataclass(frozen=True)
class Change:
    """A changed policy and the change in words."""

    text: str
    policy: BoundPolicy


def changes(policy: BoundPolicy, suspect: Suspect, decisions: Sequence[Decision],
            guards: Sequence[Sequence[Predicate]]) -> tuple[Change, ...]:
    """Every change that could mend the suspect, duplicates left out. `decisions`: those whose regret is blamed on it;
    `guards`: where it is wrong (conjunctions over observation variables)."""
    found: dict[tuple[object, ...], Change] = {}
    where = [_conjunction(guard) for guard in guards]
    if len(where) > 1:
        where.append(sympy.Or(*where))
    for text, table, values in _candidates(policy, suspect, decisions, where):
        try:
            changed = bind(table, policy.profile, policy.config, values)
        except PolicyError:
            continue  # such as a guard whose product leaves the grammar: not a policy
        key = (table.launch, table.consult, table.ramp, table.join, tuple(sorted(changed.values.items())))
        if (table, changed.values) != (policy.policy, policy.values):
            found.setdefault(key, Change(text, changed))
    return tuple(found.values())


def _candidates(policy: BoundPolicy, suspect: Suspect, decisions: Sequence[Decision],
                guards: Sequence[Condition]) -> Iterator[tuple[str, Policy, dict[str, Fraction]]]:
    table, values = policy.policy, policy.values
    if suspect.kind == "batch_limit":
        for limit in range(policy.batch_limit + 1, policy.config.batch_max + 1):
            yield f"batch_limit = {limit}", table, values | {"batch_limit": Fraction(limit)}
        return
    condition = condition_of(table, suspect)
    for changed in _conditions(policy, suspect, condition, decisions, guards):
        if suspect.site == "ramp" and suspect.rule == table.ramp[-1].name:
            continue  # the last rule at a ramp holds always
        yield f"{suspect.rule} when {condition_text(changed)}", _with(table, suspect, changed), values
    if suspect.kind == "fired" and suspect.site in ("launch", "ramp"):
        for text, other in (*_moved(policy, suspect, decisions), *_inserted(policy, suspect, decisions, guards)):
            yield text, other, values


def condition_of(table: Policy, suspect: Suspect) -> Condition:
    """The condition of the suspect's rule."""
    if suspect.site in ("consult", "join"):
        return table.consult if suspect.site == "consult" else table.join
    rules: Sequence[LaunchRule | RampRule] = table.launch if suspect.site == "launch" else table.ramp
    return next((rule.when for rule in rules if rule.name == suspect.rule), sympy.true)


def _with(table: Policy, suspect: Suspect, condition: Condition) -> Policy:
    if suspect.site == "consult":
        return replace(table, consult=condition)
    if suspect.site == "join":
        return replace(table, join=condition)
    if suspect.site == "launch":
        return replace(table, launch=tuple(replace(rule, when=condition) if rule.name == suspect.rule else rule
                                           for rule in table.launch))
    return replace(table, ramp=tuple(replace(rule, when=condition) if rule.name == suspect.rule else rule
                                     for rule in table.ramp))


def _conditions(policy: BoundPolicy, suspect: Suspect, condition: Condition, decisions: Sequence[Decision],
                guards: Sequence[Condition]) -> Iterator[Condition]:
    """Other conditions of the rule: wider ones if it was missed, narrower ones if it fired."""
    wider = suspect.kind == "missed"
    found: list[Condition] = [sympy.true if wider else sympy.false]
    for atom in sorted(condition.atoms(sympy.core.relational.Relational), key=condition_text):
        found.append(condition.xreplace({atom: sympy.true if wider else sympy.false}))
        for amount in _amounts(policy, suspect, atom, decisions):
            found.append(condition.xreplace({atom: _shifted(atom, amount if wider else -amount)}))
    for inside in guards:
        found.append(sympy.Or(condition, inside) if wider else sympy.And(condition, sympy.Not(inside)))
    yield from found
    if suspect.site != "launch" and policy.num_segments > 2:
        for ramp in sorted({decision.ramp for decision in decisions}):
            here = sympy.Eq(symbol("segment"), rational(ramp))
            for changed in found:
                yield sympy.Or(sympy.And(here, changed), sympy.And(sympy.Not(here), condition))


def _amounts(policy: BoundPolicy, suspect: Suspect, atom: Condition, decisions: Iterable[Decision]) -> list[Fraction]:
    """By how much the atom must be moved to change its truth at the costly decisions: up to `STEPS` values."""
    if not isinstance(atom, sympy.Gt | sympy.Ge | sympy.Lt | sympy.Le):
        return []
    strict = isinstance(atom, sympy.Gt | sympy.Lt)
    names = {item.name for item in atom.free_symbols}
    found = set()
    for decision in decisions:
        for numbers in _numbers(policy, suspect, decision):
            if names - set(numbers):
                continue
            left, right = (_value(side, numbers) for side in (atom.lhs, atom.rhs))
            over = left - right if isinstance(atom, sympy.Gt | sympy.Ge) else right - left
            if suspect.kind == "missed" and (over < 0 or (strict and over == 0)):
                found.add(-over + (LEAST_STEP if strict else 0))
            elif suspect.kind != "missed" and (over > 0 or (over == 0 and not strict)):
                found.add(over + (0 if strict else LEAST_STEP))
    ordered = sorted(found)
    if len(ordered) <= STEPS:
        return ordered
    return [ordered[round(k * (len(ordered) - 1) / (STEPS - 1))] for k in range(STEPS)]


def _numbers(policy: BoundPolicy, suspect: Suspect, decision: Decision) -> list[dict[str, Fraction | int]]:
    """Values of the names of the suspect's rule; of a family rule for the buffer it took or should have taken."""
    if suspect.site != "launch":
        return [ramp_numbers(policy, decision.view, decision.ramp)]
    chosen = decision.better if suspect.kind == "missed" and decision.better is not None else decision.action
    pools = [chosen.pool] if chosen.kind == Kind.RUN else [PREFILL]
    return [launch_numbers(policy, decision.view, pool) for pool in pools]


def _value(side: sympy.Expr, numbers: dict[str, Fraction | int]) -> Fraction:
    found = side.subs({symbol(item.name): rational(numbers[item.name]) for item in side.free_symbols})
    return Fraction(int(found.p), int(found.q))


def _shifted(atom: Condition, amount: Fraction) -> Condition:
    """The atom, easier to meet by `amount` (harder if negative)."""
    step = rational(amount) if isinstance(atom, sympy.Gt | sympy.Ge) else -rational(amount)
    return atom.func(atom.lhs + step, atom.rhs)


def _conjunction(predicates: Sequence[Predicate]) -> Condition:
    return sympy.And(*((symbol(item.feature) <= int(item.bound)) if item.relation == "<=" else
                       (symbol(item.feature) > int(item.bound)) for item in predicates))


def _moved(policy: BoundPolicy, suspect: Suspect, decisions: Sequence[Decision]) -> Iterator[tuple[str, Policy]]:
    """The launch rule behind a rule below it that makes the better launch."""
    table = policy.policy
    if suspect.site != "launch" or suspect.rule not in [rule.name for rule in table.launch]:
        return
    wanted = {decision.better for decision in decisions if decision.better is not None}
    place = next(i for i, rule in enumerate(table.launch) if rule.name == suspect.rule)
    for below in range(place + 1, len(table.launch)):
        if any(_makes(table.launch[below], action) for action in wanted):
            rules = list(table.launch)
            rules.insert(below, rules.pop(place))
            yield f"{suspect.rule} after {table.launch[below].name}", replace(table, launch=tuple(rules))


def _makes(rule: LaunchRule, action: Action) -> bool:
    if action.kind == Kind.RUN:
        return rule.pool == action.pool or (rule.is_family and action.pool >= 2)
    return rule.action == action.kind.name


def _inserted(policy: BoundPolicy, suspect: Suspect, decisions: Sequence[Decision],
              guards: Sequence[Condition]) -> Iterator[tuple[str, Policy]]:
    """A new rule in front of the suspect that chooses what was better: where the suspect is wrong, or at a ramp from a
    number of exits on."""
    table = policy.policy
    taken = {rule.name for rule in table.launch} | {rule.name for rule in table.ramp}
    name = next(name for name in (MENDED, *(f"{MENDED}_{k}" for k in range(len(taken)))) if name not in taken)
    for action in sorted({decision.better for decision in decisions if decision.better is not None}, key=_order):
        what = f"RUN({action.pool})" if action.kind == Kind.RUN else action.kind.name
        seen = {decision.view[EXITS] for decision in decisions} if suspect.site == "ramp" else set()
        for where in (*guards, *(symbol("exits") >= least for least in sorted(seen))) or (sympy.true,):
            text = f"{what} before {suspect.rule} when {condition_text(where)}"
            if suspect.site == "ramp" and action.kind in RAMP_ACTIONS:
                place = next(i for i, rule in enumerate(table.ramp) if rule.name == suspect.rule)
                rule = RampRule(name, RAMP_ACTIONS[action.kind], where)
                yield text, replace(table, ramp=(*table.ramp[:place], rule, *table.ramp[place:]))
            elif suspect.site == "launch" and action.kind in (Kind.RUN, Kind.PREFILL):
                place = next((i for i, rule in enumerate(table.launch) if rule.name == suspect.rule), len(table.launch))
                launch = LaunchRule(name, what, where)
                yield text, replace(table, launch=(*table.launch[:place], launch, *table.launch[place:]))


def _order(action: Action) -> tuple[int, int, tuple[int, ...]]:
    return int(action.kind), action.pool, action.rows or ()


