"""Two networks over shared input bits as one mixed-integer program: max offset + sum cost_H f - sum cost_B g.

The benchmark's flow g enters with a minus sign, so its minimum is found by the maximisation itself: for fixed bits the
rest is a linear program whose optimum is H(x) - OPT(x). Only the bits need to be integers. Costs are divided by their
greatest common divisor (`unit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from xplain.encodings.gap.enumeration.orbits import group_pairs
from xplain.encodings.gap.lattice.network import END, Bit, Network
from xplain.encodings.steps.inputs import InputSpace

Int = npt.NDArray[np.int64]


@dataclass(frozen=True)
class GapModel:
    """maximise `offset` + cost @ v, in `unit` ticks, over 0 <= v <= 1 and row_low <= A v <= row_high (None: no end).

    Column j is named `columns[j]`; the first len(bits) are the input bits, integers. A by rows: entries
    [row_start[r], row_start[r + 1]) of `column`, `value`. `unit` = 0 cannot be.
    """

    unit: int
    offset: int
    bits: tuple[Bit, ...]
    columns: tuple[str, ...]
    cost: Int
    rows: tuple[str, ...]
    row_low: tuple[int | None, ...]
    row_high: tuple[int | None, ...]
    row_start: Int
    column: Int
    value: Int

    @property
    def size(self) -> str:
        """In words, for logs."""
        return f"{len(self.bits)} binaries, {len(self.columns)} columns, {len(self.rows)} rows"


class _Rows:
    """Rows as they are collected."""

    def __init__(self) -> None:
        self.names, self.low, self.high = list[str](), list[int | None](), list[int | None]()
        self.start, self.column, self.value = [0], list[int](), list[int]()

    def add(self, name: str, low: int | None, terms: dict[int, int], high: int | None) -> None:
        """low <= sum of factor * column <= high."""
        self.names.append(name)
        self.low.append(low)
        self.high.append(high)
        self.column += terms.keys()
        self.value += terms.values()
        self.start.append(len(self.column))


def gap_model(space: InputSpace, heuristic: Network, benchmark: Network, *, symmetric: bool) -> GapModel:
    """The program of cost(heuristic) - cost(benchmark). `symmetric`: equal requests may be exchanged."""
    bits = [(i, t, s) for i, each in enumerate(space.requests)
            for t in range(int(bool(each.prompt_tokens)), each.lengths[0]) for s in range(1, space.num_segments)]
    at = {bit: j for j, bit in enumerate(bits)}
    columns, rows = [f"depth_{i}_{t}_le{s}" for i, t, s in bits], _Rows()
    for i, t, s in bits:
        if (i, t, s + 1) in at:
            rows.add(f"order_{i}_{t}_{s}", None, {at[i, t, s]: 1, at[i, t, s + 1]: -1}, 0)
    if symmetric:
        _order_requests(space, at, rows)
    costs = [0] * len(bits)
    for name, network, sign in (("h", heuristic, 1), ("b", benchmark, -1)):
        first = len(columns)
        columns += [f"{name}_{k}" for k in range(len(network.arcs))]
        costs += [sign * arc.cost for arc in network.arcs]
        _conserve(name, network, first, rows)
        _gate(name, network, first, at, rows)
    offset = heuristic.offset - benchmark.offset
    unit = gcd(offset, *costs) or 1
    return GapModel(unit, offset // unit, tuple(bits), tuple(columns), np.array(costs, np.int64) // unit,
                    tuple(rows.names), tuple(rows.low), tuple(rows.high), np.array(rows.start, np.int64),
                    np.array(rows.column, np.int64), np.array(rows.value, np.int64))


def _conserve(name: str, network: Network, first: int, rows: _Rows) -> None:
    """One unit enters at the root; what enters a node leaves it; the end takes it all."""
    terms: list[dict[int, int]] = [{} for _ in range(network.num_nodes)]
    for k, arc in enumerate(network.arcs):
        terms[arc.tail][first + k] = 1
        if arc.head != END:
            terms[arc.head][first + k] = -1
    for node, entries in enumerate(terms):
        supply = int(node == network.root)
        rows.add(f"{name}_node_{node}", supply, entries, supply)


def _gate(name: str, network: Network, first: int, at: dict[Bit, int], rows: _Rows) -> None:
    """Arcs that need a bit on carry at most the bit, those that need it off at most what is left."""
    needing: dict[tuple[int, bool], dict[int, int]] = {}
    for k, arc in enumerate(network.arcs):
        for gate in arc.gates:
            needing.setdefault((at[gate.bit], gate.on), {})[first + k] = 1
    for (bit, on), entries in sorted(needing.items(), key=lambda item: item[0]):
        rows.add(f"{name}_{'on' if on else 'off'}_{bit}", None, entries | {bit: -1 if on else 1}, 0 if on else 1)


def _order_requests(space: InputSpace, at: dict[Bit, int], rows: _Rows) -> None:
    """Of requests that may be exchanged, the later one has no smaller number, its bits read as digits."""
    for i, j in group_pairs(space):
        digits = [bit for bit in at if bit[0] == i]
        terms: dict[int, int] = {}
        for place, (_, t, s) in enumerate(reversed(digits)):
            terms[at[i, t, s]], terms[at[j, t, s]] = 2**place, -(2**place)
        if terms:
            rows.add(f"exchange_{i}_{j}", None, terms, 0)
