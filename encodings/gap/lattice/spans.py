"""What a stretch of a run costs, so that costs add up along a path to the objective."""

from __future__ import annotations

from collections.abc import Iterable

from drex_runtime.scheduling.state import Objective, Place, State
from drex_runtime.simulator.mechanics import Machine


def spent(objective: Objective, begin: int, end: int, present: Iterable[tuple[int, int]]) -> int:
    """Ticks of the stretch begin..end. `present`: (arrival, completion or `end`) of requests not done at `begin`.

    Makespan: its length. Total completion: the time that requests spend in the system during it.
    """
    if objective == "makespan":
        return end - begin
    return sum(max(0, min(end, leaves) - max(begin, arrives)) for arrives, leaves in present)


def cost_of(objective: Objective, machine: Machine, state: State) -> int:
    """Ticks from `state`, where the machine began, to where it is now."""
    present = ((request.arrival, machine.completed[row] if machine.place[row] == Place.DONE else machine.now)
               for row, request in enumerate(machine.requests) if state.place[row] != Place.DONE)
    return spent(objective, state.now, machine.now, present)
