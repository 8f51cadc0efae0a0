"""Progress is seldom and plain in a log, and never on stdout."""

from __future__ import annotations

import pytest

from drex_runtime import progress


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0, 25.0, 25.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.progress("working") as tell:
        for text in ("one", "two [bold]", "three", "four"):
            tell(text)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "two [bold]\nfour\n")
