"""What a policy sees, as terms, in the order of `LaunchSpace.names` and `RAMP_NAMES`."""

from __future__ import annotations

from collections.abc import Sequence

from drex_runtime.policies.observation import GLOBAL_NAMES, POOL_NAMES, RAMP_NAMES, SLACK_CAP
from drex_runtime.records import ServerConfig
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.steps.state import StateTerms
from xplain.encodings.terms import Bool, Int, Terms


class Views:
    """Observations of one machine's states."""

    def __init__(self, terms: Terms, inputs: Inputs, config: ServerConfig) -> None:
        self.terms, self.inputs, self.config = terms, inputs, config

    def at_launch(self, state: StateTerms, arrived: Sequence[Bool]) -> tuple[Int, ...]:
        """The view of a decision."""
        terms, in_flight = self.terms, state.in_flight(self.terms)
        seen = {"waiting": terms.total(waits & here for waits, here in zip(state.waiting, arrived, strict=True)),
                "in_flight": in_flight, "free_places": self.config.max_num_seqs - in_flight,
                "ready": terms.total(state.pool[0]), "decodes_since_prefill": state.decodes,
                "batch_max": terms.constant(self.config.batch_max), "n_max": terms.constant(self.config.max_num_seqs)}
        view = [seen[name] for name in GLOBAL_NAMES]
        for s, pool in enumerate(state.pool):
            of_pool = {"buffered": terms.total(pool), "age": state.ages[s], "oldest": self.oldest(state, pool),
                       "slack": self.slack(state, pool)}
            view += [of_pool[name] for name in POOL_NAMES]
        return tuple(view)

    def at_ramp(self, state: StateTerms, ramp: int, batch: Int, exits: Int, unready: Sequence[Bool]) -> tuple[Int, ...]:
        """The view at a ramp; `unready`: rows of the batch that are not known to be ready."""
        terms, recent = self.terms, state.recent[ramp - 1]
        seen = {"segment": terms.constant(ramp), "batch": batch, "exits": exits,
                "buffered_next": terms.total(state.pool[ramp]), "batch_max": terms.constant(self.config.batch_max),
                "batch_slack": self.slack(state, unready), "recent_consults": recent.consults,
                "recent_rows": recent.rows, "recent_exits": recent.exits, "recent_emptied": recent.emptied,
                "passes_unseen": recent.unseen}
        return tuple(seen[name] for name in RAMP_NAMES)

    def oldest(self, state: StateTerms, pool: Sequence[Bool]) -> Int:
        """Longest wait; 0 of nobody."""
        found = self.terms.constant(0)
        for i, row in enumerate(pool):
            found = self.terms.maximum(found, self.terms.if_(row, state.now - state.entered[i], 0))
        return found

    def slack(self, state: StateTerms, rows: Sequence[Bool]) -> Int:
        """`scheduling.pools.least_slack` of these rows."""
        terms, least, counted = self.terms, None, list[Bool]()
        for i, row in enumerate(rows):
            exists, due, missed = self.due(state, i)
            counts = row & exists & ((state.now <= due) | (state.now <= missed))
            if counts.value == 0:
                continue
            slack = terms.maximum(due - state.now, 0)
            none = slack.high if least is None else max(slack.high, least.high)
            one = terms.if_(counts, slack, none)
            least = one if least is None else terms.minimum(terms.if_(terms.any_of(counted), least, none), one)
            counted.append(counts)
        return terms.constant(SLACK_CAP) if least is None else terms.if_(terms.any_of(counted), least, SLACK_CAP)

    def due(self, state: StateTerms, i: int) -> tuple[Bool, Int, Int]:
        """Whether request i's next token has a due date, the date, and the clock after which the request is missed."""
        terms, made = self.terms, self.inputs.requests[i]
        space, arrival = made.space, made.arrival
        emitted = terms.total(terms.times(t, out) for t, out in enumerate(state.emitted[i]))
        if space.tpot is not None:
            due = arrival + (emitted + (0 if space.ttft is not None else 1)) * space.tpot + (space.ttft or 0)
            return terms.true, due, due
        if space.ttft is not None:
            return state.emitted[i][0], arrival + space.ttft, arrival + space.ttft
        if space.due is None:
            return terms.false, terms.constant(0), terms.constant(0)
        spread, left = terms.constant(0), space.due - state.last[i]
        for length, is_it in made.length_is.items():
            for t, out in enumerate(state.emitted[i][:length]):
                spread = terms.if_(is_it & out, terms.quotient(left, length - t), spread)
        return terms.true, state.last[i] + spread, terms.constant(space.due)
