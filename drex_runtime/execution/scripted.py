"""Workloads through the engine: scripted depths, prompts drawn from a seed, results as a simulator's run."""

from __future__ import annotations

import numpy as np

from drex_runtime.engine import Engine
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.records.workload import Request, Workload
from drex_runtime.simulator.events import Log, Run


def prompt_of(request: Request, seed: int, vocabulary: int) -> list[int]:
    """The token ids of a scripted request's prompt, by `seed` and the request's id."""
    ids: list[int] = np.random.default_rng((seed, request.id)).integers(0, vocabulary, request.prompt_tokens).tolist()
    return ids


def submit_workload(engine: Engine, workload: Workload, *, seed: int = 0,
                    params: SamplingParams | None = None) -> list[Sequence]:
    """Submit all requests in order, their prompts drawn from `seed` and the request's id."""
    found = []
    vocabulary = engine.intake.model.vocab_size
    for request in workload.requests:
        ids = prompt_of(request, seed, vocabulary)
        sequence = engine.intake.scripted(request, ids, params or SamplingParams())
        found.append(engine.submit(sequence))
    return found


def finished_run(engine: Engine, sequences: list[Sequence]) -> Run:
    """What the engine did, in the simulators' record (busy time is unknown to it: 0)."""
    counted = engine.statistics
    log = None if engine.launches is None else Log(keep_steps=False, launches=engine.launches)
    return Run(tuple(sequence.times[-1] for sequence in sequences),
               tuple(sequence.spec.arrival for sequence in sequences),
               tuple(sequence.spec.due for sequence in sequences),
               tuple(tuple(sequence.times) for sequence in sequences),
               tuple(tuple(sequence.depths) for sequence in sequences),
               counted.launches, counted.splits, counted.involuntary_exits, counted.involuntary_stays, 0, log)
