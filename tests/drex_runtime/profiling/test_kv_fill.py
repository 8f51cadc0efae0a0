"""A profile of a propagating engine prices its fill, so that engine is predicted as well as a sharing one.

No clock is read: the timer counts work. Every projection, layer and head costs fixed + per_row * rows, and the timer
says how much of that was done, so that points, fit and replay are numbers of this test and not of the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.execution.memory import KVConfig
from drex_runtime.model import EarlyExitLlama
from drex_runtime.model.llama import AttentionHalf, DecoderLayer
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.profiling.fit import fit_profile
from drex_runtime.profiling.measure import Plan, measure
from drex_runtime.profiling.replay import replay
from drex_runtime.records import CostProfile, ServerConfig, load_profile, save_profile
from drex_runtime.records.profile import KVFill
from tests.drex_runtime.bench.test_bench import run_drex
from tests.drex_runtime.profiling.test_replay import tiny_model, workload
from tests.drex_runtime.test_examples import EXAMPLES

BATCHES = (1, 2, 4, 8)


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """A timer in ns that advances by work only."""
    done = [0]  # ns

    def counts(owner: type, name: str, fixed: int, per_row: int) -> None:
        real = getattr(owner, name)

        def counting(self: Any, state: Any, *rest: Any) -> Any:
            done[0] += fixed + per_row * len(state)
            return real(self, state, *rest)

        monkeypatch.setattr(owner, name, counting)

    counts(AttentionHalf, "qkv", 4000, 300)
    counts(DecoderLayer, "finish", 6000, 500)
    counts(EarlyExitLlama, "head_logits", 3000, 200)
    return lambda: done[0]


def profiled(model: EarlyExitLlama, fill: KVFill, timer: Callable[[], int]) -> CostProfile:
    plan = Plan(BATCHES, (3, 9), tokens=2, rounds=1, kv_fill=fill)
    points, rounds = measure(model, plan, timer=timer)
    return fit_profile(points, plan, name=fill, model="tiny", num_segments=model.config.num_segments, dtype="float32",
                       rounds=rounds)


def error(model: EarlyExitLlama, profile: CostProfile, policy: str, timer: Callable[[], int],
          fill: KVFill | None = None) -> float:
    """Predicted / measured - 1 of a replayed makespan, without its idle time."""
    bound = bind(SHIPPED[policy], profile, ServerConfig(6, 6))
    kv = None if fill is None else KVConfig(64, sequences=6, fill=fill)
    found = replay(model, bound, workload(profile.num_segments), timer=timer, kv=kv)
    return (found.predicted - found.idle) / (found.measured - found.idle) - 1


@pytest.mark.parametrize("ramps", [[1], [1, 2]], ids=["K=1", "K=2"])
@pytest.mark.parametrize("policy", ["flush-now", "drex", "threshold", "consensus"])
def test_a_propagating_engine_is_predicted_as_well_as_a_sharing_one(ramps: list[int], policy: str,
                                                                    work: Callable[[], int]) -> None:
    model = tiny_model(ramps)
    sharing, propagating = profiled(model, "share", work), profiled(model, "propagate", work)
    as_shared, as_propagated = error(model, sharing, policy, work), error(model, propagating, policy, work)
    print(f"{policy}, K = {len(ramps)}: share {as_shared:+.2%}, propagate {as_propagated:+.2%}")
    # The fill differs by ramp, the profile has the mean: what exits of one ramp are overcharged, another's save.
    assert abs(as_propagated) <= abs(as_shared) + 0.02
    # A profile of the other fill does not predict it: the price matters.
    assert error(model, sharing, policy, work, "propagate") < as_propagated - 0.03


def test_the_fill_is_the_mean_over_the_ramps(work: Callable[[], int]) -> None:
    profile = profiled(tiny_model([1, 2]), "propagate", work)
    by_ramp = {ramp: {rows: ns for kind, rows, _, ns in profile.meta.raw if kind == f"fill {ramp}"} for ramp in (1, 2)}
    for rows in BATCHES:
        one, two = by_ramp[1][rows], by_ramp[2][rows]
        assert one == 2 * two == 2 * (4000 + 300 * max(rows, 4))  # two layers lie behind ramp 1, one behind ramp 2
        # The engine pads to 4 rows, which a line through 1, 2, 4 and 8 rows follows to a few per cent.
        assert profile.fill_cost(rows) == pytest.approx((one + two) / 2, rel=0.12)
    assert profiled(tiny_model([1, 2]), "share", work).fill_cost(8) == 0


def test_the_profile_says_whose_fill_it_prices(tmp_path: Path, work: Callable[[], int]) -> None:
    profile = profiled(tiny_model([1]), "propagate", work)
    save_profile(tmp_path / "p.json", profile)
    assert load_profile(tmp_path / "p.json").meta.kv_fill == "propagate"
    assert bind(SHIPPED["drex"], profile, ServerConfig(4, 4)).profile.kv_fill.per_row > 0


def test_a_fill_without_a_price_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_drex("profile", "--kv-fill", "recompute") == 2
    assert "share or propagate" in capsys.readouterr().err


def test_the_commands_measure_and_replay_a_propagating_engine(tmp_path: Path,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "profile.json"
    assert run_drex("profile", "--kv-fill", "propagate", "--max-batch-rows", "2", "--rounds", "1", "--seconds", "1",
                    "--out", str(path)) == 0
    assert "KV fill (propagate)" in capsys.readouterr().out
    profile = load_profile(path)
    assert profile.meta.kv_fill == "propagate" and profile.fill_cost(2) > 0
    assert run_drex("replay", str(EXAMPLES / "workloads" / "burst-16.json"), "--profile", str(path), "--policy",
                    "flush-now", "--max-num-seqs", "2") == 0
    assert "makespan: predicted" in capsys.readouterr().out
