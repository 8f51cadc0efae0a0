"""Terms: a graph of integer and truth-valued nodes with proved bounds, built with Python's operators.

The symbolic machine (`encodings.steps`) is written in these terms only; what solves them is decided later (`evaluate`,
`smt`, `milp`), so that there is one encoding and not one per solver. Nodes are folded and shared as they are made: what
follows from the bounds alone becomes a constant, equal nodes are one node. Bounds come from interval arithmetic over
the bounds of the variables, so every big-M that a MILP takes from them is proved.

    terms = Terms()
    x, y = terms.integer("x", 0, 9), terms.boolean("y")
    terms.require(terms.if_(y, x, 3) + 2 <= 4)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import gcd
from typing import Literal, TypeAlias

from drex_runtime.errors import DrexError

Op = Literal["const", "ivar", "sum", "if", "product", "quotient", "table", "bconst", "bvar", "not", "and", "or", "le0"]
# Compiled policies stay within 2^62 at every value that can occur; a bound by intervals is wider, because it adds up
# cases that exclude each other. Evaluation and z3 have integers of any size; what a MILP cannot carry is refused there.
MAX_BOUND = 2**70
MAX_STEP = 2**45  # wider comparisons, those with a slack where nothing is due, are taken case by case


class TermError(DrexError):
    """A term outside what the encodings carry: a bound beyond 2^70, a table asked outside its entries."""


class Node:
    """One shared term. `args` are nodes made earlier; `data` is what the operation needs besides them."""

    __slots__ = ("args", "data", "high", "index", "low", "op", "terms")

    def __init__(self, terms: Terms, op: Op, args: tuple[Node, ...], data: tuple[int | str, ...], low: int,
                 high: int, index: int) -> None:
        self.terms, self.op, self.args, self.data = terms, op, args, data
        self.low, self.high, self.index = low, high, index

    @property
    def value(self) -> int | None:
        """The constant it is, or None."""
        return self.low if self.low == self.high else None

    def __repr__(self) -> str:
        return f"<{self.op} {self.data} in {self.low}..{self.high}>"


class Int(Node):
    """An integer term, `low <= term <= high`."""

    def __add__(self, other: Int | Bool | int) -> Int:
        return self.terms.total((self, other))

    __radd__ = __add__

    def __sub__(self, other: Int | Bool | int) -> Int:
        return self + self.terms.times(-1, other)

    def __rsub__(self, other: int) -> Int:
        return self.terms.times(-1, self) + other

    def __mul__(self, factor: int) -> Int:
        return self.terms.times(factor, self)

    __rmul__ = __mul__

    def __le__(self, other: Int | Bool | int) -> Bool:
        return self.terms.at_most_zero(self - other)

    def __lt__(self, other: Int | Bool | int) -> Bool:
        return self.terms.at_most_zero(self - other + 1)

    def __ge__(self, other: Int | Bool | int) -> Bool:
        return self.terms.at_most_zero(self.terms.times(-1, self) + other)

    def __gt__(self, other: Int | Bool | int) -> Bool:
        return self.terms.at_most_zero(self.terms.times(-1, self) + other + 1)

    def equals(self, other: Int | Bool | int) -> Bool:
        """self = other."""
        return (self <= other) & (self >= other)


class Bool(Node):
    """A truth-valued term; as a number it is 0 or 1."""

    def __and__(self, other: Bool) -> Bool:
        return self.terms.all_of((self, other))

    def __or__(self, other: Bool) -> Bool:
        return self.terms.any_of((self, other))

    def __invert__(self) -> Bool:
        return self.terms.negation(self)

    def implies(self, other: Bool) -> Bool:
        """~self | other."""
        return ~self | other


Operand: TypeAlias = Int | Bool | int


class Terms:
    """Makes and holds nodes, variables (`variables`) and what must hold (`required`)."""

    def __init__(self) -> None:
        self._nodes: dict[tuple[object, ...], Node] = {}
        self.nodes: list[Node] = []
        self.variables: dict[str, Int | Bool] = {}
        self.required: list[tuple[str, Bool]] = []
        self.names: dict[int, str] = {}
        self.true, self.false = self.truth(True), self.truth(False)

    # ---- leaves -------------------------------------------------------------------------------------------
    def constant(self, value: int) -> Int:
        """An integer."""
        return self._int("const", (), (value,), value, value)

    def truth(self, value: bool) -> Bool:
        """True or false."""
        return self._bool("bconst", (), (int(value),), int(value), int(value))

    def integer(self, name: str, low: int, high: int) -> Int:
        """A new integer variable."""
        node = self._int("ivar", (), (self._new(name),), low, high)
        self.variables[name] = node
        return node

    def boolean(self, name: str) -> Bool:
        """A new truth-valued variable."""
        node = self._bool("bvar", (), (self._new(name),), 0, 1)
        self.variables[name] = node
        return node

    def require(self, condition: Bool, name: str = "") -> None:
        """`condition` must hold."""
        self.required.append((name, condition))

    def name(self, node: Bool | Int, name: str) -> None:
        """Give a derived term a name, under which solvers and answers show it."""
        self.names.setdefault(node.index, name)

    # ---- integers -----------------------------------------------------------------------------------------
    def total(self, parts: Iterable[Operand]) -> Int:
        """Their sum; sums in sums are flattened, equal parts collected."""
        constant, factors = 0, dict[int, int]()
        for part in parts:
            if isinstance(part, int):
                constant += part
            elif part.value is not None:
                constant += part.value
            elif part.op == "sum":
                constant += int(part.data[0])
                for node, factor in zip(part.args, part.data[1:], strict=True):
                    factors[node.index] = factors.get(node.index, 0) + int(factor)
            else:
                factors[part.index] = factors.get(part.index, 0) + 1
        kept = sorted((index, factor) for index, factor in factors.items() if factor)
        if not kept:
            return self.constant(constant)
        args = tuple(self.nodes[index] for index, _ in kept)
        if len(kept) == 1 and kept[0][1] == 1 and not constant and isinstance(args[0], Int):
            return args[0]
        ends = [(factor * node.low, factor * node.high) for node, (_, factor) in zip(args, kept, strict=True)]
        return self._int("sum", args, (constant, *(factor for _, factor in kept)),
                         constant + sum(min(pair) for pair in ends), constant + sum(max(pair) for pair in ends))

    def times(self, factor: int, part: Operand) -> Int:
        """A constant multiple."""
        if isinstance(part, int):
            return self.constant(factor * part)
        if part.value is not None or not factor:
            return self.constant(factor * part.low)
        if part.op == "sum":
            data = (factor * int(part.data[0]), *(factor * int(each) for each in part.data[1:]))
            low, high = sorted((factor * part.low, factor * part.high))
            return self._int("sum", part.args, data, low, high)
        if factor == 1 and isinstance(part, Int):
            return part
        low, high = sorted((factor * part.low, factor * part.high))
        return self._int("sum", (part,), (0, factor), low, high)

    def product(self, one: Int, other: Int) -> Int:
        """A product of two bounded terms."""
        for constant, part in ((one, other), (other, one)):
            if constant.value is not None:
                return self.times(constant.value, part)
        ends = [a * b for a in (one.low, one.high) for b in (other.low, other.high)]
        low = 0 if one is other and min(ends) < 0 else min(ends)
        return self._int("product", tuple(sorted((one, other), key=lambda node: node.index)), (), low, max(ends))

    def quotient(self, part: Int, divisor: int) -> Int:
        """floor(part / divisor) for a positive constant."""
        if divisor == 1:
            return part
        if part.value is not None:
            return self.constant(part.value // divisor)
        return self._int("quotient", (part,), (divisor,), part.low // divisor, part.high // divisor)

    def if_(self, condition: Bool, then: Operand, other: Operand) -> Int:
        """`then` where the condition holds, `other` elsewhere."""
        yes, no = self.number(then), self.number(other)
        if condition.value is not None:
            return yes if condition.value else no
        if yes is no:
            return yes
        if yes.value is not None and no.value is not None:
            return self.times(yes.value - no.value, condition) + no.value
        return self._int("if", (condition, yes, no), (), min(yes.low, no.low), max(yes.high, no.high))

    def table(self, index: Int, values: Sequence[int]) -> Int:
        """values[index]. TermError if the index can lie outside."""
        if index.low < 0 or index.high >= len(values):
            raise TermError(f"a table of {len(values)} values is asked for {index.low}..{index.high}")
        if index.value is not None:
            return self.constant(values[index.value])
        within = values[index.low:index.high + 1]
        steps = {b - a for a, b in pairwise(within)}
        if len(steps) == 1:  # a straight line needs no table
            (step,) = steps
            return self.times(step, index) + (within[0] - step * index.low)
        return self._int("table", (index,), tuple(values[:index.high + 1]), min(within), max(within))

    def minimum(self, one: Operand, other: Operand) -> Int:
        """The smaller one."""
        a, b = self.number(one), self.number(other)
        found = self.if_(a <= b, a, b)
        return self._tightened(found, found.low, min(a.high, b.high))

    def maximum(self, one: Operand, other: Operand) -> Int:
        """The larger one."""
        a, b = self.number(one), self.number(other)
        found = self.if_(a >= b, a, b)
        return self._tightened(found, max(a.low, b.low), found.high)

    def at_most(self, part: Int, high: int) -> Int:
        """The same term, known not to exceed `high` wherever all that is required holds; big-M become smaller by it.

        The caller has proved this or requires it; `evaluate` holds every value to it.
        """
        if part.low > high:
            raise TermError(f"{part} is said to be at most {high}")
        return self._tightened(part, part.low, high)

    def number(self, part: Operand) -> Int:
        """Any operand as an integer term."""
        if isinstance(part, Int):
            return part
        return self.constant(part) if isinstance(part, int) else self.times(1, part)

    # ---- truth values -------------------------------------------------------------------------------------
    def at_most_zero(self, part: Int) -> Bool:
        """part <= 0."""
        part = self._coarsened(part)
        if part.high <= 0:
            return self.true
        if part.low > 0:
            return self.false
        if part.op == "sum" and len(part.args) == 1 and part.args[0].high == 1 and not part.args[0].low:
            only = part.args[0]
            if isinstance(only, Bool):  # c + f * y <= 0 and undecided: y or not y
                return only if int(part.data[0]) > 0 else ~only
        return self._case_by_case(part) or self._bool("le0", (part,), (), 0, 1)

    def _coarsened(self, part: Int) -> Int:
        """A sum that is <= 0 exactly where `part` is: divided by what all factors share, the constant rounded up."""
        if part.op != "sum":
            return part
        shared = gcd(*(int(factor) for factor in part.data[1:]))
        if shared == 1:
            return part
        constant = -(-int(part.data[0]) // shared)
        return self.total([constant, *(self.times(int(factor) // shared, _operand(node))
                                       for node, factor in zip(part.args, part.data[1:], strict=True))])

    def _case_by_case(self, part: Int) -> Bool | None:
        """part <= 0 by the cases of its widest if, where the comparison as a whole would need a big-M too large for
        double arithmetic (a slack is 2^52 where nothing is due). None if there is none."""
        if part.high - part.low <= MAX_STEP:
            return None
        args, factors = (part.args, part.data[1:]) if part.op == "sum" else ((part,), (1,))
        wide = [(node.high - node.low, at) for at, node in enumerate(args) if node.op == "if"]
        if not wide:
            return None
        _, at = max(wide)
        condition, yes, no = args[at].args
        return self.choose(_truth(condition), self.at_most_zero(self._replaced(part, args[at], int(factors[at]), yes)),
                           self.at_most_zero(self._replaced(part, args[at], int(factors[at]), no)))

    def _replaced(self, part: Int, old: Node, factor: int, new: Node) -> Int:
        """The sum `part` with `new` in the place of its part `old`."""
        return part - self.times(factor, _integer(old)) + self.times(factor, _integer(new))

    def negation(self, part: Bool) -> Bool:
        """Not."""
        if part.value is not None:
            return self.truth(not part.value)
        if part.op == "not":
            inner = part.args[0]
            if isinstance(inner, Bool):
                return inner
        return self._bool("not", (part,), (), 0, 1)

    def all_of(self, parts: Iterable[Bool]) -> Bool:
        """And; true of none."""
        return self._junction("and", parts)

    def any_of(self, parts: Iterable[Bool]) -> Bool:
        """Or; false of none."""
        return self._junction("or", parts)

    def choose(self, condition: Bool, then: Bool, other: Bool) -> Bool:
        """`then` where the condition holds, `other` elsewhere."""
        if then is other:
            return then
        return (condition & then) | (~condition & other)

    def _junction(self, op: Literal["and", "or"], parts: Iterable[Bool]) -> Bool:
        neutral = int(op == "and")
        kept = dict[int, Bool]()
        for part in parts:
            if part.value is not None:
                if part.value != neutral:
                    return self.truth(not neutral)
                continue
            for one in part.args if part.op == op else (part,):
                if isinstance(one, Bool):
                    kept[one.index] = one
        for one in kept.values():
            if one.op == "not" and one.args[0].index in kept:
                return self.truth(not neutral)
        if not kept:
            return self.truth(bool(neutral))
        ordered = tuple(kept[index] for index in sorted(kept))
        return ordered[0] if len(ordered) == 1 else self._bool(op, ordered, (), 0, 1)

    # ---- inside -------------------------------------------------------------------------------------------
    def _new(self, name: str) -> str:
        if name in self.variables:
            raise TermError(f"a variable {name} exists already")
        return name

    def _tightened(self, node: Int, low: int, high: int) -> Int:
        """The same node, known to lie closer."""
        node.low, node.high = max(node.low, low), min(node.high, high)
        return node

    def _int(self, op: Op, args: tuple[Node, ...], data: tuple[int | str, ...], low: int, high: int) -> Int:
        if low < -MAX_BOUND or high > MAX_BOUND:
            raise TermError(f"a term can reach {low}..{high}, beyond 2^70; use a coarser quantum or smaller parameters")
        key = (op, tuple(node.index for node in args), data)
        found = self._nodes.get(key)
        if isinstance(found, Int):
            return found
        node = Int(self, op, args, data, low, high, len(self.nodes))
        self._nodes[key] = node
        self.nodes.append(node)
        return node

    def _bool(self, op: Op, args: tuple[Node, ...], data: tuple[int | str, ...], low: int, high: int) -> Bool:
        key = (op, tuple(node.index for node in args), data)
        found = self._nodes.get(key)
        if isinstance(found, Bool):
            return found
        node = Bool(self, op, args, data, low, high, len(self.nodes))
        self._nodes[key] = node
        self.nodes.append(node)
        return node


def _operand(node: Node) -> Int | Bool:
    return node if isinstance(node, Bool) else _integer(node)


def _truth(node: Node) -> Bool:
    if not isinstance(node, Bool):
        raise TermError(f"{node} is not a truth value")
    return node


def _integer(node: Node) -> Int:
    if not isinstance(node, Int):
        raise TermError(f"{node} is not an integer")
    return node


def reachable(roots: Iterable[Node]) -> list[Node]:
    """All nodes that `roots` depend on, arguments first."""
    seen, stack = dict[int, Node](), list(roots)
    while stack:
        node = stack.pop()
        if node.index not in seen:
            seen[node.index] = node
            stack.extend(node.args)
    return [seen[index] for index in sorted(seen)]
