"""Many workloads that differ only in the tokens of their requests: one call, one objective each.

Enumeration asks for tens of thousands of runs of a few microseconds each; a call from Python per run would cost several
times that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numba
import numpy as np

from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator import entries
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload
from drex_runtime.simulator.compiled import OBJECTIVES
from drex_runtime.simulator.entries import Packed, finish
from drex_runtime.simulator.interpreter import IS_EDF
from drex_runtime.simulator.memory import Int, load, new_memory


class TokenStrings(NamedTuple):
    """What the tokens of a request can be: string o has `length[o]` tokens with depths `depths[o, :length[o]]`."""

    length: Int
    depths: Int


def objectives(policy: CompiledPolicy, template: CompiledWorkload, strings: TokenStrings, choices: Int,
               objective: Objective) -> tuple[Int, int | None]:
    """[k]: the objective of `policy` on the template whose row i has the token string choices[k, i].

    Also the first k whose run failed (None: none did), where the results end; the reference simulator tells why.
    `template`: requests at least as long as their longest string. LimitError if it does not fit the policy.
    """
    policy.check(template)
    values, w = np.zeros(len(choices), np.int64), template.w.copy()
    failed = _run(policy.p, w, policy.c, template.initial, new_memory(w, policy.c), strings, choices,
                  OBJECTIVES[objective], values)
    return values, None if failed < 0 else failed


def _entry(fingerprint: str) -> Callable[..., int]:
    def run(p: Int, w: Int, c: Int, begin: Packed, m: Int, strings: TokenStrings, choices: Int, objective: int,
            values: Int) -> int:
        """Fill `values`; the first index that failed, or -1. `w` is overwritten."""
        failed = -1 + 0 * len(fingerprint)
        for k in range(len(choices)):
            for row in range(w[at.NUM]):
                r, string = at.REQUESTS + at.REQUEST_WIDTH * row, choices[k, row]
                w[r + at.OUTPUTS] = strings.length[string]
                for t in range(strings.length[string]):
                    w[w[r + at.TOKENS] + t] = strings.depths[string, t]
            load(m, w, p[IS_EDF], begin.rows, begin.scalars, at.ZERO)
            values[k] = finish(m, w, c, p, objective)
            if m[at.STATUS] != at.FINE:
                return k
        return failed

    options: dict[str, Any] = {**at.KERNEL, "cache": True}
    return cast(Callable[..., int], numba.njit(**options)(run))


_run = _entry(entries.FINGERPRINT)
