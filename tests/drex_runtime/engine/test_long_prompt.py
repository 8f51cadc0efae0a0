"""A long prompt arrives in chunks: those who are decoding wait for one chunk and one pass at most."""

from __future__ import annotations

from itertools import pairwise

import pytest

from drex_runtime.engine import Engine
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.params import SamplingParams
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, ServerConfig
from tests.drex_runtime.engine.cases import model_with

CHUNK, PROMPT = 256, 4096
PROFILE = CostProfile("chunks", (8,), (SegmentCost((2000,), 10, 1), SegmentCost((2000,), 10, 1)), (LinearCost(100, 5),),
                      (300,), rebatch=50, prefill=PrefillCost(500, 20))


@pytest.mark.parametrize("policy", ["no-exit", "flush-now", "drex"])
def test_the_largest_gap_is_one_chunk_and_one_pass(policy: str) -> None:
    model = model_with(1, threshold="0.05", max_position_embeddings=8192)
    settings = {"decodes_between_prefills": 1} | ({"flush_size": 1} if policy == "drex" else {})
    bound = bind(SHIPPED[policy], PROFILE, ServerConfig(8, 8, CHUNK), settings)
    engine = Engine(model, bound, clock=FakeClock())
    params = SamplingParams(max_tokens=60, ignore_eos=True)
    short = [engine.submit(engine.intake.live([at, 3], params, arrival=0)) for at in range(4)]
    long = engine.submit(engine.intake.live([at % 61 for at in range(PROMPT)], SamplingParams(max_tokens=3),
                                            arrival=20_000))
    engine.run()
    first, done = long.spec.arrival, long.times[0]
    gaps = [after - before for one in short for before, after in pairwise(one.times) if first <= after <= done]
    chunk = PROFILE.prefill_cost(CHUNK, 0)
    most = 4 * 70 + PROMPT  # context of a pass's rows
    deep = PROFILE.start_cost(2) + PROFILE.segment_cost(2, 8, most)
    one_pass = PROFILE.segment_cost(1, 8, most) + PROFILE.ramp_cost(1, 8) + PROFILE.rebatch + deep
    assert engine.statistics.prefills >= PROMPT // CHUNK and len(gaps) > 20
    assert max(gaps) <= chunk + one_pass, (max(gaps), chunk, one_pass)
