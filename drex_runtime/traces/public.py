"""The published traces: Azure LLM 2023/2024, BurstGPT, Mooncake, Qwen-Bailian. None has exit depths.

Columns are found by name, so that newer versions with more columns still load. Units: Azure date and time,
BurstGPT and Qwen-Bailian seconds, Mooncake milliseconds.
"""

from __future__ import annotations

from pathlib import Path

from drex_runtime.traces.collect import Collector
from drex_runtime.traces.exact import MILLISECOND, SECOND, datetime_ns, decimal_ns
from drex_runtime.traces.record import Trace
from drex_runtime.traces.rows import csv_rows, json_number, json_rows

AZURE_COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT_COLUMNS = ("Timestamp", "Request tokens", "Response tokens")
MOONCAKE_KEYS = ("timestamp", "input_length", "output_length")
QWEN_KEYS = ("chat_id", *MOONCAKE_KEYS)
CUT = "had digits below 1 ns, which were cut"


def read_azure(path: Path) -> Trace:
    """`TIMESTAMP,ContextTokens,GeneratedTokens`; up to 18 fractional digits and an optional zone."""
    rows = Collector(path, "azure")
    zoned = 0
    for line, (time, prompt, output) in csv_rows(path, AZURE_COLUMNS):
        found = datetime_ns(time)
        if found is None:
            raise rows.fail(line, "TIMESTAMP", time, "a date and time such as 2023-11-16 18:15:46.6805900")
        nanoseconds, zone, cut = found
        zoned += zone
        if cut:
            rows.note(CUT)
        if not zone:
            rows.note("had no zone and were taken as UTC")
        rows.add(line, nanoseconds, time.strip(), rows.count(line, "ContextTokens", prompt),
                 rows.count(line, "GeneratedTokens", output))
    if not zoned:  # one clock for all rows: nothing to say
        rows.counted.pop("had no zone and were taken as UTC", None)
    return rows.trace()


def read_burstgpt(path: Path) -> Trace:
    """`Timestamp` in s, `Request tokens`, `Response tokens`; failures have 0 response tokens and are dropped."""
    rows = Collector(path, "burstgpt")
    for line, (time, prompt, output) in csv_rows(path, BURSTGPT_COLUMNS):
        nanoseconds = _decimal(rows, line, "Timestamp", time, SECOND)
        tokens = rows.count(line, "Response tokens", output)
        request = rows.count(line, "Request tokens", prompt)
        if tokens == 0:
            rows.drop("failed: 0 response tokens")
        else:
            rows.add(line, nanoseconds, time, request, tokens)
    return rows.trace()


def read_mooncake(path: Path) -> Trace:
    """JSONL `timestamp` in ms, `input_length`, `output_length`."""
    return _read_jsonl(path, Collector(path, "mooncake"), MILLISECOND)


def read_qwen(path: Path) -> Trace:
    """JSONL `chat_id`, `timestamp` in s, `input_length`, `output_length`. Repeated chat ids are counted and kept."""
    return _read_jsonl(path, Collector(path, "qwen-bailian"), SECOND)


def _read_jsonl(path: Path, rows: Collector, unit: int) -> Trace:
    seen: set[object] = set()
    for line, row in json_rows(path):
        time = json_number(path, line, row, "timestamp")
        nanoseconds = _decimal(rows, line, "timestamp", time, unit)
        prompt = rows.count(line, "input_length", json_number(path, line, row, "input_length"))
        output = rows.count(line, "output_length", json_number(path, line, row, "output_length"))
        identity = str(row["chat_id"]) if "chat_id" in row else None
        if identity in seen:
            rows.note("came with a chat_id seen before; rows are numbered anew")
        elif identity is not None:
            seen.add(identity)
        rows.add(line, nanoseconds, time, prompt, output)
    return rows.trace()


def _decimal(rows: Collector, line: int, column: str, text: str, unit: int) -> int:
    found = decimal_ns(text, unit)
    if found is None:
        raise rows.fail(line, column, text, "a time of 0 or more")
    if found[1]:
        rows.note(CUT)
    return found[0]
