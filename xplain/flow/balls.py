"""Balls, bins, and the edges between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from drex_runtime.errors import InputError
from xplain.problems.flows import Edge

Sizes: TypeAlias = Sequence[tuple[int, ...]]  # (balls, dimensions)
Packing: TypeAlias = tuple[int, ...]  # the bin of each ball, from 0


def num_bins(packing: Sequence[int]) -> int:
    """How many bins are used."""
    return len(set(packing))


def edge(ball: int, bin_: int) -> Edge:
    """The edge of a ball in a bin."""
    return f"ball {ball}", f"bin {bin_}"


def edges(num_balls: int) -> tuple[Edge, ...]:
    """Every edge that can carry flow: as many bins as balls."""
    return tuple(edge(ball, bin_) for ball in range(num_balls) for bin_ in range(num_balls))


def flows(packing: Sequence[int]) -> dict[Edge, float]:
    """One unit of flow from each ball to its bin; edges left out carry nothing."""
    return {edge(ball, bin_): 1.0 for ball, bin_ in enumerate(packing)}


def check_balls(sizes: Sizes, capacity: tuple[int, ...]) -> None:
    """InputError for a capacity below 1, a size that is no whole number, below 0, of other dimensions or too large."""
    if not capacity or any(type(room) is not int or room < 1 for room in capacity):
        raise InputError("packing", "capacity", capacity, "whole numbers of at least 1, one per dimension")
    for ball, size in enumerate(sizes):
        if len(size) != len(capacity):
            raise InputError("packing", f"sizes.{ball}", size, f"{len(capacity)} numbers, one per dimension")
        for room, each in zip(capacity, size, strict=True):
            if type(each) is not int or not 0 <= each <= room:
                raise InputError("packing", f"sizes.{ball}", size, f"whole numbers within 0..capacity {capacity}")
