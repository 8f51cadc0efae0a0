"""A network as linear rows over its flows and indicators: what its behaviours and rules say, one by one.

Rows are named by the node and behaviour, or the rule, that they come from; nothing is merged yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

from drex_runtime.errors import InputError
from xplain.flow.behaviour import AllEqual, Copy, Multiply, Number, Pick, Sink, Source, Split, label
from xplain.flow.bounds import Box, propagate, reach
from xplain.flow.network import Network, Node, absorbed, supply
from xplain.flow.rules import Condition, IfThen, Priority, Quantity, Relation, Terms
from xplain.problems.flows import Edge

Exact: TypeAlias = Mapping[Quantity, Fraction]


@dataclass(frozen=True)
class Row:
    """`terms` {<=, =, >=} `rhs`."""

    name: str
    terms: Exact
    relation: Relation
    rhs: Fraction


@dataclass(frozen=True)
class System:
    """Rows over `boxes` (bounds of every quantity); `binaries` are 0 or 1."""

    boxes: Mapping[Quantity, Box]
    binaries: frozenset[Quantity]
    rows: tuple[Row, ...]


def row(name: str, terms: Terms, relation: Relation, rhs: Number) -> Row:
    """A row in exact numbers, zero coefficients left out."""
    return Row(name, {key: Fraction(factor) for key, factor in terms.items() if factor}, relation, Fraction(rhs))


def ends(network: Network, node: Node) -> tuple[list[Edge], list[Edge]]:
    """Ins and outs of a node: its edges, then its supply, then what it absorbs."""
    incoming, outgoing = network.incident[node.name]
    ins = [*incoming, *([supply(node.name)] if node.find(Source) else [])]
    return ins, [*outgoing, *([absorbed(node.name)] if node.find(Sink) else [])]


def behaviour_rows(network: Network, node: Node) -> Iterator[Row]:
    """The equations of a node's behaviours (that a pick carries one edge only is not among them)."""
    ins, outs = ends(network, node)
    incoming, outgoing = network.incident[node.name]
    bare = all(isinstance(each, Source | Sink) for each in node.behaviours)
    for behaviour in node.behaviours:
        name = f"{node.name}: {label(behaviour)}"
        match behaviour:
            case Split() | Pick():
                yield row(name, _sum((ins, 1), (outs, -1)), "=", 0)
            case Copy() | Multiply():
                factor = behaviour.factor if isinstance(behaviour, Multiply) else 1
                for index, out in enumerate(outs):  # the others equal the first: such rows can be merged away
                    if index:
                        yield row(f"{name} -> {out[1]}", _sum(([out], 1), ([outs[0]], -1)), "=", 0)
                    else:
                        yield row(f"{name} -> {out[1]}", _sum(([out], 1), (ins, -factor)), "=", 0)
            case AllEqual():
                both = [*ins, *outs]
                for first, second in pairwise(both):
                    yield row(f"{name} {'/'.join(first)}", _sum(([first], 1), ([second], -1)), "=", 0)
            case Source():
                if bare:
                    yield row(name, _sum((outgoing, 1), ([supply(node.name)], -1)), "=", 0)
            case Sink():
                if bare:
                    yield row(name, _sum(([absorbed(node.name)], 1), (incoming, -1)), "=", 0)


def _sum(*parts: tuple[list[Edge] | tuple[Edge, ...], Number]) -> Terms:
    """Edges with their factor; an edge on both sides (a loop) cancels."""
    total = dict[Quantity, Number]()
    for edges, factor in parts:
        for edge in edges:
            total[edge] = total.get(edge, 0) + factor
    return total


def system(network: Network, inputs: Mapping[Quantity, Box] | None = None) -> System:
    """All rows of a network. `inputs`: quantities whose bounds are given from outside, indicators among them.

    InputError where a pick, a condition or a rule needs a bound that nothing implies.
    """
    given = dict(inputs or {})
    boxes: dict[Quantity, Box] = {edge: (float(low), float(high)) for edge, (low, high) in network.bounds.items()}
    for key, (low, high) in given.items():
        own = boxes.get(key, (0.0, 1.0))
        boxes[key] = (max(low, own[0]), min(high, own[1]))
    rows = [each for node in network.nodes for each in behaviour_rows(network, node) if each.terms]  # others say 0 = 0
    picks = [node for node in network.nodes if any(isinstance(each, Pick) for each in node.behaviours)]
    if not picks and not network.rules:
        return System(boxes, frozenset(), tuple(rows))
    builder = _Logic(network, boxes, propagate(boxes, rows), frozenset(given))
    for node in picks:
        builder.pick(node)
    for rule in network.rules:
        match rule:
            case Condition():
                builder.condition(rule)
            case IfThen():
                builder.if_then(rule)
            case Priority():
                builder.priority(rule)
    return System(boxes | builder.indicators, frozenset(builder.binaries), (*rows, *builder.rows))


class _Logic:
    """Rows with binaries; big-M from the bounds that the rows imply."""

    def __init__(self, network: Network, boxes: Mapping[Quantity, Box], proved: Mapping[Quantity, Box],
                 given: frozenset[Quantity]) -> None:
        self._network, self._given = network, given
        self._proved: dict[Quantity, Box] = {**boxes, **proved}
        self.indicators, self.binaries, self.rows = dict[Quantity, Box](), set[Quantity](), list[Row]()

    def pick(self, node: Node) -> None:
        """At most one out carries flow; if the sum of ins is one number, the chosen out carries exactly that."""
        ins, outs = ends(self._network, node)
        low, high = reach(dict.fromkeys(ins, 1.0), self._proved)
        chosen = [self._binary(f"{node.name} picks {out[1]}") for out in outs]
        name = f"{node.name}: pick"
        if low == high and low:
            for out, on in zip(outs, chosen, strict=True):
                self.rows.append(row(f"{name} {out[1]}", {out: 1, on: -Fraction(low)}, "=", 0))
            return
        for out, on in zip(outs, chosen, strict=True):
            least, most = self._finite(f"{name} {out[1]}", {out: 1})
            self.rows.append(row(f"{name} {out[1]}: at most", {out: 1, on: -Fraction(most)}, "<=", 0))
            self.rows.append(row(f"{name} {out[1]}: at least", {out: 1, on: -Fraction(least)}, ">=", 0))
        self.rows.append(row(f"{name} one", dict.fromkeys(chosen, 1), "<=", 1))

    def condition(self, rule: Condition) -> None:
        """The indicator, both ways; fixed where the bounds decide. One given from outside is not tied to its terms."""
        if rule.name in self._given:
            self._proved[rule.name] = (0.0, 1.0)
            return
        on, sign = self._binary(rule.name), 1 if rule.relation == ">=" else -1
        terms, bound, step = {key: sign * factor for key, factor in rule.terms.items()}, sign * rule.bound, rule.step
        low, high = reach(terms, self._proved)
        if low > bound - step:
            self._fix(rule.name, 1)
        elif high < bound:
            self._fix(rule.name, 0)
        holds, fails = self._proved[rule.name][1] > 0, self._proved[rule.name][0] < 1
        if holds and low < bound:  # on: terms >= bound
            least = bound if not fails else self._finite(rule.name, terms)[0]
            self.rows.append(row(f"{rule.name}: if on", {**terms, on: -(Fraction(bound) - Fraction(least))}, ">=",
                                 least))
        if fails and high > bound - step:  # off: terms <= bound - step
            most = bound - step if not holds else self._finite(rule.name, terms)[1]
            slack = Fraction(most) - Fraction(bound) + Fraction(step)
            self.rows.append(row(f"{rule.name}: if off", {**terms, on: -slack}, "<=", Fraction(bound) - Fraction(step)))

    def if_then(self, rule: IfThen) -> None:
        """terms >= rhs - M (number of conditions that do not hold), and the same from above for <= and =."""
        if any(self._proved[each][1] == 0 for each in rule.when):
            return
        open_ = [each for each in dict.fromkeys(rule.when) if self._proved[each][0] < 1]
        if not open_:
            self.rows.append(row(rule.name, rule.terms, rule.relation, rule.rhs))
            return
        for relation, sign in ((">=", 1), ("<=", -1)):
            if rule.relation not in (relation, "="):
                continue
            terms = {key: sign * factor for key, factor in rule.terms.items()}
            least = Fraction(self._finite(rule.name, terms, sides="low")[0])
            slack, rhs = max(Fraction(0), sign * Fraction(rule.rhs) - least), sign * Fraction(rule.rhs)
            off = _sum_terms(terms, {each: -slack for each in open_})
            self.rows.append(row(f"{rule.name}: at {'least' if sign > 0 else 'most'}", off, ">=",
                                 rhs - slack * len(open_)))

    def priority(self, rule: Priority) -> None:
        """A choice carries flow only if its conditions hold and no earlier choice's do."""
        for index, choice in enumerate(rule.choices):
            may, when = self._binary(rule.may(index)), dict.fromkeys(choice.when)
            for each in when:
                self.rows.append(row(f"{may}: only if {each}", {may: 1, each: -1}, "<=", 0))
            self.rows.append(row(f"{may}: if all", {may: 1, **dict.fromkeys(when, -1)}, ">=", 1 - len(when)))
            least, most = self._finite(rule.name, {choice.edge: 1})
            if least < 0:
                raise InputError(f"Network {self._network.name}", rule.name, "/".join(choice.edge),
                                 "an edge whose flow is at least 0")
            limit = Fraction(most)
            self.rows.append(row(f"{may}: else nothing", {choice.edge: 1, may: -limit}, "<=", 0))
            for earlier in range(index):
                first = rule.may(earlier)
                self.rows.append(row(f"{may}: not after {rule.choices[earlier].edge[1]}",
                                     {choice.edge: 1, first: limit}, "<=", limit))

    def _binary(self, name: str) -> str:
        self.indicators[name] = self._proved[name] = (0.0, 1.0)
        self.binaries.add(name)
        return name

    def _fix(self, name: str, value: int) -> None:
        self.indicators[name] = self._proved[name] = (float(value), float(value))

    def _finite(self, name: str, terms: Terms, *, sides: str = "both") -> Box:
        low, high = reach(terms, self._proved)
        if not math.isfinite(low) or (sides == "both" and not math.isfinite(high)):
            loose = next(key for key in terms if not all(map(math.isfinite, self._proved[key])))
            shown = loose if isinstance(loose, str) else " -> ".join(loose)
            raise InputError(f"Network {self._network.name}", name, f"{shown} in {self._proved[loose]}",
                             "a finite bound on this flow, or one that its nodes imply")
        return low, high


def _sum_terms(first: Terms, second: Terms) -> Terms:
    return {key: Fraction(first.get(key, 0)) + Fraction(second.get(key, 0)) for key in {**first, **second}}
