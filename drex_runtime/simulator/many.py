"""Many workloads that differ in their depths only, one compiled run each: what enumeration spends its time on.

Arrays are laid out once and only the depths are exchanged between runs; the integers are those of `simulate_compiled`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import RecordError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator import entries
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.arrays import CompiledPolicy, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import NO_TRACE, OBJECTIVES, simulate_compiled
from drex_runtime.simulator.entries import Asked, Captured
from drex_runtime.simulator.memory import Int, new_memory


def objectives(policy: BoundPolicy | CompiledPolicy, template: Workload, depths: npt.NDArray[np.integer],
               objective: Objective) -> Int:
    """[k]: the objective of `template` with the depths of row k, tokens of all requests one after the other.

    Raises RecordError for rows of another length or depths outside 1..num_segments, and what the run itself raises.
    """
    compiled, program = compiled_workload(template), compiled_policy(policy)
    program.check(compiled)
    if depths.ndim != 2 or depths.shape[1] != template.num_tokens:
        raise RecordError("depths", "shape", depths.shape, f"rows of {template.num_tokens} tokens")
    if depths.size and not 1 <= int(depths.min()) <= int(depths.max()) <= template.num_segments:
        raise RecordError("depths", "range", f"{depths.min()}..{depths.max()}", f"1..{template.num_segments}")
    w, m = compiled.w.copy(), new_memory(compiled.w, program.c)
    tail = w[len(w) - template.num_tokens:]
    found, value = np.zeros(len(depths), np.int64), np.zeros(1, np.int64)
    asked = Asked(OBJECTIVES[objective], 0, np.zeros(0, np.int64), value, np.zeros(3, np.int64))
    rows, scalars = compiled.initial.rows.shape[1:], compiled.initial.scalars.shape[1:]
    captured = Captured(np.zeros(0, np.int64), np.zeros((0, *rows), np.int64), np.zeros((0, *scalars), np.int64))
    for k, row in enumerate(depths):
        tail[:] = row
        entries.run(program.p, w, program.c, compiled.initial, m, NO_TRACE, captured, program.p, m, asked)
        if m[at.STATUS] != at.FINE:  # the same run again, which says what is wrong in the simulator's words
            simulate_compiled(program, with_depths(template, row.tolist())).objective(objective)
        found[k] = value[0]
    return found


def with_depths(template: Workload, depths: list[int]) -> Workload:
    """`template` with other depths, tokens of all requests one after the other."""
    requests, first = [], 0
    for request in template.requests:
        last = first + request.output_tokens
        requests.append(replace(request, depths=tuple(depths[first:last])))
        first = last
    return replace(template, requests=tuple(requests))
