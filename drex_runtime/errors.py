"""Typed errors, raised at the edge and shown to a person as one line.

Every error a user can cause derives from `DrexError`; the command lines print `str(error)` and
exit with `exit_code`, without a traceback. Anything else that escapes is a defect of ours.
"""

from __future__ import annotations

from fractions import Fraction

MAX_SHOWN = 80


def one_line(text: str) -> str:
    """`text` with everything that is not printable (line ends, terminal codes, lone surrogates) escaped."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def shown(value: object) -> str:
    """`repr(value)`, shortened so that a hostile value cannot flood the terminal."""
    text = one_line(str(value) if isinstance(value, str | Fraction) else repr(value))
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"


class DrexError(Exception):
    """Base of all errors with a one-line message meant for the user."""

    exit_code = 2


class InputError(DrexError):
    """A value from outside is unusable: which one, where, and what would be accepted."""

    def __init__(self, source: str, field: str, value: object, expected: str) -> None:
        self.source, self.field, self.value, self.expected = source, field, value, expected
        super().__init__(f"{one_line(source)}: {shown(field)} = {shown(value)}: expected {expected}")


class RecordError(InputError, ValueError):
    """A record was constructed with an impossible field (also a ValueError, so parsers can wrap it)."""

    def __init__(self, record: str, field: str, value: object, expected: str) -> None:
        super().__init__(record, field, value, expected)


class PolicyError(DrexError):
    """A policy table is malformed, or its rules led the scheduler into a dead end."""


class LimitError(DrexError):
    """A stated limit (time, size, domain of validity) was exceeded; the message says by how much."""


class EngineError(DrexError):
    """The engine's own books do not add up (a defect of ours, or of a plug-in): what it holds cannot be trusted."""

    exit_code = 70  # EX_SOFTWARE
