"""Record files: what is written reads back, what is wrong is named in one line, a failed write leaves nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.errors import InputError, one_line, shown
from drex_runtime.records import (
    CostProfile,
    LinearCost,
    Request,
    SegmentCost,
    Workload,
    load_profile,
    load_workload,
    save_profile,
    save_workload,
)
from drex_runtime.records.files import read_text, write_atomic

WORKLOAD: dict[str, Any] = {
    "schema": "drex-workload/1", "num_segments": 2, "tick": "ns", "name": "w", "source": "by hand",
    "requests": [{"id": 0, "arrival": 0, "prompt_tokens": 4, "depths": [2, 1]},
                 {"id": 1, "arrival": 5, "prompt_tokens": 0, "depths": [1, 2], "due": 90, "ttft": 3, "tpot": 2}],
}
PROFILE: dict[str, Any] = {
    "schema": "drex-profile/1", "name": "p", "buckets": [1, 4], "tick": "ns",
    "segments": [{"fixed": [10, 12], "per_row": 2, "per_context": 1}, {"fixed": [9, 9], "per_row": 1}],
    "ramps": [{"fixed": 1, "per_row": 1}], "starts": [3], "rebatch": 2, "kv_fill": {"fixed": 1},
    "prefill": {"fixed": 5, "per_token": 1}, "meta": {"origin": "synthetic", "fit_error": 0.01, "reference_context": 8},
}
Change = Callable[[dict[str, Any]], object]


def changed(base: dict[str, Any], change: Change) -> str:
    data = json.loads(json.dumps(base))
    change(data)
    return json.dumps(data)


def refused(load: Callable[[Path], object], folder: Path, text: str | bytes, *parts: str) -> str:
    path = folder / "record.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as raised:
        load(path)
    message = str(raised.value)
    assert "record.json: " in message and "\n" not in message and len(message) < 600, message
    for part in parts:
        assert part in message, message
    return message


def test_records_read_back_equal(tmp_path: Path) -> None:
    workload = Workload.of(2, [Request(3, 7, 4, (2, 1), due=90, ttft=0, tpot=2), Request(1, 0, 0, (1,))], tick="us",
                           name="w", source='quotes " and <tags>')
    profile = CostProfile("p", (1, 8), (SegmentCost((4, 5), 1, 2), SegmentCost((3, 3))), (LinearCost(1, 1),), (6,), 7)
    save_workload(tmp_path / "w.json", workload)
    save_profile(tmp_path / "deeper" / "p.json", profile)
    assert load_workload(tmp_path / "w.json") == workload
    assert load_profile(tmp_path / "deeper" / "p.json") == profile


def test_the_examples_here_are_good(tmp_path: Path) -> None:
    (tmp_path / "w").write_text(json.dumps(WORKLOAD))
    (tmp_path / "p").write_bytes(b"\xef\xbb\xbf" + json.dumps(PROFILE, indent=2).replace("\n", "\r\n").encode())
    assert load_workload(tmp_path / "w").num_tokens == 4
    assert load_profile(tmp_path / "p").start_cost(2) == 3


def set_in(*path: str | int, to: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        inner: Any = data
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to
    return change


@pytest.mark.parametrize(("change", "parts"), [
    (set_in("requests", 0, "arrival", to=-1), ["requests.0.arrival = -1"]),
    (set_in("requests", 0, "arrival", to=2**53), ["requests.0.arrival", "ticks from 0"]),
    (set_in("requests", 0, "arrival", to=0.5), ["requests.0.arrival = 0.5", "integer"]),
    (set_in("requests", 0, "arrival", to="0"), ["requests.0.arrival", "integer"]),
    (set_in("requests", 0, "arrival", to=True), ["requests.0.arrival", "integer"]),
    (set_in("requests", 0, "arrival", to=None), ["requests.0.arrival", "integer"]),
    (set_in("requests", 0, "arrival", to=6), ["requests.1.arrival = 5", "sorted"]),
    (set_in("requests", 0, "arrival", to=10**900), ["requests.0.arrival"]),
    (set_in("requests", 1, "id", to=0), ["requests.1.id = 0", "each id once"]),
    (set_in("requests", 1, "id", to=-1), ["requests.1.id = -1"]),
    (set_in("requests", 1, "id", to=2**63), ["requests.1.id"]),
    (set_in("requests", 1, "depths", to=[]), ["requests.1.depths", "at least one output token"]),
    (set_in("requests", 1, "depths", to=[0]), ["requests.1.depths = 0"]),
    (set_in("requests", 1, "depths", to=[3]), ["requests.1.depths = 3", "up to num_segments = 2"]),
    (set_in("requests", 1, "depths", to=["unknown"]), ["requests.1.depths.0", "integer"]),
    (set_in("requests", 0, "depths", to=[1, 1]), ["requests.0.depths.0 = 1", "prefill"]),
    (set_in("requests", 0, "prompt_tokens", to=-4), ["requests.0.prompt_tokens = -4"]),
    (set_in("requests", 1, "due", to=4), ["requests.1.due = 4", "not before the arrival 5"]),
    (set_in("requests", 1, "tpot", to=2**52), ["requests.1.tpot"]),
    (set_in("requests", 1, "deadline", to=4), ["requests.1.deadline", "unexpected"]),
    (lambda data: data["requests"][1].pop("depths"), ["requests.1.depths"]),
    (set_in("requests", to=[]), ["requests", "at least one request"]),
    (set_in("requests", to={}), ["requests"]),
    (set_in("requests", 1, to=7), ["requests.1"]),
    (set_in("num_segments", to=0), ["num_segments = 0"]),
    (set_in("num_segments", to=65), ["num_segments = 65"]),
    (set_in("tick", to="ms"), ["tick = ms"]),
    (set_in("schema", to="drex-workload/2"), ["schema = drex-workload/2", '"drex-workload/1"']),
    (lambda data: data.pop("schema"), ["schema"]),
    (set_in("a\nb", to=1), ["a\\nb"]),
    (set_in("x" * 5000, to=1), ["5000 characters"]),
])
def test_a_bad_workload_is_named(tmp_path: Path, change: Change, parts: list[str]) -> None:
    refused(load_workload, tmp_path, changed(WORKLOAD, change), *parts)


@pytest.mark.parametrize(("change", "parts"), [
    (lambda data: data["segments"].pop(), ["ramps = 1", "one per segment but the last: 0"]),
    (lambda data: data.pop("segments"), ["segments"]),
    (set_in("segments", to=[]), ["segments", "1 to 64"]),
    (set_in("segments", 0, "fixed", to=[10]), ["segments.0.fixed = 1", "one value per bucket: 2"]),
    (set_in("segments", 0, "fixed", to=[10, 7]), ["segments.0.fixed = 7", "a cost at 2 rows not below that at 1"]),
    (set_in("segments", 0, "fixed", to=[-10, 7]), ["segments.0.fixed = -10"]),
    (set_in("segments", 0, "fixed", to=[10, 1.5]), ["segments.0.fixed.1 = 1.5"]),
    (set_in("segments", 0, "fixed", to=[10, 2**41]), ["segments.0.fixed"]),
    (set_in("segments", 1, to={"fixed": [0, 0]}), ["segments.1.fixed = 0", "costs more than nothing"]),
    (set_in("segments", 1, "per_row", to=-1), ["segments.1.per_row = -1"]),
    (set_in("segments", 1, "per_context", to="1"), ["segments.1.per_context"]),
    (set_in("ramps", to=[]), ["ramps = 0", "one per segment but the last: 1"]),
    (set_in("ramps", 0, "fixed", to=-1), ["ramps.0.fixed = -1"]),
    (set_in("starts", to=[]), ["starts = 0", "from 2 on: 1"]),
    (set_in("starts", to=[-1]), ["starts.0 = -1"]),
    (set_in("rebatch", to=-1), ["rebatch = -1"]),
    (set_in("kv_fill", "per_row", to=-1), ["kv_fill.per_row = -1"]),
    (set_in("prefill", "per_pair", to=-1), ["prefill.per_pair = -1"]),
    (set_in("buckets", to=[]), ["buckets"]),
    (set_in("buckets", to=[4, 1]), ["buckets", "increasing"]),
    (set_in("buckets", to=[1, 1]), ["buckets", "increasing"]),
    (set_in("buckets", to=[0, 1]), ["buckets"]),
    (set_in("tick", to="s"), ["tick = s"]),
    (set_in("segments", 0, "unit", to="us"), ["segments.0.unit", "unexpected"]),
    (set_in("meta", "origin", to="guessed"), ["meta.origin = guessed"]),
    (set_in("meta", "fit_error", to=-0.1), ["meta.fit_error = -0.1"]),
    (set_in("meta", "reference_context", to=-1), ["meta.reference_context = -1"]),
    (set_in("meta", "max_context", to=0), ["meta.max_context = 0"]),
    (set_in("meta", "decision_ns", to=-5), ["meta.decision_ns = -5"]),
    (set_in("meta", "raw", to=[["segment", 1, 0]]), ["meta.raw.0"]),
])
def test_a_bad_profile_is_named(tmp_path: Path, change: Change, parts: list[str]) -> None:
    refused(load_profile, tmp_path, changed(PROFILE, change), *parts)


GOOD = json.dumps(WORKLOAD)


@pytest.mark.parametrize(("text", "parts"), [
    (GOOD.replace('"arrival": 5', '"arrival": NaN'), ["NaN", "finite"]),
    (GOOD.replace('"arrival": 5', '"arrival": -Infinity'), ["Infinity", "finite"]),
    (GOOD.replace('"arrival": 5', '"arrival": 1e999'), ["1e999", "finite"]),
    (GOOD.replace('"arrival": 5', '"arrival": ' + "9" * 100_000), ["at most 1000 digits"]),
    (GOOD.replace('"arrival": 5', '"arrival": 5, "arrival": 6'), ["arrival", "each key once"]),
    (GOOD.replace('"arrival": 5', '"arrival": "\\ud800"'), ["expected"]),
    (GOOD.replace('"arrival": 5', '"arrival": ' + "[" * 100_000 + "]" * 100_000), ["nesting", "too deep"]),
    *((GOOD.replace('"arrival": 5', '"arrival": ' + "[" * depth + "]" * depth), ["expected"])
      for depth in (100, 300, 500, 900, 970, 990, 1000)),
    (GOOD[:-5], ["line 1 column", "valid JSON"]),
    (GOOD + "x", ["line 1 column", "valid JSON"]),
    ("", ["line 1 column 1", "valid JSON"]),
    ("[]", ["document = list", "a JSON object"]),
    ("null", ["document = NoneType"]),
    (b'{"name": "\xff"}', ["byte 10", "255", "UTF-8"]),
    (GOOD.encode("utf-16"), ["byte 0", "UTF-8"]),
    (b"\x00" * 10, ["valid JSON"]),
])
def test_a_bad_file_is_named(tmp_path: Path, text: str | bytes, parts: list[str]) -> None:
    refused(load_workload, tmp_path, text, *parts)


def test_unreadable_and_oversized_files_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(InputError, match="a readable file"):
            load_profile(path)
    (tmp_path / "big").write_bytes(b"x" * 2000)
    with pytest.raises(InputError, match="size = 2000 bytes: expected at most 1000"):
        read_text(tmp_path / "big", 1000)
    if os.path.exists("/dev/zero"):
        with pytest.raises(InputError, match="at most 1000"):
            read_text(Path("/dev/zero"), 1000)


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "w.json"
    path.write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"w\.json: file = No space left on device"):
        write_atomic(path, "after")
    assert [item.name for item in tmp_path.iterdir()] == ["w.json"]
    assert path.read_text() == "before"


def test_ctrl_c_while_writing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "w.json", "text")
    assert not list(tmp_path.iterdir())


def test_paths_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "w.json", tmp_path):
        with pytest.raises(InputError, match="a writable path"):
            write_atomic(path, "text")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 240 + ".json")
    write_atomic(path, "text")
    assert path.read_text() == "text"


def test_values_are_shown_on_one_short_line() -> None:
    assert shown("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert shown("x" * 200).endswith("... (200 characters)")
    assert one_line("\ud800") == "\\ud800"
    message = str(InputError("dir/a\nb.json", "key\n", [1, "\n"], "x"))
    assert "\n" not in message
