"""Timelines show every bar of both schedules, on one axis."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

from tests.xplain.report.example import HOSTILE, witness
from xplain.records import Witness
from xplain.report.timeline import GUTTER, RIGHT, WIDTH, draw, parting, steps


def picture(item: Witness) -> ElementTree.Element:
    return ElementTree.fromstring(str(draw(item, "us")))


def test_every_bar_is_drawn_once_on_the_device_and_once_per_row() -> None:
    item = witness()
    bars = [bar for line in (item.heuristic, item.optimum) for bar in line.bars]
    titles = [element.text or "" for element in picture(item).iter("title")]
    assert sum(": " in title and " to " in title for title in titles) == sum(1 + len(bar.rows) for bar in bars)
    assert sum("exits at ramp" in title for title in titles) == len(item.heuristic.exits) + len(item.optimum.exits)
    assert sum("parked behind" in title for title in titles) == len(item.heuristic.parks) + len(item.optimum.parks)
    assert sum("complete at" in title for title in titles) == 2 * len(item.arrivals)


def test_both_schedules_share_one_scale_and_stay_inside() -> None:
    item = witness()
    end = max(bar.end for line in (item.heuristic, item.optimum) for bar in line.bars)
    for element in picture(item).iter("rect"):
        if element.get("x") is not None:
            right = float(element.attrib["x"]) + float(element.attrib["width"])
            assert float(element.attrib["x"]) >= GUTTER
            assert right <= WIDTH - RIGHT + 0.7
    last = item.optimum.bars[-1]
    expected = GUTTER + last.start * (WIDTH - GUTTER - RIGHT) / end
    assert f'x="{expected:.1f}"' in str(draw(item, "us"))


def test_where_the_schedules_part() -> None:
    item = witness()
    assert parting(item) == 12_000 + 28_630 + 700
    assert parting(replace(item, optimum=item.heuristic)) is None
    assert "part here" not in str(draw(replace(item, optimum=item.heuristic), "us"))


def test_titles_are_escaped() -> None:
    item = witness()
    hostile = replace(item, heuristic=replace(item.heuristic, title=HOSTILE))
    assert HOSTILE not in str(draw(hostile, "us"))
    assert "alert('x')" in "".join(picture(hostile).itertext())


def test_the_table_lists_all_bars_in_words() -> None:
    rows = steps(witness().heuristic, "us")
    assert len(rows) == len(witness().heuristic.bars)
    assert rows[1].what == "segment 1"
    assert rows[1].requests == "0, 1, 2, 3"
    assert re.fullmatch(r"12\.0\sms", rows[1].begin)


def test_a_schedule_of_one_tick_and_one_without_bars_are_drawn() -> None:
    item = witness()
    empty = replace(item.heuristic, bars=(), exits=(), parks=(), completed=(0, 0, 0, 0), objective=0)
    short = replace(item, heuristic=empty, optimum=empty)
    assert "<svg" in str(draw(short, "ps"))
