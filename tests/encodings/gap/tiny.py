"""Problems small enough to say by hand."""

from __future__ import annotations

from dataclasses import replace

from drex_runtime.policies import bind, shipped_policy
from drex_runtime.policies.expressions import parse_condition
from drex_runtime.policies.table import LaunchRule, Policy
from drex_runtime.records import ServerConfig
from drex_runtime.scheduling.state import Objective
from tests.xplain.tiny import PROFILE
from xplain.encodings.gap import GapProblem
from xplain.encodings.steps.inputs import InputSpace, RequestSpace


def idler() -> Policy:
    """`drex`, but with nothing to come it takes a nap after three decodes."""
    drex = shipped_policy("drex")
    nap = LaunchRule("nap", "IDLE", parse_condition("decodes_since_prefill >= 3", "nap"))
    return replace(drex, name="idler", launch=(nap, *drex.launch))


def tiny_problem(policy: str | Policy, requests: int, tokens: int, *, batch_max: int | None = None,
                 places: int | None = None, batch_limit: int | None = None, benchmark: str | None = None,
                 objective: Objective = "total-completion", due: int | None = None,
                 arrivals: tuple[int, ...] = (0,)) -> GapProblem:
    """Equal requests of `tokens` tokens at the tiny profile; room for all of them unless said otherwise."""
    config = ServerConfig(batch_max or requests, places or requests)
    table = shipped_policy(policy) if isinstance(policy, str) else policy
    bound = bind(table, PROFILE, config, {} if batch_limit is None else {"batch_limit": batch_limit})
    other = None if benchmark is None else bind(shipped_policy(benchmark), PROFILE, config)
    return GapProblem(InputSpace(2, (RequestSpace((tokens,), arrivals, due=due),) * requests), bound, other, objective)
