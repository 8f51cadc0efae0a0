"""Causes as people read them, in findings and in the report."""

from __future__ import annotations

from xplain.records import Cause


def cause_text(cause: Cause) -> str:
    """A cause in words."""
    names = {
        "missed": f"rule {cause.rule} should have fired but {cause.atom} was false",
        "fired": f"rule {cause.rule} fired ({cause.atom or 'it has no condition'}) although something below it was "
                 "better",
        "batch_limit": "batch_limit keeps launches smaller than the hardware allows",
        "order": "other rows than the first in order would have been better",
        "gain": f"what {cause.rule} did better than the reference",
        "unexamined": f"steps of rule {cause.rule} whose alternatives were not evaluated",
    }
    text = names.get(cause.kind, cause.kind)
    return f"{text} ({cause.example})" if cause.example else text
