"""The clairvoyant gap at operating scale as an interval: [H - best replayed schedule, H - proved lower bound].

Lower bounds: `encodings.exact.fluid`. Schedules: every shipped policy that forces no exits, the benchmarks, the
heuristic itself, all settings of the `best-params` design, and a beam over decisions (`rolling`), each simulated; the
beam's schedule is replayed by the reference simulator. Source: scheduling model, Gaps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

from drex_runtime.errors import PolicyError
from drex_runtime.policies import BoundPolicy
from drex_runtime.policies.shipped import SHIPPED
from drex_runtime.records import Workload
from drex_runtime.simulator.compiled import CompiledRun, simulate_compiled
from xplain.encodings.exact.fluid import lower_bound
from xplain.problems.best_params import BEST_PARAMS
from xplain.problems.moves import bound_moves
from xplain.problems.operating import Contender, OperatingProblem
from xplain.problems.rolling import Beam, Schedule
from xplain.records import GapInterval, Point, Region, Sample, Tuning

Tell = Callable[[str], None]
BEAM = "beam"
WIDTH, REFERENCES = 2, 2
USUAL_CHILDREN = 8  # different states that the moves lead to from one state, about
LEAST_STEP = 4  # choices followed at a time: launch, consult, ramp, join
COUNTED_RUNS = 1000  # of reference policies per workload, where counts bound the analysis
MOST_RUNS = 20_000
HELD_OUT, HELD_OUT_ASKED = 2, 8  # inputs of the whole space; where the clairvoyant is asked for


@dataclass(frozen=True)
class Found:
    """One workload: objectives of the heuristic, of tuned settings, of the best of the design, of the best schedule."""

    heuristic: int
    tuned: int | None
    hindsight: int
    replayed: int
    found_by: str
    bound: int
    bound_by: str
    stopped: str


def gap_intervals(problem: OperatingProblem, held_out_problem: OperatingProblem, regions: Sequence[Region],
                  samples: Sequence[Sample], held_out: Sequence[Sample], tuning: Tuning | None, *, inputs: int,
                  seconds: float | None, tell: Tell = lambda _: None) -> tuple[GapInterval, ...]:
    """Intervals at the worst input of each region and at `inputs` of the whole space (`held_out`, whose workloads are
    those of `held_out_problem`). `seconds` for all of them together, beams only (None: COUNTED_RUNS each)."""
    by_index = {sample.index: sample for sample in samples}
    targets = [(region.name, problem, by_index[region.worst].point) for region in regions if region.worst in by_index]
    targets += [(f"held-out input {k}", held_out_problem, sample.point) for k, sample in enumerate(held_out[:inputs])]
    found = []
    for number, (name, owner, point) in enumerate(targets, start=1):
        tell(f"clairvoyant gap of {name} ({number} of {len(targets)})")
        found.append(interval_at(owner, point, name, tuning, None if seconds is None else seconds / len(targets)))
    return tuple(found)


def interval_at(problem: OperatingProblem, point: Point, name: str, tuning: Tuning | None = None,
                seconds: float | None = None) -> GapInterval:
    """The interval at one input; `seconds` bound its beams."""
    begun = time.monotonic()
    workloads = problem.workloads(point)
    each = None if seconds is None else seconds / len(workloads)
    parts = [_examined(problem, point, workload, _tuned(problem, tuning), each) for workload in workloads]
    tuned = [item.tuned for item in parts if item.tuned is not None]
    return GapInterval(
        name, len(parts), sum(item.heuristic for item in parts), sum(tuned) if tuned else None,
        sum(item.replayed for item in parts), _together(item.found_by for item in parts),
        sum(item.bound for item in parts), _together(item.bound_by for item in parts), time.monotonic() - begun,
        sum(item.hindsight for item in parts),
        sum(len(item.requests) for item in workloads) if problem.objective == "misses" else 0, dict(point),
        _together(item.stopped for item in parts))


def policies_at(problem: OperatingProblem, point: Point) -> list[Contender]:
    """Whose schedules are tried: heuristic, benchmarks, shipped policies that force no exits."""
    named = [problem.heuristic, *problem.benchmarks]
    taken = [item.policy for item in named]
    named += [Contender(name, policy) for name, policy in SHIPPED.items()
              if policy.keeps_exits_voluntary and not any(policy is item for item in taken)]
    return [*named, *problem.settings_design(point)[1:]]


# ---- inside -------------------------------------------------------------------------------------------------------
def _examined(problem: OperatingProblem, point: Point, workload: Workload, tuned: Contender | None,
              seconds: float | None) -> Found:
    objective, config = problem.objective, problem.config(point)
    begun = time.monotonic()
    runs: list[tuple[int, str, BoundPolicy, CompiledRun]] = []
    for contender in policies_at(problem, point):
        bound = problem.bound(contender, point)
        try:
            run = simulate_compiled(bound, workload)
        except PolicyError:
            if contender is problem.heuristic:
                raise
            continue  # settings or policies that idle for ever have no schedule
        runs.append((int(run.objective(objective)), contender.name, bound, run))
    heuristic = runs[0][0]
    own = min(value for value, name, _, _ in runs if name in (problem.heuristic.name, BEST_PARAMS))
    each = (time.monotonic() - begun) / len(runs)
    ordered = sorted(runs, key=lambda item: item[0])
    value, by, _, _ = ordered[0]
    schedule = _beam(problem, point, workload, ordered, each, seconds)
    if schedule.objective < value:
        value, by = schedule.objective, BEAM
    proved = lower_bound(workload, problem.profile, config, objective)
    if proved.value > value:
        raise ArithmeticError(f"workload {workload.name}: {by} reaches {value}, below the proved bound {proved.value} "
                              f"({proved.by})")
    after = None if tuned is None else problem.total(tuned, point, [workload])
    return Found(heuristic, after, own, value, by, proved.value, proved.by, schedule.stopped)


def _beam(problem: OperatingProblem, point: Point, workload: Workload,
          ordered: Sequence[tuple[int, str, BoundPolicy, CompiledRun]], each: float, seconds: float | None) -> Schedule:
    """A beam judged by the best policies of this workload, the others and single decisions as moves."""
    references = [bound for _, _, bound, _ in ordered[:REFERENCES]]
    others = [bound for _, name, bound, _ in ordered[REFERENCES:] if name != BEST_PARAMS]
    moves = [*others, *bound_moves(problem.profile, problem.config(point))]
    allowed = COUNTED_RUNS if seconds is None else min(MOST_RUNS, int(seconds / max(each, 1e-6)))
    level = WIDTH * USUAL_CHILDREN * len(references)
    step = max(LEAST_STEP, ceil(ordered[0][3].choices * level / max(1, allowed)))
    return Beam(workload, problem.objective, references, moves).search(
        width=WIDTH, step=step, runs=allowed, seconds=seconds)


def _tuned(problem: OperatingProblem, tuning: Tuning | None) -> Contender | None:
    if tuning is None or not tuning.settings:
        return None
    proposed = {item.name: item.proposed for item in tuning.settings}
    return replace(problem.heuristic, name="tuned", settings={**problem.heuristic.settings, **proposed})


def _together(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
