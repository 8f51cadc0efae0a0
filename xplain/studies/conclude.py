"""Findings and verdict of a case study: every sentence is built from the records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xplain.conclude import where_text
from xplain.records import Evidence, Finding, Rate, Region, Sample
from xplain.regions import wilson
from xplain.report.units import interval, percent
from xplain.studies.record import InputWitness, RegionHeat, Subject
from xplain.studies.words import Words

CLEAR = 0.05  # fewer bad inputs than this, surely: no problem


def conclude(subject: Subject, regions: Sequence[Region], held_out: Sequence[Sample], worst: Sample | None,
             witnesses: Sequence[InputWitness], bad: Rate, infeasible: Rate, threshold: float,
             meanings: dict[str, tuple[str, str]], command: str,
             heat_maps: Sequence[RegionHeat] = ()) -> tuple[tuple[Finding, ...], str]:
    """Ranked findings and one line. `held_out`: fresh feasible inputs; `worst`: of all feasible ones, None if none."""
    words, name = Words(subject), subject.heuristic
    if worst is None:
        return (_nothing_feasible(subject, infeasible, command),), \
            f"{name}: cannot tell, none of {infeasible.of:,} inputs drawn is feasible."
    of_all = f"{percent(bad.value)} of inputs lose at least {words.threshold(threshold)}{words.of()}"
    significant = [region for region in regions if region.significant]
    by_region = {witness.where: witness for witness in witnesses}
    found = [_region_finding(subject, region, held_out, significant, threshold, by_region.get(region.name), meanings,
                             command) for region in significant]
    parts = {each.where: parting_text(each) for each in heat_maps}
    found = [replace(finding, why=f"{finding.why}{parts.get(region.name, '')}")
             for finding, region in zip(found, significant, strict=True)]
    if not significant:
        found.append(_no_region(subject, bad, worst, of_all, threshold, command))
    for witness in witnesses:
        if witness.gap > 0 and witness.relative_gap >= threshold:
            found.append(_witness_finding(subject, witness, meanings))
            break
    return tuple(found), _verdict(subject, significant, bad, worst, of_all, threshold)


def _nothing_feasible(subject: Subject, infeasible: Rate, command: str) -> Finding:
    return Finding("unknown", "cannot tell: no feasible input", f"the whole input space ({subject.distribution})",
                   f"none of {infeasible.of:,} inputs drawn is feasible (share of feasible ones at most "
                   f"{percent(1 - infeasible.low)}, 95 % confidence)", f"infeasible: {subject.infeasible}",
                   "an input space (--space) that holds feasible inputs", command, Evidence.STATISTICAL)


def _region_finding(subject: Subject, region: Region, held_out: Sequence[Sample], significant: Sequence[Region],
                    threshold: float, witness: InputWitness | None, meanings: dict[str, tuple[str, str]],
                    command: str) -> Finding:
    words = Words(subject)
    outside = [sample for sample in held_out if not any(each.holds(sample.features) for each in significant)]
    left = wilson(sum(sample.relative_gap >= threshold for sample in outside), len(outside))
    here = "this region" if len(significant) == 1 else "these regions"
    attempt = (f"{subject.benchmark}, or another heuristic, for inputs of {here}: outside {percent(left.value)} of "
               f"inputs are bad ({interval(left)})" if outside
               else f"another heuristic: this one loses wherever inputs are drawn; or {subject.benchmark}")
    return Finding(
        "loss", f"{subject.heuristic} loses to {subject.benchmark}", where_text(region),
        f"{words.gap(region.mean_gap, signed=True)}{words.of()} on average inside ({percent(region.precision.value)} "
        f"of inputs there lose at least {words.threshold(threshold)}, 95 % interval {interval(region.precision)}; "
        f"{percent(region.share.value)} of all inputs lie there, and {percent(region.coverage.value)} of the bad ones)",
        contrast_text(subject, witness, meanings) if witness else "not explained", attempt, command,
        Evidence.STATISTICAL)


def contrast_text(subject: Subject, witness: InputWitness, meanings: dict[str, tuple[str, str]]) -> str:
    """What takes the gap away, in words."""
    if not witness.contrast:
        return "no input without the gap was found near its witness"
    parts = [f"{meanings.get(each.dimension, (each.dimension, ''))[0]} from {number(each.before)} to "
             f"{number(each.after)}" for each in witness.contrast]
    return (f"on its witness a change of {', '.join(parts)} takes the gap from "
            f"{Words(subject).gap(witness.relative_gap)} to {Words(subject).gap(witness.contrast_gap)}")


def parting_text(item: RegionHeat) -> str:
    """The edges that most clearly only one side uses."""
    heat = item.heat

    def most(sign: int) -> str:
        edges = sorted((edge for edge in heat.edges if sign * edge.score.value > 0.5),
                       key=lambda edge: -abs(edge.score.value))
        return ", ".join(f"{edge.tail} → {edge.head}" for edge in edges[:2])

    sides = [f"only {name} has {text}" for name, text in ((heat.heuristic, most(-1)), (heat.benchmark, most(1)))
             if text]
    return f"; on most bad inputs there {' and '.join(sides)}" if sides else ""


def number(value: float) -> str:
    """A coordinate with as many digits as it has, six at most."""
    return f"{value:,.6g}"


def _no_region(subject: Subject, bad: Rate, worst: Sample, of_all: str, threshold: float, command: str) -> Finding:
    words = Words(subject)
    detail = (f"{of_all} (95 % interval {interval(bad)}, {bad.of:,} fresh inputs); largest gap found "
              f"{words.gap(worst.relative_gap, signed=True)}")
    if bad.of and bad.low >= 1 - CLEAR:
        return Finding("loss", f"{subject.heuristic} loses to {subject.benchmark} nearly everywhere",
                       "the whole input space", detail, "no part of the space stands out: the gap is the rule",
                       "another heuristic, or a larger --threshold to see where it is worst", command,
                       Evidence.STATISTICAL)
    clear = bad.of > 0 and bad.high < CLEAR
    title = (f"no region in which {subject.heuristic} loses {words.threshold(threshold)} to {subject.benchmark}"
             if clear else f"cannot tell where {subject.heuristic} loses to {subject.benchmark}")
    return Finding("none" if clear else "unknown", title, "the whole input space", detail,
                   "no region held on fresh inputs", "nothing" if clear else "more --evaluations, or other features",
                   command, Evidence.STATISTICAL)


def _witness_finding(subject: Subject, witness: InputWitness, meanings: dict[str, tuple[str, str]]) -> Finding:
    words = Words(subject)
    at = "; ".join(f"{meanings.get(name, (name, ''))[0]} {number(value)}" for name, value in witness.point.items())
    title = (f"{subject.heuristic} is {words.gap(witness.relative_gap)}{words.of()} off {subject.benchmark} on one "
             "simple input")
    return Finding("loss", title, at,
                   f"{subject.objective} {words.objective(witness.heuristic)} instead of "
                   f"{words.objective(witness.benchmark)}" + ("" if witness.proved else " or less"),
                   contrast_text(subject, witness, meanings), "the input without the gap beside it",
                   "evaluate both sides by hand: the report lists them",
                   Evidence.PROVED if witness.proved and subject.proof else Evidence.SIMULATED)


def _verdict(subject: Subject, significant: Sequence[Region], bad: Rate, worst: Sample, of_all: str,
             threshold: float) -> str:
    words = Words(subject)
    if significant:
        first = max(significant, key=lambda region: region.share.value * region.mean_gap)
        where = f"where {where_text(first)}" if first.predicates else "everywhere in the input space"
        others = "" if len(significant) == 1 else f", and in {len(significant) - 1} more " + \
            ("region" if len(significant) == 2 else "regions")
        return (f"{subject.heuristic} loses {words.gap(first.mean_gap)}{words.of()} on average to {subject.benchmark} "
                f"{where}{others}. {of_all[0].upper()}{of_all[1:]}.")
    if bad.of and bad.low >= 1 - CLEAR:
        return f"{subject.heuristic} loses to {subject.benchmark} nearly everywhere: {of_all}."
    most = f"the largest gap found is {words.gap(worst.relative_gap)}{words.of()}" if worst.gap > 0 \
        else "no input with any gap was found"
    return (f"{subject.heuristic}: no region found where it loses {words.threshold(threshold)}{words.of()} to "
            f"{subject.benchmark}; {of_all}, {most}.")
