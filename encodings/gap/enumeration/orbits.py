"""The workloads of an input space, one of each orbit where requests are interchangeable.

A workload = an arrival per request (not decreasing from request to request, see `Inputs`) and a *token string* per
request: its length and depths. Exchanging the strings of two requests that arrive together and have the same space
changes nothing but ids. Where that leaves both sides of the gap as they are (`obstacle_to_symmetry`), only workloads
whose strings do not decrease within such a group are listed: of 16^6 there remain 54,264.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement, islice, pairwise, product
from math import comb, prod

import numpy as np

from drex_runtime.errors import LimitError
from drex_runtime.records import Request, Workload
from drex_runtime.simulator.batch import TokenStrings
from drex_runtime.simulator.memory import Int
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.steps.inputs import InputSpace, RequestSpace

MAX_STRINGS = 2**20  # token strings of one space, all kept in memory
Group = tuple[int, ...]  # positions of requests


def obstacle_to_symmetry(problem: GapProblem) -> str | None:
    """None if exchanging two requests with equal spaces and arrivals leaves the gap as it is; else why it may not.

    A policy takes rows in (entry, id) order, so ids decide who is taken wherever a limit binds: its batch_limit, a
    join's room up to batch_max, the N places. Where none can, a launch takes whole pools, and every observation counts
    rows or takes the least or largest of their times: ids play no part. The clairvoyant's optimum asks for less.
    """
    num, config = len(problem.space.requests), problem.config
    if config.batch_max < num:
        return f"batch_max = {config.batch_max} is below the {num} requests"
    if config.max_num_seqs < num:
        return f"max_num_seqs = {config.max_num_seqs} is below the {num} requests"
    for policy in (problem.policy, problem.benchmark):
        if policy is not None and policy.batch_limit < num:
            return f"the batch_limit of {policy.policy.name}, {policy.batch_limit}, is below the {num} requests"
    return None


def arrival_sequences(space: InputSpace) -> Iterator[tuple[int, ...]]:
    """Every choice of arrivals with the requests in (arrival, id) order."""
    ids = [i if each.id is None else each.id for i, each in enumerate(space.requests)]

    def extended(found: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        at = len(found)
        if at == len(ids):
            yield found
            return
        for time in space.requests[at].arrivals:
            if not found or time > found[-1] or (time == found[-1] and ids[at] > ids[at - 1]):
                yield from extended((*found, time))

    return extended(())


@dataclass(frozen=True)
class Block:
    """Workloads with the same arrivals: row i of workload k has the token string choices[k, i]."""

    arrivals: tuple[int, ...]
    choices: Int


class Orbits:
    """The workloads of `space`: all of them, or one of each orbit if `symmetric`.

    LimitError if a request can have more token strings than are kept.
    """

    def __init__(self, space: InputSpace, symmetric: bool) -> None:
        self.space, self.symmetric = space, symmetric
        kinds = dict.fromkeys((each.lengths, bool(each.prompt_tokens)) for each in space.requests)
        count = sum(_num_strings(space.num_segments, *kind) for kind in kinds)
        if count > MAX_STRINGS:
            raise LimitError(f"enumeration: requests of this space can have {count} token strings, more than "
                             f"{MAX_STRINGS}; take fewer tokens, or another method")
        listed, range_of = list[tuple[int, ...]](), dict[tuple[tuple[int, ...], bool], range]()
        for kind in kinds:
            first = len(listed)
            listed += _strings(space.num_segments, *kind)
            range_of[kind] = range(first, len(listed))
        self.listed = listed
        self.strings_of = [range_of[each.lengths, bool(each.prompt_tokens)] for each in space.requests]
        depths = np.zeros((len(listed), max(map(len, listed))), np.int64)
        for at, string in enumerate(listed):
            depths[at, :len(string)] = string
        self.strings = TokenStrings(np.array([len(string) for string in listed], np.int64), depths)

    def count(self) -> int:
        """How many workloads `blocks` lists."""
        return sum(prod(comb(len(self.strings_of[group[0]]) + len(group) - 1, len(group))
                        for group in self._groups(arrivals)) for arrivals in arrival_sequences(self.space))

    def blocks(self, rows: int) -> Iterator[Block]:
        """All workloads, at most `rows` at a time."""
        for arrivals in arrival_sequences(self.space):
            groups = self._groups(arrivals)
            back = np.argsort([i for group in groups for i in group])
            choices = self._choices(groups)
            while found := list(islice(choices, rows)):
                yield Block(arrivals, np.array(found, np.int64)[:, back])

    def template(self, arrivals: tuple[int, ...]) -> Workload:
        """A workload with these arrivals whose requests are as long as they can be."""
        longest = [max(strings, key=lambda at: len(self.listed[at])) for strings in self.strings_of]
        return self.workload(arrivals, longest)

    def workload(self, arrivals: tuple[int, ...], strings: list[int]) -> Workload:
        """The workload with these arrivals and token strings."""
        requests = [Request(i if each.id is None else each.id, arrival, each.prompt_tokens, self.listed[string],
                            each.due, each.ttft, each.tpot)
                    for i, (each, arrival, string) in enumerate(zip(self.space.requests, arrivals, strings,
                                                                    strict=True))]
        return Workload.of(self.space.num_segments, requests, tick=self.space.tick)

    def alike(self, arrivals: tuple[int, ...]) -> list[Group]:
        """Positions that are interchangeable for the clairvoyant, if its N places suffice for all: it takes any subset
        of a pool, whatever the ids, and dues are nothing to its objectives."""
        groups: dict[tuple[range, int, int], list[int]] = {}
        for i, (each, arrival) in enumerate(zip(self.space.requests, arrivals, strict=True)):
            groups.setdefault((self.strings_of[i], each.prompt_tokens, arrival), []).append(i)
        return [tuple(group) for group in groups.values()]

    def _groups(self, arrivals: tuple[int, ...]) -> list[Group]:
        """Positions that are interchangeable."""
        if not self.symmetric:
            return [(i,) for i in range(len(arrivals))]
        groups: dict[tuple[RequestSpace, int], list[int]] = {}
        for i, (each, arrival) in enumerate(zip(self.space.requests, arrivals, strict=True)):
            groups.setdefault((replace(each, id=None, arrivals=(arrival,)), arrival), []).append(i)
        return [tuple(group) for group in groups.values()]

    def _choices(self, groups: list[Group]) -> Iterator[tuple[int, ...]]:
        if not groups:
            yield ()
            return
        for head in combinations_with_replacement(self.strings_of[groups[0][0]], len(groups[0])):
            for tail in self._choices(groups[1:]):
                yield head + tail


def _num_strings(segments: int, lengths: tuple[int, ...], prompted: bool) -> int:
    return sum(int(segments**(length - prompted)) for length in lengths)


def _strings(segments: int, lengths: tuple[int, ...], prompted: bool) -> Iterator[tuple[int, ...]]:
    """Every length and every depth of every token; the first token of a prompted request comes from its prefill."""
    for length in lengths:
        first = ((segments,) if prompted else range(1, segments + 1),)
        yield from product(*first, *(range(1, segments + 1) for _ in range(length - 1)))


def group_pairs(space: InputSpace) -> list[tuple[int, int]]:
    """Neighbours that are interchangeable where symmetry holds, if every request has one arrival only."""
    return [(i, j) for (i, one), (j, other) in pairwise(enumerate(space.requests))
            if len(one.arrivals) == 1 and replace(one, id=None) == replace(other, id=None)]
