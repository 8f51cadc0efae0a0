"""Exact regret attribution: every tick of a gap is put on one decision, and there on one cause.

The regret of a step (launch, consult, split, join) is V(after) - V(before). Regrets of a run sum to H - V(start):
with the clairvoyant's V to the gap to the optimum, every term >= 0; with a reference policy's V to H - reference,
terms of either sign. Inside a step: Q(chosen) - best of the policy's own table = blame on a rule; that minus the
best with batch_max rows = `batch_limit`; the rest = `order` (the clairvoyant takes other rows than the first).
Source: scheduling model, Regret; analyzer design, Explanations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies.bind import IDLE, PREFILL, BoundPolicy
from drex_runtime.policies.expressions import Condition
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase, State
from drex_runtime.simulator import Log, Machine, Run, Step, simulate
from drex_runtime.simulator.reference import RAMP_KINDS, apply
from xplain.encodings.exact import Interval
from xplain.explain.blame import (
    CauseKey,
    Numbers,
    Offer,
    blame_missed,
    given,
    launch_numbers,
    names_in,
    parameters_of,
    ramp_numbers,
    readable,
)
from xplain.explain.values import Values, never_falling
from xplain.records import Attribution, Cause

NO_REGRET = ("it forces exits (EXIT_ALL) or holds finished rows (RELEASE), so it is not compared at equal output; "
             "regret analysis takes policies of SPLIT and CONTINUE only")

@dataclass(frozen=True, slots=True)
class Part:
    """Ticks of one step's regret under one cause; `example` shows the numbers."""

    cause: CauseKey
    ticks: int
    example: str


@dataclass(frozen=True, slots=True)
class StepRegret:
    """One step of a run: V before, regret, its parts (summing to it), the best action the table offered."""

    index: int
    step: Step
    before: Interval
    regret: int
    parts: tuple[Part, ...]
    better: Action | None


@dataclass(frozen=True)
class RunRegret:
    """All steps of a run. `exact`: every V was one number."""

    run: Run
    total: int
    start: Interval
    steps: tuple[StepRegret, ...]
    exact: bool
    uncertainty: int


def attribute_run(policy: BoundPolicy, workload: Workload, objective: Objective, values: Values, *,
                  examine: int | None = None) -> RunRegret:
    """Run `policy` and put every tick of H - V(start) on a step and a cause.

    `examine`: alternatives are evaluated for at most so many steps, the costliest first (None: all); the other
    steps are put on the rule that fired: kind `gain` if they save against the reference, else `unexamined`.
    PolicyError for a policy that forces exits: the optimum, which forces none, is no bound for it.
    """
    if values.optimal and not policy.policy.keeps_exits_voluntary:
        raise PolicyError(f"policy {policy.policy.name}: {NO_REGRET}")
    log = Log(keep_steps=True)
    run = simulate(policy, workload, log=log)
    steps = log.steps
    intervals = values.values([step.state for step in steps])
    end = run.objective(objective)
    intervals.append(Interval(end, end))
    if values.optimal:
        intervals = never_falling(intervals)
    # An interval's upper end is a feasible cost: differences of upper ends still sum to the gap.
    regrets = [after.upper - before.upper for before, after in pairwise(intervals)]
    order = sorted(range(len(steps)), key=lambda index: -regrets[index])
    chosen = set(order if examine is None else order[:examine])
    found = []
    for index, step in enumerate(steps):
        before, regret, better = intervals[index], regrets[index], None
        if regret == 0:
            parts: tuple[Part, ...] = ()
        elif index in chosen:
            parts, better = attribute_step(policy, workload, values, step, before.upper, intervals[index + 1].upper)
        else:
            kind = "gain" if regret < 0 else "unexamined"
            parts = (Part(CauseKey(kind, fired_rule(policy, step), "", ()), regret, ""),)
        found.append(StepRegret(index, step, before, regret, parts, better))
    total = sum(item.regret for item in found)
    if total != end - intervals[0].upper or any(sum(p.ticks for p in s.parts) != s.regret for s in found):
        raise ArithmeticError(f"regrets do not sum to the gap: {total} against {end - intervals[0].upper}")
    exact = all(interval.proved for interval in intervals)
    widest = max(interval.upper - interval.lower for interval in intervals)
    return RunRegret(run, total, intervals[0], tuple(found), exact, widest)


def summarise(result: RunRegret, sample: int, region: str, reference: str) -> Attribution:
    """Causes of a run, largest first; ticks sum to the gap."""
    causes = totalled((part for step in result.steps for part in step.parts), result.total)
    return Attribution(sample, region, reference, result.total, causes, result.exact, result.uncertainty,
                       len(result.steps))


def totalled(parts: Iterable[Part], total: int) -> tuple[Cause, ...]:
    """Parts summed by cause, the largest first; shares are of `total` (0 if that is 0)."""
    ticks: dict[CauseKey, int] = {}
    counts: dict[CauseKey, int] = {}
    examples: dict[CauseKey, tuple[int, str]] = {}
    for part in parts:
        ticks[part.cause] = ticks.get(part.cause, 0) + part.ticks
        counts[part.cause] = counts.get(part.cause, 0) + 1
        if part.ticks > examples.get(part.cause, (0, ""))[0]:
            examples[part.cause] = (part.ticks, part.example)
    return tuple(Cause(key.kind, key.rule, key.atom, key.parameters, ticks[key], counts[key],
                       ticks[key] / total if total else 0.0, examples.get(key, (0, ""))[1])
                 for key in sorted(ticks, key=lambda key: -abs(ticks[key])))


def _restored(policy: BoundPolicy, workload: Workload, state: State) -> Machine:
    machine = Machine(workload, policy.profile, policy.config, order=policy.policy.order, start=state)
    if machine.phase == Phase.DECIDE:
        machine.admit()
        machine.pools.count_decision()
    return machine


def after(policy: BoundPolicy, workload: Workload, state: State, action: Action) -> State:
    """The state at the next choice point if `action` is taken in `state`."""
    machine = _restored(policy, workload, state)
    apply(machine, action)
    if action.kind == Kind.CONSULT and len(machine.ready_rows()) == len(machine.batch):
        machine.split()  # nobody would stay: forced, as in every run
    return machine.snapshot()


@dataclass(frozen=True, slots=True)
class _Alternative:
    action: Action
    offers: tuple[Offer, ...]
    more_rows: bool = False


def attribute_step(policy: BoundPolicy, workload: Workload, values: Values, step: Step, before: int,
                   chosen: int) -> tuple[tuple[Part, ...], Action | None]:
    """Parts of a step's regret, which sum to chosen - before, and the best action of the table if it is better.

    `before`, `chosen`: the value (upper end) of the step's state and of the one it leads to.
    """
    alternatives = list(_alternatives(policy, workload, step))
    reached = values.values([after(policy, workload, step.state, item.action) for item in alternatives])
    # Nothing reaches less than the optimum: where that is an interval, its upper end stands for it on both sides.
    least = before if values.optimal else 0
    priced = [(max(least, interval.upper), item) for interval, item in zip(reached, alternatives, strict=True)]
    in_table = [(price, item) for price, item in priced if not item.more_rows]
    best = min([chosen, *(price for price, _ in in_table)])
    parts: list[Part] = []
    better: Action | None = None
    if best < chosen:
        cheapest = [item for price, item in in_table if price == best]
        better = cheapest[0].action
        parts.append(_blamed(policy, step, cheapest, chosen - best))
    wider = min([best, *(price for price, item in priced if item.more_rows)])
    if wider < best:
        better = next(item.action for price, item in priced if item.more_rows and price == wider)
        key = CauseKey("batch_limit", "batch_limit", "batch_limit < batch_max", ("batch_limit",))
        parts.append(Part(key, best - wider, f"batch_limit = {policy.batch_limit} < {policy.config.batch_max}"))
    if wider != before:
        kind = "order" if wider > before else "gain"
        parts.append(Part(CauseKey(kind, fired_rule(policy, step), "", ()), wider - before, ""))
    return tuple(parts), better


def _blamed(policy: BoundPolicy, step: Step, cheapest: Sequence[_Alternative], ticks: int) -> Part:
    fired = _position(policy, step)
    missed = [offer for item in cheapest for offer in item.offers if offer.position < fired]
    if missed:
        key, example = blame_missed(policy, missed)
        return Part(key, ticks, example)
    name, condition, numbers = _fired(policy, step)
    instead = cheapest[0].action.kind.name
    key = CauseKey("fired", name, readable(condition) if names_in(condition) else "",
                   parameters_of(policy, condition))
    return Part(key, ticks, f"{given(condition, numbers)}; better: {instead}")


def _alternatives(policy: BoundPolicy, workload: Workload, step: Step) -> Iterable[_Alternative]:
    """What else the table offers at this choice point (the chosen action left out)."""
    if step.state.phase == Phase.DECIDE:
        yield from _launch_alternatives(policy, workload, step)
        return
    ramp = step.state.segment
    numbers = ramp_numbers(policy, step.view, ramp)
    if step.state.phase == Phase.CONSULT:
        other = Kind.SKIP if step.action.kind == Kind.CONSULT else Kind.CONSULT
        position = -1 if other == Kind.CONSULT else 1
        yield _Alternative(Action(other), (Offer(position, "consult", policy.policy.consult, numbers),))
    elif step.state.phase == Phase.RAMP:
        by_kind: dict[Kind, list[Offer]] = {}
        for position, rule in enumerate(policy.policy.ramp):
            by_kind.setdefault(RAMP_KINDS[rule.action], []).append(Offer(position, rule.name, rule.when, numbers))
        for kind in (Kind.SPLIT, Kind.CONTINUE):
            if kind != step.action.kind:
                yield _Alternative(Action(kind), tuple(by_kind.get(kind, ())))
    elif step.action.kind == Kind.JOIN:
        yield _Alternative(Action(Kind.STAY_APART), ())
    else:
        machine = _restored(policy, workload, step.state)
        rows = machine.pools.first(ramp + 1, machine.config.batch_max - len(machine.batch))
        yield _Alternative(Action(Kind.JOIN, ramp + 1, rows), (Offer(-1, "join", policy.policy.join, numbers),))


def _launch_alternatives(policy: BoundPolicy, workload: Workload, step: Step) -> Iterable[_Alternative]:
    machine = _restored(policy, workload, step.state)
    offers: dict[int, list[Offer]] = {target: [] for target in range(PREFILL, policy.num_segments + 1)}
    numbers = {target: launch_numbers(policy, step.view, target) for target in {r.target for r in policy.rules.launch}}
    for position, rule in enumerate(policy.rules.launch):
        offers.setdefault(rule.target, []).append(Offer(position, rule.name, rule.origin.when, numbers[rule.target]))
    chosen = {Kind.PREFILL: PREFILL, Kind.IDLE: IDLE, Kind.RUN: step.action.pool}[step.action.kind]
    for target, rules in offers.items():
        if target >= 1 and machine.pools.size(target):
            rows = machine.pools.first(target, policy.batch_limit)
            wide = machine.pools.first(target, policy.config.batch_max)
            if target != chosen:
                yield _Alternative(Action(Kind.RUN, target, rows), tuple(rules))
            if len(wide) > len(rows):
                yield _Alternative(Action(Kind.RUN, target, wide), tuple(rules), more_rows=True)
        elif target == PREFILL and target != chosen and machine.prefill_plan():
            yield _Alternative(Action(Kind.PREFILL), tuple(rules))
    if chosen != IDLE and machine.next_arrival() is not None:
        yield _Alternative(Action(Kind.IDLE), tuple(offers.get(IDLE, ())))


def _position(policy: BoundPolicy, step: Step) -> int:
    """Place of the fired rule in its table; the implicit last rule (IDLE) comes after all."""
    if step.state.phase == Phase.DECIDE:
        return next((i for i, rule in enumerate(policy.rules.launch) if rule.label == step.rule),
                    len(policy.rules.launch))
    if step.state.phase == Phase.RAMP:
        return next(i for i, rule in enumerate(policy.policy.ramp) if rule.name == step.rule)
    return 0


def fired_rule(policy: BoundPolicy, step: Step) -> str:
    """The table's name of the rule that decided: `consult` and `join` at those choices, `idle` if none held."""
    if step.state.phase == Phase.DECIDE:
        return next((rule.name for rule in policy.rules.launch if rule.label == step.rule), "idle")
    return {Phase.CONSULT: "consult", Phase.JOIN: "join"}.get(step.state.phase, step.rule)


def _fired(policy: BoundPolicy, step: Step) -> tuple[str, Condition, Numbers]:
    """Name, readable condition and numbers of the rule that fired."""
    phase, ramp = step.state.phase, step.state.segment
    if phase == Phase.DECIDE:
        rule = next((rule for rule in policy.rules.launch if rule.label == step.rule), None)
        if rule is None:
            return "idle", sympy.true, launch_numbers(policy, step.view, 0)
        return rule.name, rule.origin.when, launch_numbers(policy, step.view, rule.target)
    numbers = ramp_numbers(policy, step.view, ramp)
    if phase == Phase.CONSULT:
        return "consult", policy.policy.consult, numbers
    if phase == Phase.JOIN:
        return "join", policy.policy.join, numbers
    rule_at_ramp = next(rule for rule in policy.policy.ramp if rule.name == step.rule)
    return rule_at_ramp.name, rule_at_ramp.when, numbers
