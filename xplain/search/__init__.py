"""Search for inputs on which the heuristic loses: random samples, simulated annealing, and both as a portfolio."""

from xplain.search.annealing import annealing
from xplain.search.budget import Budget
from xplain.search.portfolio import SearchOutcome, portfolio
from xplain.search.progress import Progress
from xplain.search.random_search import random_search

__all__ = ["Budget", "Progress", "SearchOutcome", "annealing", "portfolio", "random_search"]
