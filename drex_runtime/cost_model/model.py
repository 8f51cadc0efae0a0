"""CostModel: durations windowed per (segment, batch bucket), per ramp likewise, per start and per split.

Prefill and KV fill are never put in, so a pass's estimate cannot contain them. The overhead of a second pass is
start + rebatch, both seen directly: unlike a difference of pass times it cannot come out negative, which froze the
threshold of the original for ever. Source: scheduling model, ART and its traps.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Literal

from drex_runtime.cost_model.window import Window
from drex_runtime.errors import LimitError
from drex_runtime.policies.art import ArtTerms
from drex_runtime.records.profile import CostProfile

Part = Literal["segment", "ramp", "start", "rebatch"]
WINDOW = 32  # segments and ramps: seen in every pass
RARE_WINDOW = 8  # starts and splits: seen seldom, so that few of them must bring a change through


class CostModel:
    """Estimates in ticks for K + 1 = `num_segments` segments and launches of 1 to `max_rows` rows.

    An estimate is the median of the window of its bucket (powers of two up to `max_rows`). If that is empty: the
    `prior` profile at exactly those rows and its reference context; without a prior, the nearest larger bucket with
    durations, then the nearest smaller one; None if nothing was ever seen.
    """

    def __init__(self, num_segments: int, max_rows: int, prior: CostProfile | None = None, *, window: int = WINDOW,
                 rare_window: int = RARE_WINDOW) -> None:
        if num_segments < 1 or max_rows < 1:
            raise LimitError(f"cost model of {num_segments} segments and {max_rows} rows: expected 1 or more of both")
        if prior is not None and (prior.num_segments != num_segments or prior.max_rows < max_rows):
            raise LimitError(f"cost model of {num_segments} segments and {max_rows} rows: profile {prior.name} has "
                             f"{prior.num_segments} segments and covers 1 to {prior.max_rows} rows")
        self.num_segments, self.max_rows, self.prior = num_segments, max_rows, prior
        self.buckets = (*(2**i for i in range((max_rows - 1).bit_length())), max_rows)
        self._sizes: dict[Part, int] = {"segment": window, "ramp": window, "start": rare_window,
                                        "rebatch": rare_window}
        self._windows: dict[tuple[Part, int, int], Window] = {}

    def observe(self, part: Part, index: int, rows: int, ticks: int) -> None:
        """`part` of segment (start: pool, ramp and rebatch: ramp) `index` took `ticks` with `rows` rows."""
        key = (part, index, self._bucket(part, rows))
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(self._sizes[part])
        window.add(ticks)

    def estimate(self, part: Part, index: int, rows: int) -> int | None:
        """Ticks of `part` now, by the rule of the class."""
        bucket = self._bucket(part, rows)
        found = self._seen(part, index, bucket)
        if found is not None:
            return found
        if self.prior is not None:
            return _of_profile(self.prior, part, index, rows)
        larger = (other for other in self.buckets if other > bucket)
        smaller = (other for other in reversed(self.buckets) if other < bucket)
        return next((seen for other in (*larger, *smaller) if (seen := self._seen(part, index, other)) is not None),
                    None)

    def terms(self, ramp: int, rows: int) -> ArtTerms | None:
        """t_s up to the ramp, t_d from the next segment to the end, at `rows` live rows; None if a part is unknown."""
        last = self.num_segments
        segments = [self.estimate("segment", s, rows) for s in range(1, last + 1)]
        ramps = [self.estimate("ramp", r, rows) for r in range(1, last)]
        start, rebatch = self.estimate("start", ramp + 1, rows), self.estimate("rebatch", ramp, rows)
        shallow, rest = _total(segments[:ramp] + ramps[:ramp]), _total(segments[ramp:] + ramps[ramp:])
        if shallow is None or rest is None or start is None or rebatch is None:
            return None
        return ArtTerms(shallow, start + rest + rebatch, shallow + rest)

    def _seen(self, part: Part, index: int, bucket: int) -> int | None:
        window = self._windows.get((part, index, bucket))
        return None if window is None else window.estimate

    def _bucket(self, part: Part, rows: int) -> int:
        """Starts and splits cost the same at any batch (scheduling model), so they share one window."""
        if not 1 <= rows <= self.max_rows:
            raise LimitError(f"cost model: {rows} rows: expected 1 to {self.max_rows}")
        return self.max_rows if part in ("start", "rebatch") else self.buckets[bisect_left(self.buckets, rows)]


def _total(parts: list[int | None]) -> int | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _of_profile(profile: CostProfile, part: Part, index: int, rows: int) -> int:
    match part:
        case "segment":
            return profile.segment_cost(index, rows, rows * profile.meta.reference_context)
        case "ramp":
            return profile.ramp_cost(index, rows)
        case "start":
            return profile.start_cost(index)
        case "rebatch":
            return profile.rebatch
