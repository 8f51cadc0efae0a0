"""How often does the generaliser claim a decoy? Families whose truth is known, with scatter that grows with the cause.

Two questions, per family and number of instances. *Tests*: of one decoy, with the cause held fixed, how often is the
p-value at most 5 %, 1 %, 0.1 %? Valid tests say so at most that often. *Claims*: the whole procedure (select, correct,
confirm on the other half); how often is a decoy in a claim, and how often is the cause found?

Demand pinning as well, on its own responses: decoys that the generator draws independently of everything else are drawn
again (the conditional randomisation reference of Candes et al. 2018: whatever the responses are, they stay as they were
and the new decoys are as good as the old ones), so that every claim of one is false.

    python examples/benchmarks/false_claims.py --out examples/benchmarks/results/false_claims.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from kept_draws import kept_draw

from drex_runtime.records.files import write_atomic
from xplain.generalise import Claim, generalised
from xplain.generalise.families.demand_pinning import DECOYS, DemandPinningFamily
from xplain.generalise.generalise import words_of
from xplain.generalise.hypotheses import Bench, Hypothesis, Kind
from xplain.generalise.table import SPLITS, Drawn
from xplain.generalise.test import Shuffles
from xplain.generalise.words import Words
from xplain.records import Rate
from xplain.regions.score import wilson
from xplain.regions.table import Floats

LEVELS = (0.05, 0.01, 0.001)
MOST = 5000  # permutations of a single test
REDRAWN = ("annex_capacity", "annex_triangles", "position", "age")  # independent of all else by construction
Rng = np.random.Generator


@dataclass(frozen=True)
class Known:
    """`cause`: "" if there is none; `answer(cause, rng)` [instance] is the response."""

    name: str
    cause: str
    answer: Callable[[Floats, Rng], Floats]

    def drawn(self, rng: Rng, count: int) -> Drawn:
        """Lengths as in demand pinning, two decoys that move with them, six that do not."""
        length = rng.integers(2, 7, count).astype(np.float64)
        km = np.array([rng.uniform(1, 1000, int(each)).sum() for each in length])
        labels = np.array([rng.integers(0, 16, int(each) + 1).sum() for each in length], np.float64)
        free = {"capacity": 50.0 * rng.integers(1, 4, (count, 4)).sum(axis=1), "age": rng.uniform(0, 1000, count),
                "position": rng.integers(0, 31, count), "triangles": rng.integers(0, 2, count),
                "size": rng.lognormal(0, 1, count), "km_of_all": rng.normal(500, 60, count)}
        columns = {"length": length, "km": km, "labels": labels, **free}
        return Drawn(tuple(columns), np.column_stack(list(columns.values())).astype(np.float64),
                     self.answer(length, rng))


def scattered(power: float, tail: float = np.inf) -> Callable[[Floats, Rng], Floats]:
    """16 units per link; scatter grows with length^power; `tail`: degrees of freedom of Student's noise."""
    def answer(length: Floats, rng: Rng) -> Floats:
        noise = rng.normal(size=len(length)) if np.isinf(tail) else rng.standard_t(tail, len(length))
        return np.asarray(16 * length + 20 * (length / 4)**power * noise)

    return answer


KNOWN = (
    Known("no cause, equal scatter", "", lambda length, rng: rng.normal(size=len(length))),
    Known("no cause, scatter grows with length squared", "", lambda length, rng: length**2 * rng.normal(
        size=len(length))),
    Known("no cause, mostly zero", "", lambda length, rng: np.maximum(0.0, rng.normal(size=len(length)) - 1)),
    Known("cause, equal scatter", "length", scattered(0)),
    Known("cause, scatter grows with length", "length", scattered(1)),
    Known("cause, scatter grows with length cubed", "length", scattered(3)),
    Known("cause, heavy tails that grow with length", "length", scattered(1, 2)),
    Known("cause times lognormal", "length", lambda length, rng: length**2 * rng.lognormal(0, 0.6, len(length))),
)


def test_row(known: Known, decoy: str, kind: Kind, count: int, runs: int) -> str:
    """Calibration of one test; the cause, if any, is held fixed."""
    small = np.zeros(len(LEVELS), dtype=int)
    for run in range(runs):
        drawn = known.drawn(np.random.default_rng([run, 1]), count)
        bench = Bench(drawn, drawn.names, Shuffles(count, (run, 2)), MOST, (known.cause,) if known.cause else ())
        small += p_value(bench, decoy, kind) <= np.array(LEVELS)
    shares = " | ".join(share(wilson(int(each), runs)) for each in small)
    return f"| {known.name} | {decoy}, {kind} | {count} | {runs} | {shares} |"


def p_value(bench: Bench, feature: str, kind: Kind) -> float:
    """Two-sided, uncorrected."""
    hypothesis = Hypothesis(kind, feature)
    return bench.null(feature).test(bench.columns(hypothesis, bench.cuts(hypothesis))).p_value


def claim_row(known: Known, count: int, runs: int) -> str:
    """The whole procedure."""
    words = Words(known.name, "instances", "a known function", "", lambda feature: (feature, ""))
    false, found, began = 0, 0, time.monotonic()
    for run in range(runs):
        search, held_out = (known.drawn(np.random.default_rng([run, 3, half]), count) for half in (0, 1))
        claimed = concerned(generalised(search, held_out, words, seed=run).claims)
        false += bool(claimed - {known.cause})
        found += known.cause in claimed
    cause = share(wilson(found, runs)) if known.cause else "-"
    return f"| {known.name} | {count} | {runs} | {share(wilson(false, runs))} | {cause} | " \
           f"{time.monotonic() - began:.0f} |"


def concerned(claims: tuple[Claim, ...]) -> set[str]:
    """Features that claims are about."""
    return {claim.feature for claim in claims} | {claim.where.feature for claim in claims if claim.where}


def redrawn(drawn: Drawn, rng: Rng) -> Drawn:
    """Independent decoys drawn again: capacities as the generator draws them, others handed round."""
    values = drawn.values.copy()
    for name in REDRAWN:
        k = drawn.names.index(name)
        values[:, k] = rng.permutation(values[:, k])
    values[:, drawn.names.index("annex_capacity")] = 50.0 * rng.integers(1, 4, (len(drawn), 4)).sum(axis=1)
    return Drawn(drawn.names, values, drawn.response)


def pinning(args: argparse.Namespace) -> Iterator[str]:
    """Demand pinning with its own responses."""
    family = DemandPinningFamily()
    seeds, count, tests = args.seeds, args.instances, max(1, args.tests // (2 * args.seeds))
    halves = [tuple(kept_draw(family, split, count, seed, 1, args.keep) for split in SPLITS) for seed in range(seeds)]
    yield "\n## Demand pinning, independent decoys drawn again\n"
    yield "| decoy | held fixed | tests | p <= 5 % | p <= 1 % | p <= 0.1 % |\n|---|---|---|---|---|---|"
    for kept in (("length",), ("length", "capacity")):
        for decoy, kind in (("annex_capacity", "trend"), ("annex_capacity", "step"), ("age", "trend")):
            small = np.zeros(len(LEVELS), dtype=int)
            for seed, pair in enumerate(halves):
                for half, drawn in enumerate(pair):
                    names = tuple(name for name in drawn.names if name not in ("nodes", "links"))
                    for run in range(tests):
                        fresh = redrawn(drawn, np.random.default_rng([seed, half, run, 5]))
                        bench = Bench(fresh, names, Shuffles(count, (run, 2)), MOST, kept)
                        small += p_value(bench, decoy, kind) <= np.array(LEVELS)  # type: ignore[arg-type]
            of = 2 * seeds * tests
            yield f"| {decoy}, {kind} | {', '.join(kept)} | {of} | " + " | ".join(
                share(wilson(int(each), of)) for each in small) + " |"
    yield "\n| runs of the whole procedure | a decoy drawn again claimed | any of the 8 decoys | length claimed |"
    yield "|---|---|---|---|"
    again_claimed = any_claimed = length = 0
    for seed, pair in enumerate(halves):
        for run in range(args.again):
            rng = np.random.default_rng([seed, run, 7])
            search, held_out = (redrawn(drawn, rng) for drawn in pair)
            claimed = concerned(generalised(search, held_out, words_of(family), seed=1000 * run + seed).claims)
            again_claimed += bool(claimed & set(REDRAWN))
            any_claimed += bool(claimed & set(DECOYS))
            length += "length" in claimed
    runs = seeds * args.again
    yield f"| {runs} | {share(wilson(again_claimed, runs))} | {share(wilson(any_claimed, runs))} | " \
          f"{share(wilson(length, runs))} |"


def share(value: Rate) -> str:
    """In per cent, with its 95 % interval."""
    return f"{100 * value.value:.2f} % ({100 * value.low:.2f} to {100 * value.high:.2f})"


def synthetic(args: argparse.Namespace) -> Iterator[str]:
    """Tests, then claims."""
    yield "\n## Tests of one decoy\n"
    yield "| family | decoy | instances | tests | p <= 5 % | p <= 1 % | p <= 0.1 % |\n|---|---|---|---|---|---|---|"
    for known in KNOWN:
        for decoy, kind in (("capacity", "trend"), ("km", "trend"), ("km", "step")):
            yield test_row(known, decoy, kind, args.instances, args.tests)  # type: ignore[arg-type]
    yield "\n## Claims of the whole procedure\n"
    yield "| family | instances | runs | a decoy claimed (95 % interval) | the cause claimed | s |"
    yield "|---|---|---|---|---|---|"
    for known in KNOWN:
        yield claim_row(known, args.instances, args.runs)


def main() -> None:
    """Print, and write to --out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=120, help="to search, and as many held out")
    parser.add_argument("--tests", type=int, default=2000, help="per family and decoy")
    parser.add_argument("--runs", type=int, default=200, help="of the whole procedure, per family")
    parser.add_argument("--seeds", type=int, default=10, help="of demand pinning")
    parser.add_argument("--again", type=int, default=30, help="times that decoys are drawn again per seed")
    parser.add_argument("--keep", type=Path, help="folder of what is drawn of demand pinning, read if it is there")
    parser.add_argument("--skip", choices=("", "known", "pinning"), default="", help="leave out one part")
    parser.add_argument("--out", type=Path, help="write the tables here too")
    args = parser.parse_args()
    text = ["# False claims of the generaliser", "", f"`python examples/benchmarks/false_claims.py --tests "
            f"{args.tests} --runs {args.runs} --seeds {args.seeds} --again {args.again}`, {args.instances} "
            "instances to search and as many held out. Intervals: 95 %, Wilson."]
    for part in ("known", "pinning"):
        if part != args.skip:
            for line in synthetic(args) if part == "known" else pinning(args):
                print(line, flush=True)
                text.append(line)
    if args.out:
        write_atomic(args.out, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
