"""The command line with problems: what it prints, refuses and renders; the guide's examples run as they stand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.test_layout import ROOT
from tests.xplain.studies.cli import analysed, refused
from tests.xplain.tiny import run_command
from xplain.run_folder import load_any, load_samples
from xplain.studies.record import StudyAnalysis

EXAMPLES = ROOT / "examples" / "heuristics"
GUIDE = ROOT / "docs" / "own-heuristic.md"


def test_the_problems_are_listed_with_size_distribution_and_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(("problems",)) == 0
    text = capsys.readouterr().out
    for words in ("demand-pinning", "first-fit", "POLICY", "dimensions", "uniform", "1\N{NO-BREAK SPACE}bin",
                  "topology"):
        assert words in text
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize(("options", "said"), [
    (("--profile", "p.json"), "--profile"), (("--trace", "t.csv"), "--trace"),
    (("--benchmark", "policy:drex"), "--benchmark"), (("--objective", "makespan"), "--objective"),
    (("--requests", "3"), "--requests"), (("--method", "milp"), "--method"),
    (("--max-num-seqs", "3"), "--max-num-seqs"), (("--set", "bins=3"), "one of balls"),
    (("--set", "balls"), "name=value"),
    (("--threshold", "nan"), "threshold"), (("--threshold", "0"), "threshold"), (("--seed", "-1"), "seed"),
    (("--jobs", "0"), "jobs"), (("--budget", "0"), "budget"), (("--space", "nosuch.yaml"), "nosuch.yaml"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_options_that_make_no_sense_for_a_problem_are_refused(
        options: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, tmp_path, "first-fit", *options)


def test_demand_pinning_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found, page = analysed(tmp_path, "demand-pinning", "--threshold", "0.2", "--set", "threshold=40", evaluations=150)
    assert found["schema"] == "xplain-study/1" and found["threshold"] == 0.2
    assert found["settings"] == {"threshold": "40"}
    assert "demand pinning" in found["verdict"] and len(page.encode()) < 2_000_000
    run = tmp_path / "run"
    assert "FINDINGS" not in capsys.readouterr().err
    findings = json.loads((run / "findings.json").read_text())["findings"]
    assert findings == found["findings"]
    before = (run / "report.html").read_text()
    (run / "report.html").unlink()
    assert run_command(("report", run)) == 0
    assert (run / "report.html").read_text() == before
    analysis = load_any(run)
    assert isinstance(analysis, StudyAnalysis)
    samples = load_samples(run)
    assert len(samples) == analysis.num_samples["search"] + analysis.num_samples["held-out"]
    capsys.readouterr()
    assert run_command(("tune", run)) == 2
    assert "xplain-study" in capsys.readouterr().err


def test_the_first_code_of_the_guide_is_the_example() -> None:
    code = re.search(r"```python\n(.*?)```", GUIDE.read_text(), re.S)
    assert code is not None
    assert code[1].strip() in (EXAMPLES / "list_scheduling.py").read_text().replace("\n\n\n", "\n\n")
    assert len([line for line in code[1].splitlines() if line.strip()]) <= 20


def test_the_example_of_the_guide_finds_what_the_guide_says(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, f"{EXAMPLES / 'list_scheduling.py'}:ListScheduling", evaluations=1000)
    first = found["regions"][0]
    assert "share_of_last_job" in {predicate["feature"] for predicate in first["predicates"]}
    assert first["precision"]["value"] > 0.9 and first["coverage"]["value"] > 0.4
    assert "list scheduling loses" in found["verdict"]
    assert {"job0": 2, "job1": 2, "job2": 4} in [witness["point"] for witness in found["witnesses"]]


def test_the_other_example_runs_with_its_option(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, f"{EXAMPLES / 'greedy_knapsack.py'}:GreedyKnapsack", "--set", "items=2")
    assert len(found["dimensions"]) == 4 and found["infeasible_share"]["value"] > 0.05
    assert "heaviest" in found["meanings"] and found["witnesses"]


def test_the_guide_names_only_what_exists() -> None:
    text = GUIDE.read_text()
    for path in re.findall(r"`((?:examples|xplain|docs)/[\w/.-]+\.(?:py|md))`", text):
        assert (ROOT / path).is_file(), path
    names = re.findall(r"^\| `(\w+)", text, re.M)
    from xplain.studies import Case
    assert names and all(hasattr(Case, name) or name in ("flows", "edges") for name in names)


def test_a_policy_in_a_python_file_is_still_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy = next((ROOT / "examples" / "policies").glob("*.py"))
    text = policy.read_text()
    name = re.search(r"^def (\w+)\(\) -> Policy", text, re.M) or re.search(r"^(\w+) = ", text, re.M)
    assert name is not None
    assert run_command(("analyze", f"{policy}:{name[1]}", "--set", "nosuch=3", "--out", tmp_path / "run")) == 2
    assert "unknown parameter 'nosuch'" in capsys.readouterr().err
