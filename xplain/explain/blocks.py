"""Attribution of a long run against a reference policy, in blocks: values first where they are cheap, then everything
inside the blocks that matter.

One run of the reference per difference (or per `every` choice points) gives V_ref at the ends of blocks; their
differences sum to H - reference exactly. Blocks with the largest differences are opened: V_ref at each of their choice
points, alternatives evaluated, every tick put on a cause; the others' ticks stay together as `unexamined` (or `gain`).
Source: analyzer design, Explanations ("long runs in blocks").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drex_runtime.errors import LimitError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Objective, State
from drex_runtime.simulator import Step
from drex_runtime.simulator.compiled import reference_values, states_at
from drex_runtime.simulator.mechanics import Machine
from drex_runtime.simulator.reference import choose
from xplain.explain.blame import CauseKey
from xplain.explain.regret import Part, attribute_step, totalled
from xplain.explain.values import ReferenceValues
from xplain.records import Attribution

SEVERAL = "several"  # the rule of a block's ticks that were not looked at


@dataclass(frozen=True, slots=True)
class Block:
    """Choice points `first`..`last` - 1 of a run: `ticks` = V_ref at `last` - V_ref at `first`."""

    first: int
    last: int
    ticks: int
    parts: tuple[Part, ...]
    examined: bool


def attribute_blocks(policy: BoundPolicy, workload: Workload, objective: Objective, reference: BoundPolicy, *,
                     every: int = 32, examine: int = 1000, sample: int = 0,
                     region: str = "") -> tuple[Attribution, tuple[Block, ...]]:
    """Causes of H - reference, and the blocks with a difference, in the order of the run.

    `every`: choice points between two values of a stretch where the policies differ; `examine`: choice points looked
    into at most, the costliest blocks first. Errors as `reference_values`; LimitError if `examine` is negative.
    """
    if examine < 0:
        raise LimitError(f"examine = {examine}: expected 0 or more choice points")
    known = reference_values(policy, reference, workload, objective, every=every)
    ends, costs = known.steps.tolist(), known.values.tolist()
    found = [(ends[k], ends[k + 1], costs[k + 1] - costs[k]) for k in range(len(ends) - 1) if costs[k + 1] != costs[k]]
    chosen: set[int] = set()
    left = examine
    for first, last, _ in sorted(found, key=lambda block: (-abs(block[2]), block[0])):
        if last - first <= left:
            left -= last - first
            chosen.add(first)
    values = ReferenceValues(workload, objective, reference)
    wanted = [point for first, last, _ in found if first in chosen for point in range(first, last)]
    states = dict(zip(wanted, states_at(policy, workload, wanted), strict=True)) if wanted else {}
    blocks = []
    for first, last, ticks in found:
        if first in chosen:
            parts = _opened(policy, workload, values, [states[point] for point in range(first, last)], ticks)
        else:
            parts = (Part(CauseKey("gain" if ticks < 0 else "unexamined", SEVERAL, "", ()), ticks, ""),)
        blocks.append(Block(first, last, ticks, parts, first in chosen))
    total = costs[-1] - costs[0]
    if sum(part.ticks for block in blocks for part in block.parts) != total:
        raise ArithmeticError(f"blocks do not sum to the gap of {total} ticks")
    causes = totalled((part for block in blocks for part in block.parts), total)
    steps = len(known.trajectory)
    return Attribution(sample, region, values.label, total, causes, True, 0, steps), tuple(blocks)


def _opened(policy: BoundPolicy, workload: Workload, values: ReferenceValues, states: Sequence[State],
            ticks: int) -> tuple[Part, ...]:
    """Parts of every step of a block that costs `ticks` in all."""
    costs = [interval.upper for interval in values.values(states)]
    costs.append(costs[0] + ticks)
    parts: list[Part] = []
    for k, state in enumerate(states):
        if costs[k + 1] != costs[k]:
            machine = Machine(workload, policy.profile, policy.config, order=policy.policy.order, start=state)
            action, rule, view = choose(policy, machine)
            found, _ = attribute_step(policy, workload, values, Step(state, action, rule, view), costs[k], costs[k + 1])
            parts += found
    return tuple(parts)
