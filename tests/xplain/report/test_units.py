"""Numbers as people read them."""

from __future__ import annotations

import pytest

from xplain.records import Rate
from xplain.report.units import GLUE, MINUS, duration, interval, p_value, percent, plain, threshold


@pytest.mark.parametrize(("ticks", "tick", "expected"), [
    (0, "ns", "0 s"), (1, "ps", "1.00 ps"), (999, "ns", "999 ns"), (12_345, "us", "12.3 ms"),
    (2_000_000, "us", "2.00 s"), (123_456_789_000, "ns", "123 s"), (1_234_567_000_000, "ns", "1,235 s"),
    (-14_000, "us", f"{MINUS}14.0 ms"),
])
def test_durations(ticks: int, tick: str, expected: str) -> None:
    assert duration(ticks, tick).replace(GLUE, " ") == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "signed", "expected"), [
    (0.0, True, "0 %"), (0.14, False, "14 %"), (0.14, True, "+14 %"), (-0.031, True, f"{MINUS}3.1 %"),
    (0.0004, False, "0.04 %"), (1.5, True, "+150 %"), (0.0997, False, "10 %"),
])
def test_percent(share: float, signed: bool, expected: str) -> None:
    assert percent(share, signed=signed).replace(GLUE, " ") == expected


def test_intervals_and_p_values() -> None:
    assert interval(Rate(0.8, 0.784, 0.851, 100)) == f"78\N{EN DASH}85{GLUE}%"
    assert interval(Rate(0.0, 0.0, 0.0213, 100)) == f"0\N{EN DASH}2.1{GLUE}%"
    assert p_value(1e-9) == "< 0.0001"
    assert p_value(0.0123) == "0.012"
    assert p_value(0.5) == "0.50"
    assert threshold(0.05) == f"5{GLUE}%"
    assert plain(4096.0) == "4,096"
    assert plain(0.26123) == "0.261"
