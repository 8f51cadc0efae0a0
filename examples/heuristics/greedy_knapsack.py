"""Greedy knapsack: items by value per weight while they fit. Against the best selection.

Shows what the first example does not: options, derived features, infeasible inputs, a gap that is a share of
something else than the benchmark.
"""

from itertools import combinations

from xplain.studies import Case, Dimension, InfeasibleError


class GreedyKnapsack(Case):
    heuristic_name, benchmark_name = "greedy knapsack", "the best selection"
    objective, gap_of, threshold = "value left behind", "all value", 0.15
    infeasible = "no item fits"

    def __init__(self, items: int = 3, capacity: float = 10.0):
        self.items, self.capacity = items, capacity
        self.meanings = {"heaviest": ("weight of the heaviest item", "kg"), "density": ("best value per kg", "")}
        self.dimensions = tuple(
            dimension for i in range(items) for dimension in
            (Dimension(f"weight{i}", 1, 15, integer=True, unit="kg", meaning=f"weight of item {i}"),
             Dimension(f"value{i}", 1, 20, integer=True, meaning=f"value of item {i}")))

    def table(self, point):
        found = [(point[f"weight{i}"], point[f"value{i}"]) for i in range(self.items)]
        if min(weight for weight, _ in found) > self.capacity:
            raise InfeasibleError
        return found

    def heuristic(self, point):
        left, lost = self.capacity, 0.0
        for weight, value in sorted(self.table(point), key=lambda item: item[1] / item[0], reverse=True):
            left, lost = (left - weight, lost) if weight <= left else (left, lost + value)
        return lost

    def benchmark(self, point):
        items = self.table(point)
        return sum(value for _, value in items) - max(
            sum(value for _, value in chosen) for size in range(self.items + 1)
            for chosen in combinations(items, size) if sum(weight for weight, _ in chosen) <= self.capacity)

    def per(self, point):
        return sum(point[f"value{i}"] for i in range(self.items))

    def derived(self, point):
        pairs = [(point[f"weight{i}"], point[f"value{i}"]) for i in range(self.items)]
        return {"heaviest": max(weight for weight, _ in pairs),
                "density": max(value / weight for weight, value in pairs)}
