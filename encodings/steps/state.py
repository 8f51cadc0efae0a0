"""The scheduling state as terms, at the start of a step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.terms import Bool, Int, Terms


@dataclass
class Statistics:
    """`scheduling.recent` of one ramp."""

    consults: Int
    rows: Int
    exits: Int
    emptied: Int
    unseen: Int


@dataclass
class StateTerms:
    """Per request: where it is (`waiting`, `pool[s - 1]`, `done`: exactly one), `emitted[t]` (t tokens are out, none
    of them when done), `entered`, `last`, `completed` in ticks. Per pool `ages`; per ramp `recent`."""

    now: Int
    waiting: list[Bool]
    pool: list[list[Bool]]
    done: list[Bool]
    emitted: list[list[Bool]]
    entered: list[Int]
    last: list[Int]
    completed: list[Int]
    ages: list[Int]
    decodes: Int
    recent: list[Statistics] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Requests."""
        return len(self.done)

    def copy(self) -> StateTerms:
        """A copy whose lists may be changed."""
        return StateTerms(self.now, list(self.waiting), [list(pool) for pool in self.pool], list(self.done),
                          [list(row) for row in self.emitted], list(self.entered), list(self.last),
                          list(self.completed), list(self.ages), self.decodes,
                          [replace(each) for each in self.recent])

    def in_flight(self, terms: Terms) -> Int:
        """Requests that hold a place."""
        return terms.total(~(waits | over) for waits, over in zip(self.waiting, self.done, strict=True))


def initial(terms: Terms, inputs: Inputs) -> StateTerms:
    """Before the first decision: everybody waits, the clock is 0."""
    zero, count = terms.constant(0), len(inputs.requests)
    segments = inputs.space.num_segments
    return StateTerms(
        zero, [terms.true] * count, [[terms.false] * count for _ in range(segments)], [terms.false] * count,
        [[terms.truth(t == 0) for t in range(made.tokens)] for made in inputs.requests], [zero] * count,
        [made.arrival for made in inputs.requests], [zero] * count, [zero] * segments, zero,
        [Statistics(zero, zero, zero, zero, zero) for _ in range(segments - 1)])
