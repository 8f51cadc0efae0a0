"""The workloads of an input space one by one: all of them in order, or one at random."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from random import Random

from drex_runtime.records import Request, Workload
from xplain.encodings.steps.inputs import InputSpace, RequestSpace

TRIES = 100


def count_at_most(space: InputSpace) -> int:
    """Workloads of the space, those included whose arrivals are not in order."""
    return prod(len(each.arrivals) * sum(_free(each, length, space.num_segments) for length in each.lengths)
                for each in space.requests)


def every_workload(space: InputSpace) -> Iterator[Workload]:
    """Each workload once."""
    ids = _ids(space)
    for arrivals in product(*(each.arrivals for each in space.requests)):
        if not _ordered(arrivals, ids):
            continue
        depths = (_depths(each, space.num_segments) for each in space.requests)
        for chosen in product(*(list(each) for each in depths)):
            yield _workload(space, arrivals, chosen)


def random_workload(space: InputSpace, random: Random) -> Workload | None:
    """Arrivals, lengths and depths drawn evenly; None if no arrivals in order were met in 100 draws."""
    for _ in range(TRIES):
        arrivals = tuple(random.choice(each.arrivals) for each in space.requests)
        if _ordered(arrivals, _ids(space)):
            return _workload(space, arrivals, tuple(
                tuple(space.num_segments if each.prompt_tokens and t == 0 else random.randint(1, space.num_segments)
                      for t in range(random.choice(each.lengths))) for each in space.requests))
    return None


def _ids(space: InputSpace) -> list[int]:
    return [i if each.id is None else each.id for i, each in enumerate(space.requests)]


def _ordered(arrivals: tuple[int, ...], ids: list[int]) -> bool:
    keys = list(zip(arrivals, ids, strict=True))
    return keys == sorted(keys)


def _free(space: RequestSpace, length: int, segments: int) -> int:
    return int(segments ** (length - bool(space.prompt_tokens)))


def _depths(space: RequestSpace, segments: int) -> Iterator[tuple[int, ...]]:
    for length in space.lengths:
        tokens = [range(1, segments + 1)] * length
        if space.prompt_tokens:
            tokens[0] = range(segments, segments + 1)
        yield from product(*tokens)


def _workload(space: InputSpace, arrivals: tuple[int, ...], depths: tuple[tuple[int, ...], ...]) -> Workload:
    return Workload.of(space.num_segments, [
        Request(identity, arrival, each.prompt_tokens, chosen, each.due, each.ttft, each.tpot)
        for identity, arrival, each, chosen in zip(_ids(space), arrivals, space.requests, depths, strict=True)],
        tick=space.tick)
