"""One small run worked out with pencil and paper; simulator and independent simulation must both find it."""

from __future__ import annotations

from drex_runtime.policies.bind import bind
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.records import CostProfile, LinearCost, PrefillCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.simulator import Log, simulate
from tests.independent.model import Simulation
from tests.independent.tables import rules_of

PROFILE = CostProfile(
    "paper", (4,), (SegmentCost((10,), per_row=1), SegmentCost((20,), per_row=2)), ramps=(LinearCost(3),),
    starts=(4,), rebatch=5, kv_fill=LinearCost(1, 1), prefill=PrefillCost(fixed=7, per_token=2))
WORKLOAD = Workload.of(2, [Request(0, 0, 0, (1, 2)), Request(1, 0, 0, (2, 1)), Request(2, 6, 3, (2, 1))])
CONFIG = ServerConfig(batch_max=2, max_num_seqs=2)

# t = 0    RUN(1) {0, 1}: 12, ramp 3; 0 exits after fill 2 at 17, 1 is parked at 17, rebatch 5
# t = 22   RUN(2) {1}: start 4, 22
# t = 48   2 has no place; RUN(1) {0, 1}: 12, ramp 3; 1 is done after fill 2 at 65, 0 is parked, rebatch 5
# t = 70   2 could be prefilled now, but the flush comes first: RUN(2) {0}: 4 + 22
# t = 96   PREFILL {2}: 7 + 3 * 2
# t = 109  RUN(1) {2}: 11, ramp 3, everybody is ready: fill 2
LAUNCHES = [(0, "RUN", 1, (0, 1), "decode"), (22, "RUN", 2, (1,), "flush@2"), (48, "RUN", 1, (0, 1), "decode"),
            (70, "RUN", 2, (0,), "flush@2"), (96, "PREFILL", 0, (2,), "prefill"), (109, "RUN", 1, (2,), "decode")]
TOKENS = ((17, 96), (48, 65), (109, 125))


def test_the_reference_simulator() -> None:
    run = simulate(bind(SHIPPED["flush-now"], PROFILE, CONFIG), WORKLOAD, log=(log := Log()))
    assert [(one.start, one.kind, one.pool, one.rows, one.rule) for one in log.launches] == LAUNCHES
    assert run.token_times == TOKENS
    assert run.token_depths == ((1, 2), (2, 1), (2, 1))
    assert run.completed == (96, 65, 125)
    assert run.splits == 2
    assert run.busy == 125


def test_the_independent_simulation() -> None:
    outcome = Simulation(WORKLOAD, PROFILE, CONFIG, rules_of(SHIPPED["flush-now"], PROFILE, CONFIG)).run()
    assert [step.start for step in outcome.steps] == [launch[0] for launch in LAUNCHES]
    times = {(token.id, token.number): token.time for token in outcome.tokens}
    assert tuple((times[i, 1], times[i, 2]) for i in range(3)) == TOKENS
