"""How many steps a machine can need, proved: too few would cut schedules off and make a "proved" gap too small.

*Policy.* Every step takes a request at least one segment (or its prompt) on, or is an IDLE that ends at an arrival:
`encodings.steps.machine.horizon`. Where the space is small enough to be simulated as a whole, the most choices of
any run are counted instead.

*Optimum.* One optimal schedule per workload must fit. Let U be the cost of any policy's run: the optimum costs at most
U, so it ends by a time E(U): U itself for the makespan; for total completion, whoever ends last ends by
U + its arrival - (the least service of all the others), since sum(C_i - a_i) <= U. A RUN takes at least
c = min over s, e >= s of start[s] + segments s..e for one row + (ramp e, if e <= K): no cost falls as rows are added.
So there are at most floor(E / c) RUNs, at most one PREFILL per prompted request, and at most one IDLE per arrival
after 0; and never more than the work above (a row is parked only at ramps before its depth). The worst
workload's number is taken; if the space is too large to look at every workload, the work above is.
"""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import PolicyError
from drex_runtime.policies import bind, shipped_policy
from drex_runtime.records import CostProfile, Workload
from drex_runtime.scheduling.state import Objective
from drex_runtime.simulator.arrays import CompiledPolicy, CompiledWorkload, compiled_policy
from drex_runtime.simulator.compiled import CompiledRun, simulate_compiled
from xplain.encodings.gap.problem import GapProblem
from xplain.encodings.gap.service import least_cost, service
from xplain.encodings.steps.inputs import Inputs
from xplain.encodings.steps.listing import count_at_most, every_workload
from xplain.encodings.steps.machine import horizon
from xplain.encodings.terms import Terms

MOST_SIMULATED = 2**13  # workloads; about a second
HELPERS = ("no-exit", "consensus", "flush-now")  # whose runs bound the optimum from above


@dataclass(frozen=True)
class Horizons:
    """Steps of the policy, of the benchmark; the last reading of either clock in ticks (None: not known); how all
    this was proved; and whether there is a workload at all that counts."""

    policy: int
    benchmark: int
    clock: int | None
    detail: str
    possible: bool = True


def proved_horizons(problem: GapProblem, at_least: int | None = None) -> Horizons:
    """Steps that suffice for both sides on every workload of the space on which the policies come to an end; with
    `at_least`, on every one that may lose that many ticks: there the optimum costs at most H(x) - at_least.
    """
    work = horizon(Inputs(Terms(), problem.space))
    workloads = count_at_most(problem.space)
    if workloads > MOST_SIMULATED:
        return Horizons(work, work, None, f"horizons: {work} steps, the work there is ({workloads} workloads are too "
                                          "many to look at each)")
    policy = compiled_policy(problem.policy)
    other = None if problem.benchmark is None else compiled_policy(problem.benchmark)
    helpers, shortest = _helpers(problem), shortest_run(problem.profile)
    most, most_other, clock, possible = 1, 1, 0, False
    for workload in every_workload(problem.space):
        compiled = CompiledWorkload.of(workload)
        run = _run(policy, compiled)
        if run is None:  # not feasible: the policy comes to no end here
            continue
        if other is not None:
            against = _run(other, compiled)
            if against is None:
                continue
            steps, end = steps_of(against, workload), against.end
        else:
            upper = _upper(problem, run, helpers, compiled, at_least)
            if upper < least_cost(problem.profile, problem.config, workload, problem.objective):
                continue  # it cannot lose that much
            end = last_completion(workload, problem.profile, problem.objective, upper)
            steps = optimal_steps(workload, end, shortest)
        most, most_other = max(most, steps_of(run, workload)), max(most_other, steps)
        clock, possible = max(clock, run.end, end), True
    return Horizons(min(most, work), min(most_other, work), clock,
                    f"horizons: {min(most, work)} and {min(most_other, work)} steps instead of {work}, proved on all "
                    f"{workloads} workloads", possible)


def shortest_run(profile: CostProfile) -> int:
    """Least ticks of any RUN."""
    segments, best = profile.num_segments, []
    for begin in range(1, segments + 1):
        ticks = profile.start_cost(begin)
        for end in range(begin, segments + 1):
            ticks += profile.segment_cost(end, 1, 0)
            best.append(ticks + (profile.ramp_cost(end, 1) if end < segments else 0))
    return min(best)


def last_completion(workload: Workload, profile: CostProfile, objective: Objective, upper: int) -> int:
    """When any schedule ends that costs at most `upper`; see above."""
    if objective == "makespan":
        return upper
    services = service(profile, workload)
    return max(upper + request.arrival - (sum(services) - own)
               for request, own in zip(workload.requests, services, strict=True))


def optimal_steps(workload: Workload, end: int, shortest: int) -> int:
    """Steps of any schedule of this workload that ends by `end`; see above."""
    runs = sum(sum(request.depths[bool(request.prompt_tokens):]) for request in workload.requests)
    prefills = sum(bool(request.prompt_tokens) for request in workload.requests)
    if shortest > 0:
        runs = min(runs, end // shortest)
    return runs + prefills + _late_arrivals(workload)


def steps_of(run: CompiledRun, workload: Workload) -> int:
    """At most this many decisions were taken."""
    return run.launches + _late_arrivals(workload)


def _late_arrivals(workload: Workload) -> int:
    return len({request.arrival for request in workload.requests if request.arrival > 0})


def _helpers(problem: GapProblem) -> list[CompiledPolicy]:
    return [compiled_policy(bind(shipped_policy(name), problem.profile, problem.config)) for name in HELPERS]


def _upper(problem: GapProblem, run: CompiledRun, helpers: list[CompiledPolicy], workload: CompiledWorkload,
           at_least: int | None) -> int:
    """What the optimum costs at most, if the workload counts."""
    runs = [run, *(found for helper in helpers if (found := _run(helper, workload)) is not None)]
    upper = min(each.objective(problem.objective) for each in runs)
    return upper if at_least is None else min(upper, run.objective(problem.objective) - at_least)


def _run(policy: CompiledPolicy, workload: CompiledWorkload) -> CompiledRun | None:
    """None if the policy idles for ever on it."""
    try:
        return simulate_compiled(policy, workload)
    except PolicyError:
        return None
