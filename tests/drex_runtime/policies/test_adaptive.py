"""The adaptive policy: never below 0.98 of no-exit at any exit rate, as fast as flush-now where exits pay."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random

import pytest

from drex_runtime.errors import PolicyError
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.policies.art import NEVER_PAYS, break_even, doubt, empty_share, pass_rows, toll
from drex_runtime.policies.expressions import parse_scalar
from drex_runtime.policies.table import Parameter, Policy
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload, load_profile
from drex_runtime.records.profile import ProfileMeta
from drex_runtime.scheduling.recent import Recent
from drex_runtime.simulator.compiled import simulate_compiled
from tests.scale import scaled

ROOT = Path(__file__).parents[3]
PROFILES = [*sorted((ROOT / "examples" / "profiles").glob("*.json")),
            ROOT / "drex_runtime" / "data" / "profiles" / "demo-cpu.json"]
RATES = (0.0, 0.15, 0.3, 0.5, 0.7, 0.9, 1.0)


def steady(profile: CostProfile, rate: float, places: int, tokens: int) -> Workload:
    """All at once, three requests per place, exits drawn token by token at the first ramp."""
    random, last = Random(f"{rate} {places}"), profile.num_segments
    requests = [Request(i, 0, 500, (last, *(1 if random.random() < rate else last for _ in range(tokens))))
                for i in range(3 * places)]
    return Workload.of(last, requests, tick=profile.tick)


@cache
def against_no_exit(path: Path, places: int, rate: float) -> dict[str, float]:
    """Throughput of policies over that of no-exit."""
    profile, config = load_profile(path), ServerConfig(places, places)
    workload = steady(profile, rate, places, scaled(100, 400))
    makespans = {name: simulate_compiled(bind(SHIPPED[name], profile, config), workload).makespan
                 for name in ("no-exit", "adaptive", "flush-now")}
    return {name: makespans["no-exit"] / value for name, value in makespans.items()}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_never_below_098_of_no_exit(path: Path) -> None:
    for places in (places for places in (8, 32) if places <= load_profile(path).max_rows):
        found = {rate: against_no_exit(path, places, rate) for rate in RATES}
        print(places, {rate: f"{ratio['adaptive']:.3f} (flush-now {ratio['flush-now']:.3f})"
                       for rate, ratio in found.items()})
        assert min(ratio["adaptive"] for ratio in found.values()) >= 0.98
        assert found[1.0]["adaptive"] >= 0.99 * found[1.0]["flush-now"]


def test_it_follows_a_change_of_the_exit_rate() -> None:
    """No exits for the first half, all exits in the second: probes notice, most late tokens leave early."""
    profile = load_profile(PROFILES[-1])
    workload = Workload.of(2, [Request(i, 0, 0, (2,) * 3000 + (1,) * 3000) for i in range(8)], tick=profile.tick)
    run = simulate_compiled(bind(SHIPPED["adaptive"], profile, ServerConfig(8, 8)), workload)
    early = int((run.token_depths == 1).sum())
    assert early > 0.7 * 8 * 3000
    assert run.involuntary_exits == 0


def test_break_even_is_where_a_second_pass_pays() -> None:
    profile = CostProfile("linear", (8,), (SegmentCost((100,), 2), SegmentCost((100,), 4)), (LinearCost(6, 1),), (9,),
                          rebatch=3)
    assert break_even(profile, 1, 8) == 3  # (9 + 3) / 4
    assert toll(profile, 1, 8) == 3.5  # (6 + 8) / 4
    assert pass_rows(profile, 1, 8) == 28  # (9 + 100 + 3) / 4: start, fixed part, rebatch
    assert empty_share(profile, 1, 8) == Fraction(107, 1000)  # (6 + 8) / (100 + 8*4), up to thousandths
    assert doubt(profile, 1, 8) == 0, "no fit error stated"
    fitted = replace(profile, meta=ProfileMeta(fit_error=0.05))
    assert doubt(fitted, 1, 8) == Fraction(14, 4)  # 5 % of 100 + 16 + 14 + 100 + 32 = 262, up to whole ticks
    flat = CostProfile("flat", (8,), (SegmentCost((100,)),) * 2, (LinearCost(),), (0,))
    assert break_even(flat, 1, 8) == NEVER_PAYS == break_even(profile, 1, 1)


def test_statistics_fade_and_count_passes() -> None:
    recent = Recent(2)
    for _ in range(15):
        recent.consulted(2, 4, 1)
    assert recent.view(2) == (15, 60, 15, 0, 0)
    recent.consulted(2, 4, 1)
    assert recent.view(2) == (8, 32, 8, 0, 0)
    recent.passed(2)
    assert recent.view(2) == (8, 32, 8, 0, 1) and recent.view(1) == (0, 0, 0, 0, 0)
    assert Recent(2, recent.flat()).flat() == (0, 0, 0, 0, 0, 8, 32, 8, 0, 1)


def test_predictions_need_the_batch_limit_first() -> None:
    table = SHIPPED["adaptive"]
    early = Parameter("early", parse_scalar("pass_time", "early"))
    with pytest.raises(PolicyError, match="parameter early, default"):
        Policy("wrong", (early, *table.parameters), table.launch, table.consult, table.ramp, table.join)
