"""The published formats, on small files written as the originals are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from drex_runtime.traces import Trace, load_trace
from drex_runtime.traces.load import FORMATS, detect_format

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:50.9951690,879,55
"""
AZURE_2024 = """TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00.017335+00:00,2399,6
2024-05-10 02:00:01.000000+02:00,76,15
"""
BURSTGPT = """Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
5,a,0.1,ChatGPT,472,18,490,Conversation log
45.25,b,0.2,"GPT-4, large",1087,230,1317,Conversation log
118,c,,GPT-4,417,0,417,API log
"""
MOONCAKE = """{"timestamp": 0, "input_length": 6755, "output_length": 500, "hash_ids": [0, 1, 2]}
{"timestamp": 3000, "input_length": 7319, "output_length": 490, "hash_ids": [0, 3]}
{"timestamp": 3000.5, "input_length": 7234, "output_length": 794, "hash_ids": []}
"""
QWEN = "".join(f'{{"chat_id": {chat}, "parent_chat_id": -1, "timestamp": {time}, "input_length": {prompt}, '
               f'"output_length": {output}, "type": "text", "turn": 1, "hash_ids": [1]}}\n'
               for chat, time, prompt, output in ((159, 61.114, 521, 132), (160, "61.1140000009", 10, 2),
                                                  (159, '"62"', 1, 3)))


def load(folder: Path, text: str | bytes, name: str = "trace.csv", format: str = "auto") -> Trace:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_trace(path, format)


def refused(folder: Path, text: str | bytes, *parts: str, format: str = "auto") -> str:
    with pytest.raises(InputError) as raised:
        load(folder, text, format=format)
    message = str(raised.value)
    assert "\n" not in message and "trace.csv" in message
    for part in parts:
        assert part in message, message
    return message


def test_azure_keeps_all_seven_fractional_digits(tmp_path: Path) -> None:
    trace = load(tmp_path, AZURE)
    assert trace.format == "azure"
    assert trace.arrivals.tolist() == [0, 4_314_579_000, 4_314_579_000]
    assert trace.prompt_tokens.tolist() == [374, 396, 879]
    assert trace.output_tokens.tolist() == [44, 109, 55]
    assert trace.first_time == "2023-11-16 18:15:46.6805900"
    assert trace.provenance == "azure trace trace.csv: 3 of 3 rows"


def test_azure_offsets_are_taken_off(tmp_path: Path) -> None:
    assert load(tmp_path, AZURE_2024).arrivals.tolist() == [0, 7_405_000, 990_070_000]


def test_mixed_zones_are_said(tmp_path: Path) -> None:
    trace = load(tmp_path, AZURE_2024.replace("00.017335+00:00", "00.017335"))
    assert trace.notes == ("1 timestamps had no zone and were taken as UTC",)


def test_burstgpt_failures_are_dropped_and_counted(tmp_path: Path) -> None:
    trace = load(tmp_path, BURSTGPT)
    assert trace.format == "burstgpt"
    assert trace.arrivals.tolist() == [0, 40_250_000_000]
    assert trace.dropped == {"failed: 0 response tokens": 1}
    assert "2 of 3 rows; dropped 1 (failed: 0 response tokens)" in trace.provenance


def test_mooncake_counts_milliseconds(tmp_path: Path) -> None:
    trace = load(tmp_path, MOONCAKE)
    assert trace.format == "mooncake"
    assert trace.arrivals.tolist() == [0, 3_000_000_000, 3_000_500_000]


def test_qwen_keeps_repeated_chat_ids_and_says_what_was_cut(tmp_path: Path) -> None:
    trace = load(tmp_path, QWEN)
    assert trace.format == "qwen-bailian"
    assert trace.arrivals.tolist() == [0, 0, 886_000_000]
    assert trace.notes == ("1 timestamps had digits below 1 ns, which were cut",
                           "1 timestamps came with a chat_id seen before; rows are numbered anew")


@pytest.mark.parametrize("text", [AZURE, BURSTGPT, MOONCAKE, QWEN])
def test_bom_crlf_blank_lines_and_a_missing_last_line_end_change_nothing(tmp_path: Path, text: str) -> None:
    plain = load(tmp_path, text)
    dressed = load(tmp_path, b"\xef\xbb\xbf" + text.rstrip("\n").replace("\n", "\r\n\r\n").encode())
    assert dressed.arrivals.tolist() == plain.arrivals.tolist()
    assert dressed.output_tokens.tolist() == plain.output_tokens.tolist()


def test_columns_are_found_by_name_in_any_order_and_quoted(tmp_path: Path) -> None:
    text = '"GeneratedTokens","note, with comma","TIMESTAMP","ContextTokens"\n44,"a, b","2023-11-16 18:15:46",374.0\n'
    trace = load(tmp_path, text)
    assert (trace.prompt_tokens.tolist(), trace.output_tokens.tolist()) == ([374], [44])


def test_unsorted_rows_are_sorted_stably_and_it_is_said(tmp_path: Path) -> None:
    rows = AZURE.splitlines()
    trace = load(tmp_path, "\n".join([rows[0], rows[2], rows[3], rows[1]]))
    assert trace.arrivals.tolist() == [0, 4_314_579_000, 4_314_579_000]
    assert trace.prompt_tokens.tolist() == [374, 396, 879]
    assert trace.notes == ("sorted by arrival (1 rows came before their predecessor)",)


def test_exponents_are_exact(tmp_path: Path) -> None:
    text = "Timestamp,Request tokens,Response tokens\n1e-05,1,1\n1.5E+3,1,1\n0.30000000000000004,1,1\n"
    trace = load(tmp_path, text)
    assert trace.arrivals.tolist() == [0, 299_990_000, 1_499_999_990_000]


def test_rows_without_output_are_dropped_in_every_format(tmp_path: Path) -> None:
    assert load(tmp_path, AZURE.replace(",44", ",0")).dropped == {"no output tokens": 1}
    refused(tmp_path, AZURE.splitlines()[0] + "\n2023-11-16 18:15:46,374,0\n", "1 dropped: no output tokens")


@pytest.mark.parametrize(("old", "new", "parts"), [
    ("374,44", "-1,44", ["line 2, ContextTokens", "-1"]),
    ("374,44", "374,4.5", ["line 2, GeneratedTokens", "4.5"]),
    ("374,44", "374,NaN", ["NaN"]),
    ("374,44", "374,99999999999999999999", ["number of tokens"]),
    ("374,44", "374", ["line 2", "2 fields", "3, as in the header"]),
    ("2023-11-16 18:15:46.6805900", "2023-13-16 18:15:46", ["line 2, TIMESTAMP", "2023-13-16"]),
    ("2023-11-16 18:15:46.6805900", "2023-11-16 24:15:46", ["line 2, TIMESTAMP"]),
    ("2023-11-16 18:15:46.6805900", "yesterday", ["line 2, TIMESTAMP", "yesterday"]),
    ("2023-11-16 18:15:46.6805900", "0001-01-01 00:00:00", ["146 years"]),
    ("ContextTokens", "TIMESTAMP", ["each column name once"]),
    ("ContextTokens", "Context", ["columns", "azure: TIMESTAMP, ContextTokens, GeneratedTokens"]),
    ("374,44", '374,"44', ["comma-separated fields"]),
    ("374,44", "374,44\x00", ["line 2"]),
])
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    refused(tmp_path, AZURE.replace(old, new, 1), *parts)


@pytest.mark.parametrize(("text", "parts"), [
    (BURSTGPT.replace("45.25", "-45.25"), ["line 3, Timestamp", "-45.25", "0 or more"]),
    (BURSTGPT.replace("45.25", "inf"), ["line 3, Timestamp", "inf"]),
    (MOONCAKE.replace('"timestamp": 3000,', '"timestamp": -1,'), ["line 2, timestamp", "-1"]),
    (MOONCAKE.replace('"timestamp": 3000,', '"timestamp": NaN,'), ["line 2", "NaN"]),
    (MOONCAKE.replace('"timestamp": 3000,', ""), ["line 2, timestamp", "missing"]),
    (MOONCAKE.replace('"timestamp": 3000,', '"timestamp": [3000],'), ["line 2, timestamp", "a number"]),
    (MOONCAKE.replace('"timestamp": 3000,', '"timestamp": 1, "timestamp": 2,'), ["line 2", "each key once"]),
    (MOONCAKE.replace("7319", "7319.5"), ["line 2, input_length", "7319.5"]),
    (MOONCAKE + "[1]\n", ["line 4", "one JSON object per line"]),
    (MOONCAKE + "{\n", ["line 4 column"]),
    (MOONCAKE + '{"a":' + "[" * 100_000 + "\n", ["line 4", "nesting"]),
    ('{"a": 1}\n', ["columns", "known format"]),
    ("", ["file", "nothing"]),
    ("TIMESTAMP,ContextTokens,GeneratedTokens\n", ["at least one usable row"]),
    (b"TIMESTAMP,ContextTokens,GeneratedTokens\n\xff\xfe,1,1\n", ["line 2", "UTF-8"]),
    (AZURE.encode("utf-16"), ["line 1", "UTF-8"]),
    ("<script>alert(1)</script>\n1\n", ["columns"]),
])
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, text: str | bytes, parts: list[str]) -> None:
    refused(tmp_path, text, *parts)


def test_unreadable_files_and_unknown_formats_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(InputError, match="readable file"):
            load_trace(path)
    refused(tmp_path, AZURE, "auto or one of azure", format="parquet")
    refused(tmp_path, AZURE, "column Timestamp", "missing", format="burstgpt")


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drex_runtime.traces.rows.MAX_LINE", 1000)
    refused(tmp_path, AZURE + "9" * 2000, "shorter lines")


def test_a_name_with_a_line_end_stays_on_one_line(tmp_path: Path) -> None:
    trace = load(tmp_path, AZURE, name="a\nb.csv")
    assert trace.provenance.startswith("azure trace a\\nb.csv")


@pytest.mark.parametrize(("text", "name"), [(AZURE, "azure"), (AZURE_2024, "azure"), (BURSTGPT, "burstgpt"),
                                            (MOONCAKE, "mooncake"), (QWEN, "qwen-bailian")])
def test_formats_are_told_apart(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "x"
    path.write_text(text)
    assert detect_format(path) == name
    assert name in FORMATS


def test_columns_are_read_only(tmp_path: Path) -> None:
    trace = load(tmp_path, AZURE)
    for piece in (trace, trace.first(2), trace.between(1, 10**12)):
        with pytest.raises(ValueError, match="read-only"):
            piece.arrivals[0] = 1
