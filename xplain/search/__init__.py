"""Search for inputs on which the heuristic loses: random samples and methods that seek large gaps, as one portfolio."""

from xplain.search.budget import Budget
from xplain.search.incumbents import Incumbents
from xplain.search.portfolio import DEFAULT_SHARES, METHODS, SearchOutcome, Shares, portfolio
from xplain.search.progress import Progress
from xplain.search.random_search import random_search

__all__ = ["DEFAULT_SHARES", "METHODS", "Budget", "Incumbents", "Progress", "SearchOutcome", "Shares", "portfolio",
           "random_search"]
