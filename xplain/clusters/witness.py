"""A cluster's witness: a workload of at most four requests that loses for the cluster's reason and that a person can
follow, and beside it the nearest workload without the loss.

Candidates are the exact scale's own samples, then draws from its distribution. The best is reduced by structural moves
(drop a request, drop a token, arrive earlier, arrive with another request, run deep instead of leaving) as long as the
gap stays at least tau and the cluster's cause holds most of it. Source: analyzer design, Explanations, Witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice

import numpy as np

from drex_runtime.policies import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.records.workload import Request
from drex_runtime.scheduling.state import Objective
from xplain.clusters.shares import NOBODY
from xplain.encodings.exact import Limits
from xplain.explain.many import Attributed, attribute_many
from xplain.explain.witness import build_witness
from xplain.problems.exact import ExactProblem
from xplain.records import Attribution, Sample
from xplain.records.cluster import Cluster, Contrast

MOST_REQUESTS = 4
DRAWS = 400  # workloads drawn if no sample loses for a cluster's reason
CANDIDATES = 40  # samples tried, the worst first
STARTS = 4  # workloads that are reduced; the simplest result is the witness
CONTRAST_MOVES = 3  # structural moves tried at most
CONTRAST_TRIES = 2000
SMALL_TOKENS = 24  # up to that many tokens in four requests every optimum is proved in milliseconds


@dataclass(frozen=True)
class _Cause:
    """What a witness must show: most of its blamed regret under one rule."""

    kind: str
    rule: str

    def ticks(self, attribution: Attribution) -> int:
        """What this rule is blamed for."""
        return sum(cause.ticks for cause in attribution.causes if (cause.kind, cause.rule) == (self.kind, self.rule))

    def shown(self, one: Attributed, threshold: float) -> bool:
        """Whether a workload is a witness: proved, a gap of at least tau, more than half of it this rule's."""
        item = one.attribution
        return item.exact and one.relative_gap >= threshold and 2 * self.ticks(item) > item.gap

    def absent(self, one: Attributed, threshold: float) -> bool:
        """Whether the rule loses less than half of tau."""
        return one.attribution.exact and self.ticks(one.attribution) < threshold / 2 * one.optimum


def with_witnesses(problem: ExactProblem, clusters: Sequence[Cluster], samples: Sequence[Sample], *,
                   seed: int = 0, tell: Callable[[str], None] = lambda _: None) -> tuple[Cluster, ...]:
    """Each cluster with its witness and contrast, or with the reason why there is none.

    `samples`: of the problem (exact scale), where witnesses are looked for first. Deterministic.
    """
    found = []
    for item in clusters:
        tell(f"witness of {item.name}: {item.title}")
        found.append(_with_witness(problem, item, samples, seed))
    return tuple(found)


def _with_witness(problem: ExactProblem, item: Cluster, samples: Sequence[Sample], seed: int) -> Cluster:
    if item.kind in NOBODY:
        return replace(item, no_witness="no rule is to blame for this cluster's loss")
    cause = _Cause(item.kind, item.rule)
    starts = list(islice(showing(problem, cause, samples, seed), STARTS))
    if not starts:
        return replace(item, no_witness=f"no workload of at most {min(MOST_REQUESTS, problem.shape.requests)} requests "
                                        f"was found that loses {problem.threshold:.0%} for this reason "
                                        f"({CANDIDATES} samples and {DRAWS} draws tried)")
    ends = [(reduced(problem.bound, workload, problem.objective, lambda one: cause.shown(one, problem.threshold),
                     problem.limits), sample) for sample, workload in starts]
    small, sample = min(ends, key=lambda end: size(end[0]))
    witness, _ = build_witness(problem.bound, small, problem.objective, problem.limits, sample,
                               (cause.kind, cause.rule))
    return replace(item, witness=witness, contrast=contrast(problem, small, cause, sample))


def showing(problem: ExactProblem, cause: _Cause, samples: Sequence[Sample],
            seed: int) -> Iterator[tuple[int, Workload]]:
    """Workloads that show the cause: the worst samples first, then draws; -1 is the number of a drawn one."""
    worst = sorted((item for item in samples if item.proved and item.relative_gap >= problem.threshold),
                   key=lambda item: (-item.relative_gap, item.index))
    rng = np.random.default_rng([seed, 32_452_843])
    known = ((item.index, problem.workload(item.point)) for item in worst[:CANDIDATES])
    drawn = ((-1, problem.workload(problem.draw(rng))) for _ in range(DRAWS))
    for index, workload in chain(known, drawn):
        small = replace(workload, requests=workload.requests[:MOST_REQUESTS])
        if cause.shown(_attributed(problem.bound, small, problem.objective, problem.limits), problem.threshold):
            yield index, small


def size(workload: Workload) -> tuple[int, int, int, int, int]:
    """How much there is to follow: requests, tokens, arrival times, the sum of arrivals, early exits."""
    requests = workload.requests
    arrivals = [request.arrival for request in requests]
    early = sum(depth < workload.num_segments for request in requests for depth in request.depths)
    return len(requests), workload.num_tokens, len(set(arrivals)), sum(arrivals), early


def reduced(policy: BoundPolicy, workload: Workload, objective: Objective, keeps: Callable[[Attributed], bool],
            limits: Limits) -> Workload:
    """The workload after every simplifying move that keeps what it shows; no single move simplifies it further."""
    current, improved = workload, True
    while improved:
        improved = False
        for _, candidate in simpler(current):
            if keeps(_attributed(policy, candidate, objective, limits)):
                current, improved = candidate, True
                break
    return current


def _attributed(policy: BoundPolicy, workload: Workload, objective: Objective, limits: Limits) -> Attributed:
    small = len(workload.requests) <= MOST_REQUESTS and workload.num_tokens <= SMALL_TOKENS
    return attribute_many(policy, [workload], objective, limits=None if small else limits)[0]


def simpler(workload: Workload) -> Iterator[tuple[str, Workload]]:
    """Moves that make a workload simpler, the largest first. Each lowers the number of requests, of tokens, the sum of
    arrivals or the number of early exits and raises none, so that reducing ends."""
    requests = workload.requests
    if any(request.arrival for request in requests):
        yield "all arrive at 0", replace(workload, requests=tuple(sorted(
            (replace(request, arrival=0) for request in requests), key=lambda item: item.id)))
    if len(requests) > 1:
        for index in range(len(requests)):
            yield f"without request {index}", replace(workload, requests=_without(requests, index))
    for kept in range(1, max(request.output_tokens for request in requests)):
        for what, part in (("first", slice(0, kept)), ("last", slice(-kept, None))):
            if not any(request.prompt_tokens for request in requests):
                yield f"only the {what} {kept} tokens of each request", replace(workload, requests=tuple(
                    replace(request, depths=request.depths[part]) for request in requests))
    for index, request in enumerate(requests):
        for token in range(request.output_tokens if request.output_tokens > 1 else 0):
            depths = request.depths[:token] + request.depths[token + 1:]
            if not request.prompt_tokens or depths[0] == workload.num_segments:
                yield (f"request {index} without token {token}",
                       _changed(workload, index, replace(request, depths=depths)))
    for index, request in enumerate(requests):
        for earlier in sorted({0, *(item.arrival for item in requests if item.arrival < request.arrival)}):
            if earlier < request.arrival:
                yield (f"request {index} arrives at {earlier}",
                       _changed(workload, index, replace(request, arrival=earlier)))
    for index, request in enumerate(requests):
        for token, depth in enumerate(request.depths):
            if depth < workload.num_segments:
                yield (f"token {token} of request {index} runs to full depth",
                       _changed(workload, index, _with_depth(request, token, workload.num_segments)))


def contrast(problem: ExactProblem, workload: Workload, cause: _Cause, sample: int) -> Contrast | None:
    """The nearest workload on which the rule loses less than half of tau: fewest structural moves, then the smallest
    gap. None if three moves do not do it.

    Moves: change a depth, shift an arrival by a step of the grid, add or drop a token, drop or copy a request.
    """
    reached: dict[Workload, tuple[str, ...]] = {workload: ()}
    frontier = [workload]
    for _ in range(CONTRAST_MOVES):
        found: list[tuple[float, int, Workload]] = []
        following = []
        for current in frontier:
            for text, candidate in neighbours(problem, current):
                if candidate in reached or len(reached) > CONTRAST_TRIES:
                    continue
                reached[candidate] = (*reached[current], text)
                following.append(candidate)
                one = _attributed(problem.bound, candidate, problem.objective, problem.limits)
                if cause.absent(one, problem.threshold):
                    found.append((one.relative_gap, len(found), candidate))
        if found:
            nearest = min(found)[2]
            witness, _ = build_witness(problem.bound, nearest, problem.objective, problem.limits, sample)
            return Contrast("; ".join(reached[nearest]), len(reached[nearest]), witness)
        frontier = following
    return None


def neighbours(problem: ExactProblem, workload: Workload) -> Iterable[tuple[str, Workload]]:
    """Workloads one structural move away, within the problem's bounds."""
    requests, segments = workload.requests, workload.num_segments
    for index, request in enumerate(requests):
        for token, depth in enumerate(request.depths):
            for other in range(1, segments + 1):
                if other != depth:
                    where = "runs to full depth" if other == segments else f"leaves at ramp {other}"
                    yield (f"token {token} of request {index} {where}",
                           _changed(workload, index, _with_depth(request, token, other)))
        for arrival in (request.arrival - problem.grid, request.arrival + problem.grid):
            if 0 <= arrival <= problem.shape.arrival_steps * problem.grid:
                yield (f"request {index} arrives {'earlier' if arrival < request.arrival else 'later'} by one step",
                       _changed(workload, index, replace(request, arrival=arrival)))
        if request.output_tokens > 1:
            yield (f"request {index} has a token less",
                   _changed(workload, index, replace(request, depths=request.depths[:-1])))
        if request.output_tokens < problem.shape.tokens:
            for depth in range(1, segments + 1):
                yield (f"request {index} has one more token of depth {depth}",
                       _changed(workload, index, replace(request, depths=(*request.depths, depth))))
        if len(requests) > 1:
            yield f"without request {index}", replace(workload, requests=_without(requests, index))
        if len(requests) < min(problem.shape.requests, MOST_REQUESTS):
            copy = replace(request, id=1 + max(item.id for item in requests))
            yield f"another request like request {index}", _changed(replace(
                workload, requests=(*requests, replace(copy, arrival=requests[-1].arrival))), len(requests), copy)


def _without(requests: tuple[Request, ...], index: int) -> tuple[Request, ...]:
    return requests[:index] + requests[index + 1:]


def _with_depth(request: Request, token: int, depth: int) -> Request:
    return replace(request, depths=(*request.depths[:token], depth, *request.depths[token + 1:]))


def _changed(workload: Workload, index: int, request: Request) -> Workload:
    """With another request in this place, in (arrival, id) order."""
    changed = (*workload.requests[:index], request, *workload.requests[index + 1:])
    return replace(workload, requests=tuple(sorted(changed, key=lambda item: (item.arrival, item.id))))
