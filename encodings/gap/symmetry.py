"""Symmetry between requests: which may change places without any schedule's cost noticing, and one order for them.

Two requests are exchangeable if they differ in their depths (and lengths) only and no cap can bind: batch_max, the
policies' batch_limit and N are at least n. Then every launch takes its whole pool, so order within a pool, and with it
arrival order and ids, decides nothing: renaming the requests renames the run. With a cap that binds, first come first
served makes the id part of the input (a "proved" worst case was 10 where 32 was true).
Source: scheduling model, Clairvoyant optimum, Pruning has preconditions.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.steps.inputs import Inputs, RequestSpace
from xplain.encodings.terms import Int

MAX_KEY = 2**20  # beyond it a key is cut off: sorting by a part of it is a symmetry too


def exchangeable(problem: GapProblem) -> tuple[tuple[int, ...], ...]:
    """Groups of two or more positions that may change places; none where a precondition fails."""
    n, config = len(problem.space.requests), problem.config
    limits = [policy.batch_limit for policy in (problem.policy, problem.benchmark) if policy is not None]
    if min(config.batch_max, config.max_num_seqs, *limits) < n:
        return ()
    groups: dict[RequestSpace, list[int]] = {}
    for i, each in enumerate(problem.space.requests):
        if len(each.arrivals) == 1:
            groups.setdefault(replace(each, id=None), []).append(i)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def require_sorted(inputs: Inputs, groups: tuple[tuple[int, ...], ...]) -> None:
    """Of all workloads that differ in the order of exchangeable requests, keep one."""
    for group in groups:
        keys = [_key(inputs, i) for i in group]
        for one, other in pairwise(keys):
            inputs.terms.require(one <= other, "exchangeable requests are sorted")


def _key(inputs: Inputs, i: int) -> Int:
    """Length and depths as one number, the first token first."""
    terms, made, segments = inputs.terms, inputs.requests[i], inputs.space.num_segments
    key = terms.total(terms.times(at, is_it) for at, is_it in enumerate(made.length_is.values()))
    for row in made.depth_at_most:
        if (key.high + 1) * segments > MAX_KEY:
            break
        key = key * segments + terms.total(~at_most for at_most in row[:-1])
    return key
