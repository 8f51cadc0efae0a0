"""What a workload of a small input space looks like as variables: depths, arrivals on a grid, lengths.

Requests stand in (arrival, id) order, as in a `Workload`, so arrivals of a space do not decrease from request to
request (required of the variables): any other workload is one of these under other names, as long as prompts and dues
go with their requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from drex_runtime.errors import RecordError
from drex_runtime.records import Request, Workload
from drex_runtime.records.ticks import Tick
from xplain.encodings.terms import Bool, Int, Terms


@dataclass(frozen=True)
class RequestSpace:
    """What one request may be: any arrival and length listed, any depth of every token.

    With a prompt the first token's depth is K + 1. `due`, `ttft`, `tpot`, `id` as in `Request` (id None: its position).
    """

    lengths: tuple[int, ...]
    arrivals: tuple[int, ...] = (0,)
    prompt_tokens: int = 0
    due: int | None = None
    ttft: int | None = None
    tpot: int | None = None
    id: int | None = None

    def __post_init__(self) -> None:
        if not self.lengths or min(self.lengths) < 1 or len(set(self.lengths)) < len(self.lengths):
            raise RecordError("request space", "lengths", self.lengths, "different lengths of 1 or more")
        if not self.arrivals or min(self.arrivals) < 0 or list(self.arrivals) != sorted(set(self.arrivals)):
            raise RecordError("request space", "arrivals", self.arrivals, "increasing times of 0 or more")


@dataclass(frozen=True)
class InputSpace:
    """Workloads of `requests` for a model of `num_segments` segments."""

    num_segments: int
    requests: tuple[RequestSpace, ...]
    tick: Tick = "ns"

    @classmethod
    def around(cls, workload: Workload) -> InputSpace:
        """The workload's lengths, arrivals, prompts and dues with depths free."""
        return cls(workload.num_segments, tuple(
            RequestSpace((request.output_tokens,), (request.arrival,), request.prompt_tokens, request.due,
                         request.ttft, request.tpot, request.id) for request in workload.requests), workload.tick)


@dataclass(frozen=True)
class RequestTerms:
    """`depth_at_most[t][s - 1]`: token t may exit at ramp s or before; `length_is`: by length; `arrival` in ticks."""

    space: RequestSpace
    depth_at_most: tuple[tuple[Bool, ...], ...]
    length_is: dict[int, Bool]
    arrival: Int
    ends: tuple[Bool, ...]  # token t is the last

    @property
    def tokens(self) -> int:
        """Most tokens it can have."""
        return len(self.depth_at_most)


class Inputs:
    """The variables of a space in `terms`, shared by all machines that run on them."""

    def __init__(self, terms: Terms, space: InputSpace) -> None:
        self.terms, self.space = terms, space
        self.requests = tuple(self._request(i, each) for i, each in enumerate(space.requests))
        for (i, one), (j, other) in pairwise(enumerate(self.requests)):
            gap = int(self.id_of(i) > self.id_of(j))
            terms.require(one.arrival + gap <= other.arrival, "requests in (arrival, id) order")

    def id_of(self, i: int) -> int:
        """The id of the request at position i."""
        given = self.space.requests[i].id
        return i if given is None else given

    def fix(self, workload: Workload) -> None:
        """Require this workload. RecordError if it lies outside the space."""
        for name, value in self.assignment(workload).items():
            node = self.terms.variables[name]
            if isinstance(node, Bool):
                self.terms.require(node if value else ~node, f"{name} = {value}")

    def assignment(self, workload: Workload) -> dict[str, int]:
        """The variables' values for a workload of the space."""
        if len(workload.requests) != len(self.requests):
            raise RecordError("workload", "requests", len(workload.requests), f"{len(self.requests)}, as in the space")
        found: dict[str, int] = {}
        for i, (request, made) in enumerate(zip(workload.requests, self.requests, strict=True)):
            space = made.space
            if request.output_tokens not in space.lengths or request.arrival not in space.arrivals:
                raise RecordError("workload", f"request {request.id}",
                                  f"{request.output_tokens} tokens at {request.arrival}",
                                  f"lengths {space.lengths}, arrivals {space.arrivals}")
            found |= {f"length_{i}_is{length}": int(length == request.output_tokens) for length in space.lengths}
            found |= {f"arrival_{i}_is{time}": int(time == request.arrival) for time in space.arrivals}
            for t in range(made.tokens):
                depth = request.depths[t] if t < request.output_tokens else self.space.num_segments
                found |= {f"depth_{i}_{t}_le{s}": int(depth <= s) for s in range(1, self.space.num_segments)}
        return {name: value for name, value in found.items() if name in self.terms.variables}

    def workload(self, values: Mapping[str, int]) -> Workload:
        """The workload of an assignment."""
        requests = []
        for i, made in enumerate(self.requests):
            space, last = made.space, self.space.num_segments
            length = next((one for one in space.lengths if values.get(f"length_{i}_is{one}")), space.lengths[0])
            arrival = next((one for one in space.arrivals if values.get(f"arrival_{i}_is{one}")), space.arrivals[0])
            depths = tuple(next((s for s in range(1, last) if values.get(f"depth_{i}_{t}_le{s}")), last)
                           for t in range(length))
            requests.append(Request(self.id_of(i), arrival, space.prompt_tokens, depths, space.due, space.ttft,
                                    space.tpot))
        return Workload.of(last, requests, tick=self.space.tick)

    def _request(self, i: int, space: RequestSpace) -> RequestTerms:
        terms, ramps = self.terms, self.space.num_segments - 1
        most = max(space.lengths)
        length_is = self._one_of(f"length_{i}", space.lengths)
        arrival_is = self._one_of(f"arrival_{i}", space.arrivals)
        depths: list[tuple[Bool, ...]] = []
        for t in range(most):
            if space.prompt_tokens and t == 0:
                depths.append((terms.false,) * ramps + (terms.true,))
                continue
            row = [terms.boolean(f"depth_{i}_{t}_le{s}") for s in range(1, ramps + 1)]
            for one, other in pairwise(row):
                terms.require(one.implies(other), "depths are one number")
            for length, is_it in length_is.items():  # tokens that are not there have one form only
                if t >= length and row:
                    terms.require(is_it.implies(~row[-1]), "no depth where there is no token")
            depths.append((*row, terms.true))
        ends = tuple(length_is.get(t + 1, terms.false) for t in range(most))
        arrival = terms.total(terms.times(time, is_it) for time, is_it in arrival_is.items())
        terms.name(arrival, f"arrival_{i}")
        return RequestTerms(space, tuple(depths), length_is, arrival, ends)

    def _one_of(self, name: str, values: tuple[int, ...]) -> dict[int, Bool]:
        if len(values) == 1:
            return {values[0]: self.terms.true}
        made = {value: self.terms.boolean(f"{name}_is{value}") for value in values}
        self.terms.require(self.terms.total(made.values()).equals(1), f"one {name}")
        return made
