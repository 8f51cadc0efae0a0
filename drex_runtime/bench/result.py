"""What `drex bench` found: one versioned JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drex_runtime.bench.compare import Row
from drex_runtime.bench.fills import FillComparison
from drex_runtime.bench.metrics import FORMULAS
from drex_runtime.bench.quality import Quality
from drex_runtime.bench.reference import ReferenceRow
from drex_runtime.records.files import write_atomic

SCHEMA = "drex-bench/1"


@dataclass(frozen=True)
class BenchResult:
    """`about`: command, model, device, resources, seed, date, threads. `parts`: seconds per part, by policy. `fills`:
    the second table, if asked for."""

    about: Mapping[str, Any]
    rows: tuple[Row, ...]
    parts: Mapping[str, Mapping[str, float]]
    quality: tuple[Quality, ...] = ()
    reference: tuple[ReferenceRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
    fills: FillComparison | None = None

    def as_json(self) -> dict[str, Any]:
        """Schema drex-bench/1."""
        return {"schema": SCHEMA, "about": dict(self.about), "formulas": FORMULAS, "notes": list(self.notes),
                "rows": [row.as_json() for row in self.rows], "seconds_by_part": {k: dict(v) for k, v in
                                                                                   self.parts.items()},
                "quality": [item.as_json() for item in self.quality],
                "reference": [item.as_json() for item in self.reference],
                "kv_fills": None if self.fills is None else self.fills.as_json()}

    def save(self, path: Path) -> None:
        """Write the JSON file. InputError if that fails."""
        write_atomic(path, json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")
