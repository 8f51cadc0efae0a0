"""An analysis made up for the report's tests: every section has content, names try to break out of the page."""

from __future__ import annotations

from dataclasses import replace

from tests.xplain.synthetic import SyntheticProblem, box, plane
from xplain.records import (
    Analysis,
    Attribution,
    Bar,
    Cause,
    CauseShare,
    Cluster,
    ClusterPart,
    Comparison,
    Contrast,
    EdgeHeat,
    Evidence,
    Finding,
    HeatMap,
    Mean,
    Predicate,
    Provenance,
    Rate,
    Resources,
    Sample,
    Setting,
    Timeline,
    Tuning,
    Witness,
    WorstCase,
)
from xplain.regions import find_regions, wilson
from xplain.search import Budget, portfolio, random_search

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"
SHALLOW, DEEP, RAMP, START, REBATCH = 28_630, 23_430, 700, 19_400, 900

POLICY = """drex  dynamic rebatching
rows in a pool: first come, first served

parameter    default      range      unit     meaning
batch_limit  batch_max    1..        rows     rows a launch may take
flush_size   batch_limit  1..        rows     buffered rows that trigger a flush
art_factor   art          0.. exact  -        split if the exits exceed this times the batch, over
                                              a long line

next launch                   rule        when
RUN(s), deepest buffer first  flush_full  buffered*(1 + alpha*age) >= batch_limit
RUN(s), deepest buffer first  flush_age   age >= max_age
PREFILL                       prefill     always
IDLE                          -           no rule holds and is possible"""


def timeline(title: str, plan: list[tuple[str, int, tuple[int, ...]]]) -> Timeline:
    """Bars one after the other: (kind, segment, rows)."""
    ticks = {"segment": 0, "ramp": RAMP, "start": START, "rebatch": REBATCH, "idle": 9_000, "prefill": 12_000,
             "fill": 400}
    clock, bars, exits, parks, completed = 0, [], [], [], [0, 0, 0, 0]
    for kind, segment, rows in plan:
        if kind in ("exit", "park"):
            (exits if kind == "exit" else parks).extend((clock, row, segment) for row in rows)
        else:
            length = (SHALLOW if segment == 1 else DEEP) if kind == "segment" else ticks[kind]
            bars.append(Bar(clock, clock + length, kind, segment, rows))
            clock += length
        for row in rows:
            completed[row] = clock
    return Timeline(title, tuple(bars), tuple(exits), tuple(parks), tuple(completed), sum(completed))


def witness() -> Witness:
    """A late flush, and the schedule that goes on at once."""
    drex = timeline("drex", [
        ("prefill", 0, (0, 1)), ("segment", 1, (0, 1, 2, 3)), ("ramp", 1, (0, 1, 2, 3)), ("exit", 1, (0, 2)),
        ("park", 1, (1, 3)), ("rebatch", 1, (1, 3)), ("segment", 1, (0, 2)), ("ramp", 1, (0, 2)), ("exit", 1, (0,)),
        ("park", 1, (2,)), ("rebatch", 1, (2,)), ("segment", 1, (0,)), ("ramp", 1, (0,)), ("exit", 1, (0,)),
        ("idle", 0, ()), ("start", 2, (1, 2, 3)), ("segment", 2, (1, 2, 3)), ("fill", 2, (1,)),
        ("segment", 1, (1, 2, 3)), ("ramp", 1, (1, 2, 3)), ("segment", 2, (1, 2, 3))])
    optimum = timeline("optimum", [
        ("prefill", 0, (0, 1)), ("segment", 1, (0, 1, 2, 3)), ("ramp", 1, (0, 1, 2, 3)), ("segment", 2, (0, 1, 2, 3)),
        ("segment", 1, (0, 1, 2, 3)), ("ramp", 1, (0, 1, 2, 3)), ("exit", 1, (0,)), ("park", 1, (1, 2, 3)),
        ("rebatch", 1, (1, 2, 3)), ("start", 2, (1, 2, 3)), ("segment", 2, (1, 2, 3))])
    gap = drex.objective - optimum.objective
    return Witness(7, (0, 0, 12_000, 20_000), (64, 64, 0, 0), ((1, 1, 1), (2, 2), (1, 2), (2, 2)), drex, optimum, gap,
                   gap / optimum.objective, True,
                   "At clock 41,330 rule split chose SPLIT although a second pass costs 19.4 ms: 2 exits of 4 rows.",
                   "Better at this point: CONTINUE with everybody.")


def causes() -> tuple[Cause, ...]:
    """Sum to 90,000 ticks, one of them negative."""
    found = (("missed", "flush_size", "buffered >= flush_size", ("flush_size", "batch_limit"), 61_200, 14,
              "buffered = 3 < flush_size = 8"),
             ("fired", "split", "exits > art_factor*batch", ("art_factor",), 31_500, 9, "exits = 2 > 1.81"),
             ("batch_limit", "decode", "", ("batch_limit",), 9_300, 4, ""),
             ("order", "decode", "", (), 2_000, 1, ""), ("gain", "decode", "", (), -14_000, 6, ""))
    return tuple(Cause(kind, rule, atom, parameters, ticks, count, ticks / 90_000, example)
                 for kind, rule, atom, parameters, ticks, count, example in found)


def worst_cases() -> tuple[WorstCase, ...]:
    """Proved in integers, proved in floating point, and a bound only."""
    proved = WorstCase(
        "4 requests of 4 tokens, all at 0", 4, 4, False, 3_876, "enumerate", "enumeration", "proved", "exact", 104_000,
        104_000, 304_000, 200_000, (0, 0, 0, 0), ((1, 1, 1, 1), (2, 2, 1, 1), (1, 2, 2, 1), (2, 2, 2, 2)), 0.31,
        "3876 workloads up to exchanging requests; 212 exact searches",
        ((0.02, 88_000, None), (0.31, 104_000, 104_000)))
    floating = replace(proved, space="3 requests of 4 tokens, all at 0", requests=3, inputs=816, method="lattice",
                       solver="HiGHS 1.11", proof="floating-point", detail="states generated", progress=())
    bounded = replace(proved, space="3 requests of 4 tokens, each arriving at 0 or up to 4 steps of 28.6 ms later",
                      requests=3, open_arrivals=True, inputs=88_560, method="lattice", solver="HiGHS 1.11",
                      stopped="time-limit", proof="floating-point", upper=170_000, arrivals=(0, 0, 28_630),
                      depths=proved.depths[:3], seconds=2.0, progress=((0.5, 90_000, 400_000), (2.0, 104_000, 170_000)))
    return proved, floating, bounded


def clusters(text: str) -> tuple[Cluster, ...]:
    """One with a witness and a contrast, one with neither."""
    late = CauseShare("missed", "flush_size", "buffered >= flush_size", 0.71)
    early = CauseShare("fired", text, "exits > art_factor*batch", 0.64)
    split = Predicate("exit_rate", ">", 0.4)
    return (
        Cluster("C1", "flush_size should have fired", late.kind, late.rule, late.atom,
                ("flush_size",), late.share, False, (ClusterPart("R1", (), (), 6, (late, early)),), (late, early),
                (3, 7, 9), 0.24, witness(), Contrast("request 1 without its last token", 1, witness())),
        Cluster("C2", f"{text} fired although something below it was better", early.kind, early.rule, early.atom, (),
                early.share, True, (ClusterPart("R2", (split,), (split,), 4, (early,)),), (early,), (11,), 0.09,
                no_witness="no workload of at most 4 requests was found that loses 5 % for this reason"))


def heat_map_of(text: str) -> HeatMap:
    """Three edges: more the optimum, more the heuristic, alike."""
    def edge(head: str, score: float) -> EdgeHeat:
        share = Rate(abs(score), max(0.0, abs(score) - 0.1), min(1.0, abs(score) + 0.1), 40)
        none, rest = Rate(0.0, 0.0, 0.09, 40), Rate(1 - abs(score), 0.1, 0.9, 40)
        mean = Mean(score, score - 0.1, score + 0.1)
        return EdgeHeat("2 ready, 1 buffered", head, mean, rest, share if score > 0 else none,
                        share if score < 0 else none, none, 0.4, 0.4 + score, mean, share, share)

    return HeatMap((edge("RUN(2)", 0.6), edge("RUN(1)", -0.6), edge("SPLIT", 0.0)), 42, 2, text, "the optimum",
                   "decisions")


def example(*, hostile: bool = False, evaluations: int = 300) -> tuple[Analysis, tuple[Sample, ...]]:
    """The analysis and its samples; with `hostile`, markup wherever a text comes from outside."""
    problem = SyntheticProblem(box, plane(), noise=0.03)
    outcome = portfolio(problem, Budget(evaluations=evaluations), 0)
    held_out, _ = random_search(problem, 0, Budget(evaluations=evaluations), origin="held-out")
    regions = find_regions(problem, outcome.samples, held_out, problem.threshold, 0, subject="drex")
    samples = tuple(replace(sample, benchmarks={"no-exit": sample.upper, "flush-now": sample.upper + 700})
                    for sample in (*outcome.samples, *held_out))
    bad = wilson(sum(sample.relative_gap >= problem.threshold for sample in held_out), len(held_out))
    text = HOSTILE if hostile else "drex"
    run = "runs/demo"
    findings = (
        Finding("loss", f"{text} loses to no-exit or flush-now", regions[0].sentence if regions else "nowhere",
                "+14 % on average inside (97 % of workloads there lose at least 5 %, 95 % CI 93-99 %; 25 % of all "
                "workloads lie there)", "68 % of the gap: rule flush_size should have fired but buffered >= flush_size "
                "was false (buffered = 3 < flush_size = 8); 35 %: rule split fired although something below it was "
                "better. All causes sum to the gap exactly.",
                "flush_size = 3 (now 8). Held-out mean gap +12 % to +1.3 %. "
                f"Load with --policy-config {run}/tuned.yaml",
                f"xplain tune {run}", Evidence.STATISTICAL),
        Finding("unknown", "cannot tell whether long prompts matter", "prompt above 2,000 tokens",
                "between -1 % and +9 %", "not attributed", "a larger --budget", f"xplain analyze drex --out {run}-2",
                Evidence.SIMULATED),
        Finding("none", "no loss on a single request", "requests in flight exactly 1", "0 %", "nothing to batch",
                "nothing", "the table of samples", Evidence.PROVED))
    tuning = Tuning(
        (Setting("flush_size", "8", "3"), Setting("batch_limit", "8", "8"), Setting("art_factor", "0.453", "0.61")),
        ("flush_size", "batch_limit", "art_factor"), 60,
        (Comparison("declared distribution", 24, 0.12, 0.013, 0.008, 0.019, 0.41, 0.05, 0.94, 1.11, 0.98),
         Comparison("inside R1", 24, 0.31, 0.021, 0.012, 0.033, 0.57, 0.09, 0.71, 1.04, 0.95),
         Comparison("benign", 24, -0.01, -0.012, -0.02, -0.004, 0.03, 0.02, 1.22, 1.23, 1.05)),
        True, "held-out mean gap +12 % to +1.3 %, worst +41 % to +5.0 %")
    scales = tuple(replace(trace, scale="exact") for trace in outcome.traces)
    analysis = Analysis(
        text, {"batch_limit": "8", "flush_size": "8", "art_factor": "0.453"},
        tuple(POLICY.replace("dynamic rebatching", text).split("\n")), ("no-exit", "flush-now"), "total-completion",
        "us", problem.threshold, Resources(17, 8), problem.space.dimensions,
        Provenance(f"xplain analyze {text} --out {run}", 0, "2026-11-22T15:00:00+00:00",
                   {"drex-xplain": "0.1.0", "numpy": "2.4.6"}, "a100-llama2-13b-published", "published", "A100", 83.2),
        (*outcome.traces, *scales), {"operating, search": evaluations, "operating, held-out": evaluations},
        {"operating": bad, "exact": Rate(0.02, 0.01, 0.04, 400)}, regions,
        (Attribution(3, "R1", "policy:no-exit", 90_000, causes(), True, 0, 212),
         Attribution(7, "witness 7", "clairvoyant", 104_000, causes()[:-1], True, 0, 31)),
        (witness(),), tuning, findings,
        f"{text} loses 14 % to no-exit or flush-now where exit rate is at most 0.31 and requests in flight at least "
        "12. Cause: rule flush_size should have fired but buffered >= flush_size was false. Tuned: held-out mean gap "
        "+12 % to +1.3 %.",
        ("exact scale: 4 requests x 4 tokens, no prompts; 398 of 400 optima proved, the others are intervals",
         "operating scale: 2 workloads per point"), worst_cases(), clusters(text), heat_map_of(text))
    return analysis, samples
