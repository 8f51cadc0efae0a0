"""Topologies: the shipped one, the JSON's errors, paths in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.errors import InputError
from xplain.flow.topology import Link, Topology, five_node, load_topology, paths

LINK = {"tail": "a", "head": "b", "capacity": 5}


def test_the_papers_topology_is_shipped() -> None:
    assert five_node().links == (Link("1", "2", 100), Link("2", "3", 100), Link("1", "4", 50), Link("4", "5", 50),
                                 Link("5", "3", 50))
    assert paths(five_node(), ("1", "3"), 5) == (("1", "2", "3"), ("1", "4", "5", "3"))
    assert paths(five_node(), ("3", "1")) == ()


def test_paths_are_ordered_by_length_then_name_and_limited_as_asked() -> None:
    both = [("a", "z"), ("b", "z"), ("s", "b"), ("s", "a"), ("s", "z"), ("a", "b")]
    topology = Topology(tuple(Link(*ends, 1) for ends in both))
    everything = (("s", "z"), ("s", "a", "z"), ("s", "b", "z"), ("s", "a", "b", "z"))
    assert paths(topology, ("s", "z")) == everything
    for limit in range(1, 6):
        assert paths(topology, ("s", "z"), limit) == everything[:limit]
    with pytest.raises(InputError, match="limit = 0"):
        paths(topology, ("s", "z"), 0)


def test_a_file_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"schema": "xplain-topology/1", "links": [LINK]}))
    assert load_topology(path) == Topology((Link("a", "b", 5),))


@pytest.mark.parametrize(("document", "field"), [
    ({"schema": "x", "links": []}, "schema = x"), ({"links": []}, "schema = None"), ([], "document"),
    ({"schema": "xplain-topology/1"}, "links"), ({"schema": "xplain-topology/1", "links": []}, "links"),
    ({"schema": "xplain-topology/1", "links": [LINK, LINK]}, r"links.1 = a>b: expected each pair"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"capacity": -1}]}, r"links.0.capacity = -1"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"capacity": 0.5}]}, r"links.0.capacity = 0.5"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"capacity": True}]}, r"links.0.capacity = True"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"head": "a"}]}, r"links.0.head = a"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"tail": "a>b"}]}, r"links.0.tail = a>b"),
    ({"schema": "xplain-topology/1", "links": [LINK | {"tail": ""}]}, r"links.0.tail = "),
    ({"schema": "xplain-topology/1", "links": [LINK | {"delay": 3}]}, r"links.0.delay"),
    ({"schema": "xplain-topology/1", "links": [{"tail": "a", "head": "b"}]}, r"links.0.capacity")])
def test_bad_files_name_file_field_and_value(tmp_path: Path, document: Any, field: str) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=field) as caught:
        load_topology(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.json: file ="):
        load_topology(tmp_path / "nowhere.json")
