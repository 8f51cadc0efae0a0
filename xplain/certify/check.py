"""Check a stored certificate from its own content: nothing of the run it came from is read.

1. The hashes fit the model and the profile, the statement is what the model says.
2. The witness belongs to the part of the space, and simulator and exact search find its costs.
3. The claim is decided again by every method that can: a survey of all workloads, and an SMT query. A proved claim
   holds if none refutes it and at least one proves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from drex_runtime.errors import DrexError, InputError, LimitError
from drex_runtime.records import Workload
from xplain.certify.claims import claim_of
from xplain.certify.record import Certificate, load_certificate, model_hash, profile_hash
from xplain.certify.statement import statement_of
from xplain.encodings.certificates.claim import Claim, Method, Verdict
from xplain.encodings.certificates.counted import Counted
from xplain.encodings.certificates.decide import decide
from xplain.encodings.steps import Inputs
from xplain.encodings.terms import Terms

METHODS: tuple[Method, ...] = ("enumerate", "smt")


@dataclass(frozen=True)
class Checked:
    """`holds`: True, False (with the reasons), or None: no method ended in time. `lines`: what was found, in order."""

    name: str
    holds: bool | None
    lines: tuple[str, ...]

    @property
    def label(self) -> str:
        """In a word."""
        return {True: "holds", False: "FAILS", None: "cannot tell"}[self.holds]


def check_file(path: Path, seconds: float) -> Checked:
    """Check one file; `seconds` for each method."""
    try:
        certificate = load_certificate(path)
        problems = inconsistencies(certificate)
        claim = claim_of(certificate.model, path.name)
        problems += unlike_witness(certificate, claim)
        if problems:
            return Checked(path.stem, False, tuple(problems))
        return recheck(path.stem, certificate, claim, seconds)
    except DrexError as error:  # a certificate that cannot be read or does not make sense proves nothing
        return Checked(path.stem, False, (str(error),))


def inconsistencies(certificate: Certificate) -> list[str]:
    """Where the record contradicts itself."""
    model, found = certificate.model, []
    if model_hash(model) != certificate.model_sha256:
        found.append("model_sha256 is not that of the model: the claim was changed after it was made")
    if profile_hash(model.profile) != certificate.profile_sha256:
        found.append("profile_sha256 is not that of the profile: the costs were changed after they were certified")
    if statement_of(model) != certificate.statement:
        found.append(f"the statement is not what the model says: {statement_of(model)}")
    return found


def unlike_witness(certificate: Certificate, claim: Claim) -> list[str]:
    """Where the witness is not what it is said to be."""
    witness = certificate.witness
    if witness is None:
        return []
    if not belongs(witness.workload, claim):
        return ["the witness does not belong to the workloads that the claim is about"]
    replayed = claim.problem.replay(witness.workload)
    if (replayed.heuristic, replayed.benchmark) != (witness.heuristic, witness.benchmark):
        return [f"the witness costs {replayed.heuristic} against {replayed.benchmark}, not {witness.heuristic} against "
                f"{witness.benchmark}"]
    violates = claim.violated(replayed.heuristic, replayed.benchmark)
    if violates and certificate.status != "refuted":
        return [f"its own witness refutes the claim: {replayed.heuristic} against {replayed.benchmark}"]
    if not violates and certificate.status == "refuted":
        return ["the witness does not refute the claim"]
    return []


def belongs(workload: Workload, claim: Claim) -> bool:
    """Whether a workload lies in the claim's space, and there in its part."""
    space, shape = claim.problem.space, claim.shape
    if workload.num_segments != space.num_segments or workload.tick != space.tick:
        return False
    inputs = Inputs(Terms(), space)
    try:
        made = inputs.workload(inputs.assignment(workload))
    except InputError:
        return False
    if made.requests != workload.requests:  # ids, prompts and dues are those of the space
        return False
    depths = np.array([[request.depths for request in workload.requests]])
    arrivals = np.array([[request.arrival for request in workload.requests]], np.int64)
    return bool(claim.where.truth(Counted(depths, arrivals, shape))[0])


def recheck(name: str, certificate: Certificate, claim: Claim, seconds: float) -> Checked:
    """Decide the claim again; see the module."""
    if certificate.status == "refuted":
        return Checked(name, True, ("refuted: the witness replays and violates the claim",))
    verdicts, lines = list[Verdict](), list[str]()
    for method in METHODS:
        try:
            verdict = decide(claim, method, seconds)
        except LimitError as error:
            lines.append(f"{method}: not applicable: {error}")
            continue
        verdicts.append(verdict)
        lines.append(f"{method} ({verdict.solver} {verdict.version}): {verdict.status} in {verdict.seconds:.1f} s, "
                     f"{verdict.detail}")
    found = {verdict.status for verdict in verdicts}
    if "refuted" in found:
        shown = next(verdict.witness for verdict in verdicts if verdict.status == "refuted")
        if "proved" in found:
            raise RuntimeError(f"{name}: methods disagree: {'; '.join(lines)}")
        if shown is not None:
            depths = " ".join(f"{request.arrival}:{','.join(map(str, request.depths))}"
                              for request in shown.workload.requests)
            lines.append(f"refuted by {depths} (arrival:depths): {shown.heuristic} against {shown.benchmark}")
        return Checked(name, False, tuple(lines))
    if certificate.status == "unknown":
        return Checked(name, True, ("unknown, and claims nothing", *lines))
    return Checked(name, True if "proved" in found else None, tuple(lines))
