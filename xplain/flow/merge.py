"""Redundant quantities merged: those that equations tie to another one, or to a number, stand for themselves no more.

Every name is kept: a merged quantity is `scale` times its root plus `offset`, in exact numbers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from xplain.flow.bounds import Box
from xplain.flow.rules import Quantity
from xplain.flow.system import Row, System

CLOSE = Fraction(1, 10**9)  # relative, the solver's tolerance: 0.1 + 0.2 = 0.3 does not hold exactly in doubles


@dataclass(frozen=True)
class Form:
    """scale * root + offset; `root` None: the number `offset`."""

    root: Quantity | None
    scale: Fraction
    offset: Fraction


@dataclass(frozen=True)
class Reduced:
    """A system over the roots that are left, and what every quantity of the original is in terms of them.

    `contradictions`: names of rows and bounds that cannot hold whatever flows.
    """

    system: System
    forms: Mapping[Quantity, Form]
    contradictions: tuple[str, ...]


def unmerged(system: System) -> Reduced:
    """The system as it is; only rows without terms are decided."""
    impossible = tuple(each.name for each in system.rows if not each.terms and _excess(each) > 0)
    rows = tuple(each for each in system.rows if each.terms)
    return Reduced(System(system.boxes, system.binaries, rows),
                   {key: Form(key, Fraction(1), Fraction(0)) for key in system.boxes}, impossible)


def _excess(row: Row) -> Fraction:
    """By how much a row without terms is violated; 0 or less: it holds."""
    return {"=": abs(row.rhs), "<=": -row.rhs, ">=": row.rhs}[row.relation]


def merge(system: System, kept: Collection[Quantity] = ()) -> Reduced:
    """Merge along every equation that ties two quantities, or fixes one, until none is left; `kept` stay roots."""
    merger = _Merger(system, frozenset(kept))
    rows = list(system.rows)
    for key, (low, high) in system.boxes.items():
        if low == high and key not in merger.kept:
            merger.tie(Row(f"{key} fixed", {key: Fraction(1)}, "=", Fraction(low)))
    while True:
        left = list[Row]()
        for each in rows:
            again = merger.substitute(each)
            if not merger.tie(again, abs(each.rhs) + abs(again.rhs - each.rhs)):
                left.append(again)
        if not merger.moved:
            return merger.result(left)
        merger.moved, rows = False, left


class _Merger:
    """Union-find over affine forms; `moved`: something was merged since it was last reset."""

    def __init__(self, system: System, kept: frozenset[Quantity]) -> None:
        self.kept, self.moved = kept, False
        self._system, self._contradictions = system, list[str]()
        self._forms: dict[Quantity, Form] = {key: Form(key, Fraction(1), Fraction(0)) for key in system.boxes}

    def find(self, key: Quantity) -> Form:
        """A quantity in terms of its present root (paths are shortened on the way)."""
        form, chain = self._forms[key], [key]
        while form.root is not None and form.root != chain[-1] and self._forms[form.root].root != form.root:
            chain.append(form.root)
            form = self._forms[form.root]
        for each in reversed(chain):  # from the root outwards
            own = self._forms[each]
            if own.root is not None and own.root != each:
                above = self._forms[own.root]
                self._forms[each] = Form(above.root, own.scale * above.scale, own.scale * above.offset + own.offset)
        return self._forms[key]

    def substitute(self, row: Row) -> Row:
        """A row over roots."""
        terms, rhs = dict[Quantity, Fraction](), row.rhs
        for key, factor in row.terms.items():
            form = self.find(key)
            rhs -= factor * form.offset
            if form.root is not None:
                terms[form.root] = terms.get(form.root, Fraction(0)) + factor * form.scale
        return Row(row.name, {key: factor for key, factor in terms.items() if factor}, row.relation, rhs)

    def tie(self, row: Row, size: Fraction = Fraction(1)) -> bool:
        """Use up a row over roots if it says nothing, cannot hold, fixes a root or ties two; whether it was used.

        `size`: of the numbers that cancelled in it.
        """
        if not row.terms:
            if _excess(row) > CLOSE * max(1, size):
                self._contradictions.append(row.name)
            return True
        if row.relation != "=" or len(row.terms) > 2:
            return False
        (first, a), *rest = row.terms.items()
        if not rest:
            return first not in self.kept and self._set(first, Form(None, Fraction(0), row.rhs / a))
        ((second, b),) = rest
        if self._rank(first) > self._rank(second):
            first, a, second, b = second, b, first, a
        form = Form(second, -b / a, row.rhs / a)  # first = (rhs - b second) / a
        if first in self.kept:
            return False
        if first in self._system.binaries and (form.scale, form.offset) not in ((1, 0), (-1, 1)):
            return False  # two binaries, neither the other nor its complement
        return self._set(first, form)

    def _rank(self, key: Quantity) -> int:
        """The higher ranked of two becomes the root."""
        return 2 if key in self.kept else 1 if key in self._system.binaries else 0

    def _set(self, key: Quantity, form: Form) -> bool:
        self._forms[key], self.moved = form, True
        return True

    def result(self, rows: list[Row]) -> Reduced:
        """Bounds of all quantities carried over to the roots."""
        boxes, forms = dict[Quantity, Box](), {key: self.find(key) for key in self._system.boxes}
        for key, form in forms.items():
            low, high = self._system.boxes[key]
            if form.root is None:
                near = CLOSE * max(1, abs(form.offset))
                if not low - near <= form.offset <= high + near or (
                        key in self._system.binaries and min(abs(form.offset), abs(form.offset - 1)) > near):
                    self._contradictions.append(f"bounds of {key if isinstance(key, str) else ' -> '.join(key)}")
                continue
            # Exact where finite: 1e16 + 1 would be lost in doubles.
            ends = sorted((self._back(low, form), self._back(high, form)))
            before = boxes.get(form.root, (-math.inf, math.inf))
            boxes[form.root] = (max(before[0], ends[0]), min(before[1], ends[1]))
        for key, (low, high) in list(boxes.items()):
            if low > high + float(CLOSE) * max(1.0, abs(low)):
                self._contradictions.append(f"bounds of {key if isinstance(key, str) else ' -> '.join(key)}")
            elif low > high:
                boxes[key] = (low, low)
        left = frozenset(key for key in self._system.binaries if forms[key].root == key)
        seen, distinct = set[object](), list[Row]()
        for row in rows:
            says = (frozenset(row.terms.items()), row.relation, row.rhs)
            if says not in seen and not self._implied(row, boxes):
                seen.add(says)
                distinct.append(row)
        return Reduced(System(boxes, left, tuple(distinct)), forms, tuple(self._contradictions))

    def _back(self, bound: float, form: Form) -> float:
        if math.isinf(bound):
            return bound if form.scale > 0 else -bound
        return float((Fraction(bound) - form.offset) / form.scale)

    def _implied(self, row: Row, boxes: Mapping[Quantity, Box]) -> bool:
        """Whether an inequality follows from the bounds alone."""
        sign = {"<=": 1, ">=": -1, "=": 0}[row.relation]
        if not sign:
            return False
        most = Fraction(0)
        for key, factor in row.terms.items():
            bound = boxes[key][1 if sign * factor > 0 else 0]
            if math.isinf(bound):
                return False
            most += sign * factor * Fraction(bound)
        return most <= sign * row.rhs
