"""Who chooses: a policy by its rules, or nobody in particular (a free schedule, for the optimum)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from drex_runtime.policies.bind import PREFILL, BoundPolicy
from drex_runtime.records import ServerConfig
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.steps.rules import Rules
from xplain.encodings.steps.state import StateTerms
from xplain.encodings.steps.views import Views
from xplain.encodings.terms import Bool, Int, Terms

View = tuple[Int, ...]


@dataclass
class Decision:
    """One launch, or none (all false). `rows[s - 1][i]`: request i is in RUN(s). `fired`: every rule's firing by label.
    """

    prefill: Bool
    runs: list[Bool]
    idle: Bool
    rows: list[list[Bool]]
    stuck: Bool
    fired: dict[str, Bool] = field(default_factory=dict)


class Chooser(Protocol):
    """Takes the choices of one machine. `number` is the step, `ramp` 1-based; conditions given are not yet implied."""

    def decide(self, number: int, alive: Bool, state: StateTerms, plan: list[Bool], coming: Bool,
               view: View) -> Decision:
        """The launch; `plan`: whose prompts a PREFILL would process; `coming`: whether anybody is still to arrive."""

    def consult(self, number: int, ramp: int, live: Bool, view: View) -> Bool:
        """Whether the pass (`live`: there is one) consults the ramp."""

    def leave(self, number: int, ramp: int, consulted: Bool, all_ready: Bool, view: View) -> tuple[Bool, Bool]:
        """Whether ready rows leave here and the others are parked; and whether the chooser is at a loss."""

    def join(self, number: int, ramp: int, goes_on: Bool, state: StateTerms, room: Int, view: View) -> list[Bool]:
        """Which rows of pool ramp + 1 fill up the batch."""


class PolicyChooser:
    """A bound policy."""

    def __init__(self, name: str, terms: Terms, inputs: Inputs, policy: BoundPolicy) -> None:
        self.name, self.terms, self.inputs, self.policy = name, terms, inputs, policy
        self.rules, self.views = Rules(terms, policy), Views(terms, inputs, policy.config)

    def decide(self, number: int, alive: Bool, state: StateTerms, plan: list[Bool], coming: Bool,
               view: View) -> Decision:
        """The first rule that holds and is possible; IDLE if there is none."""
        terms, segments = self.terms, len(state.pool)
        chosen = {target: list[Bool]() for target in range(-1, segments + 1)}
        open_, fired = alive, dict[str, Bool]()
        for label, target, holds in self.rules.launch(view):
            if target == PREFILL:
                possible = terms.any_of(plan)
            else:
                possible = terms.any_of(state.pool[target - 1]) if target > 0 else terms.true
            fires = open_ & possible & holds
            fired[label] = fires
            chosen[max(target, -1)].append(fires)
            open_ = open_ & ~fires
        idle = terms.any_of([*chosen[-1], open_])
        runs = [terms.any_of(chosen[s]) for s in range(1, segments + 1)]
        rows = [[run & row for row in self.first(state, s, self.terms.constant(self.policy.batch_limit))]
                for s, run in enumerate(runs)]
        return Decision(terms.any_of(chosen[PREFILL]), runs, idle, rows, idle & ~coming, fired)

    def consult(self, number: int, ramp: int, live: Bool, view: View) -> Bool:
        """By the consult rule."""
        return live & self.rules.consult(ramp, view)

    def leave(self, number: int, ramp: int, consulted: Bool, all_ready: Bool, view: View) -> tuple[Bool, Bool]:
        """Nobody is asked where all are ready; else the first ramp rule that holds."""
        leaves, open_ = consulted & all_ready, consulted & ~all_ready
        for name, action, holds in self.rules.at_ramp(ramp, view):
            fires = open_ & holds
            self.terms.name(fires, f"{self.name}_{name}@{ramp}_{number}")
            open_ = open_ & ~fires
            if action == "SPLIT":
                leaves = leaves | fires
        return leaves, open_

    def join(self, number: int, ramp: int, goes_on: Bool, state: StateTerms, room: Int, view: View) -> list[Bool]:
        """The pool's first rows, if the join rule holds."""
        joins = goes_on & self.rules.join(ramp, view)
        return [joins & row for row in self.first(state, ramp, room)]

    def first(self, state: StateTerms, at: int, limit: Int) -> list[Bool]:
        """The first `limit` rows of pool at + 1 in the policy's order."""
        terms, pool = self.terms, state.pool[at]
        found = []
        for i, row in enumerate(pool):
            before = terms.total(pool[j] & self._before(state, j, i) for j in range(len(pool)) if j != i) \
                if limit.low < len(pool) else terms.constant(0)
            found.append(row & (before < limit))
        return found

    def _before(self, state: StateTerms, one: int, other: int) -> Bool:
        """Whether request `one` stands before request `other`: (due under edf, entry, id)."""
        early, late = state.entered[one], state.entered[other]
        entry = early <= late if self.inputs.id_of(one) < self.inputs.id_of(other) else early < late
        if self.policy.policy.order != "edf":
            return entry
        (some, first, _), (other_some, second, _) = (self.views.due(state, i) for i in (one, other))
        both, none = some & other_some, ~(some | other_some)
        return (some & ~other_some) | (both & (first < second)) | (((both & first.equals(second)) | none) & entry)


class FreeChooser:
    """Any launch, any subset up to batch_max, any consult, split, join, IDLE to the next arrival: new variables."""

    def __init__(self, name: str, terms: Terms, inputs: Inputs, config: ServerConfig) -> None:
        self.name, self.terms, self.inputs, self.config = name, terms, inputs, config

    def decide(self, number: int, alive: Bool, state: StateTerms, plan: list[Bool], coming: Bool,
               view: View) -> Decision:
        """Exactly one launch while anybody is not done."""
        terms = self.terms
        rows = [[self._only(row & alive, f"row_{number}_{s}_{i}") for i, row in enumerate(pool)]
                for s, pool in enumerate(state.pool, start=1)]
        for picked in rows:
            self._at_most(picked, terms.constant(self.config.batch_max))
        runs = [terms.any_of(picked) for picked in rows]
        prefill = self._only(terms.any_of(plan) & alive, f"prefill_{number}")
        idle = self._only(coming & alive, f"idle_{number}")
        terms.require(terms.total([prefill, *runs, idle]).equals(alive), "one launch at a time")
        return Decision(prefill, runs, idle, rows, terms.false)

    def consult(self, number: int, ramp: int, live: Bool, view: View) -> Bool:
        """As it likes."""
        return self._only(live, f"consult_{number}_{ramp}")

    def leave(self, number: int, ramp: int, consulted: Bool, all_ready: Bool, view: View) -> tuple[Bool, Bool]:
        """Wherever it consulted. To consult and go on all the same is legal but never cheaper than not to consult: it
        pays the ramp and latches rows, whose fill falls due, and they are as ready at the next ramp without that."""
        return consulted, self.terms.false

    def join(self, number: int, ramp: int, goes_on: Bool, state: StateTerms, room: Int, view: View) -> list[Bool]:
        """Any rows of the pool that there is room for."""
        picked = [self._only(row & goes_on, f"join_{number}_{ramp}_{i}") for i, row in enumerate(state.pool[ramp])]
        self._at_most(picked, room)
        return picked

    def _only(self, possible: Bool, name: str) -> Bool:
        """A new variable that may hold only where it is possible."""
        if possible.value == 0:
            return self.terms.false
        made = self.terms.boolean(f"{self.name}_{name}")
        self.terms.require(made.implies(possible))
        return made

    def _at_most(self, picked: Sequence[Bool], room: Int) -> None:
        self.terms.require(self.terms.total(picked) <= room, "room in the batch")
