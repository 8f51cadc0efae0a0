"""The mechanics of the scheduling model, step by step, as terms: one launch per step, by whoever chooses.

Read beside `drex_runtime.simulator.mechanics`: the same order of events and the same charges. A step is a decision and
the launch that follows from it; after the last completion steps are empty. `unroll` makes as many as can be needed.
"""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import LimitError
from drex_runtime.records import CostProfile, ServerConfig
from drex_runtime.scheduling.state import Objective
from xplain.encodings.steps.chooser import Chooser, Decision
from xplain.encodings.steps.costs import CostTables
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.steps.passing import Surroundings, run_pass
from xplain.encodings.steps.state import StateTerms, initial
from xplain.encodings.steps.trace import Step
from xplain.encodings.steps.views import Views
from xplain.encodings.terms import Bool, Int, Terms


@dataclass
class Steps:
    """An unrolled machine: its steps, the state after the last, and `objective`.

    `finished`: everybody is done after the last step; `stuck`: the policy ran into a dead end (it idles for ever, or no
    ramp rule holds); both are terms, nothing of them is required here.
    """

    name: str
    steps: list[Step]
    end: StateTerms
    finished: Bool
    stuck: Bool
    makespan: Int
    total_completion: Int

    def cost(self, objective: Objective) -> Int:
        """The objective in ticks. LimitError for one that the encodings do not have."""
        if objective == "makespan":
            return self.makespan
        if objective == "total-completion":
            return self.total_completion
        raise LimitError(f"the encodings have makespan and total-completion, not {objective}")


def horizon(inputs: Inputs) -> int:
    """Steps within which any schedule without empty idling ends: every launch takes a request at least one segment (or
    its prompt) on, and an IDLE ends at an arrival."""
    segments = inputs.space.num_segments
    work = sum(each.tokens * segments + (1 - segments if each.space.prompt_tokens else 0) for each in inputs.requests)
    arrivals = {time for each in inputs.requests for time in each.space.arrivals if time > 0}
    return work + min(len(arrivals), len(inputs.requests))


def unroll(name: str, terms: Terms, inputs: Inputs, profile: CostProfile, config: ServerConfig, chooser: Chooser,
           count: int | None = None, clock: int | None = None) -> Steps:
    """`count` steps (default: `horizon`) of the machine under `chooser`.

    `clock`: required to be its last reading at most, in ticks; one value for all machines on the same inputs, since
    equal terms are one. Raises LimitError for limits that the exact methods do not model (prefill_tokens, idle_max).
    """
    if config.prefill_tokens is not None or config.idle_max is not None:
        raise LimitError("the encodings have unlimited prefill_tokens and idle_max; leave both out of the resources")
    if profile.num_segments != inputs.space.num_segments:
        raise LimitError(f"the input space has {inputs.space.num_segments} segments, profile {profile.name} "
                         f"{profile.num_segments}")
    machine = _Machine(name, terms, inputs, profile, config, chooser, clock)
    state, stuck = initial(terms, inputs), terms.false
    for number in range(horizon(inputs) if count is None else count):
        state, dead = machine.step(number, state)
        stuck = stuck | dead
    finished = terms.all_of(state.done)
    waits = [time - made.arrival for time, made in zip(state.completed, inputs.requests, strict=True)]
    last = state.completed[0]
    for time in state.completed[1:]:
        last = terms.maximum(last, time)
    return Steps(name, machine.steps, state, finished, stuck, last, terms.total(waits))


class _Machine:
    def __init__(self, name: str, terms: Terms, inputs: Inputs, profile: CostProfile, config: ServerConfig,
                 chooser: Chooser, clock: int | None) -> None:
        self.name, self.terms, self.inputs, self.config, self.profile = name, terms, inputs, config, profile
        self.clock = clock
        costs = CostTables(terms, profile, min(config.batch_max, config.max_num_seqs, len(inputs.requests)))
        self.views = Views(terms, inputs, config)
        self.around = Surroundings(terms, inputs, profile, config, chooser, costs, self.views)
        self.steps: list[Step] = []

    def step(self, number: int, before: StateTerms) -> tuple[StateTerms, Bool]:
        """One decision and its launch; whether the chooser was at a loss."""
        terms, state = self.terms, before.copy()
        alive = ~terms.all_of(state.done)
        arrived = [made.arrival <= state.now for made in self.inputs.requests]
        self._admit(state, arrived)
        self._count_ages(state, alive)
        plan = self._prefill_plan(state, arrived)
        decision = self.around.chooser.decide(number, alive, state, plan, ~terms.all_of(arrived),
                                              self.views.at_launch(state, arrived))
        for label, fired in decision.fired.items():
            terms.name(fired, f"{self.name}_{label}_{number}")
        step = Step(alive, decision, state.now, state.now)
        self._account(state, decision)
        outcome = run_pass(self.around, number, state, decision, step)
        prompted = self._prefill(state, plan, decision.prefill)
        self._read_clock(state)
        self._emit(state, [one | other for one, other in zip(outcome.out, prompted, strict=True)])
        self._park(state, outcome.parked)
        self._idle(state, arrived, decision.idle)
        self._read_clock(state)
        step.ended = state.now
        self.steps.append(step)
        return state, decision.stuck | outcome.dead

    def _read_clock(self, state: StateTerms) -> None:
        """Hold the clock to its limit."""
        if self.clock is not None and state.now.high > self.clock:
            self.terms.require(state.now <= self.clock, "the clock stays within its proved limit")
            if state.now.low <= self.clock:
                self.terms.at_most(state.now, self.clock)

    # ---- parts of a step ----------------------------------------------------------------------------------
    def _admit(self, state: StateTerms, arrived: list[Bool]) -> None:
        """Zero-prompt requests that have arrived enter pool 1, in order, while places are free."""
        terms = self.terms
        free = self.config.max_num_seqs - state.in_flight(terms)
        asked = terms.constant(0)
        for i, made in enumerate(self.inputs.requests):
            if made.space.prompt_tokens:
                continue
            may = state.waiting[i] & arrived[i]
            enters = may & (asked < free)
            asked = asked + may
            state.waiting[i] = state.waiting[i] & ~enters
            state.pool[0][i] = state.pool[0][i] | enters
            state.entered[i] = terms.if_(enters, state.now, state.entered[i])

    def _count_ages(self, state: StateTerms, alive: Bool) -> None:
        """A decision is taken: pools with somebody in them grow one older, empty ones are new."""
        for s, pool in enumerate(state.pool):
            state.ages[s] = self.terms.if_(self.terms.any_of(pool) & alive, state.ages[s] + 1, 0)

    def _prefill_plan(self, state: StateTerms, arrived: list[Bool]) -> list[Bool]:
        """Whose prompts a PREFILL would process."""
        terms = self.terms
        free = self.config.max_num_seqs - state.in_flight(terms)
        asked, plan = terms.constant(0), list[Bool]()
        for i, made in enumerate(self.inputs.requests):
            may = state.waiting[i] & arrived[i] if made.space.prompt_tokens else terms.false
            plan.append(may & (asked < free))
            asked = asked + may
        return plan

    def _account(self, state: StateTerms, decision: Decision) -> None:
        """Counters that a launch moves before it runs."""
        terms = self.terms
        for s, runs in enumerate(decision.runs):
            state.ages[s] = terms.if_(runs, 0, state.ages[s])
        state.decodes = terms.if_(decision.prefill, 0, state.decodes + decision.runs[0])

    def _prefill(self, state: StateTerms, plan: list[Bool], chosen: Bool) -> list[Bool]:
        """Rows whose prompt is processed now: they leave the queue, their first token comes out at the end."""
        terms, cost = self.terms, self.profile.prefill
        rows = [each & chosen for each in plan]
        tokens = terms.total(terms.times(made.space.prompt_tokens, row)
                             for made, row in zip(self.inputs.requests, rows, strict=True))
        state.now = state.now + tokens * cost.per_token + terms.times(cost.fixed, chosen)
        state.waiting = [waits & ~row for waits, row in zip(state.waiting, rows, strict=True)]
        return rows

    def _emit(self, state: StateTerms, rows: list[Bool]) -> None:
        """The running token of each row is out now: requests end, or wait in pool 1."""
        terms = self.terms
        for i, row in enumerate(rows):
            ends = terms.any_of(out & last for out, last in zip(state.emitted[i], self.inputs.requests[i].ends,
                                                                strict=True))
            over, shifted = row & ends, [terms.false, *state.emitted[i][:-1]]
            state.emitted[i] = [terms.choose(row, moved & ~over, stays)
                                for moved, stays in zip(shifted, state.emitted[i], strict=True)]
            state.done[i] = state.done[i] | over
            state.pool[0][i] = state.pool[0][i] | (row & ~ends)
            for times in (state.entered, state.last):
                times[i] = terms.if_(row, state.now, times[i])
            state.completed[i] = terms.if_(over, state.now, state.completed[i])

    def _park(self, state: StateTerms, parked: list[list[Bool]]) -> None:
        """Rows that stay enter their buffer as the others leave; then the rebatching is paid."""
        terms = self.terms
        for pool, rows in zip(state.pool, parked, strict=True):
            for i, row in enumerate(rows):
                pool[i] = pool[i] | row
                state.entered[i] = terms.if_(row, state.now, state.entered[i])
        anybody = terms.any_of(row for rows in parked for row in rows)
        state.now = state.now + terms.times(self.profile.rebatch, anybody)

    def _idle(self, state: StateTerms, arrived: list[Bool], chosen: Bool) -> None:
        """Until the next arrival: requests are in the order of their arrivals, so the first that is still to come."""
        terms, until = self.terms, state.now
        for made, here in zip(reversed(self.inputs.requests), reversed(arrived), strict=True):
            until = terms.if_(here, until, made.arrival)
        state.now = terms.if_(chosen, until, state.now)
