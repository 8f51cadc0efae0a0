"""Lower bound on the remaining makespan of any state, mid-pass states included, from the pairwise tables.

bound = max( fixed work of the best pair + row work + prefill work, per request not yet arrived: its wait + its work ).
The first three add up because they are disjoint parts of the time of disjoint launches: the pairwise programme counts
fixed costs of passes, row work the per_row and per_context of each segment a remaining token must pass once,
prefill work the PREFILL launches. Everything else a schedule may do (idle, ride, consult more) only adds time.

Mid-pass the running pass may go on without a new start, so its possible ends e are enumerated: it still costs
segments s + 1..e and ramp e (ramp s is paid already at RAMP), and at best carries every running row, and every
row of the pools it passes, to e + 1 or to the end of its token. Positions further on never have larger table values,
so the minimum over e is a bound. Proof: let the row at p' > p copy the launches chosen from p, and stay out of every
launch that leaves the copied row at or before p'. A launch carries a row at most to the end of its token, so the launch
that passes p' starts in the same token; p' takes part in it with the same end, hence the same ramp, fill and rebatch,
and a start that is no dearer, since the least over the segments before a later one is no larger. A launch that only
the other row takes part in costs no more than with both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Phase, Place, State
from xplain.encodings.exact.pairwise import Int, PairTables, Strings, build_tables, check_profile


def row_work(workload: Workload, profile: CostProfile, strings: Strings) -> Int:
    """[i, p]: per_row and per_context ticks of the segments request i must still pass from position p."""
    work = np.zeros((len(workload.requests), strings.stage.shape[1] + 1), np.int64)
    for row, request in enumerate(workload.requests):
        for token in range(len(request.depths)):
            for place in range(strings.token_start[row, token], strings.token_start[row, token + 1]):
                cost = profile.segments[int(strings.stage[row, place]) - 1]
                work[row, place] = cost.per_row + cost.per_context * (request.prompt_tokens + token)
    return np.ascontiguousarray(np.cumsum(work[:, ::-1], axis=1)[:, ::-1][:, :-1])


@dataclass(frozen=True)
class PairBound:
    """Admissible bound on the makespan-to-go of the states of one workload; build once, ask often."""

    workload: Workload
    profile: CostProfile
    strings: Strings
    tables: PairTables
    work: Int

    @classmethod
    def of(cls, workload: Workload, profile: CostProfile, config: ServerConfig, *,
           max_cells: int = 2**25) -> Self:
        """Tables for all pairs, or for the costliest requests whose pairs fit `max_cells` (8 bytes each)."""
        check_profile(workload, profile)
        strings = Strings.of(workload)
        tables = build_tables(strings, profile, config, max_cells=max_cells)
        return cls(workload, profile, strings, tables, row_work(workload, profile, strings))

    def makespan_to_go(self, state: State) -> int:
        """Ticks from `state.now` before which no schedule completes every request."""
        positions = [self._position(state, row, state.segment + 1) for row in range(len(state.place))]
        work = sum(int(self.work[row, position]) for row, position in enumerate(positions))
        passes = min((cost + self._fixed(state, end) for end, cost in self._pass_ends(state)),
                     default=self._fixed(state, 0))
        total = passes + work + self._prefill(state, range(len(state.place)))
        for row, request in enumerate(self.workload.requests):
            if state.place[row] == Place.WAITING and request.arrival > state.now:
                alone = int(self.tables.chain[row, 0]) + int(self.work[row, 0]) + self._prefill(state, (row,))
                total = max(total, request.arrival - state.now + alone)
        return total

    def _pass_ends(self, state: State) -> list[tuple[int, int]]:
        """(e, cost still to pay) for each segment where the running pass may end; empty between launches."""
        if state.phase in (Phase.DECIDE, Phase.END):
            return []
        segment, count = state.segment, self.profile.num_segments
        rows = sum(place == Place.RUNNING for place in state.place)
        ends = []
        if state.phase == Phase.CONSULT:
            ends.append((segment, self.profile.ramp_cost(segment, rows)))
        elif state.phase == Phase.RAMP:
            ends.append((segment, 0))
        passed = 0
        for end in range(segment + 1, count + 1):
            passed += min(self.profile.segments[end - 1].fixed)
            ends.append((end, passed + (self.profile.ramp_cost(end, rows) if end < count else 0)))
        return ends

    def _fixed(self, state: State, end: int) -> int:
        """Table bound once the running pass has ended at `end` (0: no pass runs)."""
        positions = np.asarray([self._position(state, row, end + 1) for row in range(len(state.place))])
        return self.tables.bound(positions)

    def _position(self, state: State, row: int, at_least: int) -> int:
        """Position of the row once the pass has carried it to segment `at_least`, if it can be in the pass."""
        place, emitted = state.place[row], state.emitted[row]
        match place:
            case Place.DONE:
                return int(self.strings.length[row])
            case Place.WAITING | Place.PREFILLING:
                return 0
            case Place.RUNNING if state.latched[row]:
                return int(self.strings.token_start[row, emitted + 1])
            case Place.RUNNING:
                return self.strings.position(row, emitted, at_least)
        carried = at_least if state.segment and place > state.segment else place
        return self.strings.position(row, emitted, max(place, carried))

    def _prefill(self, state: State, rows: range | tuple[int, ...]) -> int:
        """Ticks of the PREFILL launches that the rows' prompts still need at least."""
        tokens = pairs = 0
        for row in rows:
            rest = self.workload.requests[row].prompt_tokens - state.prefilled[row]
            tokens += rest
            pairs += rest * state.prefilled[row]
        return self.profile.prefill_cost(tokens, pairs) if tokens else 0
