"""One request that never exits among many that always do is finished within its deadline wherever that is possible.

Possible is judged three times. *Full passes* in the order of due dates, from the moment the request has a place: what
they meet, `drex-due` meets. *Any schedule*, by brute force: the soonest a clairvoyant can finish the request, who may
run it alone; a policy can do that with `batch_limit: 1` only. *A share*: enough time whatever the others do.

Costs are predicted at the profile's reference context; here it covers every context that occurs (`honest`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from drex_runtime.policies import SHIPPED, BoundPolicy, bind
from drex_runtime.records import Request, ServerConfig, Workload
from drex_runtime.scheduling.state import Kind, Phase, Place, State
from drex_runtime.simulator import simulate
from drex_runtime.simulator.compiled import simulate_compiled
from drex_runtime.simulator.mechanics import Machine
from drex_runtime.simulator.reference import apply, choose
from tests.drex_runtime.engine.cases import run_scripted
from tests.generators import Case, random_profile
from tests.independent.brute_force import BruteForce, Node
from tests.scale import scaled

FAR = 10**6


def starving_case(seed: int, *, latest: int = 60, own: int = 0, prompts: float = 0.0, most: int = 10,
                  tokens: int = 30, roomy: bool = False) -> Case:
    """Request 0 never exits; up to `most` - 1 others of up to `tokens` tokens exit at once nine times in ten, and
    arrive until `latest`. `own`: the latest arrival of request 0; `prompts`: share of requests with a prompt; `roomy`:
    there is a place for everybody."""
    random = Random(f"starving {seed} {latest} {own} {prompts} {most}")
    segments, n = random.choice((2, 2, 3)) if most > 3 else 2, random.randint(min(3, most), most)
    batch_max = random.randint(1, n)
    profile = random_profile(random, segments, batch_max, scale=random.choice((1, 5)))

    def prompt() -> int:
        return random.randint(1, 8) if random.random() < prompts else 0

    requests = [Request(0, random.randint(0, own), prompt(), (segments,) * random.randint(1, min(8, tokens)))]
    for i in range(1, n):
        depths = [1 if random.random() < 0.9 else random.randint(1, segments) for _ in range(random.randint(1, tokens))]
        if length := prompt():
            depths[0] = segments
        requests.append(Request(i, random.choice((0, random.randint(0, latest))), length, tuple(depths)))
    chunk = random.choice((None, random.randint(1, 8))) if prompts and most > 3 else None
    places = n if roomy else random.randint(batch_max, n)
    return honest(Case(seed, Workload.of(segments, requests), profile, ServerConfig(batch_max, places, chunk)))


def honest(case: Case) -> Case:
    """The same with a reference context that no request of the workload exceeds."""
    longest = max(request.prompt_tokens + request.output_tokens for request in case.workload.requests)
    meta = replace(case.profile.meta, reference_context=longest)
    return replace(case, profile=replace(case.profile, meta=meta))


def place_of(workload: Workload) -> int:
    """Position of request 0."""
    return next(at for at, request in enumerate(workload.requests) if request.id == 0)


def with_due(workload: Workload, due: int) -> Workload:
    """Request 0 is due at `due`."""
    return replace(workload, requests=tuple(replace(request, due=due) if request.id == 0 else request
                                            for request in workload.requests))


def finished(policy: BoundPolicy, workload: Workload, *, engine: bool = False) -> int:
    """When request 0 completes; by the engine and the reference simulator too, which must agree."""
    at = place_of(workload)
    found = int(simulate_compiled(policy, workload).completed[at])
    if engine:
        assert simulate(policy, workload).completed[at] == run_scripted(policy, workload)[0].completed[at] == found
    return found


def full_passes(case: Case, **settings: int) -> BoundPolicy:
    """Every token to full depth, in the order of due dates."""
    return bind(replace(SHIPPED["no-exit"], order="edf"), case.profile, case.config, settings)


# ---- full passes --------------------------------------------------------------------------------------------------

FEW_PLACES = "prompts, few places"
FAMILIES: dict[str, Callable[[int], Case]] = {
    "burst": lambda seed: starving_case(seed, latest=0),
    "arrivals": lambda seed: starving_case(seed, latest=150),
    "prompts": lambda seed: starving_case(seed, latest=150 * (seed % 2), prompts=0.7, roomy=True),
    FEW_PLACES: lambda seed: starving_case(seed, latest=150 * (seed % 2), prompts=0.7),
}


@pytest.mark.timeout(3000)  # test-all on a busy machine
@pytest.mark.parametrize("family", FAMILIES)
def test_drex_due_meets_what_full_passes_meet(family: str) -> None:
    """Due exactly when full passes would finish it, and at half as much time again."""
    missed, count = Counter[str](), scaled(60, 1500, f"starving requests, {family}")
    for seed in range(count):
        case = FAMILIES[family](seed)
        soonest = finished(full_passes(case), with_due(case.workload, FAR))
        policies = {name: bind(SHIPPED[name], case.profile, case.config) for name in ("drex", "drex-due")}
        for due, when in ((soonest, "just"), (3 * soonest // 2, "half more")):
            workload = with_due(case.workload, due)
            for name, policy in policies.items():
                late = finished(policy, workload, engine=seed % 20 == 0 and name == "drex-due") > due
                missed[f"{name}, {when}"] += late
    print(f"{family}, missed of {count}: {dict(sorted(missed.items()))}")
    # Where the request has to wait for a place first, nothing shows that it is urgent.
    assert missed["drex-due, just"] + missed["drex-due, half more"] <= (count // 50 if family == FEW_PLACES else 0)
    assert missed["drex, just"] > count // 2


def state_of(policy: BoundPolicy, workload: Workload, since: int) -> State | None:
    """The state of `policy`'s run at its first decision at or after `since`, if there is one."""
    machine = Machine(workload, policy.profile, policy.config, order=policy.policy.order)
    while machine.phase != Phase.END:
        if machine.phase == Phase.DECIDE and machine.now >= since:
            return machine.snapshot()
        action, rule, _ = choose(policy, machine)
        apply(machine, action, rule)
        if action.kind == Kind.CONSULT and len(machine.ready_rows()) == len(machine.batch):
            machine.split()
    return None


@pytest.mark.timeout(3000)  # test-all on a busy machine
def test_a_request_that_comes_later_is_served_as_by_full_passes_from_then_on() -> None:
    """From the state that drex-due itself is in when the request comes: before, nobody could know of its date."""
    missed, count = Counter[str](), scaled(60, 1500, "starving requests that come later")
    for seed in range(count):
        case = starving_case(seed, latest=150, own=80)
        due_policy = bind(SHIPPED["drex-due"], case.profile, case.config)
        at = place_of(case.workload)
        state = state_of(due_policy, case.workload, case.workload.requests[at].arrival)
        if state is None:
            continue
        due = simulate(full_passes(case), with_due(case.workload, FAR), start=state).completed[at]
        place = "roomy" if case.config.max_num_seqs >= len(case.workload.requests) else "few places"
        missed[place] += finished(due_policy, with_due(case.workload, due)) > due
    print(f"missed of {count}: {dict(missed)}")
    # The other way leaves other rows in the request's batches, with other contexts: rarely some ticks matter.
    assert missed["roomy"] <= count // 500


# ---- any schedule -------------------------------------------------------------------------------------------------

class Soonest(BruteForce):
    """Cost-to-go: time until request 0 is complete, whatever becomes of the others."""

    def cost_to_go(self, node: Node) -> int:
        """See `BruteForce.cost_to_go`."""
        at = next(at for at, request in enumerate(self.requests) if request.id == 0)
        return 0 if node.rows[at].place == Place.DONE else super().cost_to_go(node)


def soonest_of(case: Case) -> int:
    """The earliest completion of request 0 that any schedule reaches."""
    search = Soonest(case.workload, case.profile, case.config, "makespan", max_nodes=10**5)
    return search.cost_to_go(search.initial())


@pytest.mark.timeout(3000)  # test-all on a busy machine
@pytest.mark.parametrize("prompts", (0.0, 0.7))
def test_what_any_schedule_meets_takes_batches_of_one(prompts: float) -> None:
    """A clairvoyant runs the urgent row alone. A table has one batch_limit for all launches: with that of 1 drex-due
    is as fast wherever no prompt and no arrival is in its way, with a larger one it is as fast as full passes."""
    met, count = Counter[str](), scaled(60, 600, f"small starving requests, any schedule, prompts {prompts}")
    for seed in range(count):
        case = starving_case(seed, latest=10 if seed % 2 else 0, prompts=prompts, most=3, tokens=3)
        soonest = soonest_of(case)
        due = with_due(case.workload, soonest)
        limits = range(1, case.config.batch_max + 1)
        full = [finished(full_passes(case, batch_limit=limit), due) <= soonest for limit in limits]
        ours = [finished(bind(SHIPPED["drex-due"], case.profile, case.config, {"batch_limit": limit}), due) <= soonest
                for limit in limits]
        if not prompts or case.config.max_num_seqs >= len(case.workload.requests):
            assert all(ours[at] for at, meets in enumerate(full) if meets), seed
        assert ours[0] or prompts or seed % 2, seed
        met.update({"full passes": full[-1], "drex-due": ours[-1], "drex-due, batch_limit 1": ours[0],
                    "drex-due, best batch_limit": any(ours)})
    print(f"due as soon as any schedule can, prompts {prompts}, met of {count}: {dict(met)}")


# ---- a share ------------------------------------------------------------------------------------------------------

def longest_launch(case: Case) -> int:
    """Ticks of a launch at most: all rows, all contexts."""
    rows, profile = case.config.batch_max, case.profile
    context = sum(request.output_tokens for request in case.workload.requests)
    return (max(profile.starts, default=0) + profile.rebatch + profile.fill_cost(rows)
            + sum(profile.segment_cost(s, rows, context) for s in range(1, profile.num_segments + 1))
            + sum(profile.ramp_cost(r, rows) for r in range(1, profile.num_segments)))


def test_the_guaranteed_share_is_always_kept() -> None:
    """(K + 1) * N launches per token suffice, whatever the others do: no miss, in the simulator and the engine."""
    for seed in range(scaled(60, 1500, "starving requests with the guaranteed share")):
        case = starving_case(seed)
        tokens = case.workload.requests[place_of(case.workload)].output_tokens
        share = case.profile.num_segments * case.config.max_num_seqs * longest_launch(case)
        workload = with_due(case.workload, tokens * share)
        policy = bind(SHIPPED["drex-due"], case.profile, case.config)
        assert finished(policy, workload, engine=seed % 4 == 0) <= tokens * share, seed
