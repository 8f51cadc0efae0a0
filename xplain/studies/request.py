"""StudyRequest: everything that decides what the analysis of a case study does; stored in its run folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import RecordError
from drex_runtime.records.files import read_record, write_record
from xplain.records import STRICT
from xplain.space import Space

SCHEMA = "xplain-study-request/1"


@dataclass(frozen=True)
class StudyRequest:
    """`subject`: a shipped problem or file.py:Name. `threshold` None: the problem's. `budget` in seconds, shared out
    over the stages; with `evaluations` instead the search is bounded by inputs and all results follow from the seed.
    `held_out`: fresh feasible inputs. `files`: SHA-256 of the files that say what the problem is.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    subject: str
    settings: dict[str, str] = field(default_factory=dict)
    space: Space | None = None
    threshold: float | None = None
    budget: float = 60.0
    evaluations: int | None = None
    held_out: int = 1000
    seed: int = 0
    jobs: int = 1
    command: str = ""
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, low, high in (("budget", self.budget, 1, 10**6), ("held_out", self.held_out, 20, 10**6),
                                       ("jobs", self.jobs, 1, 256)):
            if not low <= value <= high:
                raise RecordError("analysis", name, value, f"a value from {low} to {high}")
        if self.threshold is not None and not 0 < self.threshold <= 10**9:
            raise RecordError("analysis", "threshold", self.threshold, "a number above 0")
        if self.evaluations is not None and not 10 <= self.evaluations <= 10**7:
            raise RecordError("analysis", "evaluations", self.evaluations, "10 or more")
        if self.seed < 0:
            raise RecordError("analysis", "seed", self.seed, "0 or more")


_ADAPTER = TypeAdapter(StudyRequest)


def save_study_request(path: Path, request: StudyRequest) -> None:
    """Store a request."""
    write_record(path, SCHEMA, request, _ADAPTER)


def load_study_request(path: Path) -> StudyRequest:
    """Read a stored request. Raises InputError."""
    return read_record(path, SCHEMA, _ADAPTER)
