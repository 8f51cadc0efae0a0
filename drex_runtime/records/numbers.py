"""Exact numbers as text."""

from __future__ import annotations

from fractions import Fraction


def number_text(value: Fraction | int) -> str:
    """An exact number: an integer, a decimal where one is exact (`0.58`), else a quotient (`1/3`)."""
    exact = Fraction(value)
    if exact.denominator == 1:
        return str(exact.numerator)
    rest, twos, fives = exact.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > 18:
        return f"{exact.numerator}/{exact.denominator}"
    digits = str(abs(exact.numerator) * 10**places // exact.denominator).rjust(places + 1, "0")
    return f"{'-' if exact < 0 else ''}{digits[:-places]}.{digits[-places:]}"
