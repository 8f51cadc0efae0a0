"""Rolling integer statistics of every ramp: what policies may know of exits beyond the batch in front of them.

After every consult of a ramp, consults += 1, rows += rows of the batch, exits += those of them ready, emptied += 1 if
that was all of them; when consults reaches WINDOW, all four are halved (rounded down): older consults fade, four
integers suffice, nothing grows. Passes by an unconsulted ramp are counted since its last consult. Part of the
scheduling state, the same in engine, reference and compiled simulator; the views at a ramp show those of that ramp
(`observation.RAMP_NAMES`).
"""

from __future__ import annotations

from collections.abc import Sequence

from drex_runtime.policies.observation import MAX_AGE, WINDOW

FIELDS = 5  # consults, rows, exits, emptied, passes unseen


class Recent:
    """Statistics of ramps 1..num_ramps; `flat` as `flat()` returned it, () for none yet."""

    def __init__(self, num_ramps: int, flat: Sequence[int] = ()) -> None:
        cells = list(flat) or [0] * (FIELDS * num_ramps)
        self._ramps = [cells[FIELDS * at:FIELDS * (at + 1)] for at in range(num_ramps)]

    def view(self, ramp: int) -> tuple[int, ...]:
        """recent_consults, recent_rows, recent_exits, recent_emptied, passes_unseen of ramp r."""
        return tuple(self._ramps[ramp - 1])

    def flat(self) -> tuple[int, ...]:
        """All ramps' statistics, ramp by ramp."""
        return tuple(cell for ramp in self._ramps for cell in ramp)

    def consulted(self, ramp: int, rows: int, exits: int) -> None:
        """Ramp r was consulted with `rows` rows, `exits` of them ready."""
        before, all_rows, all_exits, emptied, _ = self._ramps[ramp - 1]
        found = [before + 1, all_rows + rows, all_exits + exits, emptied + (exits == rows)]
        self._ramps[ramp - 1] = [*(cell // 2 if found[0] >= WINDOW else cell for cell in found), 0]

    def passed(self, ramp: int) -> None:
        """A batch went past ramp r without consulting it."""
        self._ramps[ramp - 1][-1] = min(self._ramps[ramp - 1][-1] + 1, MAX_AGE)
