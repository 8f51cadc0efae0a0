"""All workloads of an input space without prompts and with given lengths, in blocks of equal arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import LimitError
from drex_runtime.records import Request, Workload
from drex_runtime.simulator.many import with_depths
from xplain.encodings.certificates.features import Shape
from xplain.encodings.steps.inputs import InputSpace

MAX_WORKLOADS = 2**23  # of an enumeration: its tables take some 40 bytes for each
Ints = npt.NDArray[np.int64]


def shape_of(space: InputSpace, grid: int) -> Shape:
    """Its shape. LimitError for a space that certificates are not made for (prompts, lengths that differ)."""
    lengths = {each.lengths for each in space.requests}
    if len(lengths) != 1 or len(space.requests[0].lengths) != 1:
        raise LimitError("certificates are about n requests of T tokens: one length, the same for all requests")
    if any(each.prompt_tokens for each in space.requests):
        raise LimitError("certificates are about requests without prompts")
    if [each.id for each in space.requests if each.id is not None]:
        raise LimitError("certificates number the requests of a space by their order; leave ids out")
    return Shape(len(space.requests), space.requests[0].lengths[0], space.num_segments, grid)


def arrivals_of(space: InputSpace) -> list[tuple[int, ...]]:
    """Every choice of arrivals in the order of requests."""
    return [times for times in product(*(each.arrivals for each in space.requests))
            if all(one <= other for one, other in pairwise(times))]


def count(space: InputSpace) -> int:
    """Workloads in the space."""
    shape = shape_of(space, 1)
    ways = {0: 1}
    for each in space.requests:  # ways by the last arrival
        ways = {time: sum(number for last, number in ways.items() if last <= time) for time in each.arrivals}
    return int(sum(ways.values()) * shape.num_segments ** (shape.requests * shape.tokens))


@dataclass(frozen=True)
class Block:
    """Workloads of one choice of arrivals; workload k of the block has the depths of code `first` + k."""

    template: Workload
    first: int
    depths: npt.NDArray[np.int8]  # [workload, token of all requests in order]

    def workload(self, k: int) -> Workload:
        """Workload k of the block."""
        return with_depths(self.template, self.depths[k].tolist())


def blocks(space: InputSpace, size: int = 4096) -> Iterator[Block]:
    """All workloads; `size`: most of them in a block. LimitError beyond MAX_WORKLOADS."""
    number = count(space)
    if number > MAX_WORKLOADS:
        raise LimitError(f"{number:,} workloads: enumeration takes up to {MAX_WORKLOADS:,}")
    shape = shape_of(space, 1)
    codes = shape.num_segments ** (shape.requests * shape.tokens)
    for times in arrivals_of(space):
        template = _template(space, shape, times)
        for first in range(0, codes, size):
            yield Block(template, first, _decoded(np.arange(first, min(first + size, codes)), shape))


def _template(space: InputSpace, shape: Shape, times: tuple[int, ...]) -> Workload:
    requests = [Request(i, time, 0, (shape.num_segments,) * shape.tokens, each.due, each.ttft, each.tpot)
                for i, (time, each) in enumerate(zip(times, space.requests, strict=True))]
    return Workload.of(shape.num_segments, requests, tick=space.tick, name="enumerated")


def _decoded(codes: Ints, shape: Shape) -> npt.NDArray[np.int8]:
    """Depths of codes: digits to base K + 1, first token first."""
    tokens = shape.requests * shape.tokens
    powers = np.array([prod([shape.num_segments] * (tokens - 1 - t)) for t in range(tokens)], np.int64)
    return np.asarray(codes[:, None] // powers % shape.num_segments + 1, dtype=np.int8)
