"""The page in Chromium: no network, no errors, nothing empty, nothing wider than a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.xplain.report.example import example
from xplain.report.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, *example(hostile=True))
    return path


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_loads_alone_without_errors_and_fits(browser: Browser, report: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900},
                                  color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(dialog.message))
    page.goto(report.as_uri())
    assert requests == [report.as_uri()]
    assert complaints == []
    sizes = page.eval_on_selector_all("section", "all => all.map(one => [one.id, one.innerText.length])")
    assert len(sizes) == 11
    assert all(length > 60 for _, length in sizes), sizes
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    shown = page.eval_on_selector_all("figure svg", "all => all.filter(one => one.getBoundingClientRect().width > 200)"
                                                    ".length")
    assert shown >= 4
    context.close()


def test_all_details_open_by_keyboard(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    summaries = page.query_selector_all("summary")
    assert len(summaries) >= 4
    for summary in summaries:
        summary.focus()
        page.keyboard.press("Enter")
    assert page.eval_on_selector_all("details", "all => all.every(one => one.open)")
    empty = page.eval_on_selector_all("table", "all => all.filter(one => one.rows.length < 2).length")
    assert empty == 0
    page.close()
