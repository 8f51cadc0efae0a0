"""First fit and optimal packing: fast evaluation is the network's, nearest is nearest, certain edges are certain."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from drex_runtime.errors import InputError, LimitError
from tests.scale import scaled
from xplain.flow.balls import Packing, Sizes
from xplain.flow.check import check, objective
from xplain.flow.first_fit import certain_edges, edge, first_fit, num_bins, optimal_packing, placing_order
from xplain.flow.packing_network import PACKING, Case, packing, place
from xplain.flow.solve import solve

COUNT = scaled(8, 150, "flow:packing networks")


def random_balls(seed: int, *, most: int = 5) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """3 to `most` balls in one or two dimensions; zero sizes and full balls among them."""
    rng = np.random.default_rng(seed)
    capacity = (10,) if seed % 2 else (10, 6)
    return tuple(tuple(int(rng.integers(0, room + 1)) for room in capacity)
                 for _ in range(int(rng.integers(3, most + 1)))), capacity


def flow_of(case: Case, bins: Packing) -> dict[tuple[str, str], float]:
    """A packing as a flow of the network."""
    network = PACKING.concretise(case)
    taken = {place(ball, bin_)[1] for ball, bin_ in enumerate(bins)}
    factors = {node.name: node.behaviours[0].factor for node in network.nodes  # type: ignore[union-attr]
               if node.metadata["family"] == "weight"}
    found = dict.fromkeys(network.graph.edges, 0.0)
    for tail, head in network.graph.edges:
        name = head if tail.startswith("ball") else tail.split(" dimension")[0].replace("weight", "place")
        if name in taken:
            found[tail, head] = float(factors.get(tail, 1))
    return found


@pytest.mark.parametrize("decreasing", [False, True])
@pytest.mark.parametrize("seed", range(COUNT))
def test_fast_first_fit_is_the_only_flow_of_its_network(seed: int, decreasing: bool) -> None:
    sizes, capacity = random_balls(seed, most=4)
    order = placing_order(sizes, capacity, decreasing=decreasing)
    case = Case(sizes, capacity, len(sizes), order)
    network, fast = PACKING.concretise(case), first_fit(sizes, capacity, decreasing=decreasing)
    found = solve(network)
    assert packing(case, found.values) == fast
    assert found.objective == pytest.approx(num_bins(fast))
    assert check(network, flow_of(case, fast)) == ()
    assert objective(network, flow_of(case, fast)) == num_bins(fast)


def test_only_first_fit_is_a_flow_of_its_network() -> None:
    sizes, capacity = ((4,), (7,), (5,)), (10,)
    case = Case(sizes, capacity, 3, (0, 1, 2))
    network = PACKING.concretise(case)
    fits = [bins for bins in itertools.product(range(3), repeat=3) if check(network, flow_of(case, bins)) == ()]
    assert fits == [first_fit(sizes, capacity)] == [(0, 1, 0)]
    named = {each.what for each in check(network, flow_of(case, (0, 1, 2)))}
    assert named == {"priority"}


@pytest.mark.parametrize("seed", range(COUNT))
def test_fast_optimum_is_the_networks(seed: int) -> None:
    sizes, capacity = random_balls(seed)
    fast, heuristic = optimal_packing(sizes, capacity), first_fit(sizes, capacity)
    case = Case(sizes, capacity, num_bins(heuristic))
    found = solve(PACKING.concretise(case))
    assert found.objective == pytest.approx(num_bins(fast))
    assert check(PACKING.concretise(case), flow_of(case, fast)) == ()


def every_optimum(sizes: Sizes, capacity: tuple[int, ...]) -> list[Packing]:
    """All packings into the fewest bins under all names, by listing everything."""
    fits = [bins for bins in itertools.product(range(len(sizes)), repeat=len(sizes))
            if all(sum(size[k] for size, at in zip(sizes, bins, strict=True) if at == bin_) <= room
                   for bin_ in range(len(sizes)) for k, room in enumerate(capacity))]
    fewest = min(map(num_bins, fits))
    return [bins for bins in fits if num_bins(bins) == fewest]


def moved(one: Packing, two: Packing) -> int:
    return sum(a != b for a, b in zip(one, two, strict=True))


def renamed(bins: Packing) -> Packing:
    """Bins numbered by their first balls: the partition."""
    names = list(dict.fromkeys(bins))
    return tuple(map(names.index, bins))


@pytest.mark.parametrize("seed", range(scaled(25, 200, "flow:nearest packings by listing")))
def test_nearest_and_certain_agree_with_listing_everything(seed: int) -> None:
    sizes, capacity = random_balls(seed)
    heuristic, optima = first_fit(sizes, capacity), every_optimum(sizes, capacity)
    near = optimal_packing(sizes, capacity, heuristic)
    assert near in optima
    assert moved(near, heuristic) == min(moved(each, heuristic) for each in optima)
    best_named = list[Packing]()
    for _, group in itertools.groupby(sorted(optima, key=renamed), key=renamed):
        alike = list(group)
        least = min(moved(each, heuristic) for each in alike)
        best_named += [each for each in alike if moved(each, heuristic) == least]
    certain = {edge(ball, bin_) for ball in range(len(sizes)) for bin_ in range(len(sizes))
               if all((each[ball] == bin_) != (heuristic[ball] == bin_) for each in best_named)}
    assert certain_edges(sizes, capacity, heuristic) == certain


def test_a_packing_far_from_any_name_is_still_found() -> None:
    sizes = ((6,), (4,), (6,), (4,))
    assert optimal_packing(sizes, (10,), (7, 7, 9, 9)) == (7, 7, 9, 9)
    assert renamed(optimal_packing(sizes, (10,), (0, 0, 0, 0))) in ((0, 0, 1, 1), (0, 1, 1, 0))
    assert num_bins(optimal_packing(sizes, (10,), (3, 2, 1, 0))) == 2


def test_first_fit_decreasing_weighs_dimensions_by_their_capacity() -> None:
    assert placing_order(((5, 0), (0, 4), (1, 1)), (10, 6), decreasing=True) == (1, 0, 2)
    assert placing_order(((5,), (7,), (5,)), (10,), decreasing=True) == (1, 0, 2)


def test_odd_balls() -> None:
    assert first_fit((), (5,)) == optimal_packing((), (5,)) == ()
    assert first_fit(((0,), (0,)), (5,)) == optimal_packing(((0,), (0,)), (5,)) == (0, 0)
    assert optimal_packing(((5,),) * 6, (5,)) == (0, 1, 2, 3, 4, 5)
    assert certain_edges((), (5,), ()) == frozenset()


def test_ten_to_fifteen_balls_are_proved() -> None:
    sizes = tuple((size,) for size in (41, 33, 27, 25, 61, 39, 34, 66, 50, 50, 73, 1))
    assert num_bins(optimal_packing(sizes, (100,), first_fit(sizes, (100,)))) == 5
    with pytest.raises(LimitError, match="at most 10 balls, not 12"):
        certain_edges(sizes, (100,), first_fit(sizes, (100,)))


@pytest.mark.parametrize(("sizes", "capacity", "match"), [
    (((11,),), (10,), r"sizes.0 = \(11,\): expected whole numbers within"), (((-1,),), (10,), "sizes.0"),
    (((0.5,),), (10,), "sizes.0"), (((1, 2),), (10,), "1 numbers, one per dimension"), (((1,),), (0,), "capacity"),
    (((1,),), (), "capacity"), (((True,),), (10,), "sizes.0")])
def test_bad_balls_are_named(sizes: Any, capacity: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        first_fit(sizes, capacity)
    with pytest.raises(InputError, match="bins"):
        optimal_packing(((1,),), (10,), ())
