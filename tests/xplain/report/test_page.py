"""The page holds every section, tells the truth of its records, and nothing can break out of it."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from tests.xplain.report.example import HOSTILE
from tests.xplain.report.example import example as make_example
from xplain.records import Sample
from xplain.report.page import render_report, write_report

SECTIONS = ["findings", "worst", "regions", "causes", "clusters", "flows", "tuning", "policy", "search", "limits",
            "reproduce"]
VOID = {"meta", "link", "br", "img", "input", "hr"}


example = cache(make_example)


@cache
def page(hostile: bool = False) -> str:
    return render_report(*example(hostile=hostile))


class Outline(HTMLParser):
    """Tags that were opened, attributes, and whether everything was closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    return parser


def test_sections_in_order() -> None:
    assert re.findall(r'<section id="([a-z]+)">', page()) == SECTIONS


def test_well_formed_without_script_or_anything_from_outside() -> None:
    found = outline(page())
    assert found.open == []
    assert not {"script", "img", "iframe", "object", "form"} & set(found.tags)
    targets = [value for name, value in found.attributes if name in ("src", "href", "xlink:href")]
    assert targets
    assert all(value and value.startswith(("#", "data:,")) for value in targets)
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_ids_are_unique_and_every_reference_has_its_target() -> None:
    found = outline(page())
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    referred = {value[1:] for name, value in found.attributes if name == "href" and value and value.startswith("#")}
    assert referred <= set(ids)
    assert set(re.findall(r"url\(#([\w-]+)\)", page())) <= set(ids)


def test_markup_in_names_stays_text() -> None:
    html = page(hostile=True)
    assert HOSTILE not in html
    found = outline(html)
    assert {"script", "img"}.isdisjoint(found.tags)
    assert "".join(found.text).count("alert('x')") > 3


def test_size() -> None:
    assert len(page().encode()) < 2_000_000


def test_numbers_of_the_records_are_on_the_page() -> None:
    analysis, _ = example(hostile=False)
    text = " ".join("".join(outline(page()).text).replace("\N{NO-BREAK SPACE}", " ").split())
    assert analysis.verdict in text
    for finding in analysis.findings:
        for part in (finding.title, finding.where, finding.cost, finding.why, finding.attempt, finding.verify):
            assert part in text
    for region in analysis.regions:
        assert region.sentence in text
    for limit in analysis.limits:
        assert limit in text
    assert analysis.provenance.command in text
    assert "99.9" not in text
    assert "sum, equal to the gap" in text


def test_an_account_that_does_not_close_says_so() -> None:
    analysis, samples = example(hostile=False)
    open_account = replace(analysis.attributions[0], gap=analysis.attributions[0].gap + 1_000)
    html = render_report(replace(analysis, attributions=(open_account,)), samples)
    assert "sum, equal to the gap" not in html
    assert "the gap is 91.0" in html


def test_what_a_run_lacks_is_said_and_not_left_empty() -> None:
    analysis, _ = example(hostile=False)
    bare = replace(analysis, findings=(), regions=(), attributions=(), witnesses=(), tuning=None, traces=(),
                   policy_table=(), limits=(), settings={}, num_samples={}, bad_share={})
    html = render_report(bare, ())
    assert re.findall(r'<section id="([a-z]+)">', html) == SECTIONS
    for words in ("no findings", "No region", "No run was attributed", "did not tune", "No search", "None stated"):
        assert words in html


def test_more_samples_than_are_drawn_is_said() -> None:
    analysis, samples = example(hostile=False)
    unbiased = [sample for sample in samples if sample.unbiased]
    many = [replace(sample, index=k) for k, sample in enumerate(unbiased * 3)]
    assert "900 of them are drawn, evenly." in render_report(analysis, many)
    assert "of them are drawn" not in page()


def test_samples_over_one_dimension_give_no_scatter_plot_but_a_page() -> None:
    analysis, samples = example(hostile=False)

    def narrowed(sample: Sample) -> Sample:
        return replace(sample, features={"exit_rate": sample.features["exit_rate"]})

    html = render_report(replace(analysis, regions=()), [narrowed(sample) for sample in samples])
    assert "Scatter plot" not in html


def test_the_same_analysis_gives_the_same_page() -> None:
    assert render_report(*example(hostile=False)) == page()


def test_an_unknown_tick_and_a_place_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    analysis, samples = example(hostile=False)
    with pytest.raises(InputError, match="tick"):
        render_report(replace(analysis, tick="fortnights"), samples)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="report"):
        write_report(tmp_path / "file" / "report.html", analysis, samples)
