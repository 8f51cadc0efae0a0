"""Certificate (c) of tuned settings: how much they can lose to the current ones on small workloads, all of them.

Sizes are tried from the largest that counts as enumerable down; the first that is decided in time is the certificate.
A size that is not is said, with the largest loss known from what is decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict

from drex_runtime.policies.expressions import parse_fraction
from drex_runtime.records import CostProfile
from drex_runtime.records.quantise import quantised
from xplain.certify.make import Note, Wish, certify
from xplain.certify.record import Certificate, save_certificate
from xplain.certify.space import Size, space_of
from xplain.certify.subject import Subject
from xplain.encodings.certificates.workloads import count
from xplain.records import STRICT, Tuning
from xplain.report.units import duration
from xplain.request import AnalysisRequest, contender

SIZES = ((4, 3), (3, 3), (3, 2), (2, 2), (2, 1))  # requests x tokens
MOST_ROWS = 16  # of a launch: more than any of the sizes
PER_EVALUATION = 20  # workloads per evaluation of the search, where counts and not seconds bound an analysis
PER_SIZE = 0.75  # of the time that is left, so that a smaller size has a chance if one is not decided
PER_SECOND = 25_000  # workloads enumerated on a slow core: what a size is judged by before it is begun


@dataclass(frozen=True)
class NoRegression:
    """What is proved, in words, and the certificate (None: nothing in time)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    text: str
    certificate: Certificate | None = None


def no_regression(request: AnalysisRequest, profile: CostProfile, tuning: Tuning, seconds: float | None,
                  tell: Callable[[str], None] = lambda _: None) -> NoRegression:
    """Certificate (c) of the proposed settings within `seconds`, at the largest of SIZES that fits into them.

    None: the size by the request's number of evaluations, whatever the time, so that results repeat.
    """
    if not tuning.settings:
        return NoRegression("no settings proposed: nothing to compare")
    subject = _subject(request, profile, tuning)
    deadline, left_out = inf if seconds is None else time.monotonic() + seconds, []
    most = inf if seconds is not None else PER_EVALUATION * (request.evaluations or 0)
    for size in SIZES:
        name = f"{size[0]} requests x {size[1]} tokens"
        asked = Size(size, places=max(2, size[0] - 1))  # at one place settings hardly differ
        workloads, left = count(space_of("c", asked, subject.profile)), PER_SIZE * (deadline - time.monotonic())
        if workloads > min(most, PER_SECOND * left):
            left_out.append(f"{name} ({workloads:,} workloads)")
            continue
        tell(f"no-regression certificate: {name}")
        for made in certify(subject, Wish(("c",), asked, seconds=left)):
            if isinstance(made, Certificate) and made.status != "unknown":
                return NoRegression(_text(made, profile, left_out), made)
            left_out.append(f"{name}: {made.text if isinstance(made, Note) else made.detail}")
    return NoRegression(f"no-regression: not proved in what was allowed: {'; '.join(left_out)}")


def keep_certificate(folder: Path, found: NoRegression) -> None:
    """Store the certificate for `xplain certify --check`; one of earlier settings does not stay."""
    if found.certificate is None:
        (folder / "c.json").unlink(missing_ok=True)
    else:
        save_certificate(folder, found.certificate)


def _subject(request: AnalysisRequest, profile: CostProfile, tuning: Tuning) -> Subject:
    proposed: dict[str, Fraction | str] = {
        name: parse_fraction(value, name)
        for name, value in {**request.settings, **{item.name: item.proposed for item in tuning.settings}}.items()}
    costs = quantised(profile, 1, min(MOST_ROWS, profile.max_rows))
    return Subject(request, costs, 1, contender(request.subject, request.settings), (), proposed)


def _text(made: Certificate, profile: CostProfile, left_out: list[str]) -> str:
    known = made.witness
    worst = ""
    if known is not None and known.heuristic > known.benchmark:
        lost = known.heuristic - known.benchmark
        worst = (f" The worst of them loses {duration(lost, profile.tick)}, {lost / known.benchmark:+.1%} of what the "
                 "current settings take.")
    if made.status == "proved":
        said = f"proved: {made.statement}.{worst}"
    else:
        said = f"refuted, with a witness; the largest loss known:{worst} Claim: {made.statement}."
    return said + (f" Larger, not decided in what was allowed: {'; '.join(left_out)}." if left_out else "")
