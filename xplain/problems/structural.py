"""Structural moves on small workloads: what a person would change by hand to make a workload worse.

Flip a depth, shift an arrival, add or remove a token, add or remove a request, copy one request's depths to another.
Point of the exact scale: arrival step a<i>, length l<i> (0: no such request), depth d<i>.<t>.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xplain.records import Point


@dataclass(frozen=True)
class Shape:
    """Bounds of a workload: at most `requests` of 1 to `tokens` tokens, arrivals at steps 0..`arrival_steps`.

    With `resize` off every workload has exactly `requests` of `tokens` tokens.
    """

    requests: int
    tokens: int
    num_segments: int
    arrival_steps: int
    resize: bool = True


@dataclass
class Request:
    """A request being edited."""

    arrival: int
    depths: list[int]


def requests_of(point: Point, shape: Shape) -> list[Request]:
    """The requests that are there."""
    return [Request(int(point[f"a{i}"]), [int(point[f"d{i}.{t}"]) for t in range(int(point[f"l{i}"]))])
            for i in range(shape.requests) if point[f"l{i}"]]


def point_of(requests: list[Request], shape: Shape) -> dict[str, float]:
    """Their point; what is not there has one form only (arrival 0, depth K + 1)."""
    point: dict[str, float] = {}
    padded = requests + [Request(0, []) for _ in range(shape.requests - len(requests))]
    point |= {f"a{i}": float(each.arrival) for i, each in enumerate(padded)}
    point |= {f"l{i}": float(len(each.depths)) for i, each in enumerate(padded)}
    for i, each in enumerate(padded):
        depths = each.depths + [shape.num_segments] * (shape.tokens - len(each.depths))
        point |= {f"d{i}.{t}": float(depth) for t, depth in enumerate(depths)}
    return point


def moved(point: Point, shape: Shape, rng: np.random.Generator, moves: int) -> dict[str, float]:
    """`moves` random moves; one that is not possible leaves the workload as it is."""
    requests = requests_of(point, shape)
    for _ in range(moves):
        _move(requests, shape, rng)
    return point_of(requests, shape)


def _move(requests: list[Request], shape: Shape, rng: np.random.Generator) -> None:
    kind, own = rng.random(), requests[int(rng.integers(len(requests)))]
    if not shape.resize:
        kind *= 0.75
    if kind < 0.5:
        _flip_depth(own, shape, rng)
    elif kind < 0.65:
        own.arrival = min(max(own.arrival + int(rng.choice((-2, -1, 1, 2))), 0), shape.arrival_steps)
    elif kind < 0.75:
        _copy_depths(own, requests[int(rng.integers(len(requests)))], shape)
    elif kind < 0.82:
        if len(own.depths) < shape.tokens:
            own.depths.insert(int(rng.integers(len(own.depths) + 1)), _any_depth(shape, rng))
    elif kind < 0.91:
        if len(own.depths) > 1:
            own.depths.pop(int(rng.integers(len(own.depths))))
    elif kind < 0.95:
        if len(requests) < shape.requests:
            requests.append(Request(own.arrival, list(own.depths)))
    elif len(requests) > 1:
        requests.remove(own)


def _any_depth(shape: Shape, rng: np.random.Generator) -> int:
    return int(rng.integers(1, shape.num_segments + 1))


def _flip_depth(request: Request, shape: Shape, rng: np.random.Generator) -> None:
    if shape.num_segments > 1:
        place = int(rng.integers(len(request.depths)))
        shift = int(rng.integers(1, shape.num_segments))
        request.depths[place] = 1 + (request.depths[place] - 1 + shift) % shape.num_segments


def _copy_depths(to: Request, source: Request, shape: Shape) -> None:
    """Depths of `source`; the length stays where it may not change."""
    to.depths[:] = source.depths if shape.resize else source.depths[:len(to.depths)]
