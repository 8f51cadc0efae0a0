"""Merging nodes from which the same inputs cost the same, as states of a weighted automaton are.

Working back from the end: what all arcs of a node cost at least is moved to the arcs that lead there; then nodes with
equal arcs are one, and a node whose arcs all agree reveals nothing and is passed by. Costs of paths stay as they are.
Source: Mohri, Weighted automata algorithms, 2009 (pushing, then minimisation of acyclic automata).
"""

from __future__ import annotations

from xplain.encodings.gap.lattice.network import END, Arc, Gate, Network

Signature = tuple[tuple[int, int, tuple[Gate, ...]], ...]  # cost, head, gates


def reduced(network: Network) -> Network:
    """The same function of the inputs with fewer nodes. For networks whose arcs of a node exclude each other."""
    leaving: dict[int, list[Arc]] = {}
    for arc in network.arcs:
        leaving.setdefault(arc.tail, []).append(arc)
    resolved: dict[int, tuple[int, int]] = {END: (0, END)}  # node -> ticks to pay in any case, new node
    number: dict[Signature, int] = {}
    for node in _heads_first(network.root, leaving):
        arcs = sorted((arc.cost + resolved[arc.head][0], resolved[arc.head][1], arc.gates) for arc in leaving[node])
        least = arcs[0][0]
        signature = tuple((cost - least, head, gates) for cost, head, gates in arcs)
        if all(entry[:2] == signature[0][:2] for entry in signature):
            resolved[node] = least, signature[0][1]
        else:
            resolved[node] = least, number.setdefault(signature, len(number))
    offset, root = resolved[network.root]
    made = tuple(Arc(tail, head, cost, gates) for signature, tail in number.items() for cost, head, gates in signature)
    return Network(len(number), root, made, network.offset + offset)


def _heads_first(root: int, leaving: dict[int, list[Arc]]) -> list[int]:
    """Nodes reachable from the root, each after all nodes that its arcs lead to."""
    found, seen, stack = list[int](), {END}, [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            found.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(arc.head, False) for arc in leaving[node] if arc.head not in seen]
    return found
