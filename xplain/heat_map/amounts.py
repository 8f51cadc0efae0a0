"""Flows of many points as arrays: the part of a heat map that processes do. Imports little, so that they start soon."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from drex_runtime.errors import RecordError
from xplain.problems.flows import Edge, FlowPair, FlowProblem
from xplain.records import Point

NOISE = 1e-6  # amounts below this share of a sample's largest are what a solver leaves behind

Floats = npt.NDArray[np.float64]
Table = tuple[Floats, npt.NDArray[np.bool_]]


def amounts_at(problem: FlowProblem, edges: tuple[Edge, ...], points: Sequence[Point]) -> Table:
    """Amounts [sample, edge, side] and certain differences [sample, edge] of the points that have flows."""
    index = {edge: place for place, edge in enumerate(edges)}
    pairs = [pair for pair in map(problem.flows, points) if pair is not None]
    amounts = np.zeros((len(pairs), len(edges), 2))
    certain = np.zeros((len(pairs), len(edges)), np.bool_)
    for row, pair in enumerate(pairs):
        _check(pair, index)
        for side, flow in enumerate((pair.heuristic, pair.benchmark)):
            for edge, amount in flow.items():
                amounts[row, index[edge], side] = amount
        for edge in pair.certain:
            certain[row, index[edge]] = True
    # What is not above the noise is 0, and amounts that differ by no more are equal.
    noise = NOISE * amounts.max(axis=(1, 2), initial=0.0)[:, None]
    amounts[amounts <= noise[:, :, None]] = 0.0
    alike = np.abs(amounts[:, :, 1] - amounts[:, :, 0]) <= noise
    amounts[:, :, 1][alike] = amounts[:, :, 0][alike]
    return amounts, certain


def _check(pair: FlowPair, index: dict[Edge, int]) -> None:
    for name, edges in (("heuristic", pair.heuristic), ("benchmark", pair.benchmark), ("certain", pair.certain)):
        for edge in edges:
            if edge not in index:
                raise RecordError("flows", name, edge, "an edge that the problem names in `edges`")
    for name, flow in (("heuristic", pair.heuristic), ("benchmark", pair.benchmark)):
        for edge, amount in flow.items():
            if not (math.isfinite(amount) and amount >= -NOISE):
                raise RecordError("flows", f"{name} {edge[0]} > {edge[1]}", amount, "a number of 0 or more")
