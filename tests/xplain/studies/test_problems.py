"""The shipped problems: golden values, features that say what the input is, inputs that make no sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from drex_runtime.errors import InputError
from tests.scale import scaled
from xplain.records import Dimension
from xplain.space import Space
from xplain.studies.case import Case
from xplain.studies.demand_pinning import DemandPinning
from xplain.studies.first_fit import GRID, FirstFit
from xplain.studies.open import SHIPPED, arguments, open_problem


def test_first_fit_golden_value() -> None:
    sample = FirstFit().evaluate({"B0": 0.01, "B1": 0.49, "B2": 0.51, "B3": 0.51}, 0, "random")
    assert (sample.heuristic, sample.upper, sample.relative_gap) == (3, 2, 1.0)


def test_demand_pinning_golden_value() -> None:
    sample = DemandPinning().evaluate({"1>3": 50, "1>2": 100, "2>3": 100}, 0, "random")
    assert (250 - sample.heuristic, 250 - sample.upper) == (150, 250)
    assert sample.relative_gap == 100 / 250


def test_demand_pinning_golden_value_over_the_levels() -> None:
    problem = DemandPinning()
    levels = [0.0, 50.0, 100.0]
    gaps = [problem.evaluate({"1>3": a, "1>2": b, "2>3": c}, 0, "random").gap
            for a in levels for b in levels for c in levels]
    assert max(gaps) == 100


def test_room_below_zero_is_what_opens_a_bin() -> None:
    """The features agree with the heuristic: bins = 1 + balls that find no room; also in two dimensions, sorted."""
    rng = np.random.default_rng(3)
    for problem in (FirstFit(), FirstFit(balls=7), FirstFit(balls=6, decreasing=True),
                    FirstFit(balls=5, dims=2), FirstFit(balls=5, dims=3, decreasing=True)):
        for _ in range(scaled(40, 1000)):
            point = problem.draw(rng)
            sample = problem.evaluate(point, 0, "random")
            opened = sum(value < 0 for name, value in sample.features.items() if name.startswith("room_"))
            assert sample.heuristic == 1 + opened
            assert all(name in problem.meanings or name in point for name in sample.features)


def test_sums_are_exact_on_the_grid() -> None:
    sample = FirstFit().evaluate({"B0": 0.01, "B1": 0.49, "B2": 0.51, "B3": 0.5}, 0, "random")
    assert sample.features["sum_1_2"] == 1.0 and sample.features["sum_0_to_2"] == 1.01
    assert all(round(value * GRID) / GRID == value for value in sample.point.values())


@pytest.mark.parametrize("problem", [FirstFit(), FirstFit(balls=3, dims=2), DemandPinning()], ids=lambda it: it.title)
def test_flows_agree_with_the_objectives(problem: FirstFit | DemandPinning) -> None:
    rng = np.random.default_rng(1)
    for _ in range(scaled(25, 400)):
        point = problem.draw(rng)
        sample, flows = problem.evaluate(point, 0, "random"), problem.flows(point)
        assert flows is not None
        assert {*flows.heuristic, *flows.benchmark, *flows.certain} <= set(problem.edges)
        for side, value in ((flows.heuristic, sample.heuristic), (flows.benchmark, sample.upper)):
            if isinstance(problem, FirstFit):
                assert len({head for (_, head), amount in side.items() if amount}) == value
            else:
                unmet = sum(amount for (_, head), amount in side.items() if head == "unmet")
                assert value - 1 < unmet <= value + 1e-6
        assert bool(flows.certain) <= (flows.heuristic != flows.benchmark)


def test_pinned_demands_beyond_a_link_are_infeasible(tmp_path: Path) -> None:
    links = [{"tail": "a", "head": "b", "capacity": 60}, {"tail": "b", "head": "c", "capacity": 60},
             {"tail": "a", "head": "c", "capacity": 10}]
    (tmp_path / "net.json").write_text(json.dumps({"schema": "xplain-topology/1", "links": links}))
    problem = DemandPinning(topology=str(tmp_path / "net.json"), threshold=50, demands="a>b, a>c")
    fits = problem.evaluate({"a>b": 50.0, "a>c": 10.0}, 0, "random")
    beyond = problem.evaluate({"a>b": 50.0, "a>c": 11.0}, 0, "random")
    assert fits.feasible and not beyond.feasible and beyond.relative_gap == -1
    assert problem.flows(beyond.point) is None
    assert [dimension.high for dimension in problem.dimensions] == [60, 60]


@pytest.mark.parametrize(("kind", "settings", "said"), [
    (FirstFit, {"balls": "0"}, "1 to 12"), (FirstFit, {"balls": "4.5"}, "whole number"),
    (FirstFit, {"dims": "9"}, "1 to 4"),
    (FirstFit, {"decreasing": "maybe"}, "true or false"), (FirstFit, {"box": "round"}, "full, or paper"),
    (FirstFit, {"balls": "5", "box": "paper"}, "full, or paper"), (FirstFit, {"ball": "5"}, "one of balls"),
    (DemandPinning, {"threshold": "-1"}, "threshold"), (DemandPinning, {"demands": "1>9"}, "node of the topology"),
    (DemandPinning, {"demands": "1>3,1>3"}, "each pair once"), (DemandPinning, {"demands": "13"}, "pairs of nodes"),
    (DemandPinning, {"topology": "nosuch.json"}, "nosuch.json"), (DemandPinning, {"paths": "0"}, "1 or more"),
    (DemandPinning, {"largest": "0"}, "largest"),
], ids=str)
def test_options_that_make_no_sense(kind: type[Case], settings: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        kind(**arguments(kind, settings, "problem"))


def test_options_arrive_as_their_types() -> None:
    made = arguments(FirstFit, {"balls": "5", "decreasing": "true", "box": "full"}, "first-fit")
    assert made == {"balls": 5, "decreasing": True, "box": "full"}
    assert arguments(DemandPinning, {"threshold": "20"}, "demand-pinning") == {"threshold": 20}


def test_another_space_replaces_the_box_and_says_so() -> None:
    wide = Space("wide", tuple(Dimension(f"B{k}", 0.2, 0.6) for k in (3, 0, 1, 2)))
    problem = open_problem("first-fit", {}, wide, "wide.yaml")
    assert [(each.name, each.low, each.high) for each in problem.dimensions] == [(f"B{k}", 0.2, 0.6) for k in range(4)]
    assert "wide.yaml" in problem.problem.distribution  # type: ignore[attr-defined]
    for names, high, said in ((("B0", "B1"), 0.5, "exactly B0"), (("B0", "B1", "B2", "B3"), 1.5, "sizes from 0 to 1")):
        space = Space("s", tuple(Dimension(name, 0, high) for name in names))
        with pytest.raises(InputError, match=said):
            open_problem("first-fit", {}, space, "s.yaml")
    fractions = Space("s", tuple(Dimension(name, 0, 9) for name in ("1>3", "1>2", "2>3")))
    with pytest.raises(InputError, match="integer"):
        open_problem("demand-pinning", {}, fractions, "s.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_evaluation_is_a_function_of_the_input(name: str) -> None:
    problem = open_problem(name, {})
    problem.check_repeatable()
    rng = np.random.default_rng(0)
    point = problem.draw(rng)
    for _ in range(10):
        moved = problem.neighbour(point, rng, 0.3)
        sample = problem.evaluate(moved, 0, "random")
        assert sample.point == moved, "what is evaluated is what was asked for, once it is an input"
        assert all(each.low <= sample.point[each.name] <= each.high for each in problem.dimensions)
