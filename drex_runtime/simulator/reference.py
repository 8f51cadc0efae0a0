"""The reference simulator: a policy drives the mechanics, every choice can be logged.

Plain and slow on purpose; the compiled simulator must agree with it to the tick.
"""

from __future__ import annotations

from collections.abc import Iterable

from drex_runtime.policies.bind import PREFILL, BoundPolicy
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Action, Kind, Phase, State
from drex_runtime.simulator.events import Log, Run, Step
from drex_runtime.simulator.mechanics import Machine

RAMP_KINDS = {"SPLIT": Kind.SPLIT, "CONTINUE": Kind.CONTINUE, "EXIT_ALL": Kind.EXIT_ALL, "RELEASE": Kind.RELEASE}


def simulate(policy: BoundPolicy, workload: Workload, *, start: State | None = None, log: Log | None = None) -> Run:
    """Run `workload` under `policy` to the end, from `start` if given.

    Raises PolicyError if the policy idles for ever, or is online and starts from a state (which does not hold the
    estimator's); LimitError if profile and workload do not fit.
    """
    if start is not None:
        policy.require_frozen("a run from a given state")
    estimator = policy.estimator(kept=None if log is None else workload.num_tokens * workload.num_segments)
    machine = Machine(workload, policy.profile, policy.config, order=policy.policy.order, start=start, log=log,
                      estimator=estimator)
    while machine.phase != Phase.END:
        state = machine.snapshot() if log is not None and log.keep_steps else None
        action, rule, view = choose(policy, machine)
        if log is not None and state is not None:
            log.steps.append(Step(state, action, rule, view))
        apply(machine, action, rule)
        if action.kind == Kind.CONSULT and len(machine.ready_rows()) == len(machine.batch):
            machine.split()  # nobody would stay: not a choice for a policy
    if log is not None and estimator is not None:
        log.arts.extend(estimator.used)
    return machine.result()


def choose(policy: BoundPolicy, machine: Machine) -> tuple[Action, str, tuple[int, ...]]:
    """What `policy` does at this choice point: action, rule label, view. At DECIDE this admits and counts ages."""
    if machine.phase == Phase.DECIDE:
        return _choose_launch(policy, machine)
    view, ramp = machine.ramp_view(), machine.segment
    if machine.estimator is None:
        policy.require_frozen("a choice at a given state")
    else:
        policy = machine.estimator.policy_at(policy, ramp, len(machine.batch), deciding=machine.phase == Phase.RAMP)
    if machine.phase == Phase.CONSULT:
        yes = policy.consults(ramp, view)
        return Action(Kind.CONSULT if yes else Kind.SKIP), "consult", view
    if machine.phase == Phase.RAMP:
        rule = policy.ramp_rule(ramp, view)
        return Action(RAMP_KINDS[rule.action]), rule.name, view
    if policy.joins(ramp, view):
        room = machine.config.batch_max - len(machine.batch)
        return Action(Kind.JOIN, ramp + 1, machine.pools.first(ramp + 1, room)), "join", view
    return Action(Kind.STAY_APART), "join", view


def _choose_launch(policy: BoundPolicy, machine: Machine) -> tuple[Action, str, tuple[int, ...]]:
    machine.admit()
    machine.pools.count_decision()
    view = machine.launch_view()
    rule = policy.launch_rule(view, bool(machine.prefill_plan()))
    if rule is None or rule.target < 0:
        return Action(Kind.IDLE), rule.label if rule else "", view
    if rule.target == PREFILL:
        return Action(Kind.PREFILL), rule.label, view
    return Action(Kind.RUN, rule.target, machine.pools.first(rule.target, policy.batch_limit)), rule.label, view


def apply(machine: Machine, action: Action, rule: str = "") -> None:
    """Carry out one choice (at DECIDE: after `Machine.admit`)."""
    match action.kind:
        case Kind.PREFILL:
            machine.prefill(rule)
        case Kind.RUN:
            machine.run(action.pool, action.rows or (), rule)
        case Kind.IDLE:
            machine.idle(rule)
        case Kind.CONSULT:
            machine.consult()
        case Kind.SKIP:
            machine.skip()
        case Kind.SPLIT:
            machine.split()
        case Kind.CONTINUE:
            machine.continue_()
        case Kind.EXIT_ALL:
            machine.exit_all()
        case Kind.RELEASE:
            machine.release()
        case Kind.JOIN:
            machine.join(action.rows or ())
        case Kind.STAY_APART:
            machine.join(())


def replay_schedule(machine: Machine, actions: Iterable[Action]) -> Run:
    """Carry out a given schedule (of the exact search) on `machine` and return the finished run."""
    for action in actions:
        if machine.phase == Phase.DECIDE:
            machine.admit()
            machine.pools.count_decision()
        apply(machine, action)
    return machine.result()
