"""Times and counts from text, exactly: no floats, nanoseconds, and a word when digits had to be cut."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

SECOND, MILLISECOND, UNIT = 9, 6, 0  # powers of ten of ns per unit; UNIT for plain numbers
MAX_COUNT = 2**31 - 1
MAX_NS = 2**62

_DATETIME = re.compile(r"(\d{4}-\d{2}-\d{2})[ T](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,18}))? ?"
                       r"(?:(Z)|([+-])(\d{2})(?::?(\d{2}))?)?", re.ASCII)
_DECIMAL = re.compile(r"(\d{1,40})(?:\.(\d{0,40}))?(?:[eE]([+-]?\d{1,2}))?", re.ASCII)


@lru_cache(maxsize=4096)
def _days(day: str) -> int | None:
    try:
        return date.fromisoformat(day).toordinal()
    except ValueError:
        return None


def datetime_ns(text: str) -> tuple[int, bool, bool] | None:
    """(ns since year 1 in UTC, whether a zone was given, whether digits below 1 ns were cut), or None.

    `2023-11-16 18:15:46.6805900`, `...T...Z`, `...+00:00`. Without a zone the time is taken as UTC.
    """
    found = _DATETIME.fullmatch(text.strip())
    days = _days(found[1]) if found else None
    if found is None or days is None:
        return None
    hour, minute, second = int(found[2]), int(found[3]), int(found[4])
    zone_hour, zone_minute = int(found[8] or 0), int(found[9] or 0)
    if hour > 23 or minute > 59 or second > 59 or zone_hour > 23 or zone_minute > 59:
        return None
    offset = (zone_hour * 60 + zone_minute) * (-1 if found[7] == "-" else 1)
    fraction = found[5] or ""
    seconds = ((days * 24 + hour) * 60 + minute - offset) * 60 + second
    nanoseconds = seconds * 10**9 + int(fraction[:9].ljust(9, "0"))
    return nanoseconds, bool(found[6] or found[7]), bool(fraction[9:].strip("0"))


def decimal_ns(text: str, unit: int) -> tuple[int, bool] | None:
    """(ns, whether digits were cut) of a non-negative decimal number of units of 10^unit ns, or None."""
    found = _DECIMAL.fullmatch(text.strip())
    if found is None:
        return None
    fraction = found[2] or ""
    power = unit + int(found[3] or 0) - len(fraction)
    digits = int(found[1] + fraction)
    if power >= 0:
        return digits * 10**power, False
    value, rest = divmod(digits, 10**-power)
    return value, rest > 0


def whole_number(text: str) -> int | None:
    """A non-negative integer up to 2^31 - 1 (`512` or `512.0`), or None."""
    if text.isascii() and text.isdigit() and len(text) <= 10:
        value, cut = int(text), False
    else:
        value, cut = decimal_ns(text, UNIT) or (MAX_COUNT + 1, False)
    return None if cut or value > MAX_COUNT else value
