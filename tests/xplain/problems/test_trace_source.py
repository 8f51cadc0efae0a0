"""Windows of a trace: blocks keep their requests and gaps, the load is the one asked for, the seed decides."""

from __future__ import annotations

import numpy as np
import pytest

from drex_runtime.records import Request, Workload
from tests.xplain.tiny import PROFILE
from xplain.problems.trace_source import BLOCKS, TraceSource, trace_space

RNG = np.random.default_rng(5)
# Bursts of ten, then a pause; the second half has shorter answers. Prompt lengths tell requests apart.
TRACE = Workload.of(PROFILE.num_segments, [
    Request(number, 1000 * number + 200_000 * (number // 10), number + 1,
            (PROFILE.num_segments, *RNG.integers(1, PROFILE.num_segments + 1, 9 if number < 200 else 3).tolist()))
    for number in range(400)], tick=PROFILE.tick, name="bursts")
POINT = {"load": 1.0, "window": 0.3, "num_seqs": 8.0}


def window(seed: int = 1, replicate: int = 0, **changes: float) -> Workload:
    return TraceSource(TRACE).workload({**POINT, **changes}, PROFILE, 8, seed, replicate)


def test_a_window_is_a_function_of_point_seed_and_replicate() -> None:
    assert window() == window()
    assert len({window(seed, replicate).requests for seed in (1, 2) for replicate in (0, 1)}) == 4


def test_blocks_of_consecutive_requests_keep_lengths_depths_and_gaps() -> None:
    made = window()
    places = [request.prompt_tokens - 1 for request in made.requests]
    assert len(places) == 32
    originals = [TRACE.requests[place] for place in places]
    assert [request.depths for request in made.requests] == [request.depths for request in originals]
    jumps = [k for k in range(1, 32) if places[k] != places[k - 1] + 1]
    assert len(jumps) <= BLOCKS - 1
    within = [k for k in range(1, 32) if k not in jumps]
    gaps = [made.requests[k].arrival - made.requests[k - 1].arrival for k in within]
    before = [originals[k].arrival - originals[k - 1].arrival for k in within]
    scale = max(gaps) / max(before)
    assert gaps == pytest.approx([gap * scale for gap in before], abs=2)


def test_the_place_in_the_trace_and_the_load_are_those_of_the_point() -> None:
    source = TraceSource(TRACE)
    early = source.features({**POINT, "window": 0.0}, PROFILE, 8, 1, 2)
    late = source.features({**POINT, "window": 1.0}, PROFILE, 8, 1, 2)
    assert early["output_tokens"] == 10 and late["output_tokens"] == 4
    assert early["burstiness"] > 1.5
    slow, fast = window(load=0.5).requests[-1].arrival, window(load=2.0).requests[-1].arrival
    assert slow == pytest.approx(4 * fast, rel=0.01)


def test_a_recording_shorter_than_a_window_recurs_and_equal_arrivals_stay_equal() -> None:
    short = TraceSource(Workload.of(2, [Request(0, 0, 0, (1, 2)), Request(1, 0, 0, (2,))], tick=PROFILE.tick))
    made = short.workload(POINT, PROFILE, 8, 0, 0)
    assert len(made.requests) == 32 and {request.arrival for request in made.requests} == {0}
    assert short.recorded_load(PROFILE, 8) is None
    assert np.isfinite(list(short.features(POINT, PROFILE, 8, 0, 1).values())).all()


def test_the_default_space_has_the_dimensions_of_a_trace() -> None:
    assert trace_space(64).names == ("load", "window", "num_seqs")
