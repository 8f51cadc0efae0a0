"""Regret attribution of many small workloads: a batch per process, decisions kept without their states.

The optimum is proved for every workload unless `limits` are given. At up to 24 tokens (four requests of four and a
bit more) leave them out: a limited search first looks for an incumbent at every state, which costs more than the
proof. Source: analyzer design, Explanations, Performance to reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from joblib import Parallel, delayed

from drex_runtime.errors import RecordError
from drex_runtime.policies.bind import BoundPolicy, bind
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Action, Objective, Phase
from xplain.encodings.exact import CostToGo, Limits
from xplain.explain.regret import Part, RunRegret, attribute_run, fired_rule, summarise
from xplain.explain.values import ClairvoyantValues
from xplain.records import Attribution

FEW = 64  # below that many workloads starting processes costs more than it saves
BATCHES_PER_JOB = 6


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of a run: what was seen and chosen, and what it cost.

    `rule`: the table's name of the rule that fired; `ramp`: 0 at a launch; `view` in the order of
    `LaunchSpace.names` or `RAMP_NAMES`; `parts` sum to `regret`; `better`: the best the table offered (if better).
    """

    workload: int
    phase: Phase
    ramp: int
    rule: str
    action: Action
    view: tuple[int, ...]
    regret: int
    parts: tuple[Part, ...]
    better: Action | None


@dataclass(frozen=True, slots=True)
class Attributed:
    """A workload's attribution, its decisions, and both objectives (the optimum's upper end if it is not proved)."""

    attribution: Attribution
    decisions: tuple[Decision, ...]
    heuristic: int
    optimum: int

    @property
    def relative_gap(self) -> float:
        """(heuristic - optimum) / optimum."""
        return (self.heuristic - self.optimum) / self.optimum if self.optimum else 0.0


def attribute_many(policy: BoundPolicy, workloads: Sequence[Workload], objective: Objective, *, jobs: int = 1,
                   limits: Limits | None = None, samples: Sequence[int] | None = None,
                   region: str = "") -> tuple[Attributed, ...]:
    """Attribution of every workload against the clairvoyant, in order; the same whatever `jobs` is.

    `samples`: index of each workload's sample (default: its position). RecordError if their number differs; PolicyError
    as `attribute_run`.
    """
    policy.require_frozen("attribution of many workloads")
    indices = range(len(workloads)) if samples is None else samples
    if len(indices) != len(workloads):
        raise RecordError("attribute_many", "samples", len(indices), f"one index per workload, {len(workloads)}")
    numbered = list(zip(indices, workloads, strict=True))
    if jobs == 1 or len(numbered) < FEW:
        return tuple(_attributed(policy, numbered, objective, limits, region))
    size = -(-len(numbered) // (BATCHES_PER_JOB * max(1, jobs)))
    batches = [numbered[first:first + size] for first in range(0, len(numbered), size)]
    parts = (policy.policy, policy.profile, policy.config, policy.values)
    found = Parallel(n_jobs=jobs)(delayed(_elsewhere)(parts, batch, objective, limits, region) for batch in batches)
    return tuple(item for batch in found for item in batch)


def _elsewhere(parts: tuple[Any, ...], batch: Sequence[tuple[int, Workload]], objective: Objective,
               limits: Limits | None, region: str) -> list[Attributed]:
    """In another process: the policy is bound anew, compiled conditions do not travel."""
    table, profile, config, values = parts
    return list(_attributed(bind(table, profile, config, values), batch, objective, limits, region))


def _attributed(policy: BoundPolicy, batch: Sequence[tuple[int, Workload]], objective: Objective,
                limits: Limits | None, region: str) -> Iterable[Attributed]:
    quick = policy.in_integers()
    for index, workload in batch:
        search = CostToGo(workload, policy.profile, policy.config, objective, limits=limits or Limits())
        values = ClairvoyantValues(workload, objective, search)
        result = attribute_run(quick, workload, objective, values)
        yield Attributed(summarise(result, index, region, values.label), decisions_of(policy, result, index),
                         result.run.objective(objective), result.start.upper)


def decisions_of(policy: BoundPolicy, result: RunRegret, workload: int) -> tuple[Decision, ...]:
    """The choices of an attributed run."""
    return tuple(Decision(workload, step.step.state.phase, step.step.state.segment, fired_rule(policy, step.step),
                          step.step.action, step.step.view, step.regret, step.parts, step.better)
                 for step in result.steps)
