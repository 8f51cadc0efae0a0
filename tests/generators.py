"""Random small cases (workload, cost profile, server) and a count of what they cover.

Numbers are small integers, so that ties and exact equalities are frequent. Every case is a function of its seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from random import Random

from drex_runtime.records import (
    CostProfile,
    LinearCost,
    PrefillCost,
    Request,
    SegmentCost,
    ServerConfig,
    Workload,
)
from drex_runtime.records.profile import ProfileMeta

FEATURES = ("batch_max < n", "N < n", "arrivals", "K = 2", "start > 0", "fill > 0")


@dataclass(frozen=True)
class Case:
    """A problem: what arrives, what it costs, on which server."""

    seed: int
    workload: Workload
    profile: CostProfile
    config: ServerConfig

    @property
    def features(self) -> tuple[str, ...]:
        """Which of FEATURES (and some more) the case has."""
        n, k = len(self.workload.requests), self.workload.num_ramps
        present = {
            "batch_max < n": self.config.batch_max < n,
            "N < n": self.config.max_num_seqs < n,
            "batch_max < N < n": self.config.batch_max < self.config.max_num_seqs < n,
            "arrivals": any(request.arrival for request in self.workload.requests),
            f"K = {k}": True,
            "start > 0": any(self.profile.starts),
            "fill > 0": self.profile.kv_fill != LinearCost(),
            "prompts": any(request.prompt_tokens for request in self.workload.requests),
            "per_context > 0": any(segment.per_context for segment in self.profile.segments),
            "chunked prefill": self.config.prefill_tokens is not None,
            "idle_max": self.config.idle_max is not None,
        }
        return tuple(name for name, holds in present.items() if holds)


class Quota:
    """Counts the features of the cases a test has seen."""

    def __init__(self) -> None:
        self.cases, self.found = 0, Counter[str]()

    def add(self, case: Case) -> None:
        """Count one case."""
        self.cases += 1
        self.found.update(case.features)

    def require(self, least: int, features: Iterable[str] = FEATURES) -> None:
        """Print the counts; fail if a feature was seen fewer than `least` times."""
        print(self)
        short = {name: self.found[name] for name in features if self.found[name] < least}
        assert not short, f"fewer than {least} of {self.cases} cases: {short}"

    def __str__(self) -> str:
        listed = ", ".join(f"{name}: {count}" for name, count in sorted(self.found.items()))
        return f"{self.cases} cases; {listed}"


def often(random: Random, share: float, low: int, high: int) -> int:
    """An integer from low to high in `share` of the draws, else 0."""
    return random.randint(low, high) if random.random() < share else 0


def random_profile(random: Random, num_segments: int, max_rows: int, *, scale: int = 1) -> CostProfile:
    """Small costs that do not decrease with the batch, for batches up to at least `max_rows`."""
    inner = sorted(random.sample(range(1, max_rows), random.randint(0, min(3, max_rows - 1))))
    buckets = (*inner, max_rows + random.choice((0, 0, 1)))
    ramps, per_context = num_segments - 1, random.random() < 0.3

    def segment() -> SegmentCost:
        per_row = often(random, 0.7, 1, 2 * scale)
        fixed = [random.randint(1, 5 * scale)]
        jump = random.choice((0, 3, 3, 15)) * scale  # after a steep step several small launches are cheaper
        for _ in buckets[1:]:  # a jump down by less than per_row is legal
            fixed.append(max(0, fixed[-1] + random.randint(-per_row, jump)))
        return SegmentCost(tuple(fixed), per_row, often(random, 0.7, 1, 2) if per_context else 0)

    def linear(share: float) -> LinearCost:
        if random.random() >= share:
            return LinearCost()
        return LinearCost(often(random, 0.6, 1, 3 * scale), often(random, 0.6, 1, 2 * scale))

    start = random.choice((0, 0, 0, 4 * scale, 4 * scale, 15 * scale))  # dear starts: joining a pass is the way on
    return CostProfile(
        name="random", buckets=buckets, segments=tuple(segment() for _ in range(num_segments)),
        ramps=tuple(linear(0.6) for _ in range(ramps)),
        starts=tuple(often(random, 0.9, 1, start) if start else 0 for _ in range(ramps)),
        rebatch=often(random, 0.5, 1, 3 * scale), kv_fill=linear(0.55),
        prefill=PrefillCost(often(random, 0.7, 1, 4 * scale), often(random, 0.7, 1, 2),
                            often(random, 0.3, 1, 2)),
        meta=ProfileMeta(reference_context=random.choice((0, 1, 3))))


def random_requests(random: Random, num_segments: int, tokens: list[int], *, spread: int,
                    targets: bool) -> list[Request]:
    """One request per entry of `tokens`; arrivals up to `spread`, often equal; `targets` = dues, ttft, tpot."""
    arrivals = [often(random, 0.75, 1, spread) if spread else 0 for _ in tokens]
    for i in range(1, len(arrivals)):
        if random.random() < 0.3:
            arrivals[i] = arrivals[random.randrange(i)]
    prompted, alike = random.choice((0.0, 0.5, 1.0)), random.random() < 0.3
    prompt_sizes = (random.randint(1, 6),) if alike else range(1, 7)
    ids = random.sample(range(3 * len(tokens)), len(tokens))
    requests = []
    shallowest = random.choices((1, num_segments), (85, 15))[0]
    common = [random.randint(shallowest, num_segments) for _ in range(max(tokens))]
    for identity, arrival, count in zip(ids, arrivals, tokens, strict=True):
        depths = common[:count] if alike else [random.randint(shallowest, num_segments) for _ in range(count)]
        prompt = random.choice(prompt_sizes) if random.random() < prompted else 0
        if prompt:
            depths[0] = num_segments
        due = arrival + random.randint(0, 60) if targets and random.random() < 0.5 else None
        ttft = random.randint(0, 30) if targets and random.random() < 0.4 else None
        tpot = random.randint(0, 15) if targets and random.random() < 0.4 else None
        requests.append(Request(identity, arrival, prompt, tuple(depths), due, ttft, tpot))
    return requests


def random_config(random: Random, n: int) -> tuple[int, int]:
    """(batch_max, N), below, at or above n."""
    if n >= 3 and random.random() < 0.2:
        places = random.randint(2, n - 1)
        return random.randint(1, places - 1), places

    def size() -> int:
        if n > 1 and random.random() < 0.5:
            return max(random.randint(1, n - 1), random.randint(1, n - 1))
        return n + random.choice((0, 0, 1, 3))
    return size(), size()


def small_case(seed: int, max_states: int = 10000) -> Case:
    """A case small enough for brute force: prod over requests of (places it can be in) <= max_states at most."""
    random = Random(f"small {seed}")
    max_states = random.choice((max_states // 25, max_states // 5, max_states))
    num_segments = random.choices((1, 2, 3, 4), (1, 45, 45, 9))[0]
    n = random.choices((1, 2, 3, 4), (2, 16, 45, 37))[0]
    tokens = [random.randint(1, 4) for _ in range(n)]
    if random.random() < 0.25:
        tokens = [tokens[0]] * n
    while prod(count * num_segments + 2 for count in tokens) > max_states and max(tokens) > 1:
        tokens[tokens.index(max(tokens))] -= 1
    batch_max, places = random_config(random, n)
    scale = random.choice((1, 1, 4))
    profile = random_profile(random, num_segments, batch_max, scale=scale)
    spread = random.choice((0, 6 * scale, 20 * scale))
    requests = random_requests(random, num_segments, tokens, spread=spread, targets=False)
    config = ServerConfig(batch_max, places)
    if random.random() < 0.2:
        requests, profile, config = bare(random, requests, profile, config)
    return Case(seed, Workload.of(num_segments, requests), profile, config)


def bare(random: Random, requests: list[Request], profile: CostProfile, config: ServerConfig
         ) -> tuple[list[Request], CostProfile, ServerConfig]:
    """The case with most complications removed, each one or not: where special methods claim to be exact."""
    def drop() -> bool:
        return random.random() < 0.85

    if drop():
        requests = [replace(request, arrival=0) for request in requests]
    if drop():
        requests = [replace(request, prompt_tokens=0) for request in requests]
    if drop():
        config = ServerConfig(len(requests), len(requests))
        profile = replace(profile, buckets=(*profile.buckets[:-1], max(len(requests), profile.max_rows)))
    plain = [replace(segment, per_row=0, per_context=0, fixed=tuple(sorted(segment.fixed)))
             for segment in profile.segments]
    if all(segment.fixed[0] for segment in plain) and drop():
        profile = replace(profile, segments=tuple(plain))
    if drop():
        profile = replace(profile, starts=(0,) * len(profile.starts))
    if drop():
        profile = replace(profile, ramps=(LinearCost(),) * len(profile.ramps))
    if drop():
        profile = replace(profile, rebatch=0)
    if drop():
        profile = replace(profile, kv_fill=LinearCost())
    return requests, profile, config


def simulator_case(seed: int) -> Case:
    """A case for policies: more requests and tokens, chunked prefill, bounded idling, due dates."""
    random = Random(f"simulator {seed}")
    num_segments = random.choices((1, 2, 3, 4), (1, 4, 4, 2))[0]
    n = random.randint(1, 12)
    tokens = [random.randint(1, 6) for _ in range(n)]
    batch_max, places = random_config(random, n)
    scale = random.choice((1, 1, 5))
    profile = random_profile(random, num_segments, batch_max, scale=scale)
    requests = random_requests(random, num_segments, tokens, spread=random.choice((0, 10, 60)),
                               targets=random.random() < 0.6)
    config = ServerConfig(batch_max, places, often(random, 0.5, 1, 8) or None, often(random, 0.4, 1, 20) or None)
    return Case(seed, Workload.of(num_segments, requests), profile, config)
