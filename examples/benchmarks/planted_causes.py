"""Does the analysis blame the right rule? Generated policies with one known defect each, and healthy ones.

An environment is drawn (profile, server, kind of traffic), and a healthy policy for it: of many candidates (shipped
tables at random settings, generated tables in other orders and with other conditions) one within 1 % of the best.
Then one defect of a family is planted in its table or parameters, and kept only if simulation says, on workloads that
the analysis does not see, that it costs at least 8 % and that no change elsewhere wins back four fifths of that. The
analysis gets the policy and workloads, never the label: `xplain.explain.diagnose` says "loss" and whom to blame (kind,
rule and atom), "none", or "unknown". Healthy = tuning gap at most 2 % against an independent search over candidates of
all styles.

    python examples/benchmarks/planted_causes.py --out examples/benchmarks/results/planted_causes.md
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import sympy
from joblib import Parallel, delayed

from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.policies.expressions import Condition, parse_condition, parse_scalar
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, RampRule
from drex_runtime.policies.text import condition_text
from drex_runtime.records import (
    CostProfile,
    LinearCost,
    PrefillCost,
    Request,
    SegmentCost,
    ServerConfig,
    Workload,
    load_profile,
)
from drex_runtime.records.files import write_atomic
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.arrays import CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled
from xplain.explain.diagnose import diagnose
from xplain.explain.record import Diagnosis
from xplain.regions.score import wilson
from xplain.report.units import percent

HERE = Path(__file__).resolve().parent
SHIPPED_PROFILES = (
    HERE.parent.parent / "drex_runtime" / "data" / "profiles" / "demo-cpu.json",
    *(HERE.parent / "profiles" / f"{name}.json" for name in (
        "a100-llama2-13b-published", "h200-llama2-13b-estimate-start-60us", "h200-llama2-13b-estimate-start-500us")))
LEAST_LOSS, HEALTHY_GAP, THRESHOLD = 0.08, 0.02, 0.04
ONE_DEFECT = 0.8  # of the loss: a policy that another change cures as far has no single cause
CANDIDATES, LABEL_WORKLOADS = 40, 100  # of the label's own searches and simulations
TRAINING, FRESH = 10_000, 20_000  # first numbers of its workloads; the analysis gets those from 0
WORKLOADS, HELD_OUT = 100, 400  # what the analysis gets
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Environment:
    """Where a policy is used; `workload(seed)` draws from its traffic."""

    name: str
    profile: CostProfile
    config: ServerConfig
    objective: Objective
    requests: int
    tokens: int
    exits: tuple[float, ...]
    spread: int
    prompts: bool

    def workload(self, seed: int) -> Workload:
        """A workload: per request an exit rate of the environment, then independent depths."""
        random = Random(f"{self.name} {seed}")
        found = []
        for index in range(self.requests):
            share, prompt = random.choice(self.exits), random.randint(2, 6) if self.prompts else 0
            count, full = random.randint(max(1, self.tokens - 1), self.tokens), self.profile.num_segments
            depths = [random.randint(1, full - 1) if random.random() < share else full for _ in range(count)]
            if prompt:
                depths[0] = self.profile.num_segments
            found.append(Request(index, random.randint(0, self.spread) if self.spread else 0, prompt, tuple(depths)))
        return Workload.of(self.profile.num_segments, found, tick=self.profile.tick)

    def bound(self, policy: Policy, settings: dict[str, str]) -> BoundPolicy:
        """A policy in this environment."""
        return bind(policy, self.profile, self.config, settings)


def environment(seed: int) -> Environment:
    """A random environment; every fourth has a shipped profile."""
    random = Random(f"environment {seed}")
    n = random.choice((4, 4, 5, 6))
    if random.random() < 0.25:
        profile = load_profile(random.choice(SHIPPED_PROFILES))
    else:
        ramps = random.choice((1, 1, 2))
        rows, base = random.choice((0, 1, 3, 6)), random.choice((4, 10, 20))
        segments = tuple(SegmentCost((random.randint(base // 2, base),), rows) for _ in range(ramps + 1))
        start = random.choice((0, 1, base // 2, 2 * base))
        profile = CostProfile("random", (8,), segments, tuple(LinearCost(random.choice((0, 1, base // 2)))
                                                              for _ in range(ramps)),
                              (start,) * ramps, random.choice((0, 0, 2)), LinearCost(),
                              PrefillCost(random.choice((2, base)), 1))
    places = random.choice((n, n - 1, 3, 3))
    step = profile.segment_cost(1, 1, 0)
    exits = random.choice(((0.2,), (0.5,), (0.8,), (0.3, 0.9), (0.1, 0.7)))
    idle_max = 2 * sum(profile.segment_cost(s, 1, 0) for s in range(1, profile.num_segments + 1))
    config = ServerConfig(min(random.choice((n, n, 3)), places), places, None, idle_max)
    objective: Objective = random.choice(("total-completion", "total-completion", "makespan"))
    return Environment(f"environment {seed}", profile, config, objective, n, 3 if n > 4 else random.choice((3, 4)),
                       exits, random.choice((0, 0, 6)) * step, random.random() < 0.3)


# ---- healthy policies -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Candidate:
    """A table with settings."""

    policy: Policy
    settings: tuple[tuple[str, str], ...] = ()

    def bound(self, env: Environment) -> BoundPolicy:
        """In an environment."""
        return env.bound(self.policy, dict(self.settings))


def candidates(env: Environment, random: Random, count: int) -> list[Candidate]:
    """`count` sane policies of all styles."""
    return [_shipped(env, random) if random.random() < 0.4 else Candidate(_table(env, random))
            for _ in range(count)]


def _shipped(env: Environment, random: Random) -> Candidate:
    name = random.choice(("drex", "threshold", "flush-now", "adaptive", "no-exit"))
    policy, rows = shipped_policy(name), env.config.batch_max
    options = {"flush_size": [str(k) for k in range(1, rows + 1)], "alpha": ["0", "1/4"],
               "split_min": ["0", "1", "2"], "max_age": ["3", "100"],
               "decodes_between_prefills": ["0", "0", "1", "2", "4"]}
    found = {key: random.choice(values) for key, values in options.items() if policy.parameter(key) is not None}
    for ramp in range(1, env.profile.num_segments):
        for key, values in (("art_factor", ("0", "1/4", "1/2", "3/4")), ("consult_ramp", ("1", "1", "0"))):
            if policy.parameter(key) is not None and random.random() < 0.8:
                found[f"{key}_{ramp}"] = random.choice(values)
    return Candidate(policy, tuple(sorted(found.items())))


def _table(env: Environment, random: Random) -> Policy:
    """A table of its own: names, order and conditions vary, constants stand in the conditions."""
    rows, ramps = env.config.batch_max, env.profile.num_segments - 1
    size = random.randint(1, rows)
    flush = random.choice((f"buffered >= {size}", f"buffered >= {size} or age >= {random.randint(2, 6)}",
                           f"buffered >= {size} and in_flight >= 1", f"buffered + 1 > {size}",
                           f"buffered*(1 + 0.25*age) >= {size}", f"buffered >= {size} or ready == 0"))
    share = random.choice(("0.25", "0.5", "0.7"))
    split = random.choice((f"exits >= {random.randint(1, rows)}", f"exits > {share}*batch",
                           "exits >= 1", "exits >= 0", "2*exits >= batch", "exits >= 1 and batch - exits <= 2"))
    consult = random.choice(("always", "always", "batch >= 2", f"segment == {random.randint(1, ramps)}", "never"))
    join = random.choice(("always", "buffered_next >= 1", "buffered_next >= 2", "never"))
    admit = random.choice(("always", "always", "decodes_since_prefill >= 2 or ready == 0", "ready == 0",
                           "waiting >= 2 or ready <= 1"))
    named = [random.choice(pair) for pair in (("flush", "deep"), ("admit", "prefill"), ("decode", "shallow"))]
    first = [LaunchRule(named[0], "RUN(s)", parse_condition(flush, "flush")),
             LaunchRule(named[1], "PREFILL", parse_condition(admit, "admit"))]
    if random.random() < 0.5:
        first.reverse()
    launch = (*first, LaunchRule(named[2], "RUN(1)"), LaunchRule("drain", "RUN(s)"))
    ramp = (RampRule(random.choice(("split", "leave")), "SPLIT", parse_condition(split, "split")),
            RampRule("stay", "CONTINUE"))
    limit = Parameter("batch_limit", parse_scalar("batch_max", "batch_limit"), Fraction(1), None, True, "rows")
    return Policy("table", (limit,), launch, parse_condition(consult, "consult"), ramp, parse_condition(join, "join"))


def objectives(env: Environment, candidate: Candidate, first: int, count: int) -> Floats:
    """Objective per workload by simulation, workloads `first`.. of the environment."""
    policy = compiled_policy(candidate.bound(env))
    return np.array([simulate_compiled(policy, item).objective(env.objective)
                     for item in label_workloads(env, first, count)], np.float64)


@lru_cache(maxsize=8)
def label_workloads(env: Environment, first: int, count: int) -> list[CompiledWorkload]:
    """Workloads of the label's own; the analysis gets numbers from 0."""
    return [compiled_workload(env.workload(seed)) for seed in range(first, first + count)]


@dataclass(frozen=True)
class Case:
    """A policy to be analysed, with its label: `family` None = healthy. `rules`, `atoms`: any of them is right."""

    env: Environment
    candidate: Candidate
    family: str | None = None
    site: str = ""
    kind: str = ""
    rules: frozenset[str] = frozenset()
    atoms: frozenset[str] = frozenset()
    loss: float = 0.0

    def right(self, found: Diagnosis) -> bool:
        """Whether the verdict, and with a defect the first blame, agree with the label."""
        if self.family is None:
            return found.verdict == "none"
        cause = found.cause
        return (cause is not None and (cause.site, cause.kind) == (self.site, self.kind) and cause.rule in self.rules
                and (not self.atoms or cause.atom in self.atoms))


@lru_cache(maxsize=8)
def healthy(env: Environment) -> tuple[Candidate, float]:
    """A policy within 1 % of the best of `CANDIDATES` on training workloads, and its tuning gap: against the best of
    twice as many others, on workloads of its own."""
    random = Random(f"healthy {env.name}")
    drawn = candidates(env, random, CANDIDATES)
    cost = [objectives(env, item, TRAINING, LABEL_WORKLOADS // 2).mean() for item in drawn]
    good = [item for item, value in zip(drawn, cost, strict=True) if value <= 1.01 * min(cost)]
    chosen = random.choice(good)
    own = objectives(env, chosen, FRESH, LABEL_WORKLOADS).mean()
    best = min(objectives(env, item, FRESH, LABEL_WORKLOADS).mean()
               for item in (*good, *candidates(env, random, 2 * CANDIDATES)))
    return chosen, float(own / best - 1)


# ---- defects --------------------------------------------------------------------------------------------------------
def defects(env: Environment, candidate: Candidate, random: Random) -> Iterator[Case]:
    """Every defect that can be planted in this policy, not yet verified."""
    policy, settings = candidate.policy, dict(candidate.settings)
    decode = next(i for i, rule in enumerate(policy.launch) if rule.action == "RUN(1)")
    flush = [rule.name for rule in policy.launch[:decode] if rule.is_family]
    split = next((rule for rule in policy.ramp if rule.action == "SPLIT"), None)
    prefill = next(rule for rule in policy.launch if rule.action == "PREFILL")
    rows = env.config.batch_max

    def case(family: str, changed: Policy, site: str, kind: str, rules: Sequence[str], atoms: Sequence[str] = (),
             given: dict[str, str] | None = None) -> Case:
        chosen = settings if given is None else given
        return Case(env, Candidate(changed, tuple(sorted(chosen.items()))), family, site, kind, frozenset(rules),
                    frozenset(atoms))

    def launch(names: Sequence[str], when: Condition) -> Policy:
        return replace(policy, launch=tuple(replace(rule, when=when) if rule.name in names else rule
                                            for rule in policy.launch))

    if flush:
        late = parse_condition(f"buffered >= {rows + random.randint(1, 3)}", "late")
        yield case("late flush", launch(flush, late), "launch", "missed", flush, [condition_text(late)])
        never = random.choice((sympy.false, parse_condition("buffered > n_max", "never")))
        yield case("never flushes", launch(flush, never), "launch", "missed", flush, [condition_text(never)])
        early = parse_condition("buffered >= 1", "early")
        yield case("flushes too early", launch(flush[:1], early), "launch", "fired", flush[:1], [condition_text(early)])
        order = [rule for rule in policy.launch if rule.name not in flush]
        place = order.index(policy.launch[decode]) + 1
        order[place:place] = [rule for rule in policy.launch if rule.name in flush]
        swapped = replace(policy, launch=tuple(order))
        yield case("wrong order", swapped, "launch", "fired", [policy.launch[decode].name])
    if split is not None:
        def ramp(when: Condition) -> Policy:
            return replace(policy, ramp=tuple(replace(rule, when=when) if rule.name == split.name else rule
                                              for rule in policy.ramp))

        easy = parse_condition(random.choice(("exits >= 0", "exits >= 1")), "easy")
        yield case("splits too readily", ramp(easy), "ramp", "fired", [split.name], [condition_text(easy)])
        hard = parse_condition(random.choice(("exits > 2*batch", f"exits >= {rows + 1}")), "hard")
        yield case("never splits", ramp(hard), "ramp", "missed", [split.name], [condition_text(hard)])
        yield case("has no split", replace(policy, ramp=(policy.ramp[-1],)), "ramp", "fired", [policy.ramp[-1].name])
    if "flush_size" in settings or not candidate.settings:
        small = str(random.randint(1, max(1, rows // 2)))
        yield case("launches too small", policy, "launch", "batch_limit", ["batch_limit"],
                   given={**settings, "batch_limit": small})
    yield case("consults for nothing", replace(policy, consult=sympy.true), "consult", "fired", ["consult"])
    off = random.choice(("never", "batch > batch_max"))
    yield case("never consults", replace(policy, consult=parse_condition(off, "off")), "consult", "missed", ["consult"],
               [off])
    if env.profile.num_segments > 2:
        one = parse_condition(f"segment >= {random.choice((2, 3))}", "one")
        yield case("consults too late", replace(policy, consult=one), "consult", "missed", ["consult"],
                   [condition_text(one)])
    alone = parse_condition(random.choice(("never", f"buffered_next > {env.config.max_num_seqs}")), "alone")
    yield case("join missing", replace(policy, join=alone), "join", "missed", ["join"], [condition_text(alone)])
    idle = parse_condition(random.choice(("ready >= 1 and age_1 <= 1", "ready == 1 and age_1 <= 1",
                                          "in_flight <= n_max and age_1 == 1")), "idle")
    yield case("idles", replace(policy, launch=(LaunchRule("patience", "IDLE", idle), *policy.launch)), "launch",
               "fired", ["patience"], [condition_text(idle)])
    if env.prompts:
        rare = parse_condition("decodes_since_prefill >= 40 or ready + in_flight == 0", "rare")
        yield case("starves prefill", launch([prefill.name], rare), "launch", "missed", [prefill.name],
                   [condition_text(item) for item in rare.args])


def alternatives(case: Case) -> Iterator[Candidate]:
    """The planted policy with something else changed than what was planted."""
    policy, rows, ramps = case.candidate.policy, case.env.config.batch_max, case.env.profile.num_segments - 1

    def conditions(*texts: str) -> list[Condition]:
        return [parse_condition(text, "alternative") for text in texts]

    sizes = [f"buffered >= {size}" for size in range(1, rows + 1)]
    for index, rule in enumerate(policy.launch):
        options = {"PREFILL": conditions("always", "ready == 0"), "RUN(s)": conditions("never", "ready == 0", *sizes)}
        for when in options.get(rule.action, []):
            if rule.name not in case.rules and rule.when != sympy.true:
                launch = (*policy.launch[:index], replace(rule, when=when), *policy.launch[index + 1:])
                yield replace(case.candidate, policy=replace(policy, launch=launch))
    for when in conditions("always", "never", *(f"segment == {ramp}" for ramp in range(1, ramps + 1))):
        if case.site != "consult":
            yield replace(case.candidate, policy=replace(policy, consult=when))
    for when in conditions("always", "never"):
        if case.site != "join":
            yield replace(case.candidate, policy=replace(policy, join=when))
    for when in conditions("never", *(f"exits >= {exits}" for exits in range(rows + 1))):
        if case.site != "ramp" and len(policy.ramp) > 1:
            ramp = (replace(policy.ramp[0], when=when), *policy.ramp[1:])
            yield replace(case.candidate, policy=replace(policy, ramp=ramp))


def verified(case: Case) -> tuple[Case | None, str]:
    """The case with its loss if simulation says that the defect costs enough and that it is the one defect: that no
    change elsewhere wins back nearly as much as mending it; else why not."""
    before, _ = healthy(case.env)
    sound = objectives(case.env, before, FRESH, LABEL_WORKLOADS)
    planted = objectives(case.env, case.candidate, FRESH, LABEL_WORKLOADS)
    ratio = planted / sound - 1
    loss, half = float(ratio.mean()), 1.96 * float(ratio.std(ddof=1)) / len(ratio) ** 0.5
    if loss - half < LEAST_LOSS:
        return None, "not costly"
    others = [float((objectives(case.env, item, FRESH, LABEL_WORKLOADS) / sound - 1).mean())
              for item in alternatives(case)]
    if min(others, default=loss) < (1 - ONE_DEFECT) * loss:
        return None, "cured elsewhere too"
    return replace(case, loss=loss), ""


def cases(seed: int, defective: int, sound: int, *, tries: int = 400) -> tuple[list[Case], Counter[str]]:
    """Cases of both kinds, and how many planted policies were dropped, by reason.

    No family has more than an eighth of the cases while environments are left to try, so that the rare ones come up.
    """
    most = -(-defective // 8)
    planted: list[Case] = []
    good: list[Case] = []
    counts, dropped = Counter[str](), Counter[str]()
    index = 1_000_000 * seed
    while len(planted) < defective or len(good) < sound:
        tries -= 1
        env = environment(index)
        index += 1
        random = Random(f"plant {env.name}")
        chosen, gap = healthy(env)
        if gap > HEALTHY_GAP:
            continue
        if len(good) < sound and random.random() < 0.5:
            good.append(Case(env, chosen))
            continue
        if len(planted) == defective:
            continue
        costly = []
        for case in defects(env, chosen, random):
            found, why = verified(case)
            dropped[why] += found is None
            if found is not None:
                costly.append(found)
        costly = [item for item in costly if counts[str(item.family)] < most or tries < 0]
        if costly:  # the rarest family first, so that all occur
            rarest = min(costly, key=lambda item: (counts[str(item.family)], random.random()))
            counts[str(rarest.family)] += 1
            planted.append(rarest)
    return [*planted, *good], dropped


def analysed(case: Case, jobs: int = 1) -> Diagnosis:
    """What the analysis says; it does not get the label."""
    workloads = [case.env.workload(seed) for seed in range(WORKLOADS)]
    held_out = [case.env.workload(seed) for seed in range(WORKLOADS, WORKLOADS + HELD_OUT)]
    return diagnose(case.candidate.bound(case.env), workloads, held_out, case.env.objective, threshold=THRESHOLD,
                    jobs=jobs)


def line(case: Case, found: Diagnosis) -> str:
    """A row of the table."""
    first = found.blames[0] if found.blames else None
    blamed = f"{first.kind} {first.rule}" + (f" ({first.atom})" if first.atom else "") if first else ""
    gain = percent(first.remedy.gain) if first and first.remedy else ""
    return (f"| {case.family or 'healthy'} | {case.candidate.policy.name} | {case.env.profile.num_segments - 1} | "
            f"{case.env.objective} | {percent(case.loss) if case.family else ''} | {percent(found.gap)} | "
            f"{found.verdict} | {blamed} | {gain} | {'yes' if case.right(found) else '**no**'} |")


def main() -> None:
    """Print the table, write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--defective", type=int, default=60)
    parser.add_argument("--healthy", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    begun = time.process_time()
    drawn, dropped = cases(args.seed, args.defective, args.healthy)
    print(f"{len(drawn)} cases drawn in {time.process_time() - begun:.0f} s CPU", flush=True)
    found, rows = [], []
    for case, diagnosis in zip(drawn, Parallel(n_jobs=args.jobs, return_as="generator")(
            delayed(analysed)(case) for case in drawn), strict=True):
        found.append(diagnosis)
        rows.append(line(case, diagnosis))
        print(rows[-1], flush=True)
    defective = [case.right(item) for case, item in zip(drawn, found, strict=True) if case.family]
    sound = [case.right(item) for case, item in zip(drawn, found, strict=True) if not case.family]
    families = Counter(case.family for case in drawn if case.family)
    summary = []
    for name, results in (("blamed cause right (kind, rule, atom; top 1)", defective), ("healthy: no problem", sound)):
        rate = wilson(sum(results), len(results))
        summary.append(f"| {name} | {sum(results)} of {len(results)} | {percent(rate.value)} ({percent(rate.low)} to "
                       f"{percent(rate.high)}) |")
    text = "\n".join((
        "# Planted causes", "", f"Seed {args.seed}; {WORKLOADS} workloads attributed and {HELD_OUT} held out per "
        f"policy; threshold {percent(THRESHOLD)}; a defect costs at least {percent(LEAST_LOSS)}.", "",
        "| what | right | share (95 %) |", "|---|---|---|", *summary, "",
        f"Families: {', '.join(f'{name} {count}' for name, count in sorted(families.items()))}.",
        f"Planted and dropped: {', '.join(f'{reason} {count}' for reason, count in sorted(dropped.items()))}.", "",
        "| defect | policy | K | objective | loss | gap to optimum | verdict | blamed first | remedy wins back | "
        "right |", "|---|---|---|---|---|---|---|---|---|---|", *rows, ""))
    print(text)
    if args.out:
        write_atomic(args.out, text)


if __name__ == "__main__":
    main()
