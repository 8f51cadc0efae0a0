"""What no schedule undercuts: the service every request needs, and what sharing one device adds.

A token of depth d takes at least t_d = min over e >= d of segments 1..e for one row + (ramp e and the fill of one row,
if e <= K): it never leaves early, and no launch costs less with more rows. So request i is in service for p_i ticks.
At most m = min(batch_max, N) rows are in service at a time, as on m identical machines with preemption:

    makespan              >= max p_i, and >= sum p_i / m
    sum of (C_i - a_i)    >= sum p_i; with all arrivals equal and no prompts (a PREFILL may take more than m)
                          >= (sum p_i + sum over pairs min(p_i, p_j)) / m + (m - 1) / (2 m) sum p_i

Source of the last: Eastman, Even, Isaacs 1964; preemption does not help there (McNaughton 1959).
"""

from __future__ import annotations

from itertools import combinations

from drex_runtime.records import CostProfile, ServerConfig, Workload
from drex_runtime.scheduling.state import Objective
from xplain.encodings.steps.inputs import Inputs, InputSpace
from xplain.encodings.terms import Bool, Int


def token_service(profile: CostProfile) -> list[int]:
    """[d - 1]: least ticks in service of a token of depth d."""
    segments, ticks, ends = profile.num_segments, 0, list[int]()
    for segment in range(1, segments + 1):
        ticks += profile.segment_cost(segment, 1, 0)
        ends.append(ticks + (profile.ramp_cost(segment, 1) + profile.fill_cost(1) if segment < segments else 0))
    return [min(ends[depth:]) for depth in range(segments)]


def prefill_service(profile: CostProfile, prompt_tokens: int) -> int:
    """Least ticks of processing a prompt."""
    return profile.prefill.fixed + profile.prefill.per_token * prompt_tokens if prompt_tokens else 0


def service(profile: CostProfile, workload: Workload) -> list[int]:
    """p_i of every request."""
    of_token = token_service(profile)
    return [prefill_service(profile, request.prompt_tokens)
            + sum(of_token[depth - 1] for depth in request.depths[bool(request.prompt_tokens):])
            for request in workload.requests]


def least_cost(profile: CostProfile, config: ServerConfig, workload: Workload, objective: Objective) -> int:
    """A lower bound on the objective of any schedule, in ticks."""
    each, m = service(profile, workload), min(config.batch_max, config.max_num_seqs)
    bare = not any(request.prompt_tokens for request in workload.requests)
    if objective == "makespan":
        ends = [request.arrival + own for request, own in zip(workload.requests, each, strict=True)]
        return max(*ends, -(-sum(each) // m)) if bare else max(ends)
    together = len({request.arrival for request in workload.requests}) == 1
    shared = 2 * sum(min(pair) for pair in combinations(each, 2)) + (m + 1) * sum(each)
    return max(sum(each), -(-shared // (2 * m))) if bare and together else sum(each)


def least_cost_conditions(profile: CostProfile, config: ServerConfig, inputs: Inputs, objective: Objective,
                          cost: Int) -> list[Bool]:
    """The same bound as conditions on the `cost` of a schedule, for every workload of the inputs."""
    terms, space, m = inputs.terms, inputs.space, min(config.batch_max, config.max_num_seqs)
    each = _service_terms(profile, inputs)
    bare = not any(request.prompt_tokens for request in space.requests)
    total = terms.total(each)
    if objective == "makespan":
        ends = [own + made.arrival <= cost for own, made in zip(each, inputs.requests, strict=True)]
        return [*ends, total <= cost * m] if bare else ends
    found = [total <= cost]
    if bare and _together(space):
        pairs = [terms.minimum(one, other) for one, other in combinations(each, 2)]
        found.append(2 * terms.total(pairs) + (m + 1) * total <= cost * (2 * m))
    return found


def _together(space: InputSpace) -> bool:
    return len({each.arrivals for each in space.requests}) == 1 and len(space.requests[0].arrivals) == 1


def _service_terms(profile: CostProfile, inputs: Inputs) -> list[Int]:
    terms, of_token, found = inputs.terms, token_service(profile), []
    for made in inputs.requests:
        parts = [terms.constant(prefill_service(profile, made.space.prompt_tokens))]
        for t, at_most in enumerate(made.depth_at_most):
            if t == 0 and made.space.prompt_tokens:
                continue
            exists = terms.any_of(is_it for length, is_it in made.length_is.items() if length > t)
            ticks = terms.constant(of_token[0])
            for depth, shallower in enumerate(at_most[:-1], start=1):
                ticks = ticks + terms.times(of_token[depth] - of_token[depth - 1], ~shallower)
            parts.append(terms.if_(exists, ticks, 0))
        found.append(terms.total(parts))
    return found
