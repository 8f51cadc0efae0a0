"""Evaluation of terms under an assignment: what a solver's answer is held to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xplain.encodings.terms.node import Node, TermError, reachable


def evaluate(roots: Iterable[Node], values: Mapping[str, int]) -> dict[int, int]:
    """Value of every node that the roots depend on, by `Node.index`. `values` by variable name, truth as 0 and 1.

    Raises TermError if a variable is missing or outside its bounds.
    """
    found: dict[int, int] = {}
    for node in reachable(roots):
        found[node.index] = _value(node, [found[arg.index] for arg in node.args], values)
        if not node.low <= found[node.index] <= node.high:
            raise TermError(f"{node} is {found[node.index]}: outside its bounds")
    return found


def _value(node: Node, args: list[int], values: Mapping[str, int]) -> int:
    match node.op:
        case "const" | "bconst":
            return int(node.data[0])
        case "ivar" | "bvar":
            if node.data[0] not in values:
                raise TermError(f"variable {node.data[0]} has no value")
            return int(values[str(node.data[0])])
        case "sum":
            return int(node.data[0]) + sum(int(factor) * arg for factor, arg in zip(node.data[1:], args, strict=True))
        case "if":
            return args[1] if args[0] else args[2]
        case "product":
            return args[0] * args[1]
        case "quotient":
            return args[0] // int(node.data[0])
        case "table":
            return int(node.data[args[0]])
        case "not":
            return 1 - args[0]
        case "and":
            return min(args)
        case "or":
            return max(args)
        case "le0":
            return int(args[0] <= 0)
