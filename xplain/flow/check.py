"""A given flow held against a network: which behaviours, bounds and rules it violates, by name."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drex_runtime.errors import InputError
from xplain.flow.behaviour import Number, Pick
from xplain.flow.network import OUTSIDE, Network, Node
from xplain.flow.rules import Condition, IfThen, Priority, Quantity, Terms
from xplain.flow.system import behaviour_rows, ends
from xplain.problems.flows import Edge

TOLERANCE = 1e-6  # relative to max(1, |right-hand side|)


@dataclass(frozen=True)
class Violation:
    """`where`: node, edge or rule; `what`: behaviour, "bounds", "condition", "if-then" or "priority"; `text`: how."""

    where: str
    what: str
    text: str


def check(network: Network, flows: Mapping[Edge, float], *, tolerance: float = TOLERANCE) -> tuple[Violation, ...]:
    """Everything that `flows` violates; empty: the flow is one of the network. Edges left out carry nothing.

    Supplies and what sinks absorb that are left out are worked out from the edges where the behaviours tell. InputError
    for a flow on an edge that does not exist.
    """
    for edge in flows:
        if edge not in network.bounds:
            raise InputError(f"Network {network.name}", "flows", " -> ".join(edge), "an edge of the network")
    full = _completed(network, flows)
    found = list[Violation]()
    for edge, (low, high) in network.bounds.items():
        slack = tolerance * max([1.0, *(abs(float(end)) for end in (low, high) if math.isfinite(end))])
        if not low - slack <= full[edge] <= high + slack:
            found.append(Violation(" -> ".join(edge), "bounds", f"{full[edge]:g} is not within {low}..{high}"))
    for node in network.nodes:
        found += _behaviours(network, node, full, tolerance)
    truth = indicators(network, full, tolerance=tolerance)
    for rule in network.rules:
        match rule:
            case Condition():
                found += _undecided(rule, full | truth, tolerance)
            case IfThen():
                if all(truth[each] for each in rule.when):
                    total = _total(rule.terms, full | truth)
                    if not _compares(total, rule.relation, rule.rhs, tolerance):
                        found.append(Violation(rule.name, "if-then", f"{total:g} is not {rule.relation} {rule.rhs}"))
            case Priority():
                found += _order(rule, full, truth, tolerance)
    return tuple(found)


def indicators(network: Network, flows: Mapping[Edge, float], *, tolerance: float = TOLERANCE) -> dict[Quantity, float]:
    """The indicators of all conditions and priorities at a flow: 1.0 where they hold, else 0.0."""
    truth = dict[Quantity, float]()
    for rule in network.rules:
        if isinstance(rule, Condition):
            total = _total(rule.terms, {**flows, **truth})
            truth[rule.name] = float(_compares(total, rule.relation, rule.bound, tolerance))
        elif isinstance(rule, Priority):
            for index, choice in enumerate(rule.choices):
                truth[rule.may(index)] = float(all(truth[each] for each in choice.when))
    return truth


def objective(network: Network, flows: Mapping[Edge, float]) -> float:
    """The value of a flow, indicators worked out from it."""
    full = _completed(network, flows)
    return _total(network.objective.terms, full | indicators(network, full))


def _completed(network: Network, flows: Mapping[Edge, float]) -> dict[Quantity, float]:
    full: dict[Quantity, float] = {edge: float(flows.get(edge, 0.0)) for edge in network.bounds}
    for node in network.nodes:
        missing = [edge for edge in (*ends(network, node)[0], *ends(network, node)[1])
                   if OUTSIDE in edge and edge not in flows]
        for row in behaviour_rows(network, node):
            open_ = [edge for edge in missing if edge in row.terms]
            if len(open_) == 1 and row.relation == "=":
                rest = sum(float(factor) * full[key] for key, factor in row.terms.items() if key != open_[0])
                full[open_[0]] = (float(row.rhs) - rest) / float(row.terms[open_[0]])
                missing.remove(open_[0])
    return full


def _behaviours(network: Network, node: Node, full: Mapping[Quantity, float], tolerance: float) -> Iterator[Violation]:
    for row in behaviour_rows(network, node):
        total = _total(row.terms, full)
        scale = max([1.0, *(abs(float(factor) * full[key]) for key, factor in row.terms.items())])
        if abs(total - float(row.rhs)) > tolerance * scale:
            what = row.name.removeprefix(f"{node.name}: ").split(" ")[0]
            yield Violation(node.name, what, f"{row.name} is off by {total - float(row.rhs):g}")
    if any(isinstance(each, Pick) for each in node.behaviours):
        carrying = [out for out in ends(network, node)[1] if abs(full[out]) > tolerance]
        if len(carrying) > 1:
            yield Violation(node.name, "pick", f"{len(carrying)} edges carry flow: "
                                               f"{', '.join(out[1] for out in carrying)}")


def _undecided(rule: Condition, values: Mapping[Quantity, float], tolerance: float) -> Iterator[Violation]:
    total, sign = _total(rule.terms, values), 1 if rule.relation == ">=" else -1
    short = sign * (float(rule.bound) - total)  # above 0: does not hold
    if tolerance < short < float(rule.step) - tolerance:
        yield Violation(rule.name, "condition", f"{total:g} neither holds ({rule.relation} {rule.bound}) nor fails it "
                                                f"by {rule.step}")


def _order(rule: Priority, full: Mapping[Quantity, float], truth: Mapping[Quantity, float],
           tolerance: float) -> Iterator[Violation]:
    first = next((index for index in range(len(rule.choices)) if truth[rule.may(index)]), None)
    for index, choice in enumerate(rule.choices):
        if index != first and full[choice.edge] > tolerance:
            ahead = "none may" if first is None else f"{rule.choices[first].edge[1]} comes first"
            yield Violation(rule.name, "priority", f"{choice.edge[1]} carries {full[choice.edge]:g}, but {ahead}")


def _total(terms: Terms, values: Mapping[Quantity, float]) -> float:
    return sum(float(factor) * values[key] for key, factor in terms.items())


def _compares(total: float, relation: str, rhs: Number, tolerance: float) -> bool:
    slack = tolerance * max(1.0, abs(float(rhs)))
    return {"<=": total <= float(rhs) + slack, ">=": total >= float(rhs) - slack,
            "=": abs(total - float(rhs)) <= slack}[relation]

