"""Costs of a profile as terms of the number of rows."""

from __future__ import annotations

from drex_runtime.records import CostProfile
from xplain.encodings.terms import Bool, Int, Terms


class CostTables:
    """Costs for 0..most rows; each is 0 where `charged` is false. Ticks of the profile."""

    def __init__(self, terms: Terms, profile: CostProfile, most: int) -> None:
        self.terms, self.profile, self.most = terms, profile, most

    def segment(self, segment: int, rows: Int, context: Int) -> Int:
        """A segment for `rows` rows whose contexts sum to `context`; nothing for no rows."""
        cost = self.profile.segments[segment - 1]
        table = [0, *(self.profile.segment_cost(segment, count, 0) for count in range(1, self.most + 1))]
        return self.terms.table(self._clipped(rows), table) + context * cost.per_context

    def ramp(self, ramp: int, rows: Int, charged: Bool) -> Int:
        """Consulting a ramp."""
        table = [self.profile.ramp_cost(ramp, count) for count in range(self.most + 1)]
        return self.terms.if_(charged, self.terms.table(self._clipped(rows), table), 0)

    def fill(self, rows: Int) -> Int:
        """Rows that leave early; nothing for no rows."""
        return self.terms.table(self._clipped(rows), [self.profile.fill_cost(count) for count in range(self.most + 1)])

    def _clipped(self, rows: Int) -> Int:
        """No launch has more rows than `most`: the choosers see to it, bounds do not know."""
        if rows.high <= self.most:
            return rows
        return self.terms.minimum(rows, self.most)
