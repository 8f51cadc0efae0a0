"""What the engine counts and times: movements of hidden states and K, V, rows by fate, and every part of a launch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

Part = Literal["decision", "start", "segment", "ramp", "emit", "rebatch", "prefill", "recompute"]


@dataclass
class Statistics:
    """Counters of a run. Rows are hidden states of d elements, cells are K and V of one token at one layer.

    Hidden states move only where a segment reads its rows by index and writes them back (on the GPU that is fused
    into its first and last kernel); split, park, join and flush move none, and no K or V ever. `prefix_cache_queries`
    and `prefix_cache_hits` are prompt tokens of requests that first got a place: all, and those that the cache held.

    With recompute (see `debt`): `tokens_owed` left early and had their state kept, `tokens_recomputed` of them have
    been run to full depth since, in `rows_recomputed` runs of a token through a segment; `debt_bound_hits`: passes
    that began with a request at `max_debt`, counted per request.
    """

    launches: int = 0
    prefills: int = 0
    splits: int = 0
    rows_parked: int = 0
    rows_joined: int = 0
    involuntary_exits: int = 0
    involuntary_stays: int = 0
    segment_runs: int = 0
    rows_computed: int = 0
    rows_padded: int = 0
    hidden_rows_read: int = 0
    hidden_rows_written: int = 0
    cells_owned: int = 0
    cells_shared: int = 0
    prompt_cells_gathered: int = 0
    prefix_cache_queries: int = 0
    prefix_cache_hits: int = 0
    tokens: int = 0
    early_tokens: int = 0
    stayed_tokens: int = 0
    drifted_tokens: int = 0
    preemptions: int = 0
    inputs_replayed: int = 0
    tokens_owed: int = 0
    tokens_recomputed: int = 0
    rows_recomputed: int = 0
    debt_bound_hits: int = 0
    failed_requests: int = 0


@dataclass(frozen=True, slots=True)
class PartTime:
    """One timed part of launch number `launch`, in ns.

    `rows`: rows (prefill: prompt tokens) · `context`: sum of ctx (prefill: sum of chunk * ctx before it).
    segment: forward of a segment; of the last one with LM head and choice of tokens · ramp: head, confidence and
    choice · emit: handing out tokens, sharing entries, ending requests · start: setting up a launch at segment >= 2
    · rebatch: parking rows · decision: asking the policy for a launch · recompute: before a segment,
    what `rows` requests owed there (1: in all).
    """

    part: Part
    launch: int
    segment: int
    rows: int
    context: int
    ns: int
    begun: int = 0  # the stopwatch's timer at its start


@dataclass
class Stopwatch:
    """Collects `PartTime`s while `enabled`. Use: `with stopwatch.time("segment", launch, segment, rows, context):`."""

    enabled: bool = False
    parts: list[PartTime] = field(default_factory=list)
    timer: Callable[[], int] = time.perf_counter_ns  # ns

    def time(self, part: Part, launch: int, segment: int = 0, rows: int = 0, context: int = 0) -> _Running:
        """A context manager that times its block."""
        return _Running(self, part, launch, segment, rows, context)


class _Running:
    __slots__ = ("_context", "_launch", "_part", "_rows", "_segment", "_since", "_watch")

    def __init__(self, watch: Stopwatch, part: Part, launch: int, segment: int, rows: int, context: int) -> None:
        self._watch, self._part, self._launch = watch, part, launch
        self._segment, self._rows, self._context = segment, rows, context
        self._since = 0

    def __enter__(self) -> None:
        self._since = self._watch.timer()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._watch.enabled and kind is None:
            spent = self._watch.timer() - self._since
            self._watch.parts.append(
                PartTime(self._part, self._launch, self._segment, self._rows, self._context, spent,
                         self._since))
