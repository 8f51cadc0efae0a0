"""What regions at exact scale are read over. Each feature has one definition, which numbers and solvers share.

All of them are certifiable: certificates may be about regions over them. Features without such a definition (those of
the operating scale) are not, and are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from drex_runtime.errors import LimitError
from xplain.encodings.certificates.features import Feature, Quantities, Shape

Of = Quantities[Any, Any]


def _exits(of: Of, request: int, tokens: int) -> Any:
    """Early tokens of a request among its first `tokens`."""
    return of.total([of.early(request, t) for t in range(tokens)])


def _range(of: Of, parts: Sequence[Any]) -> Any:
    return of.minus(of.largest(parts), of.smallest(parts))


def _disagreement(of: Of, token: int) -> Any:
    """4 k (n - k) for k of n requests that exit early at this token: n^2 where half of them do."""
    n = of.shape.requests
    early = of.total([of.early(i, token) for i in range(n)])
    return of.looked_up(early, [4 * k * (n - k) for k in range(n + 1)])


def _exit_share(of: Of) -> Any:
    return of.total([_exits(of, i, of.shape.tokens) for i in range(of.shape.requests)])


def _spread(of: Of) -> Any:
    return of.total([_disagreement(of, t) for t in range(of.shape.tokens)])


def _changes(of: Of) -> Any:
    pairs = [(i, t) for i in range(of.shape.requests) for t in range(of.shape.tokens - 1)]
    return of.total([of.looked_up(of.total([of.early(i, t), of.early(i, t + 1)]), (0, 1, 0)) for i, t in pairs])


def _deep_spread(of: Of) -> Any:
    return _range(of, [_exits(of, i, of.shape.tokens) for i in range(of.shape.requests)])


def _phase_offset(of: Of) -> Any:
    return of.largest([_range(of, [_exits(of, i, t) for i in range(of.shape.requests)])
                       for t in range(1, of.shape.tokens + 1)])


def _fewest_exits(of: Of) -> Any:
    return of.smallest([_exits(of, i, of.shape.tokens) for i in range(of.shape.requests)])


def _last_arrival(of: Of) -> Any:
    return of.largest([of.arrival(i) for i in range(of.shape.requests)])


def _first_disagreement(of: Of) -> Any:
    return _disagreement(of, 0)


FEATURES = {feature.name: feature for feature in (
    Feature("exit_share", "share of tokens that exit early", "", _exit_share,
            lambda shape: shape.requests * shape.tokens),
    Feature("spread", "mean disagreement between requests at the same token position", "", _spread,
            lambda shape: shape.requests**2 * shape.tokens),
    Feature("changes", "share of consecutive tokens of a request with different depth", "", _changes,
            lambda shape: max(1, shape.requests * (shape.tokens - 1))),
    Feature("deep_spread", "difference in deep tokens between the deepest and the shallowest request", "tokens",
            _deep_spread),
    Feature("phase_offset", "largest difference between two requests in early tokens up to the same position", "tokens",
            _phase_offset),
    Feature("fewest_exits", "early tokens of the deepest request", "tokens", _fewest_exits),
    Feature("last_arrival", "last arrival in shallow passes", "passes", _last_arrival, lambda shape: shape.grid),
    Feature("first_disagreement", "mean disagreement at the first token", "", _first_disagreement,
            lambda shape: shape.requests**2),
)}


FAMILIES = {
    "exits_of": "early tokens of request {}", "early_at": "requests whose token {} exits early",
    "arrival_of": "arrival of request {} in shallow passes", "early": "early exit of request {}, token {}",
}
_MEMBER = re.compile(rf"({'|'.join(FAMILIES)})_([1-9][0-9]?)(?:_([1-9][0-9]?))?")


def members(shape: Shape) -> list[str]:
    """Names of the features of single requests and positions, numbered from 1 in (arrival, id) order: certificates read
    them too, where no figure about the whole workload tells those that lose from the others."""
    requests, tokens = range(1, shape.requests + 1), range(1, shape.tokens + 1)
    return [*(f"exits_of_{i}" for i in requests), *(f"early_at_{t}" for t in tokens),
            *(f"arrival_of_{i}" for i in requests), *(f"early_{i}_{t}" for i in requests for t in tokens)]


def feature_named(name: str, shape: Shape) -> Feature | None:
    """A certifiable feature of workloads of this shape; None: there is no such feature."""
    if name in FEATURES:
        return FEATURES[name]
    return _member(name) if name in members(shape) else None


def _member(name: str) -> Feature:
    family, first, second = _parts(name)
    meaning = FAMILIES[family].format(first, second)
    if family == "exits_of":
        return Feature(name, meaning, "tokens", lambda of: _exits(of, first - 1, of.shape.tokens))
    if family == "early_at":
        return Feature(name, meaning, "requests",
                       lambda of: of.total([of.early(i, first - 1) for i in range(of.shape.requests)]))
    if family == "arrival_of":
        return Feature(name, meaning, "passes", lambda of: of.arrival(first - 1), lambda shape: shape.grid)
    return Feature(name, meaning, "", lambda of: of.early(first - 1, second - 1))


def _parts(name: str) -> tuple[str, int, int]:
    found = _MEMBER.fullmatch(name)
    if found is None:
        raise LimitError(f"feature {name} is not one of a request or token position")
    return found[1], int(found[2]), int(found[3] or 0)


def certifiable(shape: Shape) -> str:
    """What a region may be over, if a certificate about workloads of this shape is to be about it."""
    return f"a feature that has an encoding: {', '.join(FEATURES)}, {', '.join(members(shape))}"
