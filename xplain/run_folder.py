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
from drex_runtime.records.files import parse_json, read_record, read_text, write_record
from xplain.records import Analysis, Finding, Sample, Scale
from xplain.studies.record import StudyAnalysis

ANALYSIS_SCHEMA = "xplain-analysis/1"
STUDY_SCHEMA = "xplain-study/1"
FINDINGS_SCHEMA = "xplain-findings/1"
SAMPLES: dict[Scale, str] = {"operating": "samples.parquet", "exact": "samples-exact.parquet"}
_ANALYSIS = TypeAdapter(Analysis)
_STUDY = TypeAdapter(StudyAnalysis)


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
    """analysis.json and findings.json of a policy."""
    write_record(folder / "analysis.json", ANALYSIS_SCHEMA, analysis, _ANALYSIS, keep_none=True)
    _save_findings(folder, analysis.findings)


def save_study(folder: Path, analysis: StudyAnalysis) -> None:
    """analysis.json and findings.json of a case study."""
    write_record(folder / "analysis.json", STUDY_SCHEMA, analysis, _STUDY, keep_none=True)
    _save_findings(folder, analysis.findings)


def _save_findings(folder: Path, found: tuple[Finding, ...]) -> None:
    write_record(folder / "findings.json", FINDINGS_SCHEMA, {"findings": found},
                 TypeAdapter(dict[str, tuple[Finding, ...]]))


def load_analysis(folder: Path) -> Analysis:
    """The analysis of a policy's run folder. Raises InputError, also for that of a case study."""
    return read_record(folder / "analysis.json", ANALYSIS_SCHEMA, _ANALYSIS)


def load_any(folder: Path) -> Analysis | StudyAnalysis:
    """The analysis of a run folder of either kind. Raises InputError."""
    path = folder / "analysis.json"
    head = parse_json(read_text(path), str(path))
    if isinstance(head, dict) and head.get("schema") == STUDY_SCHEMA:
        return read_record(path, STUDY_SCHEMA, _STUDY)
    return load_analysis(folder)


def save_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """samples.parquet: a row per sample; points, features and benchmarks as columns of their names.

    Where there are samples of both scales, those of the exact one lie in samples-exact.parquet.
    """
    present = [scale for scale in SAMPLES if any(item.scale == scale for item in samples)]
    for scale in present:
        rows = [{"index": item.index, "scale": item.scale, "origin": item.origin, "feasible": item.feasible,
                 "heuristic": item.heuristic, "lower": item.lower, "upper": item.upper, "gap": item.gap,
                 "relative_gap": item.relative_gap, "seconds": item.seconds, "per": item.per,
                 **{f"benchmark:{name}": value for name, value in item.benchmarks.items()},
                 **{f"feature:{name}": value for name, value in item.features.items()},
                 **{f"point:{name}": value for name, value in item.point.items()}}
                for item in samples if item.scale == scale]
        name = SAMPLES[scale] if len(present) > 1 else SAMPLES["operating"]
        try:
            pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / name)
        except (OSError, pl.exceptions.ComputeError) as error:
            raise InputError(str(folder / name), "file", str(error), "a writable file with free space") from error


def load_samples(folder: Path) -> tuple[Sample, ...]:
    """All samples of a run folder, as saved."""
    found = []
    for scale, name in SAMPLES.items():
        path = folder / name
        if scale == "exact" and not path.exists():
            continue  # written only if there are samples of both scales
        try:
            table = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            problem = str(error).partition("\n")[0]
            raise InputError(str(path), "file", problem, "the samples of a finished run") from error
        for row in table.iter_rows(named=True):
            def group(prefix: str, row: dict[str, float] = row) -> dict[str, float]:
                return {key[len(prefix):]: value for key, value in row.items()
                        if key.startswith(prefix) and value is not None}
            benchmarks = {key: int(value) for key, value in group("benchmark:").items()}
            found.append(Sample(row["index"], row.get("scale", scale), row["origin"], group("point:"),
                                group("feature:"), row["heuristic"], row["lower"], row["upper"], benchmarks,
                                row["seconds"], row.get("per", 0), row.get("feasible", True)))
    return tuple(found)
