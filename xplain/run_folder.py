"""Run folders: written under a temporary name and renamed when complete, so none ever looks finished that is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from drex_runtime.errors import InputError
from drex_runtime.records.files import read_record, write_record
from xplain.records import Analysis, Finding, Sample

ANALYSIS_SCHEMA = "xplain-analysis/1"
FINDINGS_SCHEMA = "xplain-findings/1"
_ANALYSIS = TypeAdapter(Analysis)


def check_free(out: Path) -> None:
    """Refuse an existing run folder at once, before any work is done."""
    if out.exists():
        raise InputError(str(out), "out", "exists", "a folder that does not exist yet")
    parent = next(folder for folder in (out.parent, *out.parent.parents) if folder.exists())
    if not os.access(parent, os.W_OK) or not parent.is_dir():
        raise InputError(str(out), "out", "not writable", "a folder that can be created")


@contextmanager
def new_run_folder(out: Path) -> Iterator[Path]:
    """A folder to write into; it becomes `out` only if the block ends well, else it is removed."""
    check_free(out)
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        partial.mkdir(parents=True)
        yield partial
        os.rename(partial, out)
    except OSError as error:
        raise InputError(str(out), "folder", error.strerror or str(error), "a writable place with space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_analysis(folder: Path, analysis: Analysis) -> None:
    """analysis.json and findings.json."""
    write_record(folder / "analysis.json", ANALYSIS_SCHEMA, analysis, _ANALYSIS)
    findings = TypeAdapter(dict[str, tuple[Finding, ...]])
    write_record(folder / "findings.json", FINDINGS_SCHEMA, {"findings": analysis.findings}, findings)


def load_analysis(folder: Path) -> Analysis:
    """The analysis of a run folder."""
    return read_record(folder / "analysis.json", ANALYSIS_SCHEMA, _ANALYSIS)


def save_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """samples.parquet: a row per sample; points, features and benchmarks as structs of their names."""
    groups = {scale: [item for item in samples if item.scale == scale] for scale in ("operating", "exact")}
    for scale, group in groups.items():
        if not group:
            continue
        rows = [{"index": item.index, "origin": item.origin, "heuristic": item.heuristic, "lower": item.lower,
                 "upper": item.upper, "gap": item.gap, "relative_gap": item.relative_gap, "seconds": item.seconds,
                 "per": item.per,
                 **{f"benchmark:{name}": value for name, value in item.benchmarks.items()},
                 **{f"feature:{name}": value for name, value in item.features.items()},
                 **{f"point:{name}": value for name, value in item.point.items()}} for item in group]
        name = "samples.parquet" if scale == "operating" else "samples-exact.parquet"
        try:
            pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / name)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise InputError(str(folder / name), "file", str(error), "a writable file with free space") from error


def load_samples(folder: Path) -> tuple[Sample, ...]:
    """All samples of a run folder, as saved."""
    found = []
    for scale, name in (("operating", "samples.parquet"), ("exact", "samples-exact.parquet")):
        path = folder / name
        if scale == "exact" and not path.exists():
            continue  # written only if there are such samples
        try:
            table = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            problem = str(error).partition("\n")[0]
            raise InputError(str(path), "file", problem, "the samples of a finished run") from error
        for row in table.iter_rows(named=True):
            def group(prefix: str, row: dict[str, float] = row) -> dict[str, float]:
                return {key[len(prefix):]: value for key, value in row.items() if key.startswith(prefix)}
            benchmarks = {key: int(value) for key, value in group("benchmark:").items()}
            found.append(Sample(row["index"], "operating" if scale == "operating" else "exact", row["origin"],
                                group("point:"), group("feature:"), row["heuristic"], row["lower"], row["upper"],
                                benchmarks, row["seconds"], row.get("per", 0)))
    return tuple(found)
