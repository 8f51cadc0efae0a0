"""The exit model: shares, persistence and similarity are what they say, and seeds decide everything."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from drex_runtime.errors import InputError, LimitError, RecordError
from drex_runtime.traces import ExitModel, RecordedRequest, Trace, to_workload

HALF = Fraction(1, 2)


def trace(tokens: list[int], prompts: list[int] | None = None) -> Trace:
    count = len(tokens)
    return Trace("made", "test", np.arange(count, dtype=np.int64) * 1500,
                 np.array(prompts or [0] * count, np.int64), np.array(tokens, np.int64), count)


def drawn(model: ExitModel, requests: int, tokens: int, seed: int = 1) -> np.ndarray:
    return model.depths(np.full(requests, tokens, np.int64), seed).reshape(requests, tokens)


@pytest.mark.parametrize("persistence", [Fraction(0), HALF, Fraction(9, 10)])
@pytest.mark.parametrize("similarity", [Fraction(0), Fraction(3, 10)])
def test_the_shares_of_depths_are_the_rates(persistence: Fraction, similarity: Fraction) -> None:
    depths = drawn(ExitModel((Fraction(3, 10), Fraction(1, 5)), persistence, similarity), 400, 500)
    shares = np.bincount(depths.ravel(), minlength=4)[1:] / depths.size
    assert shares == pytest.approx([0.3, 0.2, 0.5], abs=0.03)


@pytest.mark.parametrize("similarity", [Fraction(0), HALF, Fraction(1)])
def test_persistence_is_the_correlation_of_neighbours(similarity: Fraction) -> None:
    depths = drawn(ExitModel((HALF,), Fraction(3, 5), similarity), 200, 2000)
    assert np.corrcoef(depths[:, :-1].ravel(), depths[:, 1:].ravel())[0, 1] == pytest.approx(0.6, abs=0.04)


def test_similarity_goes_from_independent_to_equal() -> None:
    def agreement(similarity: Fraction) -> float:
        depths = drawn(ExitModel((HALF,), Fraction(1, 5), similarity), 2, 20_000)
        return float((depths[0] == depths[1]).mean())

    values = [agreement(Fraction(step, 4)) for step in range(5)]
    assert values[0] == pytest.approx(0.5, abs=0.02)
    assert values == sorted(values)
    assert values[4] == 1.0


def test_rates_of_zero_and_one_are_certain() -> None:
    assert set(drawn(ExitModel((Fraction(0),)), 10, 50).ravel()) == {2}
    assert set(drawn(ExitModel((Fraction(1),)), 10, 50).ravel()) == {1}
    assert len(set(drawn(ExitModel((HALF,), Fraction(1)), 1, 50).ravel())) == 1


def test_the_same_seed_gives_the_same_depths_and_these() -> None:
    model = ExitModel((Fraction(2, 5),), Fraction(1, 4), Fraction(1, 4))
    tokens = np.array([5, 1, 7], np.int64)
    assert model.depths(tokens, 9).tolist() == model.depths(tokens, 9).tolist()
    assert model.depths(tokens, 9).tolist() != model.depths(tokens, 10).tolist()
    assert model.depths(tokens, 9).tolist() == [1, 2, 2, 1, 2, 2, 1, 1, 1, 1, 1, 1, 1]


def test_the_first_token_of_a_prompted_request_comes_from_the_prefill() -> None:
    workload = to_workload(trace([3, 1, 2, 1], [5, 5, 0, 5]), ExitModel((Fraction(1),)))
    assert [request.depths for request in workload.requests] == [(2, 1, 1), (2,), (1, 1), (2,)]


def test_source_tells_the_whole_model() -> None:
    model = ExitModel((Fraction(1, 3), Fraction("0.25")), Fraction("0.6"), Fraction("0.1"))
    workload = to_workload(trace([3]), model, seed=42, tick="us")
    assert workload.source == ("test trace made: 1 of 1 rows; depths from an exit model: rates per ramp 1/3, 0.25, "
                               "persistence 0.6, similarity 0.1, seed 42; times rounded down to us")
    assert workload.num_segments == 3


def test_ticks_are_converted_and_rounded_down_only_to_coarser_ones() -> None:
    model = ExitModel((HALF,))
    arrivals = {tick: [r.arrival for r in to_workload(trace([1, 1]), model, tick=tick).requests]
                for tick in ("ps", "ns", "us")}
    assert arrivals == {"ps": [0, 1_500_000], "ns": [0, 1500], "us": [0, 1]}


def test_a_trace_without_depths_needs_a_model_of_the_right_size(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="an exit model"):
        to_workload(trace([3]))
    monkeypatch.setattr("drex_runtime.traces.workload.MAX_TOKENS", 5)
    with pytest.raises(LimitError, match="6 output tokens"):
        to_workload(trace([3, 3]), ExitModel((HALF,)))


@pytest.mark.parametrize("wrong", [
    {"rates": ()}, {"rates": (Fraction(-1, 2),)}, {"rates": (HALF, HALF, HALF)},
    {"rates": (HALF,), "persistence": Fraction(2)}, {"rates": (HALF,), "similarity": Fraction(-1)}])
def test_impossible_models_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecordError, match="exit model"):
        ExitModel(**wrong)  # type: ignore[arg-type]


def recording(runs: np.ndarray, num_segments: int) -> Trace:
    requests = tuple(RecordedRequest(i, i, 0, tuple(int(d) for d in run)) for i, run in enumerate(runs))
    base = trace([len(run) for run in runs])
    return Trace(base.name, "recording", base.arrivals, base.prompt_tokens, base.output_tokens, len(base),
                 num_segments=num_segments, recorded=requests)


def test_a_model_fitted_to_its_own_draws_comes_back() -> None:
    model = ExitModel((Fraction(3, 10), Fraction(1, 5)), Fraction(2, 5))
    found = ExitModel.fitted(recording(drawn(model, 200, 300), 3))
    assert [float(rate) for rate in found.rates] == pytest.approx([0.3, 0.2], abs=0.02)
    assert float(found.persistence) == pytest.approx(0.4, abs=0.03)


def test_unknown_depths_do_not_count_in_a_fit() -> None:
    found = ExitModel.fitted(recording(np.array([[1, 0, 0, 1], [2, 0, 2, 0]]), 2))
    assert found.rates == (HALF,)
    with pytest.raises(InputError, match="known depths"):
        ExitModel.fitted(recording(np.array([[0, 0]]), 2))
    with pytest.raises(InputError, match="a recording with depths"):
        ExitModel.fitted(trace([3]))


def test_cutting_and_speeding_up_is_written_down() -> None:
    made = trace([1, 2, 3, 4])
    cut = made.between(1500, 4500)
    assert (cut.arrivals.tolist(), cut.output_tokens.tolist()) == ([0, 1500], [2, 3])
    assert made.first(2).arrivals.tolist() == [0, 1500] and made.first(9) is made
    assert made.faster(Fraction(3)).arrivals.tolist() == [0, 500, 1000, 1500]
    assert cut.faster(Fraction(2)).provenance == (
        "test trace made: 2 of 4 rows; arrivals from 1500 to 4500 ns; arrival rate x 2")
    with pytest.raises(InputError, match="a window with arrivals"):
        made.between(10, 20)
    with pytest.raises(InputError, match="above 0"):
        made.faster(Fraction(0))
