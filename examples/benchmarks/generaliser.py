"""What does the generaliser say of the three problems, what where nothing is true, and how long does it take?

Per family: what is claimed, and every feature with what became of it. Demand pinning over several seeds: is the length
of the pinned demand's shortest path claimed, is any decoy? Null runs: the same features with shuffled responses; every
claim is false. Loosening: a description of EE workloads by proof and by samples.

    python examples/benchmarks/generaliser.py --out examples/benchmarks/results/generaliser.md
    python examples/benchmarks/generaliser.py --only-pinning --seeds 12 --keep /tmp/drawn --out ...

Drawing takes nearly all of the time: with --keep FOLDER, what is drawn of demand pinning is kept there for another run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kept_draws import kept_draw

from drex_runtime.records import load_profile
from drex_runtime.records.files import write_atomic
from xplain.generalise import Claim, Generalisation, InstanceFamily, generalise, generalised
from xplain.generalise.ee_loosening import exact_problem, proved, sampled
from xplain.generalise.families.demand_pinning import DECOYS, DemandPinningFamily
from xplain.generalise.families.ee_scheduling import EESchedulingFamily
from xplain.generalise.families.first_fit import FirstFitFamily
from xplain.generalise.generalise import words_of
from xplain.generalise.null import shuffled
from xplain.generalise.table import SPLITS, drawn_of
from xplain.request import contender

DEMO = Path(__file__).resolve().parent.parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json"
FAMILIES: tuple[InstanceFamily[Any], ...] = (
    DemandPinningFamily(), FirstFitFamily(), FirstFitFamily(decreasing=True), EESchedulingFamily(),
    EESchedulingFamily("no-exit"), EESchedulingFamily("flush-now"))


def reported(found: Generalisation, seconds: float) -> Iterator[str]:
    """A family's section."""
    yield f"\n## {found.family}\n"
    yield (f"{found.searched} {found.noun} to search, {found.held_out} held out, {found.tests} hypotheses, "
           f"{seconds:.1f} s. Response: {found.response}{f', {found.unit}' if found.unit else ''}.\n")
    yield f"**{found.verdict}**\n"
    yield from (f"- {claim.sentence}" for claim in found.claims)
    yield "\n| feature | meaning | alone | others held fixed | p, corrected | what became of it |"
    yield "|---|---|---|---|---|---|"
    for note in found.features:
        alone = "" if note.alone is None else f"{note.alone:+.2f}"
        partial = "" if note.partial is None else (f"{note.partial.value:+.2f} ({note.partial.low:+.2f} to "
                                                   f"{note.partial.high:+.2f})")
        p = "" if note.p_search is None else f"{note.p_search:.2g}"
        yield f"| {note.feature} | {note.meaning} | {alone} | {partial} | {p} | {note.status} |"


def nulls(found: Generalisation, family: InstanceFamily[Any], runs: int) -> tuple[int, float]:
    """How many runs on shuffled responses claim anything; seconds."""
    search, held_out = drawn_of(found.instances, "search"), drawn_of(found.instances, "held-out")
    began = time.monotonic()
    claimed = sum(bool(generalised(shuffled(search, 2 * run), shuffled(held_out, 2 * run + 1), words_of(family),
                                   seed=run).claims) for run in range(runs))
    return claimed, time.monotonic() - began


def pinned_again(seed: int, args: argparse.Namespace) -> Generalisation:
    """Demand pinning with one seed."""
    family = DemandPinningFamily()
    search, held_out = (kept_draw(family, split, args.instances, seed, args.jobs, args.keep) for split in SPLITS)
    return generalised(search, held_out, words_of(family), seed=seed)


def pinning_seeds(first: Generalisation, args: argparse.Namespace) -> Iterator[str]:
    """Demand pinning again and again."""
    yield "\n## Demand pinning over seeds\n"
    yield "| seed | length claimed | units per link (95 % interval) | decoys claimed, of 8 | other claims | seconds |"
    yield "|---|---|---|---|---|---|"
    for seed in range(args.seeds):
        began = time.monotonic()
        found = first if seed == 0 else pinned_again(seed, args)
        took = "as above" if seed == 0 else f"{time.monotonic() - began:.1f}"
        length = [claim for claim in found.claims if claim.feature == "length"]
        effect = "; ".join(f"{claim.effect.value:.1f} ({claim.effect.low:.1f} to {claim.effect.high:.1f})"
                           for claim in length)
        decoys = [claim for claim in found.claims if concerned(claim) & set(DECOYS)]
        others = [f"{claim.kind} {claim.feature}" for claim in found.claims
                  if claim not in length and claim not in decoys]
        says = "yes, increasing" if any(claim.direction == "increasing" for claim in length) else "no"
        yield f"| {seed} | {says} | {effect} | {len(decoys)} | {', '.join(others) or 'none'} | {took} |"


def concerned(claim: Claim) -> set[str]:
    """Features in a claim."""
    return {claim.feature} | ({claim.where.feature} if claim.where else set())


def loosening() -> Iterator[str]:
    """Descriptions of EE workloads."""
    yield "\n## Loosening (EE scheduling, demo-cpu, total completion, 5 %)\n"
    profile = load_profile(DEMO)
    for name in ("drex", "flush-now", "no-exit"):
        subject = contender(name)
        began = time.monotonic()
        found = proved(subject, profile, objective="total-completion", threshold=0.05, seconds=600)
        yield (f"- by proof, from {len(found.start)} conditions, {len(found.trials)} looser ones tried, "
               f"{time.monotonic() - began:.1f} s: {found.sentence}")
        began = time.monotonic()
        problem = exact_problem(subject, profile, "total-completion", 0.05, 4, 3)
        by_samples = sampled(problem, subject, count=800, seed=0)
        says = "no significant region to start from" if by_samples is None else (
            f"from {len(by_samples.start)} conditions, {len(by_samples.trials)} tried: {by_samples.sentence}")
        yield f"- by samples at 4 x 3, {time.monotonic() - began:.1f} s: {says}"


def main() -> None:
    """Print, and write to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=120, help="to search, and as many held out")
    parser.add_argument("--seeds", type=int, default=5, help="of demand pinning")
    parser.add_argument("--nulls", type=int, default=100, help="null runs per family")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--only-pinning", action="store_true", help="demand pinning alone, no loosening")
    parser.add_argument("--keep", type=Path, help="folder of what is drawn of demand pinning, read if it is there")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    args = parser.parse_args()
    text = [(__doc__ or "").splitlines()[0]]
    null_rows, pinning = list[str](), None
    text[0] = f"# Generaliser\n\n{text[0]} `python examples/benchmarks/generaliser.py`, seed 0, {args.jobs} thread(s)."
    print(text[0], flush=True)

    def add(lines: Iterator[str]) -> None:
        for line in lines:
            print(line, flush=True)
            text.append(line)

    for family in FAMILIES[:1] if args.only_pinning else FAMILIES:
        began = time.monotonic()
        found = pinned_again(0, args) if isinstance(family, DemandPinningFamily) else generalise(
            family, instances=args.instances, held_out=args.instances, seed=0, jobs=args.jobs)
        pinning = pinning or found
        add(reported(found, time.monotonic() - began))
        claimed, seconds = nulls(found, family, args.nulls)
        null_rows.append(f"| {found.family} | {args.nulls} | {claimed} | {seconds:.1f} |")
    if pinning is not None:
        add(pinning_seeds(pinning, args))
    add(iter(["\n## Null runs (shuffled responses)\n", "| family | runs | runs with a claim | seconds |",
              "|---|---|---|---|", *null_rows]))
    if not args.only_pinning:
        add(loosening())
    if args.out:
        write_atomic(args.out, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
