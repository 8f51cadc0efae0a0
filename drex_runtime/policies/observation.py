"""What a policy may see: observation variables, their order in a view, and their declared bounds.

Source: scheduling model, section Observations. A view is a tuple of integers in the order of `names`.
At a decision (`LaunchSpace`) there are global variables and, per pool s = 1..K+1, `buffered_s, age_s,
oldest_s, slack_s` (pool 1 is the ready pool, so `buffered_1 = ready`). In a rule that is a family over the
buffers the short names `buffered, age, oldest, slack` mean those of the rule's pool. At a ramp
(`RAMP_NAMES`) the view is of the live batch.

The bounds are used twice: to prove that int64 cannot overflow, and as big-M in encodings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from drex_runtime.records.ticks import MAX_TIME

GLOBAL_NAMES = ("waiting", "in_flight", "free_places", "ready", "decodes_since_prefill", "batch_max", "n_max")
POOL_NAMES = ("buffered", "age", "oldest", "slack")
RAMP_NAMES = ("segment", "batch", "exits", "buffered_next", "batch_max",
              "recent_consults", "recent_rows", "recent_exits", "recent_emptied",
              "passes_unseen")  # the last five: `scheduling.recent`

# `slack_s` is never negative: a late token of a request that is not missed yet has slack 0 (most urgent).
SLACK_CAP = MAX_TIME  # the value of `slack_s` when no request of the pool still has a due date to meet
MAX_WAITING = 2**24
MAX_AGE = 2**32
WINDOW = 16  # consults at which the rolling statistics of a ramp are halved

# Positions in a launch view; pool s has its four values from POOL_BASE + 4 * (s - 1) on.
WAITING, IN_FLIGHT, FREE_PLACES, READY, DECODES_SINCE_PREFILL, BATCH_MAX, N_MAX = range(7)
POOL_BASE = len(GLOBAL_NAMES)
BUFFERED, AGE, OLDEST, SLACK = range(4)
POOL_WIDTH = len(POOL_NAMES)
SEGMENT, BATCH, EXITS, BUFFERED_NEXT, RAMP_BATCH_MAX, RECENT = range(6)

Bounds = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class LaunchSpace:
    """The variables of a decision for a model of `num_segments` pools."""

    num_segments: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All variable names in view order."""
        pools = (f"{name}_{s}" for s in range(1, self.num_segments + 1) for name in POOL_NAMES)
        return (*GLOBAL_NAMES, *pools)

    def bounds(self, batch_max: int, max_num_seqs: int) -> Bounds:
        """Smallest and largest value of every variable at these resources."""
        found: Bounds = {
            "waiting": (0, MAX_WAITING), "in_flight": (0, max_num_seqs), "free_places": (0, max_num_seqs),
            "ready": (0, max_num_seqs), "decodes_since_prefill": (0, MAX_AGE),
            "batch_max": (batch_max, batch_max), "n_max": (max_num_seqs, max_num_seqs),
        }
        for s in range(1, self.num_segments + 1):
            found |= {f"buffered_{s}": (0, max_num_seqs), f"age_{s}": (0, MAX_AGE),
                      f"oldest_{s}": (0, MAX_TIME), f"slack_{s}": (0, SLACK_CAP)}
        return found


def ramp_bounds(num_segments: int, batch_max: int, max_num_seqs: int) -> Bounds:
    """Smallest and largest value of every variable of a ramp view."""
    return {"segment": (1, max(1, num_segments - 1)), "batch": (1, batch_max), "exits": (0, batch_max),
            "buffered_next": (0, max_num_seqs), "batch_max": (batch_max, batch_max),
            "recent_consults": (0, WINDOW), "recent_rows": (0, WINDOW * batch_max),
            "recent_exits": (0, WINDOW * batch_max), "recent_emptied": (0, WINDOW),
            "passes_unseen": (0, MAX_AGE)}


def pool_position(pool: int, which: int) -> int:
    """Position in a launch view of value `which` (BUFFERED, AGE, OLDEST, SLACK) of pool s."""
    return POOL_BASE + POOL_WIDTH * (pool - 1) + which
