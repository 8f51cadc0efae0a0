"""Any linear or mixed-integer program as a flow network: the seven behaviours suffice.

A variable is a source that is copied; a coefficient multiplies one copy; a row is two merged sides joined in all_equal
(terms with positive coefficients and slack of a <= row on the left, the rest on the right); a binary is what one edge
of a picked unit source carries; a bounded integer is a sum of multiplied binaries. Source: XPlain (HotNets 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from drex_runtime.errors import RecordError
from xplain.flow.behaviour import AllEqual, Behaviour, Copy, Multiply, Number, Pick, Sink, Source, Split
from xplain.flow.network import Arc, Network, Node, Objective, absorbed, supply
from xplain.flow.rules import Relation
from xplain.problems.flows import Edge

GOAL = "objective"
MAX_BITS = 40  # of one integer variable


@dataclass(frozen=True)
class Program:
    """Optimise `objective` (n) over `matrix` (m, n) {<=, =, >=} `rhs`, `lower` <= x <= `upper`, some x integer.

    Infinite bounds: none; integers need finite ones. Raises RecordError.
    """

    sense: Literal["min", "max"]
    objective: tuple[Number, ...]
    matrix: tuple[tuple[Number, ...], ...]
    relations: tuple[Relation, ...]
    rhs: tuple[Number, ...]
    lower: tuple[Number, ...]
    upper: tuple[Number, ...]
    integer: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        n, m = len(self.objective), len(self.rhs)
        for field, given, length in (("lower", self.lower, n), ("upper", self.upper, n), ("matrix", self.matrix, m),
                                     ("relations", self.relations, m), *((f"matrix.{i}", each, n)
                                                                         for i, each in enumerate(self.matrix))):
            if len(given) != length:
                raise RecordError("Program", field, len(given), f"{length} entries")
        for j in self.integer:
            if not 0 <= j < n or not (math.isfinite(self.lower[j]) and math.isfinite(self.upper[j])):
                raise RecordError("Program", f"integer {j}", "no finite bounds", "a variable with finite bounds")
            if math.floor(self.upper[j]) - math.ceil(self.lower[j]) >= 1 << MAX_BITS:
                raise RecordError("Program", f"integer {j}", f"{self.lower[j]}..{self.upper[j]}",
                                  f"fewer than 2^{MAX_BITS} values")


def as_network(program: Program, name: str = "program") -> Network:
    """The network of a program; its objective is what the sink "objective" absorbs."""
    builder = _Builder()
    for j in range(len(program.objective)):
        builder.variable(program, j)
    for i in range(len(program.rhs)):
        builder.row(program, i)
    for j, factor in enumerate(program.objective):
        builder.term(j, factor, GOAL)
    builder.node(GOAL, Split(), Sink(-math.inf))
    return Network(name, tuple(builder.nodes), tuple(builder.arcs),
                   objective=Objective(program.sense, {absorbed(GOAL): 1}))


def value_of(program: Program, variable: int) -> Edge:
    """What carries the value of a variable: its source's supply; of an integer, what its node absorbs."""
    node = _name(variable)
    return absorbed(node) if variable in program.integer else supply(node)


def _name(variable: int) -> str:
    return f"x{variable}"


class _Builder:
    def __init__(self) -> None:
        self.nodes, self.arcs = list[Node](), list[Arc]()

    def node(self, name: str, *behaviours: Behaviour) -> str:
        self.nodes.append(Node(name, behaviours))
        return name

    def join(self, tail: str, head: str) -> None:
        """An edge whose flow may have either sign."""
        self.arcs.append(Arc(tail, head, lower=-math.inf))

    def variable(self, program: Program, j: int) -> None:
        if j not in program.integer:
            self.node(_name(j), Source(program.lower[j], program.upper[j]), Copy())
            return
        low, high = math.ceil(program.lower[j]), math.floor(program.upper[j])
        self.node(_name(j), Source(low, low), Copy(), Sink(-math.inf, high))
        for bit in range(max(0, high - low).bit_length()):
            chosen = self.node(f"{_name(j)} bit {bit}", Source(1, 1), Pick())
            on = self.node(f"{_name(j)} bit {bit} on", Multiply(1 << bit))
            self.join(chosen, on)
            self.join(chosen, self.node(f"{_name(j)} bit {bit} off"))
            self.join(on, _name(j))

    def row(self, program: Program, i: int) -> None:
        left, right = self.node(f"row {i} left", Split()), self.node(f"row {i} right", Split())
        both = self.node(f"row {i}", AllEqual())
        self.join(left, both)
        self.join(right, both)
        for j, factor in enumerate(program.matrix[i]):
            self.term(j, abs(factor), left if factor > 0 else right, f"row {i}")
        if program.rhs[i]:
            constant = self.node(f"row {i} constant", Source(abs(program.rhs[i]), abs(program.rhs[i])))
            self.join(constant, right if program.rhs[i] > 0 else left)
        if program.relations[i] != "=":
            slack = self.node(f"row {i} slack", Source())
            self.join(slack, left if program.relations[i] == "<=" else right)

    def term(self, j: int, factor: Number, to: str, of: str = GOAL) -> None:
        if factor:
            product = self.node(f"{_name(j)} in {of}", Multiply(factor))
            self.join(_name(j), product)
            self.join(product, to)


