"""What `xplain generalise` does, once its options are read."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from drex_runtime.errors import InputError
from drex_runtime.policies.load import load_policy
from drex_runtime.progress import progress
from drex_runtime.records import load_profile
from xplain.generalise.ee_loosening import exact_problem, proved, sampled
from xplain.generalise.families.load import load_family
from xplain.generalise.generalise import generalise
from xplain.generalise.null import Unrelated
from xplain.generalise.record import Generalisation, Loosened, save_generalisation
from xplain.problems.operating import Contender

LOOSENED_SAMPLES = 800
LOOSENED_SIZE = (4, 3)  # of the sampled description; the proved one is 3 x 2


def run_generalise(problem: str, *, instances: int, held_out: int | None, effort: int | None, policy: str, seed: int,
                   jobs: int, level: float, null: bool, loosen_profile: Path | None, out: Path | None) -> None:
    """Draw, test, confirm, print; store the record in `out` if given. `null`: features and responses of different
    instances, as a check. `loosen_profile` (ee-scheduling): descriptions of workloads that lose under that profile."""
    if loosen_profile is not None and problem != "ee-scheduling":
        raise InputError("xplain generalise", "--loosen", loosen_profile, f"nothing: {problem} is not ee-scheduling")
    if out is not None and out.exists():
        raise InputError(str(out), "--out", "exists", "a file that does not exist yet")
    family, began = load_family(problem, policy=policy, effort=effort), time.monotonic()
    with progress(f"generalising over {family.noun}") as tell:
        found = generalise(Unrelated(family) if null else family, instances=instances,
                           held_out=instances if held_out is None else held_out, seed=seed, jobs=jobs, level=level)
        if loosen_profile is not None:
            tell("loosening descriptions of workloads")
            found = replace(found, loosened=_loosened(policy, loosen_profile, seed))
    for line in lines(found):
        print(line)
    print(f"{time.monotonic() - began:.1f} s")
    if out is not None:
        save_generalisation(out, found)
        print(out)


def lines(found: Generalisation) -> list[str]:
    """A generalisation as text: the verdict, every claim, every feature, descriptions, limits."""
    name = max((len(note.feature) for note in found.features), default=0)
    return [found.verdict,
            f"{found.family}: {found.response}; {found.searched} {found.noun} to search, {found.held_out} held out; "
            f"{found.tests} hypotheses tested, corrected (Holm) at {found.level:g}",
            *(f"* {claim.sentence} [{claim.evidence}]" for claim in found.claims),
            *(f"  {note.feature:<{name}}  {note.status}: {note.text}" for note in found.features
              if note.status != "claimed"),
            *(f"* {each.sentence}" for each in found.loosened), *(f"  {limit}" for limit in found.limits)]


def _loosened(policy: str, path: Path, seed: int) -> tuple[Loosened, ...]:
    subject, profile = Contender(policy, load_policy(policy)), load_profile(path)
    threshold = 0.05
    problem = exact_problem(subject, profile, "total-completion", threshold, *LOOSENED_SIZE)
    by_samples = sampled(problem, subject, count=LOOSENED_SAMPLES, seed=seed)
    by_proof = proved(subject, profile, objective="total-completion", threshold=threshold, seed=seed)
    return (by_proof, by_samples) if by_samples is not None else (by_proof,)
