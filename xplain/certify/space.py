"""The spaces that certificates are about, and the resources in them, by kind."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import InputError
from drex_runtime.records import CostProfile, ServerConfig
from xplain.certify.record import Kind
from xplain.encodings.steps.inputs import InputSpace, RequestSpace

SIZES: dict[Kind, tuple[int, int]] = {"a": (4, 4), "b": (4, 3), "c": (4, 3), "d": (4, 4)}
ARRIVAL_STEPS: dict[Kind, int] = {"a": 0, "b": 2, "c": 2, "d": 0}
CAPPED = ("b", "c")  # a place fewer than requests, so that they wait for each other


@dataclass(frozen=True)
class Size:
    """What the command line says of the space; None: the usual of each kind."""

    requests_tokens: tuple[int, int] | None = None
    arrival_steps: int | None = None
    places: int | None = None
    batch_max: int | None = None

    def of(self, kind: Kind) -> tuple[int, int]:
        """Requests and tokens."""
        return self.requests_tokens or SIZES[kind]


def parse_size(text: str) -> tuple[int, int]:
    """"4x3": four requests of three tokens."""
    requests, sign, tokens = text.lower().partition("x")
    if not (sign and requests.isascii() and requests.isdigit() and tokens.isascii() and tokens.isdigit()
            and 1 <= int(requests[:3]) <= 16 and 1 <= int(tokens[:3]) <= 16):
        raise InputError("xplain certify", "--size", text, "requests x tokens, such as 4x3, each from 1 to 16")
    return int(requests), int(tokens)


def grid_of(profile: CostProfile) -> int:
    """Arrivals lie on a grid of one shallow pass of one row, as at the exact scale."""
    return profile.segment_cost(1, 1, 0)


def space_of(kind: Kind, size: Size, profile: CostProfile) -> InputSpace:
    """n requests of T tokens, any depths, arrivals 0..steps grid points (in order: who is who is a matter of names)."""
    requests, tokens = size.of(kind)
    steps = ARRIVAL_STEPS[kind] if size.arrival_steps is None else size.arrival_steps
    times = tuple(step * grid_of(profile) for step in range(steps + 1))
    return InputSpace(profile.num_segments, (RequestSpace((tokens,), times),) * requests, profile.tick)


def config_of(kind: Kind, size: Size, profile: CostProfile) -> ServerConfig:
    """N and batch_max: a place for everybody, or one fewer where the kind is about waiting; batches as N allows."""
    requests, _ = size.of(kind)
    usual = max(1, requests - 1) if kind in CAPPED else requests
    places = usual if size.places is None else size.places
    rows = min(places, profile.max_rows) if size.batch_max is None else size.batch_max
    if rows > profile.max_rows:
        raise InputError("xplain certify", "--batch-max", rows, f"at most {profile.max_rows}, what the profile covers")
    return ServerConfig(rows, places)
