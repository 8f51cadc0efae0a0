"""Unit flows through states: what both sides of the gap become.

An *input bit* (i, t, s): token t of request i exits at ramp s or before. An arc may need bits to be on or off. A path
from the root to the end meets each bit at most once (a token comes by a ramp once), so the arcs that need a bit on
carry at most `bit` in sum, those that need it off at most `1 - bit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

Bit = tuple[int, int, int]  # request, token, ramp
END = -1  # the node where all requests are done


class Gate(NamedTuple):
    """A bit that must be on or off."""

    bit: Bit
    on: bool


class Arc(NamedTuple):
    """From `tail` to `head` for `cost` ticks, if all gates are open."""

    tail: int
    head: int
    cost: int
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Network:
    """Nodes 0..num_nodes - 1 and END; the flow enters at `root`. `offset`: ticks that every path pays besides."""

    num_nodes: int
    root: int
    arcs: tuple[Arc, ...]
    offset: int = 0


@dataclass
class Builder:
    """Numbers nodes by key as they are met."""

    number: dict[object, int] = field(default_factory=dict)
    arcs: list[Arc] = field(default_factory=list)

    def node(self, key: object) -> tuple[int, bool]:
        """The node's number, and whether it is new."""
        found = self.number.get(key)
        if found is not None:
            return found, False
        self.number[key] = len(self.number)
        return self.number[key], True
