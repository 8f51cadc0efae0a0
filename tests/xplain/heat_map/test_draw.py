"""The picture: well-formed, alone, readable without colour, honest about what it leaves out; its table; in Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.scale import scaled
from tests.xplain.heat_map.flows import DETOUR, KnownFlows, detour, points
from xplain.heat_map.draw import BENCHMARK, BOTH, HEURISTIC, MOST, heat_map_figure, heat_map_svg, label_of, style_of
from xplain.heat_map.layout import NODE, layered
from xplain.heat_map.score import heat_map
from xplain.heat_map.table import heat_map_html, heat_map_table
from xplain.problems.flows import Edge, FlowPair
from xplain.records import HeatMap

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert("x")</script>&\'" \N{RIGHT-TO-LEFT OVERRIDE}'


def known(*kinds: int) -> HeatMap:
    return heat_map(KnownFlows(DETOUR, detour), points(*(kinds or (0, 1, 1, 1, 2, 3))))


def random_map(seed: int, nodes: int = 7, number: int = 14) -> HeatMap:
    """Any digraph, cycles and edges to oneself included."""
    random = Random(seed)
    edges = tuple(dict.fromkeys((f"n{random.randrange(nodes)}", f"n{random.randrange(nodes)}") for _ in range(number)))

    def flows(_: object) -> FlowPair:
        return FlowPair({edge: random.choice((0.0, 1.0, 3.0)) for edge in edges},
                        {edge: random.choice((0.0, 1.0, 3.0)) for edge in edges})
    return heat_map(KnownFlows(edges, flows), points(*[0] * 20))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_names_scores_and_both_sides_are_said_in_words() -> None:
    heat = heat_map(KnownFlows(DETOUR, detour), points(1, 1, 2, 0), heuristic="drex", benchmark="the optimum",
                    unit="rows")
    said = texts(heat_map_svg(heat))
    assert {"a", "b", "c", "d", "e", "more drex", "more the optimum"} <= set(said)
    assert sum(text.startswith("+0.75") for text in said) == 2
    assert "1 edges were never used" in heat_map_figure(heat).caption
    assert "(rows)" in heat_map_figure(heat).caption
    row = next(row for row in heat_map_table(heat) if (row["from"], row["to"]) == ("a", "c"))
    assert (row["score"], row["only the optimum"], row["only drex"]) == ("+0.75", "75 %".replace(" ", "\xa0"),
                                                                        "0\xa0%")


def test_style_tells_the_sides_apart_without_colour() -> None:
    styles = {(edge.tail, edge.head): style_of(edge) for edge in known(*[1] * 20, *[2] * 5).edges}
    assert styles["a", "b"] == HEURISTIC
    assert styles["a", "c"] == BENCHMARK
    assert styles["d", "e"] == BOTH
    assert len({style.dashes for style in (HEURISTIC, BENCHMARK, BOTH)}) == 3


def test_amounts_are_shown_where_scores_say_nothing() -> None:
    heat = known(*[2] * 20)
    assert label_of(heat.edges[0]) == "0 \N{GREEK CAPITAL LETTER DELTA}\N{MINUS SIGN}2.0"
    assert style_of(heat.edges[0]) == HEURISTIC


@pytest.mark.parametrize("width", [860, 290])
def test_every_picture_is_well_formed_alone_and_inside_its_frame(width: int) -> None:
    for seed in range(scaled(25, 300)):
        svg = heat_map_svg(random_map(seed), width)
        root = ElementTree.fromstring(svg)
        _, _, wide, high = (float(value) for value in root.attrib["viewBox"].split())
        assert wide >= width
        assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
        for box in root.iter(f"{SVG}rect"):
            x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= -1
            assert x + w <= wide + 1
            assert y >= 0
            assert y + h <= high


def test_boxes_and_numbers_do_not_cover_each_other() -> None:
    for seed in range(scaled(25, 300)):
        root = ElementTree.fromstring(heat_map_svg(random_map(seed)))
        boxes = [tuple(float(box.attrib[name]) for name in ("x", "y", "width", "height"))
                 for box in root.iter(f"{SVG}rect")]
        for k, (x, y, w, h) in enumerate(boxes):
            for x2, y2, w2, h2 in boxes[k + 1:]:
                assert x + w <= x2 + 0.2 or x2 + w2 <= x + 0.2 or y + h <= y2 + 0.2 or y2 + h2 <= y + 0.2


def test_the_strongest_are_drawn_and_the_others_counted() -> None:
    edges = tuple((f"t{k}", f"h{k % 5}") for k in range(40))

    def flows(_: object) -> FlowPair:
        return FlowPair(dict.fromkeys(edges[:30], 1.0), dict.fromkeys(edges[10:], 1.0))
    heat = heat_map(KnownFlows(edges, flows), points(0, 0, 0))
    svg = heat_map_svg(heat)
    said = texts(svg)
    assert sum(text in ("+1.00", "\N{MINUS SIGN}1.00") for text in said) == 20
    assert sum(text == "0" for text in said) == MOST - 20
    assert any(f"{40 - MOST} weaker edges not drawn" in text for text in said)
    assert len(heat_map_table(heat)) == 40
    assert "not drawn" not in heat_map_svg(heat, most=40)


def test_nothing_to_draw_is_said() -> None:
    for heat in (known(3, 3), heat_map(KnownFlows((), detour), []),
                 heat_map(KnownFlows(DETOUR, lambda _: FlowPair({}, {})), points(0, 1))):
        assert "No edge was used in any sample." in texts(heat_map_svg(heat))
        assert "No edge was used" in heat_map_html(heat)
        assert heat_map_table(heat) == []


def test_hostile_names_stay_text() -> None:
    edges: tuple[Edge, ...] = ((HOSTILE, "b"), ("b", HOSTILE * 3))
    heat = heat_map(KnownFlows(edges, lambda _: FlowPair({edges[0]: 1.0}, {edges[1]: 1.0})), points(0),
                    heuristic=HOSTILE, benchmark="<b>", unit="<i>")
    for text in (heat_map_svg(heat), heat_map_html(heat)):
        assert "<script" not in text
        assert "<b>" not in text
    ElementTree.fromstring(heat_map_svg(heat))


def test_layers_lead_to_the_right_and_every_edge_has_its_way() -> None:
    for seed in range(scaled(60, 1000)):
        random = Random(seed)
        edges = [(f"n{random.randrange(6)}", f"n{random.randrange(6)}") for _ in range(random.randrange(1, 12))]
        edges = list(dict.fromkeys(edges))
        layout = layered(edges)
        assert layout == layered(edges)
        column = {place: k for k, layer in enumerate(layout.layers) for place in layer}
        assert len(column) == sum(map(len, layout.layers))
        for (tail, head), route in zip(edges, layout.routes, strict=True):
            assert (route[0], route[-1][0]) == ((tail, NODE), head)
            steps = {column[other] - column[one] for one, other in pairwise(route)}
            assert steps in ({1}, {-1})


def test_an_acyclic_network_has_no_edge_backwards() -> None:
    layout = layered([("1", "2"), ("2", "3"), ("1", "4"), ("4", "5"), ("5", "3")])
    column = {name: k for k, layer in enumerate(layout.layers) for name, bend in layer if bend == NODE}
    assert column["1"] == 0
    assert column["3"] == max(column.values()) == 3
    assert column["4"] < column["5"]


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser: Browser, path: Path, width: int, scheme: str) -> Page:
    heat = random_map(3, nodes=9, number=30)
    figure = heat_map_figure(heat)
    css = (Path("xplain/report/templates/report.css")).read_text(encoding="utf-8")
    path.write_text(f"<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
                    f"<style>{css}</style><main><figure><div class=wide>{figure.wide}</div><div class=narrow>"
                    f"{figure.narrow}</div><figcaption>{figure.caption}</figcaption>"
                    f"<div class=scroll>{heat_map_html(heat)}</div></figure></main>", encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900},
                                  color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    page.goto(path.absolute().as_uri())
    return page


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium_it_fits_and_follows_the_theme(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    page = opened(browser, tmp_path / "page.html", width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink = page.evaluate("[...document.querySelectorAll('svg.heat-map text')].map(one => getComputedStyle(one).fill)")
    channels = [sum(map(int, re.findall(r"\d+", value))) / 3 for value in ink]
    assert min(channels) > 100 if scheme == "dark" else max(channels) < 130
    # Every text lies within its picture: nothing is cut off.
    outside = page.evaluate("""[...document.querySelectorAll('svg.heat-map')].flatMap(svg => {
        const frame = svg.getBoundingClientRect();
        return [...svg.querySelectorAll('text')].filter(one => {
            const box = one.getBoundingClientRect();
            return frame.width && (box.left < frame.left - 1 || box.right > frame.right + 1
                                   || box.bottom > frame.bottom + 1);
        }).map(one => one.textContent)})""")
    assert outside == []
    page.context.close()
