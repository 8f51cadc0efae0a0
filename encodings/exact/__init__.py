"""Exact search: clairvoyant optimum, cost-to-go of any state, certified [bound, incumbent] intervals."""

from xplain.encodings.exact.cost_to_go import CostToGo
from xplain.encodings.exact.results import Interval, Limits, SearchResult
from xplain.encodings.exact.search import solve

__all__ = ["CostToGo", "Interval", "Limits", "SearchResult", "solve"]
