"""`load_trace`: one door for all formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drex_runtime.errors import InputError
from drex_runtime.traces.public import (
    AZURE_COLUMNS,
    BURSTGPT_COLUMNS,
    MOONCAKE_KEYS,
    QWEN_KEYS,
    read_azure,
    read_burstgpt,
    read_mooncake,
    read_qwen,
)
from drex_runtime.traces.record import Trace
from drex_runtime.traces.recorded import SCHEMA
from drex_runtime.traces.recording import read_recording
from drex_runtime.traces.rows import csv_header, json_rows, lines

FORMATS: dict[str, Callable[[Path], Trace]] = {
    "azure": read_azure, "burstgpt": read_burstgpt, "mooncake": read_mooncake, "qwen-bailian": read_qwen,
    "recording": read_recording,
}


def load_trace(path: Path | str, format: str = "auto") -> Trace:
    """Read a trace. `format`: one of FORMATS, or `auto` to tell it by the column names.

    Raises InputError naming file, line, column and value. Rows without output are dropped and counted.
    """
    where = Path(path)
    chosen = detect_format(where) if format == "auto" else format
    if chosen not in FORMATS:
        raise InputError(str(where), "format", chosen, f"auto or one of {', '.join(FORMATS)}")
    return FORMATS[chosen](where)


def detect_format(path: Path) -> str:
    """The format of a trace file by its column names or keys; InputError lists what was found."""
    first = next((text for _, text in lines(path) if text.strip()), "")
    if first.lstrip().startswith("{"):
        _, row = next(json_rows(path))
        names = list(row)
        if row.get("schema") == SCHEMA:
            return "recording"
        candidates = {"qwen-bailian": QWEN_KEYS, "mooncake": MOONCAKE_KEYS}
    else:
        names = csv_header(path)
        candidates = {"azure": AZURE_COLUMNS, "burstgpt": BURSTGPT_COLUMNS}
    for name, needed in candidates.items():
        if set(needed) <= set(names):
            return name
    known = "; ".join(f"{name}: {', '.join(needed)}" for name, needed in candidates.items())
    raise InputError(str(path), "columns", ", ".join(names), f"those of a known format ({known})")
