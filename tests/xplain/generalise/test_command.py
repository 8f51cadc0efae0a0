"""What the command prints and stores, and how it finds a family."""

from __future__ import annotations

from pathlib import Path

import pytest

from drex_runtime.errors import InputError
from drex_runtime.policies import shipped_policy
from tests.xplain.tiny import PROFILE, saved_profile
from xplain.generalise import load_generalisation
from xplain.generalise.command import run_generalise
from xplain.generalise.ee_loosening import exact_problem, proved, sampled
from xplain.generalise.families.load import NAMES, load_family
from xplain.problems.operating import Contender
from xplain.records import Evidence

OWN = """
class Mine:
    name, noun, response = "mine", "things", ("a number", "s")
    def draw(self, rng): return {"f": rng.uniform(0, 10), "a": rng.uniform()}
    def features(self, instance): return instance
    def respond(self, instance, seed): return instance["f"]
    def describe(self, feature): return feature, ""
"""


def run(problem: str, **changes: object) -> None:
    options: dict[str, object] = {"instances": 20, "held_out": None, "effort": None, "policy": "drex", "seed": 0,
                                  "jobs": 1, "level": 0.05, "null": False, "loosen_profile": None, "out": None}
    run_generalise(problem, **{**options, **changes})  # type: ignore[arg-type]


def test_a_family_of_ones_own_is_generalised_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    run(f"{tmp_path / 'mine.py'}:Mine", out=tmp_path / "found.json")
    printed = capsys.readouterr().out
    found = load_generalisation(tmp_path / "found.json")
    assert printed.startswith("the gap grows with f; nothing is claimed about the other 1 features tested\n")
    assert found.claims[0].sentence in printed and "a  no effect found" in printed
    with pytest.raises(InputError, match="exists"):
        run(f"{tmp_path / 'mine.py'}:Mine", out=tmp_path / "found.json")
    run(f"{tmp_path / 'mine.py'}:Mine", null=True)
    assert capsys.readouterr().out.startswith("nothing found: of 2 features none is shown to matter")


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ny = nothing\n")
    (tmp_path / "mine.py").write_text(OWN.replace("def respond", "def reply"))
    for subject, said in (("no-such", "first-fit"), (f"{tmp_path}/none.py:A", "not a file"),
                          (f"{tmp_path / 'broken.py'}:A", "line 2"), (f"{tmp_path / 'mine.py'}:Mine", "respond"),
                          (f"{tmp_path / 'mine.py'}:Other", "Other")):
        with pytest.raises(InputError, match=said):
            load_family(subject)
    with pytest.raises(InputError, match="loosen"):
        run("first-fit", loosen_profile=tmp_path)
    with pytest.raises(InputError, match="effort"):
        load_family(f"{tmp_path / 'mine.py'}:Mine", effort=3)
    assert [load_family(name, effort=2).name for name in NAMES] == [
        "demand pinning", "first fit", "first fit decreasing", "EE scheduling, drex"]


def test_servers_come_with_descriptions_of_losing_workloads(tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xplain.generalise.command.LOOSENED_SAMPLES", 50)
    monkeypatch.setattr("xplain.generalise.command.LOOSENED_SIZE", (3, 2))
    run("ee-scheduling", instances=8, effort=2, loosen_profile=saved_profile(tmp_path))
    assert "(proved: enumerate: " in capsys.readouterr().out


def test_ee_descriptions_are_proved_or_confirmed_by_fresh_samples() -> None:
    subject, other = (Contender(name, shipped_policy(name)) for name in ("drex", "flush-now"))
    by_proof = proved(subject, PROFILE, objective="total-completion", threshold=0.05, against=other)
    assert by_proof.predicates is not None and len(by_proof.predicates) < len(by_proof.start)
    assert by_proof.final.evidence is Evidence.PROVED and by_proof.final.holds
    assert "every workload of 3 x 2 on which drex runs loses at least 5.0 % to flush-now" in by_proof.sentence
    assert proved(subject, PROFILE, objective="total-completion", threshold=0.05, against=other) == by_proof
    problem = exact_problem(subject, PROFILE, "total-completion", 0.05, 3, 2)
    by_samples = sampled(problem, subject, count=300, seed=0)
    assert by_samples is not None and by_samples.final.evidence is Evidence.STATISTICAL
    easy = exact_problem(subject, PROFILE, "total-completion", 9.0, 3, 2)
    assert sampled(easy, subject, count=50, seed=0) is None  # nowhere is it that bad
