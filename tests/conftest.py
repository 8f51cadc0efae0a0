"""Shared by all tests: why browser and GPU tests do not run, and the table of counts at the end."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests import scale

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@cache
def chromium() -> str | None:
    """Path of the system's Chromium, or None."""
    return next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)


@cache
def why_no_browser() -> str | None:
    """Reason why browser tests cannot run here, or None."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if chromium() is None:
        return f"no Chromium on the PATH (looked for {', '.join(CHROMIUM_NAMES)})"
    return None


@cache
def why_no_gpu() -> str | None:
    """Reason why GPU tests cannot run here, or None."""
    import torch

    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    return None


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the system's Chromium, for tests marked `browser`."""
    path = chromium()
    if path is None:
        pytest.skip(why_no_browser() or "no Chromium")
    return path


def pytest_runtest_setup(item: pytest.Item) -> None:
    reasons: dict[str, Callable[[], str | None]] = {"browser": why_no_browser, "gpu": why_no_gpu}
    for marker, why_not in reasons.items():
        if item.get_closest_marker(marker) is not None and (reason := why_not()) is not None:
            pytest.skip(reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Processes of pytest-xdist hand their counts to the one that prints them."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["counts"] = scale.counts()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process has ended."""
    scale.merge(getattr(node, "workeroutput", {}).get("counts", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = scale.counts()
    if not counts:
        return
    terminalreporter.section("counts run")
    for label, count in sorted(counts.items()):
        terminalreporter.write_line(f"{count:>8,}  {label}")
