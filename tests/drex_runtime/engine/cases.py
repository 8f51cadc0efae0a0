"""What the engine's tests share: models with K ramps, and one way to run a workload on the fake clock."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from drex_runtime.engine import Engine
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scripted import finished_run, submit_workload
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records import Workload
from drex_runtime.simulator import LaunchRecord, Run
from tests.drex_runtime.model.configs import small_model

RAMPS = {0: None, 1: [2], 2: [1, 3], 3: [1, 2, 3]}


@cache
def model_with(num_ramps: int, threshold: str = "1", **changes: Any) -> EarlyExitLlama:
    """A random model of 4 layers (one to three per segment)."""
    ramps = RAMPS[num_ramps]
    block = None if ramps is None else {"ramps": ramps, "thresholds": [threshold] * num_ramps}
    return small_model(num_hidden_layers=4, early_exit=block, **changes)


def scripted_engine(policy: BoundPolicy, **options: Any) -> Engine:
    """An engine on the fake clock with a random model of the policy's number of segments."""
    return Engine(model_with(policy.num_segments - 1), policy, clock=FakeClock(), launches=[], **options)


def run_scripted(policy: BoundPolicy, workload: Workload, **options: Any) -> tuple[Run, Engine, list[Sequence]]:
    """Run a workload to the end; the KV cache is checked after every step and must be empty at the end."""
    engine = scripted_engine(policy, **options)
    sequences = submit_workload(engine, workload, params=SamplingParams(ignore_eos=True))
    while engine.has_work:
        engine.step()
        engine.check()
    assert engine.runner.memory.pool.blocks_in_use == 0
    assert engine.runner.memory.promised == 0
    return finished_run(engine, sequences), engine, sequences


def comparable(run: Run) -> Run:
    """What engine and simulator agree on: everything but the simulator's own accounting and logs."""
    return replace(run, busy=0, log=None)


def launches_of(run: Run) -> list[LaunchRecord]:
    """The launch sequence of a logged run."""
    if run.log is None:
        raise AssertionError("the run was not logged")
    return run.log.launches


TokensAndDepths = tuple[tuple[int, ...], tuple[int, ...]]


def generate(llm: LLM, prompts: list[list[int]], params: SamplingParams) -> list[TokensAndDepths]:
    """(token ids, depths) per prompt; the KV cache is checked after the run."""
    outputs = llm.generate(prompts, params)
    llm.engine.check()
    assert llm.engine.runner.memory.pool.blocks_in_use == 0
    return [(output.token_ids, output.depths) for output in outputs]
