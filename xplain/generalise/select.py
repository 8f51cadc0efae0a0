"""Which features matter: taken in one after the other, thrown out again when the others explain them.

Every feature is tested with those that were taken in before it held fixed, the strongest first, so that what moves with
the gap only through another feature finds nothing left to explain, and what another one hides shows once that one is
in. Holding fixed *all* features at once would let proxies of a cause hide it. At the end each has to pass with the
others held fixed, and with any single one of the rest beside them: else it cannot be told apart from that one.
Sources: Blanchet, Legendre, Borcard (2008) on forward selection; Spirtes and Glymour (1991) on conditioning sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from xplain.generalise.hypotheses import Bench, Hypothesis, Kind
from xplain.generalise.test import Null
from xplain.regions.score import holm

VETO = 20  # permutations, in units of 1 / level, that one test uncorrected takes
MAINS: tuple[Kind, ...] = ("trend", "step")


@dataclass(frozen=True)
class Found:
    """A tested hypothesis: sign, size and cut of its largest column, its p-value alone and corrected."""

    hypothesis: Hypothesis
    sign: int
    size: float
    cut: float | None
    p_value: float
    corrected: float = 1.0


@dataclass(frozen=True)
class Selected:
    """`kept` in the order in which they were taken in; `found` by feature and kind, with `kept` held fixed;
    `rivals`: by feature of `kept` the other one that it cannot be told apart from."""

    kept: tuple[str, ...]
    found: dict[str, dict[Kind, Found]]
    rivals: dict[str, str]

    @property
    def alone(self) -> tuple[str, ...]:
        """Those of `kept` without a rival."""
        return tuple(name for name in self.kept if name not in self.rivals)


def num_mains(bench: Bench) -> int:
    """Trends and steps tested at once."""
    return len(MAINS) * len(bench.names)


def select(bench: Bench, level: float) -> Selected:
    """`level`: for all trends and steps together."""
    kept = _taken_in(bench, level)
    kept = _thrown_out(bench, kept, level)
    final = bench.keeping(kept)
    rivals = _rivals(bench.keeping(kept, int(VETO / level)), level)
    found = {name: tests(final, name, final.null(name)) for name in bench.names}
    corrected = iter(holm([each.p_value for by in found.values() for each in by.values()]))
    return Selected(kept, {name: {kind: _corrected(each, next(corrected)) for kind, each in by.items()}
                           for name, by in found.items()}, rivals)


def tests(bench: Bench, name: str, null: Null) -> dict[Kind, Found]:
    """Trend and step of one feature."""
    return {kind: judged(bench, Hypothesis(kind, name), null) for kind in MAINS}


def judged(bench: Bench, hypothesis: Hypothesis, null: Null) -> Found:
    """The largest of the hypothesis' cuts."""
    at = bench.cuts(hypothesis)
    found = null.test(bench.columns(hypothesis, at))
    return Found(hypothesis, 1 if found.statistic >= 0 else -1, abs(found.statistic),
                 float(at[found.column]) if len(at) else None, found.p_value)


def _taken_in(bench: Bench, level: float) -> tuple[str, ...]:
    kept: tuple[str, ...] = ()
    while len(kept) < len(bench.names):
        given = bench.keeping(kept)
        null = given.null_of_all()
        rest = [found for name in bench.names if name not in kept for found in tests(given, name, null).values()]
        corrected = holm([found.p_value for found in rest])
        passing = [found for found, p in zip(rest, corrected, strict=True) if p <= level]
        if not passing:
            break
        kept = (*kept, max(passing, key=lambda found: found.size).hypothesis.feature)
    return kept


def _thrown_out(bench: Bench, kept: tuple[str, ...], level: float) -> tuple[str, ...]:
    while kept:
        given = bench.keeping(kept)
        weakest = max((_smallest(given, name) for name in kept), key=lambda found: (found.p_value, -found.size))
        if weakest.p_value * num_mains(bench) <= level:
            break
        kept = tuple(name for name in kept if name != weakest.hypothesis.feature)
    return kept


def _rivals(bench: Bench, level: float) -> dict[str, str]:
    found = dict[str, str]()
    for name in bench.kept:
        rest = (other for other in bench.names if other not in bench.kept)
        rival = next((other for other in rest if _smallest(bench, name, (other,)).p_value > level), None)
        if rival is not None:
            found[name] = rival
    return found


def _smallest(bench: Bench, name: str, beside: tuple[str, ...] = ()) -> Found:
    return min(tests(bench, name, bench.null(name, beside)).values(), key=lambda found: (found.p_value, -found.size))


def _corrected(found: Found, p: float) -> Found:
    return Found(found.hypothesis, found.sign, found.size, found.cut, found.p_value, p)
