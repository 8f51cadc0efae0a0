"""The record of a certificate: all that its claim is about, in full, and what was found (xplain-certificate/1).

Nothing in it refers to a file: policies are complete rule tables with all parameter values, the profile is complete,
the space lists lengths and arrivals. `model_sha256` is the SHA-256 of the model as canonical JSON (sorted keys, no
spaces), so that a changed claim is not mistaken for the one that was proved.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from drex_runtime.errors import RecordError
from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.records.files import read_record, write_record
from drex_runtime.scheduling.state import Objective
from xplain.encodings.certificates.claim import Bound, Method, Status
from xplain.encodings.certificates.features import Side
from xplain.encodings.gap.answer import Proof
from xplain.encodings.steps.inputs import InputSpace
from xplain.records import STRICT, Predicate

SCHEMA = "xplain-certificate/1"
Kind = Literal["a", "b", "c", "d"]


@dataclass(frozen=True)
class PolicyTable:
    """A policy: its YAML table, and the value of every parameter as an exact number."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    table: str
    parameters: dict[str, str]


@dataclass(frozen=True)
class NamedRegion:
    """A conjunction of predicates over features of the exact scale."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    predicates: tuple[Predicate, ...]


@dataclass(frozen=True)
class Model:
    """What is claimed: for every workload of `space` that is `where` of the union of `regions`,

        den * (H - M) - num * M <= value  ("at-most")  or  >= value  ("at-least"),  num/den = relative,

    H the cost of `policy`, M that of `benchmark` (None: the clairvoyant optimum), in ticks of `profile` at `config`.
    `quantum`: costs are multiples of it, rounded up from the measured ones (1: as measured). `grid`: ticks in which
    features count arrivals. Kinds: a bounded loss, b a region that loses, c no regression, d completeness.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    kind: Kind
    space: InputSpace
    grid: int
    policy: PolicyTable
    profile: CostProfile
    config: ServerConfig
    objective: Objective
    relation: Bound
    value: int
    where: Side = "everywhere"
    regions: tuple[NamedRegion, ...] = ()
    relative: str = "0"
    quantum: int = 1
    benchmark: PolicyTable | None = None


@dataclass(frozen=True)
class Evidence:
    """A workload with both costs. In a refuted claim it violates it; in a proved one it comes closest."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    workload: Workload
    heuristic: int
    benchmark: int


@dataclass(frozen=True)
class Certificate:
    """`statement`: the model in words, derived from it. `proof` "exact": integers only, nothing rounded."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    name: str
    statement: str
    status: Status
    model: Model
    model_sha256: str
    profile_sha256: str
    method: Method
    solver: str
    version: str
    seconds: float
    date: str
    proof: Proof | None = None
    witness: Evidence | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        if self.status == "refuted" and self.witness is None:
            raise RecordError("certificate", "witness", "none", "the workload that refutes it")


_MODEL, _PROFILE, _ADAPTER = TypeAdapter(Model), TypeAdapter(CostProfile), TypeAdapter(Certificate)


def model_hash(model: Model) -> str:
    """SHA-256 of the model's canonical JSON."""
    return _sha256(_MODEL.dump_python(model, mode="json"))


def profile_hash(profile: CostProfile) -> str:
    """SHA-256 of the profile's canonical JSON."""
    return _sha256(_PROFILE.dump_python(profile, mode="json"))


def load_certificate(path: Path) -> Certificate:
    """Read one. InputError naming file, field, value."""
    return read_record(path, SCHEMA, _ADAPTER)


def save_certificate(folder: Path, certificate: Certificate) -> Path:
    """Write `folder`/NAME.json under a temporary name, then rename it."""
    path = folder / f"{certificate.name}.json"
    write_record(path, SCHEMA, certificate, _ADAPTER)
    return path


def _sha256(data: object) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
