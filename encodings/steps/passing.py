"""One pass as terms: from the pool a RUN begins at to the ramp that ends it, or to the LM head."""

from __future__ import annotations

from typing import NamedTuple

from drex_runtime.policies.observation import MAX_AGE, WINDOW
from drex_runtime.records import CostProfile, ServerConfig
from xplain.encodings.steps.chooser import Chooser, Decision
from xplain.encodings.steps.costs import CostTables
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.steps.state import StateTerms, Statistics
from xplain.encodings.steps.trace import Step
from xplain.encodings.steps.views import Views
from xplain.encodings.terms import Bool, Int, Terms


class Surroundings(NamedTuple):
    """What a pass needs of its machine."""

    terms: Terms
    inputs: Inputs
    profile: CostProfile
    config: ServerConfig
    chooser: Chooser
    costs: CostTables
    views: Views


class Outcome(NamedTuple):
    """`out`: rows whose token is out at the pass's end; `parked[s - 1]`: rows that enter pool s then; `dead`: no ramp
    rule held."""

    out: list[Bool]
    parked: list[list[Bool]]
    dead: Bool


def run_pass(at: Surroundings, number: int, state: StateTerms, decision: Decision, step: Step) -> Outcome:
    """Run what `decision` launched; `state.now` ends where tokens come out (rebatch is still to be paid)."""
    terms, requests = at.terms, at.inputs.requests
    none = [terms.false] * state.count
    out, latched, batch, dead = list(none), list(none), list(none), terms.false
    parked = [list(none) for _ in state.pool]
    for pool, rows in zip(state.pool, decision.rows, strict=True):
        pool[:] = [waits & ~row for waits, row in zip(pool, rows, strict=True)]
    for segment in range(1, at.profile.num_segments + 1):
        launched = decision.rows[segment - 1]
        batch = [carried | row for carried, row in zip(batch, launched, strict=True)]
        step.rows.append(batch)
        size = terms.total(batch)
        state.now = (state.now + terms.if_(decision.runs[segment - 1], at.profile.start_cost(segment), 0)
                     + at.costs.segment(segment, size, _context(at, segment, state, batch)))
        if segment == at.profile.num_segments:
            state.now = state.now + at.costs.fill(terms.total(row & early for row, early
                                                              in zip(batch, latched, strict=True)))
            out = [one | row for one, row in zip(out, batch, strict=True)]
            break
        live = terms.any_of(batch)
        unready = [row & ~early for row, early in zip(batch, latched, strict=True)]
        consulted = at.chooser.consult(number, segment, live, at.views.at_ramp(
            state, segment, size, terms.constant(0), unready))
        state.now = state.now + at.costs.ramp(segment, size, consulted)
        ready = [row & consulted & (early | _exits(requests[i].depth_at_most, state.emitted[i], segment, terms))
                 for i, (row, early) in enumerate(zip(batch, latched, strict=True))]
        exits = terms.total(ready)
        all_ready = terms.all_of(row.implies(leaves) for row, leaves in zip(batch, ready, strict=True))
        state.recent[segment - 1] = _counted(terms, state.recent[segment - 1], live, consulted, all_ready, size, exits)
        unready = [row & ~leaves for row, leaves in zip(unready, ready, strict=True)]
        view = at.views.at_ramp(state, segment, size, exits, unready)
        leaves, lost = at.chooser.leave(number, segment, consulted, all_ready, view)
        dead = dead | lost
        step.consulted.append(consulted)
        step.split.append(leaves)
        left = [row & leaves for row in ready]
        out = [one | row for one, row in zip(out, left, strict=True)]
        state.now = state.now + at.costs.fill(terms.total(left))
        parked[segment] = [row & leaves & ~may for row, may in zip(batch, ready, strict=True)]
        goes_on = live & ~leaves
        latched = [early | (row & goes_on) for early, row in zip(latched, ready, strict=True)]
        batch = [row & goes_on for row in batch]
        joined = at.chooser.join(number, segment, goes_on, state, at.config.batch_max - size, view)
        step.joined.append(joined)
        state.pool[segment] = [waits & ~joins for waits, joins in zip(state.pool[segment], joined, strict=True)]
        batch = [row | joins for row, joins in zip(batch, joined, strict=True)]
    return Outcome(out, parked, dead)


def _context(at: Surroundings, segment: int, state: StateTerms, batch: list[Bool]) -> Int:
    """Sum of prompt tokens and tokens out over the batch, where the segment charges for them."""
    terms = at.terms
    if not at.profile.segments[segment - 1].per_context:
        return terms.constant(0)
    parts = []
    for i, row in enumerate(batch):
        length = terms.total(terms.times(t, is_out) for t, is_out in enumerate(state.emitted[i]))
        parts.append(terms.if_(row, length + at.inputs.requests[i].space.prompt_tokens, 0))
    return terms.total(parts)


def _exits(depth_at_most: tuple[tuple[Bool, ...], ...], emitted: list[Bool], ramp: int, terms: Terms) -> Bool:
    """Whether the token in work may exit at this ramp."""
    return terms.any_of(out & depth[ramp - 1] for out, depth in zip(emitted, depth_at_most, strict=True))


def _counted(terms: Terms, before: Statistics, live: Bool, consulted: Bool, all_ready: Bool, size: Int,
             exits: Int) -> Statistics:
    """`scheduling.recent.Recent` after this pass went by the ramp."""
    counts = [before.consults + consulted, before.rows + terms.if_(consulted, size, 0), before.exits + exits,
              before.emptied + (consulted & all_ready)]
    full = counts[0] >= WINDOW
    counts = [terms.if_(full, terms.quotient(count, 2), count) if full.value != 0 else count for count in counts]
    passed = terms.minimum(before.unseen + (live & ~consulted), MAX_AGE)
    return Statistics(counts[0], counts[1], counts[2], counts[3], terms.if_(consulted, 0, passed))
