"""What regions at exact scale are read over. Each feature has one definition, which numbers and solvers share.

All are certifiable: a certificate may be about a region over them. `uncertifiable` says why another feature is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xplain.encodings.certificates.features import Feature, Quantities

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


def uncertifiable(feature: str) -> str | None:
    """Why no certificate can be about a region over this feature; None: it can."""
    if feature in FEATURES:
        return None
    return f"feature {feature} has no encoding: certificates are about workloads of the exact scale, and read " + \
        ", ".join(FEATURES)
