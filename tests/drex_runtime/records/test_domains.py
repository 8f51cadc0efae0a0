"""Records built in Python are held to the same rules, and a profile answers only inside its domain."""

from __future__ import annotations

import dataclasses

import pytest

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from drex_runtime.records.ticks import convert_ticks

PROFILE = CostProfile("p", (1, 4), (SegmentCost((10, 12), 2, 1), SegmentCost((9, 9), 1)), (LinearCost(1, 1),), (3,))


def test_costs_are_what_the_model_says() -> None:
    assert [PROFILE.segment_cost(1, rows, 100) for rows in (1, 2, 4)] == [112, 116, 120]
    assert [PROFILE.ramp_cost(1, 3), PROFILE.start_cost(1), PROFILE.start_cost(2)] == [4, 0, 3]
    filled = dataclasses.replace(PROFILE, kv_fill=LinearCost(5, 2))
    assert [filled.fill_cost(0), filled.fill_cost(3)] == [0, 11]


@pytest.mark.parametrize("rows", [0, 5, -1])
def test_a_batch_outside_the_buckets_is_refused(rows: int) -> None:
    with pytest.raises(LimitError, match=f"a launch of {rows} rows is outside its buckets, 1 to 4"):
        PROFILE.segment_cost(1, rows, 0)


def test_a_jump_down_of_less_than_one_row_is_legal() -> None:
    CostProfile("p", (1, 2), (SegmentCost((10, 8), 2),))
    with pytest.raises(RecordError, match="not below that at 1"):
        CostProfile("p", (1, 2), (SegmentCost((10, 7), 2),))


def test_records_are_immutable() -> None:
    for record in (PROFILE, Request(0, 0, 0, (1,)), ServerConfig(1, 1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, dataclasses.fields(record)[0].name, 7)


@pytest.mark.parametrize("wrong", [
    {"batch_max": 0}, {"max_num_seqs": 0}, {"batch_max": 2**21}, {"prefill_tokens": 0}, {"idle_max": 0},
    {"idle_max": 2**60}])
def test_impossible_resources_are_named(wrong: dict[str, int]) -> None:
    (field, value), = wrong.items()
    with pytest.raises(RecordError, match=f"server config: {field} = {value}: expected an integer from 1"):
        ServerConfig(**({"batch_max": 1, "max_num_seqs": 1} | wrong))


def test_ticks_convert_exactly_or_not_at_all() -> None:
    workload = Workload.of(1, [Request(0, 1500, 0, (1,), due=2000)], tick="ns")
    assert workload.in_tick("ps").requests[0].arrival == 1_500_000
    assert workload.in_tick("ns") is workload
    with pytest.raises(RecordError, match="request 0: arrival = 1500 ns: expected a whole number of us"):
        workload.in_tick("us")
    assert convert_ticks(3000, "ns", "us", "x", "y") == 3


def test_workloads_sort_requests_by_arrival_then_id() -> None:
    workload = Workload.of(1, [Request(2, 5, 0, (1,)), Request(1, 5, 0, (1,)), Request(3, 0, 0, (1,))])
    assert [request.id for request in workload.requests] == [3, 1, 2]
