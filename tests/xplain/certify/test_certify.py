"""Certificates of a run: each kind proved for drex, stored complete, checked by two methods; tampering is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from drex_runtime.errors import InputError
from drex_runtime.policies import shipped_policy
from drex_runtime.policies.settings import write_policy_config
from drex_runtime.records import ServerConfig
from tests.scale import scaled
from tests.xplain.tiny import PROFILE, run_command
from xplain.certify.check import check_file
from xplain.certify.claims import claim_of, table_of
from xplain.certify.make import Note, Wish, certify
from xplain.certify.record import (
    Certificate,
    Kind,
    Model,
    NamedRegion,
    load_certificate,
    model_hash,
    profile_hash,
    save_certificate,
)
from xplain.certify.space import Size
from xplain.certify.statement import statement_of
from xplain.certify.subject import Subject, load_subject
from xplain.records import Predicate

SECONDS = 300.0


@pytest.fixture(scope="module")
def run(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with settings that differ from the current ones; not to be changed."""
    folder = tmp_path_factory.mktemp("certify") / "run"
    shutil.copytree(tiny_run, folder, ignore=shutil.ignore_patterns("certificates"))
    write_policy_config(folder / "tuned.yaml", shipped_policy("drex"), {"flush_size": Fraction(1)}, {"from": "test"})
    return folder


@pytest.fixture(scope="module")
def subject(run: Path) -> Subject:
    """What that run has to be certified."""
    return load_subject(run, 1, 16)


@pytest.fixture(scope="module")
def certified(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with small certificates of every kind; not to be changed."""
    folder = tmp_path_factory.mktemp("certified") / "run"
    shutil.copytree(run, folder)
    for kind, size in (("a", "2x2"), ("b", "3x2"), ("c", "3x2"), ("d", "2x2")):
        options = ("--kind", kind, "--size", size, "--arrival-steps", "1", "--seconds", str(SECONDS))
        assert run_command(("certify", folder, *options)) == 0
    return folder


def made(subject: Subject, kind: Kind, **changes: Any) -> list[Certificate]:
    found = list(certify(subject, Wish((kind,), seconds=SECONDS, **changes)))
    return [each for each in found if isinstance(each, Certificate)]


def small(**changes: Any) -> Size:
    return Size(**{"requests_tokens": (3, 2), "arrival_steps": 1, **changes})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "size"), [("a", (4, 4)), ("b", (4, 3)), ("c", (4, 3)), ("d", (4, 4))])
def test_each_kind_is_proved_for_drex(kind: Kind, size: tuple[int, int], subject: Subject) -> None:
    """At the sizes promised; a and d one token shorter by default: their optima are most of the time."""
    if kind in ("a", "d"):
        size = (4, scaled(3, 4, "tokens of certificates a and d"))
    found = made(subject, kind, size=Size(size))
    proved = [each for each in found if each.status == "proved"]
    assert proved
    for certificate in found:
        model, witness = certificate.model, certificate.witness
        assert certificate.model_sha256 == model_hash(model) and certificate.statement == statement_of(model)
        assert certificate.profile_sha256 == profile_hash(PROFILE) and certificate.proof == "exact"
        assert witness is not None
        claim = claim_of(model, "test")
        replayed = claim.problem.replay(witness.workload)
        assert (replayed.heuristic, replayed.benchmark) == (witness.heuristic, witness.benchmark)
        assert claim.violated(witness.heuristic, witness.benchmark) == (certificate.status == "refuted")
        if kind in ("b", "c"):
            assert model.config == ServerConfig(3, 3) and len(model.space.requests[0].arrivals) == 3
        if kind in ("a", "b", "c"):  # the strongest: the witness attains it
            assert claim.measured(witness.heuristic, witness.benchmark) == model.value


@pytest.mark.slow
def test_all_hold_when_checked_from_their_own_content(certified: Path, tmp_path: Path,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    lonely = tmp_path / "elsewhere"
    shutil.copytree(certified / "certificates", lonely / "certificates")
    assert run_command(("certify", lonely, "--check", "--seconds", "240")) == 0
    printed = capsys.readouterr().out
    names = {path.stem for path in (lonely / "certificates").iterdir()}
    assert {"a", "c", "d"} <= names and any(name.startswith("b-") for name in names)
    assert all(f"{name}: holds" in printed for name in names)
    assert printed.count("enumerate (compiled simulator, exact search") == printed.count("smt (z3") > 0
    assert ": unknown in" not in printed


def changed(source: Path, name: str, change: Callable[[dict[str, Any]], object], folder: Path, *,
            rehash: bool = False) -> Path:
    """A certificate edited as JSON; `rehash`: by somebody who knows how hashes and statements are made."""
    data = json.loads((source / "certificates" / f"{name}.json").read_text())
    change(data)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(data))
    if rehash:
        found = load_certificate(path)
        save_certificate(folder, replace(found, model_sha256=model_hash(found.model),
                                         profile_sha256=profile_hash(found.model.profile),
                                         statement=statement_of(found.model)))
    return path


TAMPERED: dict[str, tuple[str, Callable[[dict[str, Any]], object], bool, str]] = {
    "value": ("a", lambda data: data["model"].update(value=data["model"]["value"] - 1), False, "model_sha256"),
    "profile": ("a", lambda data: data["model"]["profile"].update(rebatch=101), False, "profile_sha256"),
    "statement": ("a", lambda data: data.update(statement="drex never loses"), False, "the statement is not"),
    "hash": ("a", lambda data: data.update(model_sha256="0" * 64), False, "model_sha256"),
    "parameter": ("a", lambda data: data["model"]["policy"]["parameters"].update(flush_size="1"), False,
                  "model_sha256"),
    "value, hashed again": ("a", lambda data: data["model"].update(value=data["model"]["value"] - 1), True,
                            "its own witness refutes the claim"),
    "value, witness dropped": ("a", lambda data: (data["model"].update(value=data["model"]["value"] - 1),
                                                  data.pop("witness")), True, "refuted by"),
    "e, witness dropped": ("c", lambda data: (data["model"].update(value=data["model"]["value"] - 1),
                                              data.pop("witness")), True, "refuted by"),
    "witness": ("a", lambda data: data["witness"].update(heuristic=data["witness"]["heuristic"] - 1), False,
                "the witness costs"),
    "witness outside": ("a", lambda data: data["witness"]["workload"]["requests"][-1].update(arrival=10**6), False,
                        "does not belong"),
    "unknown field": ("a", lambda data: data.update(note="trust me"), False, "note"),
    "feature": ("d", lambda data: data["model"].update(regions=[
        {"name": "R1", "predicates": [{"feature": "load", "relation": ">", "bound": 1.0}]}]), True, "load"),
    "schema": ("a", lambda data: data.update(schema="xplain-certificate/9"), False, "schema"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_noticed(what: str, certified: Path, tmp_path: Path) -> None:
    name, change, rehash, said = TAMPERED[what]
    try:
        path = changed(certified, name, change, tmp_path, rehash=rehash)
    except InputError as error:
        assert said in str(error)
        return
    checked = check_file(path, 60.0)
    assert checked.holds is False and any(said in line for line in checked.lines), checked


def test_a_failed_check_is_exit_code_1(certified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "certificates").mkdir()
    changed(certified, "a", lambda data: data["model"].update(value=0), tmp_path / "certificates")
    assert run_command(("certify", tmp_path, "--check")) == 1
    assert "a: FAILS" in capsys.readouterr().out


def test_a_false_claim_is_refuted_with_a_witness_that_replays(subject: Subject) -> None:
    (true,) = made(subject, "a", size=small())
    false = replace(true.model, value=true.model.value - 1)
    claim = claim_of(false, "test")
    assert true.witness is not None
    replayed = claim.problem.replay(true.witness.workload)
    assert claim.violated(replayed.heuristic, replayed.benchmark)


def test_regions_of_a_certificate_of_kind_b_lose_everywhere_and_are_not_empty(subject: Subject) -> None:
    for certificate in made(subject, "b", size=small(), against="no-exit"):
        assert certificate.model.relation == "at-least" and certificate.model.value > 0
        assert certificate.witness is not None and not certificate.detail.startswith("0 of")


@pytest.mark.slow
def test_smt_alone_finds_the_same_value(subject: Subject) -> None:
    size = small(requests_tokens=(2, 2))
    by_survey, by_smt = made(subject, "a", size=size), made(subject, "a", size=size, method="smt")
    assert by_smt[0].method == "smt" and by_smt[0].status == "proved"
    assert by_smt[0].model == by_survey[0].model


def test_a_quantised_profile_is_stated_and_replayed_on(run: Path) -> None:
    subject = load_subject(run, 100, 16)
    (found,) = made(subject, "c", size=small())
    assert found.model.quantum == 100 and "rounded up to multiples of 100 ns" in found.statement
    assert found.model.value % 100 == 0
    assert claim_of(found.model, "test").problem.profile == subject.profile


def test_out_of_time_is_said_and_nothing_is_claimed(subject: Subject) -> None:
    for kind in ("a", "b", "c", "d"):
        wish = Wish((kind,), Size((4, 4), 2), seconds=0.001)  # type: ignore[arg-type]
        (note,) = certify(subject, wish)
        assert isinstance(note, Note) and "cannot tell" in note.text


def test_nothing_to_compare_is_said(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(tiny_run, folder)
    (folder / "tuned.yaml").unlink()
    (note,) = certify(load_subject(folder, 1, 16), Wish(("c",)))
    assert isinstance(note, Note) and "no tuned.yaml" in note.text
    write_policy_config(folder / "tuned.yaml", shipped_policy("drex"), {}, {})
    (note,) = certify(load_subject(folder, 1, 16), Wish(("c",)))
    assert isinstance(note, Note) and "keeps the current parameters" in note.text


def test_a_region_over_a_feature_without_encoding_is_refused_by_name(subject: Subject) -> None:
    region = NamedRegion("R1", (Predicate("exit_rate", "<=", 0.3),))
    with pytest.raises(InputError, match="region R1: feature = exit_rate: expected a feature that has an encoding"):
        made(replace(subject, regions=(region,)), "d", size=small())


def test_a_policy_table_reads_back_as_it_was_bound(subject: Subject) -> None:
    (certificate,) = made(subject, "a", size=small())
    model: Model = certificate.model
    assert table_of(claim_of(model, "test").problem.policy) == model.policy


@pytest.mark.parametrize(("options", "said"), [
    (("--kind", "z"), "--kind"), (("--size", "4"), "--size"), (("--size", "0x3"), "--size"),
    (("--size", "99x99"), "--size"), (("--method", "magic"), "--method"), (("--seconds", "nan"), "--seconds"),
    (("--against", "majority"), "majority"), (("--against", "nosuch"), "nosuch"), (("--check",), "certificates"),
    (("--batch-max", "99"), "--batch-max"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_bad_options_are_one_line(options: tuple[str, ...], said: str, run: Path,
                                  capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(("certify", run, "--size", "2x1", "--kind", "b", *options)) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.strip()]
    assert said in lines[-1] and lines[-1].startswith("xplain: ")
