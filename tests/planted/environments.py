"""Environments and healthy policies in them: what defects are planted into."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt

from drex_runtime.policies import BoundPolicy, bind, shipped_policy
from drex_runtime.policies.expressions import parse_condition, parse_scalar
from drex_runtime.policies.table import LaunchRule, Parameter, Policy, RampRule
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
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.arrays import CompiledWorkload, compiled_policy, compiled_workload
from drex_runtime.simulator.compiled import simulate_compiled

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_PROFILES = (
    ROOT / "drex_runtime" / "data" / "profiles" / "demo-cpu.json",
    *(ROOT / "examples" / "profiles" / f"{name}.json" for name in (
        "a100-llama2-13b-published", "h200-llama2-13b-estimate-start-60us", "h200-llama2-13b-estimate-start-500us")))
CANDIDATES, LABEL_WORKLOADS = 40, 100  # of the label's own searches and simulations
TRAINING, FRESH = 10_000, 20_000  # first numbers of its workloads; the analysis gets those from 0
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
