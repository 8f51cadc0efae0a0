"""Abstract descriptions: said once, concretised per size."""

from __future__ import annotations

import networkx as nx
import pytest

from xplain.flow.behaviour import Sink, Source, Split
from xplain.flow.demand_pinning import Link, Topology
from xplain.flow.describe import Description, Family, Relation, member
from xplain.flow.network import Objective, absorbed
from xplain.flow.packing_network import PACKING, Case
from xplain.flow.pinning_network import PINNING, fixed
from xplain.flow.solve import solve

TREE: Description[int] = Description(
    "tree",
    (Family("root", lambda _: ("r",), lambda size, _: (Source(size, size), Split())),
     Family("leaf", lambda size: map(str, range(size)), lambda _, name: (Sink(0, int(name)),),
            lambda _, name: {"number": int(name)})),
    (Relation("root", "leaf", lambda size: (("r", str(k)) for k in range(size)), lambda _, pair: {"to": pair[1]}),),
    objective=lambda size: Objective("max", {absorbed(member("leaf", str(size - 1))): 1}))


@pytest.mark.parametrize(("size", "status"), [(1, "infeasible"), (2, "infeasible"), (3, "optimal"), (4, "optimal")])
def test_a_description_is_made_concrete_per_size(size: int, status: str) -> None:
    network = TREE.concretise(size)
    assert len(network.nodes) == size + 1
    assert nx.is_tree(network.graph.to_undirected())
    assert network.graph.nodes["leaf 0"] == {"behaviours": ("sink",), "family": "leaf", "member": "0", "number": 0}
    assert network.graph.edges["root r", "leaf 0"]["to"] == "0"
    found = solve(network)
    assert found.status == status
    assert found.objective == (pytest.approx(size - 1) if status == "optimal" else None)


def test_the_case_studies_are_described_once_for_every_size() -> None:
    for balls, bins, dimensions in ((1, 1, 1), (3, 2, 1), (2, 3, 2)):
        case = Case(((1,) * dimensions,) * balls, (9,) * dimensions, bins)
        assert len(PACKING.concretise(case).arcs) == balls * bins * (1 + 2 * dimensions)
    for length in (1, 2, 5):
        line = Topology(tuple(Link(str(k), str(k + 1), 7) for k in range(length)))
        graph = PINNING.concretise(fixed(line, {("0", str(length)): 3}, 5)).graph
        (path,) = (name for name, data in graph.nodes(data=True) if data["family"] == "path")
        assert graph.nodes[path]["hops"] == graph.out_degree(path) == length
        assert {data["capacity"] for _, data in graph.nodes(data=True) if data["family"] == "link"} == {7}
