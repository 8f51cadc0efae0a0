"""An abstract description of a network, made concrete for an instance: families of nodes and relations between them.

`Description` says once what every ball, bin, path or link does and which of them are joined; `concretise(instance)`
lists the members. A member of family "path" named "1>2>3" is the node "path 1>2>3".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from xplain.flow.behaviour import Behaviour
from xplain.flow.network import NOTHING, Arc, Metadata, Network, Node, Objective
from xplain.flow.rules import Rule

S = TypeVar("S")


def member(family: str, name: str) -> str:
    """The node of a member of a family."""
    return f"{family} {name}"


def _plain(_: object, __: str) -> Metadata:
    return NOTHING


@dataclass(frozen=True)
class Family(Generic[S]):
    """Alike nodes: who they are in an instance, what they do, and what else is known of them.

    Each node's metadata also has `family` and `member`.
    """

    name: str
    members: Callable[[S], Iterable[str]]
    behaviours: Callable[[S, str], tuple[Behaviour, ...]]
    metadata: Callable[[S, str], Metadata] = _plain


@dataclass(frozen=True)
class Relation(Generic[S]):
    """Edges from members of one family to members of another: `pairs` lists them; without bounds, flow is just >= 0."""

    tail: str
    head: str
    pairs: Callable[[S], Iterable[tuple[str, str]]]
    metadata: Callable[[S, tuple[str, str]], Metadata] = lambda _, __: NOTHING


@dataclass(frozen=True)
class Description(Generic[S]):
    """Families, relations, rules and objective over instances of type S."""

    name: str
    families: tuple[Family[S], ...]
    relations: tuple[Relation[S], ...]
    rules: Callable[[S], Iterable[Rule]] = lambda _: ()
    objective: Callable[[S], Objective] = lambda _: Objective()

    def concretise(self, instance: S) -> Network:
        """The network of one instance. RecordError as for any network."""
        nodes = [Node(member(family.name, name), family.behaviours(instance, name),
                      {"family": family.name, "member": name, **family.metadata(instance, name)})
                 for family in self.families for name in family.members(instance)]
        arcs = [Arc(member(relation.tail, tail), member(relation.head, head),
                    metadata={"relation": f"{relation.tail} -> {relation.head}",
                              **relation.metadata(instance, (tail, head))})
                for relation in self.relations for tail, head in relation.pairs(instance)]
        return Network(self.name, tuple(nodes), tuple(arcs), tuple(self.rules(instance)), self.objective(instance))
