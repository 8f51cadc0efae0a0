"""A good schedule for hundreds of requests: a beam over decisions, judged by simulating reference policies to the end.

From each kept state every move (a policy or a single decision, see `moves`) is followed for `step` choices; the states
reached are judged by the best objective that a reference policy gets from there (its simulated cost-to-go, V_ref), and
the best `width` are kept. The references are among the moves, so what the best state promises never gets worse, and the
schedule found is at least as good as every reference alone. It knows the future, as the clairvoyant does.

Bounded by runs of references and by a deadline; then the best state is finished by the policy that judged it best. The
schedule is replayed twice by the reference simulator: the policies' choices, which gives its actions, then the actions
alone on fresh mechanics; both must reach the objective to the tick.
Source: rollout, Bertsekas, Tsitsiklis and Wu 1997; beam search, Ow and Morton 1988.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import PolicyError
from drex_runtime.policies import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.scheduling.state import Action, Kind, Objective, Phase
from drex_runtime.simulator import Machine, entries
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload, compiled_policy
from drex_runtime.simulator.compiled import NO_TRACE, OBJECTIVES, costs_to_go
from drex_runtime.simulator.entries import Asked, Captured, Packed
from drex_runtime.simulator.reference import apply, choose, replay_schedule


@dataclass(frozen=True)
class Followed:
    """A policy that decides so many choices (None: all that are left)."""

    policy: BoundPolicy
    choices: int | None


@dataclass(frozen=True)
class Schedule:
    """A replayed schedule. `runs`: reference runs spent on it; `stopped`: what bounded the search."""

    objective: int
    actions: tuple[Action, ...]
    runs: int
    stopped: str


@dataclass(frozen=True)
class _Node:
    state: Packed
    history: tuple[Followed, ...]
    value: int
    finish: int  # which reference promises `value`


class Beam:
    """The search for one workload. `references`: policies whose cost-to-go judges, also moves; `moves`: further ones.
    A move that fails (a policy that would idle for ever) is not followed."""

    def __init__(self, workload: Workload, objective: Objective, references: Sequence[BoundPolicy],
                 moves: Sequence[BoundPolicy]) -> None:
        self.workload, self.objective = CompiledWorkload.of(workload), objective
        self.references = [compiled_policy(item) for item in references]
        self.moves = [*self.references, *(compiled_policy(item) for item in moves)]
        for item in self.moves:
            item.check(self.workload)
        self._memory = at.new_memory(self.workload.w, self.moves[0].c)
        self.runs = 0

    def search(self, *, width: int, step: int, runs: int, seconds: float | None = None) -> Schedule:
        """The best schedule found. No level is begun after `runs` reference runs (or `seconds`); deterministic without
        `seconds`."""
        ends = None if seconds is None else time.monotonic() + seconds
        beam = self._judged([(self.workload.initial, ())])
        best, stopped = beam[0], "the end of the workload"
        while beam:
            if self.runs >= runs:
                stopped = f"{runs} reference runs"
                break
            if ends is not None and time.monotonic() > ends:
                stopped = f"{seconds:.2g} s"
                break
            children: dict[bytes, tuple[Packed, tuple[Followed, ...]]] = {}
            for node in beam:
                for move in self.moves:
                    reached = self._followed(node.state, move, step)
                    if reached is not None:
                        key = reached.rows.tobytes() + reached.scalars.tobytes()
                        children.setdefault(key, (reached, (*node.history, Followed(move.bound, step))))
            # Moves that reach the end are no children: the judge has valued that end, if a reference reaches it.
            beam = self._judged(list(children.values()))[:width]
            if beam and beam[0].value < best.value:
                best = beam[0]
        blocks = (*best.history, Followed(self.references[best.finish].bound, None))
        actions, value = replayed(self.workload.workload, blocks, self.objective)
        if value != best.value:
            raise ArithmeticError(f"replay of the schedule gives {value}, the search said {best.value}")
        return Schedule(value, actions, self.runs, stopped)

    # ---- inside -----------------------------------------------------------------------------------------------
    def _judged(self, reached: Sequence[tuple[Packed, tuple[Followed, ...]]]) -> list[_Node]:
        """The states by what the best reference makes of them, best first; the order of arrival breaks ties."""
        if not reached:
            return []
        states = Packed(np.concatenate([state.rows for state, _ in reached]),
                        np.concatenate([state.scalars for state, _ in reached]))
        values = np.array([costs_to_go(reference, self.workload, states, self.objective)
                           for reference in self.references])
        self.runs += values.size
        finish = values.argmin(axis=0)
        nodes = [_Node(state, history, int(values[finish[i], i]), int(finish[i]))
                 for i, (state, history) in enumerate(reached)]
        return sorted(nodes, key=lambda node: node.value)

    def _followed(self, state: Packed, move: CompiledPolicy, step: int) -> Packed | None:
        """The state after `step` choices of `move`; None if everything is done by then or the move fails."""
        c, m = move.c.copy(), self._memory
        c[at.MAX_CHOICES] = step  # stops the run, after the state at that choice was captured
        captured = Captured(np.array([step], np.int64), np.zeros_like(state.rows), np.zeros_like(state.scalars))
        nothing, value, outcome = (np.zeros(length, np.int64) for length in (0, 1, 3))
        asked = Asked(OBJECTIVES[self.objective], 0, nothing, value, outcome)
        entries.run(move.p, self.workload.w, c, state, m, NO_TRACE, captured, move.p, m, asked)
        return Packed(captured.rows, captured.scalars) if m[at.STATUS] == at.TOO_MANY_CHOICES else None


def replayed(workload: Workload, blocks: Iterable[Followed], objective: Objective) -> tuple[tuple[Action, ...], int]:
    """The actions of policies that decide in turn, by the reference simulator, and the objective they reach.

    The actions are then carried out again without any policy. ArithmeticError if that gives another objective.
    """
    actions: list[Action] = []
    machine: Machine | None = None
    policy: BoundPolicy | None = None
    for block in blocks:
        policy, made = block.policy, 0
        machine = Machine(workload, policy.profile, policy.config, order=policy.policy.order,
                          start=None if machine is None else machine.snapshot())
        while machine.phase != Phase.END and (block.choices is None or made < block.choices):
            action, rule, _ = choose(policy, machine)
            apply(machine, action, rule)
            actions.append(action)
            made += 1
            if action.kind == Kind.CONSULT and len(machine.ready_rows()) == len(machine.batch):
                machine.split()
                actions.append(Action(Kind.SPLIT))
    if machine is None or policy is None or machine.phase != Phase.END:
        raise PolicyError("a schedule of policies: the last one must decide to the end")
    value = int(machine.result().objective(objective))
    alone = Machine(workload, policy.profile, policy.config)
    again = int(replay_schedule(alone, actions).objective(objective))
    if again != value:
        raise ArithmeticError(f"the schedule's actions alone give {again}, its policies {value}")
    return tuple(actions), value
