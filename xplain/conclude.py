"""Findings and the verdict: what the operator reads first. Every sentence is built from the records."""

from __future__ import annotations

from collections.abc import Sequence

from drex_runtime.records.ticks import Tick
from xplain.explain.sentences import cause_text
from xplain.records import Attribution, Evidence, Finding, Rate, Region, Sample, Tuning, Witness, WorstCase
from xplain.regions import wilson
from xplain.report.proofs import label
from xplain.report.units import duration


def where_text(region: Region) -> str:
    """The region's predicates in words."""
    return region.sentence.partition(": ")[0] if region.predicates else "everywhere in the input space"


def why_text(attribution: Attribution | None) -> str:
    """The costly causes of one attribution with their shares."""
    if attribution is None or not attribution.causes:
        return "not attributed"
    costly = [cause for cause in attribution.causes if cause.ticks > 0]
    lost = sum(cause.ticks for cause in costly)
    if not lost:
        return f"no decision costs anything against {attribution.reference}"
    named = [cause for cause in costly if cause.kind != "unexamined"] or costly
    parts = "; ".join(f"{cause.ticks / lost:.0%} of what is lost: {cause_text(cause)}" for cause in named[:3])
    return f"{parts}. Against {attribution.reference}; all causes, savings included, sum to the gap exactly."


def attempt_text(tuning: Tuning | None, run: str) -> str:
    """What to set, with its held-out effect."""
    if tuning is None or not tuning.settings:
        return "no setting of this policy helps; try another policy" if tuning else "not tuned"
    values = ", ".join(f"{item.name} = {item.proposed} (now {item.current})" for item in tuning.settings)
    state = "" if tuning.accepted else " Not recommended as it stands."
    return f"{values}. {tuning.reason[0].upper()}{tuning.reason[1:]}.{state} Load with --policy-config {run}/tuned.yaml"


def worst_case_finding(subject: str, cases: Sequence[WorstCase], threshold: float, run: str,
                       tick: Tick) -> Finding | None:
    """What is proved, in integers, of all workloads of the largest space; None if nothing is."""
    proved = [case for case in cases if case.proved and case.proof == "exact"]
    if not proved:
        return None
    case = max(proved, key=lambda item: item.inputs)
    lost = case.relative_gap or 0.0
    if not case.upper:
        title = f"{subject} is optimal on every workload of a small size"
        cost = "no workload of exactly this kind loses anything to the clairvoyant optimum"
    else:
        title = f"the worst case of {subject} at a small size is known"
        cost = (f"no workload of exactly this kind loses more than {duration(case.upper, tick)} to the clairvoyant "
                f"optimum; one loses that much, {lost:+.0%}")
    return Finding("loss" if lost >= threshold else "none", title, case.space, cost, label(case),
                   "the tuned parameters, or a larger --budget for a larger size", f"xplain report {run}",
                   Evidence.PROVED)


def conclude(subject: str, samples: Sequence[Sample], held_out: Sequence[Sample], regions: Sequence[Region],
             attributions: Sequence[Attribution], witnesses: Sequence[Witness], tuning: Tuning | None,
             threshold: float, benchmarks: Sequence[str], run: str, tick: Tick,
             worst: Sequence[WorstCase] = ()) -> tuple[tuple[Finding, ...], str]:
    """Ranked findings and one verdict line."""
    against = " or ".join(benchmarks)
    by_region = {item.region: item for item in attributions}
    found = []
    significant = [region for region in regions if region.significant]
    for region in sorted(significant, key=lambda item: -item.share.value * item.mean_gap):
        found.append(Finding(
            "loss", f"{subject} loses to {against}", where_text(region),
            f"{region.mean_gap:+.1%} on average inside ({region.precision.value:.0%} of workloads there lose at least "
            f"{threshold:.0%}, 95 % CI {region.precision.low:.0%}-{region.precision.high:.0%}; "
            f"{region.share.value:.0%} of all workloads lie there)", why_text(by_region.get(region.name)),
            attempt_text(tuning, run), f"xplain tune {run}", Evidence.STATISTICAL))
    bad = wilson(sum(item.relative_gap >= threshold for item in held_out), len(held_out))
    if not significant:
        clear = bad.high < 0.05
        found.append(Finding(
            "none" if clear else "unknown",
            f"no region in which {subject} loses {threshold:.0%} to {against}" if clear
            else f"cannot tell where {subject} loses to {against}",
            "the whole input space", f"{bad.value:.1%} of held-out workloads lose at least {threshold:.0%} (95 % CI "
            f"{bad.low:.1%}-{bad.high:.1%}, {bad.of} workloads)", why_text(attributions[0] if attributions else None),
            attempt_text(tuning, run), f"xplain analyze {subject} with a larger --budget", Evidence.STATISTICAL))
    for witness in witnesses:
        if witness.gap <= 0:
            continue
        size = f"{len(witness.depths)} requests, {sum(map(len, witness.depths))} tokens"
        found.append(Finding(
            "loss", f"{subject} is {witness.relative_gap:+.0%} off the optimum on a small workload", size,
            f"{duration(witness.gap, tick)} over the clairvoyant optimum" + ("" if witness.proved else " (at least)"),
            why_text(next((item for item in attributions if item.region == f"witness {witness.sample}"), None)),
            witness.counterfactual, f"xplain report {run}",
            Evidence.PROVED if witness.proved else Evidence.SIMULATED))
    known = worst_case_finding(subject, worst, threshold, run, tick)
    if known is not None:
        found.append(known)
    return tuple(found), _verdict(subject, against, significant, bad, tuning, by_region)


def _verdict(subject: str, against: str, significant: Sequence[Region], bad: Rate, tuning: Tuning | None,
             attributions: dict[str, Attribution]) -> str:
    if not significant:
        return (f"{subject}: no region found where it loses to {against}; {bad.value:.0%} of {bad.of} held-out "
                "workloads are over the threshold.")
    worst = max(significant, key=lambda item: item.share.value * item.mean_gap)
    causes = attributions[worst.name].causes if worst.name in attributions else ()
    cause = next((item for item in causes if item.ticks > 0 and item.kind != "unexamined"), None)
    why = f" Cause: {cause_text(cause)}." if cause else ""
    cure = f" Tuned: {tuning.reason}." if tuning and tuning.accepted else " No tuned setting is recommended."
    where = f"{'where ' if worst.predicates else ''}{where_text(worst)}"
    return f"{subject} loses {worst.mean_gap:.0%} on average to {against} {where}.{why}{cure}"
