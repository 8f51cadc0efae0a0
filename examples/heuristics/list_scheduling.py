"""List scheduling on two machines: each job goes to the machine that is free first. Against the best schedule."""

from itertools import product

from xplain.studies import Case, Dimension


class ListScheduling(Case):
    heuristic_name, benchmark_name = "list scheduling", "the best schedule"
    objective, unit, threshold = "makespan", "hours", 0.2
    dimensions = tuple(Dimension(f"job{i}", 1, 10, integer=True, unit="hours", meaning=f"length of job {i}")
                       for i in range(3))

    def heuristic(self, point):
        loads = [0, 0]
        for length in point.values():
            loads[loads.index(min(loads))] += length
        return max(loads)

    def benchmark(self, point):
        jobs = list(point.values())
        return min(max(sum(jobs) - first, first) for chosen in product((0, 1), repeat=len(jobs))
                   for first in [sum(job for job, here in zip(jobs, chosen, strict=True) if here)])

    def derived(self, point):
        return {"share_of_last_job": point["job2"] / sum(point.values())}
