"""Witnesses: a small workload on which the heuristic loses, with both schedules as timelines."""

from __future__ import annotations

from dataclasses import replace

from drex_runtime.policies import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Action, Kind, Objective
from drex_runtime.simulator import EventKind, Log, Machine, Run, replay_schedule, simulate
from xplain.encodings.exact import CostToGo, Limits, SearchResult, solve
from xplain.explain.regret import RunRegret, StepRegret, attribute_run
from xplain.explain.values import ClairvoyantValues
from xplain.records import Bar, Timeline, Witness
from xplain.report.units import duration

BAR_KINDS = {EventKind.SEGMENT, EventKind.RAMP, EventKind.START, EventKind.REBATCH, EventKind.FILL,
             EventKind.PREFILL, EventKind.IDLE}


def timeline(title: str, run: Run, objective: Objective) -> Timeline:
    """A logged run as bars, exits and parks."""
    log = run.log or Log()
    bars = tuple(Bar(event.at, event.at + event.ticks, str(event.kind), event.segment, event.rows)
                 for event in log.events if event.kind in BAR_KINDS and event.ticks)
    marks = {kind: tuple((event.at, row, event.segment) for event in log.events if event.kind == kind
                         for row in event.rows) for kind in (EventKind.EXIT, EventKind.PARK)}
    return Timeline(title, bars, marks[EventKind.EXIT], marks[EventKind.PARK], run.completed,
                    run.objective(objective))


def optimal_run(policy: BoundPolicy, workload: Workload, objective: Objective, limits: Limits) -> tuple[SearchResult,
                                                                                                        Run]:
    """The exact search's schedule, replayed by the mechanics. ArithmeticError if the replay disagrees."""
    result = solve(workload, policy.profile, policy.config, objective, limits=limits)
    log = Log(keep_steps=False)
    run = replay_schedule(Machine(workload, policy.profile, policy.config, log=log), result.schedule)
    if run.objective(objective) != result.interval.upper:
        raise ArithmeticError(f"replay of the incumbent gives {run.objective(objective)}, the search said "
                              f"{result.interval.upper}")
    return result, run


def simplified(policy: BoundPolicy, workload: Workload, objective: Objective, limits: Limits) -> Workload:
    """Drop requests, then last tokens, as long as the proved relative gap does not shrink."""
    def relative_gap(candidate: Workload) -> float:
        interval = solve(candidate, policy.profile, policy.config, objective, limits=limits).interval
        value = simulate(policy, candidate).objective(objective)
        # All can complete at 0 (prefills that cost nothing): no gap can be told as a share of that.
        return (value - interval.upper) / interval.upper if interval.proved and interval.upper else -1.0

    best, current = relative_gap(workload), workload
    improved = True
    while improved:
        improved = False
        for candidate in _smaller(current):
            found = relative_gap(candidate)
            if found >= best:
                best, current, improved = found, candidate, True
                break
    return current


def _smaller(workload: Workload) -> list[Workload]:
    found = []
    if len(workload.requests) > 1:
        for index in range(len(workload.requests)):
            kept = workload.requests[:index] + workload.requests[index + 1:]
            found.append(replace(workload, requests=kept))
    for index, request in enumerate(workload.requests):
        if request.output_tokens > 1:
            shorter = replace(request, depths=request.depths[:-1])
            found.append(replace(workload, requests=(*workload.requests[:index], shorter,
                                                     *workload.requests[index + 1:])))
    return found


def build_witness(policy: BoundPolicy, workload: Workload, objective: Objective, limits: Limits,
                  sample: int, cause: tuple[str, str] | None = None) -> tuple[Witness, RunRegret]:
    """Both timelines, the first costly decision and what would have been better there.

    `cause` = (kind, rule): the first decision that costs something for this reason, if there is one.
    """
    values = ClairvoyantValues(workload, objective, CostToGo(workload, policy.profile, policy.config, objective,
                                                             limits=limits))
    regret = attribute_run(policy, workload, objective, values)
    result, optimum = optimal_run(policy, workload, objective, limits)
    costly = [step for step in regret.steps if step.regret > 0]
    own = (step for step in costly if any((part.cause.kind, part.cause.rule) == cause for part in step.parts))
    first = next(own, costly[0] if costly else None)
    first_text, counter_text = _costly(policy, first)
    gap = regret.run.objective(objective) - result.interval.upper
    requests = workload.requests
    return Witness(
        sample, tuple(item.arrival for item in requests), tuple(item.prompt_tokens for item in requests),
        tuple(item.depths for item in requests), timeline(policy.policy.name, regret.run, objective),
        timeline("optimum" if result.interval.proved else "best schedule found", optimum, objective), gap,
        gap / result.interval.upper if result.interval.upper else 0.0, result.interval.proved, first_text,
        counter_text), regret


def describe_action(action: Action) -> str:
    """An action in words."""
    rows = f" of requests {', '.join(str(row) for row in action.rows)}" if action.rows else ""
    names = {Kind.PREFILL: "PREFILL", Kind.RUN: f"RUN({action.pool}){rows}", Kind.IDLE: "IDLE to the next arrival",
             Kind.CONSULT: "consult the ramp", Kind.SKIP: "skip the ramp", Kind.SPLIT: "SPLIT",
             Kind.CONTINUE: "CONTINUE with everybody", Kind.EXIT_ALL: "EXIT_ALL", Kind.RELEASE: "RELEASE",
             Kind.JOIN: f"join{rows}", Kind.STAY_APART: "join nobody"}
    return names[action.kind]


def _costly(policy: BoundPolicy, step: StepRegret | None) -> tuple[str, str]:
    if step is None:
        return "No decision of this run costs anything.", ""
    causes = "; ".join(f"{part.cause.kind} {part.cause.rule} ({part.example})" if part.example
                       else f"{part.cause.kind} {part.cause.rule}" for part in step.parts)
    tick = policy.profile.tick
    text = (f"At {duration(step.step.state.now, tick)} rule {step.step.rule or 'none holds'} chose "
            f"{describe_action(step.step.action)}; this costs {duration(step.regret, tick)}: {causes}.")
    if step.better is None:
        return text, "The table offers nothing better here: the optimum takes other rows than the first in order."
    return text, f"Better at this point: {describe_action(step.better)}."
