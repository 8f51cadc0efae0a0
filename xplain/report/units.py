"""Numbers as people read them: ticks as times, shares as per cent, intervals as ranges."""

from __future__ import annotations

import math

from drex_runtime.records.ticks import TICKS_PER_SECOND, Tick
from xplain.records import Rate

SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"), (1e-12, "ps"))
MINUS = "\N{MINUS SIGN}"
GLUE = "\N{NO-BREAK SPACE}"  # a number is never parted from its unit


def duration(ticks: int, tick: Tick) -> str:
    """Three significant digits in the unit that fits, such as "12.3 ms"; signed below zero."""
    if ticks == 0:
        return f"0{GLUE}s"
    value = abs(ticks) / TICKS_PER_SECOND[tick]
    size, unit = next(((size, unit) for size, unit in SCALES if value >= size), SCALES[-1])
    return f"{MINUS if ticks < 0 else ''}{significant(value / size)}{GLUE}{unit}"


def unit_for(ticks: int, tick: Tick) -> tuple[float, str]:
    """(ticks per unit, unit) of the unit that suits an axis reaching to `ticks`."""
    value = max(ticks, 1) / TICKS_PER_SECOND[tick]
    size, unit = next(((size, unit) for size, unit in SCALES if value >= size), SCALES[-1])
    return size * TICKS_PER_SECOND[tick], unit


def significant(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits, whole numbers in full."""
    if value == 0:
        return "0"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{MINUS if value < 0 else ''}{abs(value):,.{places}f}"


def percent(share: float, *, signed: bool = False) -> str:
    """"14 %", "3.1 %", "+14 %": one decimal below ten per cent."""
    value = abs(100 * share)
    text = f"{value:.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}" if value >= 0.095 else f"{value:.2g}"
    sign = (MINUS if share < 0 else "+" if signed else "") if float(text) else ""
    return f"{sign}{text}{GLUE}%"


def threshold(share: float) -> str:
    """A share that was set, not measured: "5 %", "2.5 %"."""
    return f"{100 * share:g}{GLUE}%"


def interval(rate: Rate) -> str:
    """"78-85 %", the 95 % interval of a share."""
    return f"{_bare(rate.low)}\N{EN DASH}{_bare(rate.high)}{GLUE}%"


def _bare(share: float) -> str:
    value = 100 * share
    return f"{value:.0f}" if value >= 9.95 or value in (0, 100) else f"{value:.1f}"


def p_value(value: float) -> str:
    """"0.012", "< 0.0001"."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def count(number: int) -> str:
    """With thousands separators."""
    return f"{number:,}"


def plain(value: float) -> str:
    """A coordinate: whole if it is whole, else at most three significant digits."""
    return f"{int(value):,}" if value == int(value) else f"{value:.3g}"
