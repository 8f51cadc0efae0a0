"""What `xplain certify` does, once its options are read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

from drex_runtime.errors import InputError
from drex_runtime.progress import progress
from xplain.certify.check import check_file
from xplain.certify.make import Note, Wish, certify
from xplain.certify.record import Certificate, Kind, save_certificate
from xplain.certify.space import Size, parse_size
from xplain.certify.subject import load_subject
from xplain.encodings.certificates.claim import Method

FOLDER = "certificates"
KINDS: tuple[Kind, ...] = get_args(Kind)
METHODS: tuple[Method, ...] = get_args(Method)
MAX_ROWS = 16  # most requests of a size, so most rows of a launch


def run_certify(run: Path, *, kind: str, size: str | None, arrival_steps: int | None, places: int | None,
                batch_max: int | None, against: str, method: str, quantum: int, seconds: float) -> None:
    """Prove, print a line each, store in RUN/certificates."""
    wish = Wish(_kinds(kind), Size(None if size is None else parse_size(size), arrival_steps, places, batch_max),
                against, _method(method), _seconds(seconds))
    subject = load_subject(run, quantum, MAX_ROWS)
    folder = run / FOLDER
    with progress("certifying") as tell:
        for found in certify(subject, wish, tell):
            if isinstance(found, Note):
                print(f"{found.kind}: no certificate: {found.text}")
                continue
            save_certificate(folder, found)
            print(line(found), flush=True)
    print(folder)


def run_check(run: Path, seconds: float) -> bool:
    """Check all stored certificates; whether all hold."""
    folder = run / FOLDER
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise InputError(str(folder), "certificates", "none", "a folder that `xplain certify` has written")
    good = True
    for path in paths:
        with progress(f"checking {path.name}"):
            checked = check_file(path, _seconds(seconds))
        good &= checked.holds is True
        print(f"{checked.name}: {checked.label}", flush=True)
        for each in checked.lines:
            print(f"  {each}")
    return good


def line(certificate: Certificate) -> str:
    """A certificate in a line: its status, what it says, how it was found."""
    how = f"{certificate.method} ({certificate.solver}), {certificate.proof} proof, {certificate.seconds:.1f} s"
    if certificate.status == "unknown":
        how = f"{certificate.method}, {certificate.seconds:.1f} s"
    return f"{certificate.name} [{certificate.status}] {certificate.statement} [{how}; {certificate.detail}]"


def _kinds(kind: str) -> tuple[Kind, ...]:
    if kind == "all":
        return KINDS
    for known in KINDS:
        if kind == known:
            return (known,)
    raise InputError("xplain certify", "--kind", kind, f"{', '.join(KINDS)} or all")


def _method(method: str) -> Method | None:
    if method == "auto":
        return None
    for known in METHODS:
        if method == known:
            return known
    raise InputError("xplain certify", "--method", method, f"auto, {' or '.join(METHODS)}")


def _seconds(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError("xplain certify", "--seconds", seconds, "a number above 0")
    return seconds
