"""The page of a case study: the skeleton of every report, its own records, alone and without errors in Chromium."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.xplain.report.test_page import outline
from xplain.records import Sample
from xplain.report.page import render_study, write_study_report
from xplain.run_folder import load_any, load_samples
from xplain.studies.analyze import analyze_study
from xplain.studies.open import open_problem
from xplain.studies.record import StudyAnalysis
from xplain.studies.request import StudyRequest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECTIONS = ["findings", "worst", "regions", "flows", "problem", "search", "limits", "reproduce"]


@pytest.fixture(scope="module", params=["first-fit", "demand-pinning"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "run"
    name = request.param
    analyze_study(StudyRequest(name, evaluations=300, held_out=300, command=f"xplain analyze {name}"),
                  open_problem(name, {}), out)
    return out


def loaded(run: Path) -> tuple[StudyAnalysis, tuple[Sample, ...]]:
    analysis = load_any(run)
    assert isinstance(analysis, StudyAnalysis)
    return analysis, load_samples(run)


def test_sections_and_form(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert re.findall(r'<section id="([a-z]+)">', page) == SECTIONS
    found = outline(page)
    assert found.open == [] and not {"script", "img", "iframe", "object", "form"} & set(found.tags)
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    targets = [value for name, value in found.attributes if name in ("src", "href", "xlink:href")]
    assert all(value and (value.startswith("data:,") or value[1:] in ids) for value in targets)
    assert len(page.encode()) < 2_000_000


def test_the_page_is_what_the_records_say_however_often_it_is_drawn(run: Path) -> None:
    analysis, samples = loaded(run)
    page = (run / "report.html").read_text()
    assert render_study(analysis, samples) == page
    text = " ".join("".join(outline(page).text).split())
    assert " ".join(analysis.verdict.split()) in text
    for finding in analysis.findings:
        for part in (finding.title, finding.where, finding.cost, finding.why, finding.attempt, finding.verify):
            assert " ".join(part.split()) in text
    for limit in analysis.limits:
        assert limit in text
    assert analysis.subject.distribution in text and analysis.subject.infeasible in text


def test_what_a_run_lacks_is_said(run: Path) -> None:
    analysis, _ = loaded(run)
    bare = replace(analysis, regions=(), witnesses=(), findings=(), traces=(), limits=(), settings={})
    page = render_study(bare, ())
    assert re.findall(r'<section id="([a-z]+)">', page) == SECTIONS
    for words in ("no findings", "No region", "No input with a gap", "No search", "None stated"):
        assert words in page


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_chromium_alone_without_errors_and_no_wider_than_a_phone(
        chromium_path: str, run: Path, tmp_path: Path, scheme: str) -> None:
    from playwright.sync_api import sync_playwright

    write_study_report(tmp_path / "report.html", *loaded(run))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        for width in (1280, 390):
            looked_at(browser, tmp_path / "report.html", width, "dark" if scheme == "dark" else "light")
        browser.close()


def looked_at(browser: Browser, path: Path, width: int, scheme: Literal["dark", "light"]) -> None:
    """One visit with everything unfolded."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert requests == [path.as_uri()] and complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sizes = page.eval_on_selector_all("section", "all => all.map(one => one.innerText.length)")
    assert all(size > 60 for size in sizes), sizes
    assert page.eval_on_selector_all("table", "all => all.filter(one => one.rows.length < 2).length") == 0
    context.close()
