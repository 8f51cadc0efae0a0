"""A fault in a launch ends that launch's requests and nobody else's; the engine lives and leaks nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drex_runtime.engine import Engine
from drex_runtime.errors import EngineError
from drex_runtime.execution import runner
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.observer import Observer
from drex_runtime.execution.params import SamplingParams
from tests.drex_runtime.engine.cases import generate, model_with

FREE = SamplingParams(max_tokens=8, ignore_eos=True)
PROMPTS = [[1, 2, 3], [], [4] * 9, [5]]
GOLDEN = [7, 8]


def failing_at(count: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, but its call number `count` raises."""
    calls = 0

    def wrapped(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            raise RuntimeError(f"fault in call {count}")
        return call(*args, **named)

    return wrapped


PLACES = {"segment": ("runner", "segment"), "ramp or head": ("runner", "logits"), "prefill": ("runner", "prefill"),
          "sampler": ("runner.sampler", "choose"), "sharing": ("runner", "share"), "emission": ("runner", "advance")}


def break_once(engine: Engine, place: str, count: int) -> Callable[[], None]:
    """Make call number `count` of this part fail; returns what repairs it."""
    owner: Any = engine
    path, name = PLACES[place]
    for part in path.split("."):
        owner = getattr(owner, part)
    whole = getattr(owner, name)
    setattr(owner, name, failing_at(count, whole))
    return lambda: setattr(owner, name, whole)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_only_the_requests_of_the_broken_launch_fail(place: str, count: int) -> None:
    model = model_with(2, threshold="0.05")
    expected = generate(LLM(model, policy="threshold"), [GOLDEN], FREE)
    llm = LLM(model, policy="threshold", max_num_seqs=3, prefill_tokens=4, clock=FakeClock())
    engine = llm.engine
    sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for prompt in PROMPTS]
    repair = break_once(engine, place, count)
    while engine.has_work:
        engine.step()
        engine.check()
    failed = [sequence for sequence in sequences if sequence.finished == "error"]
    assert all(sequence.error and "fault in call" in sequence.error for sequence in failed)
    assert len(failed) == engine.statistics.failed_requests < len(sequences)
    healthy = generate(LLM(model, policy="threshold"), PROMPTS, FREE)
    for sequence, (tokens, depths) in zip(sequences, healthy, strict=True):
        if sequence.finished != "error":
            assert (tuple(sequence.output_ids), tuple(sequence.depths)) == (tokens, depths)
    assert engine.runner.memory.pool.blocks_in_use == engine.runner.memory.promised == 0
    repair()
    assert generate(llm, [GOLDEN], FREE) == expected


@pytest.mark.parametrize("count", [2, 5, 7])
@pytest.mark.parametrize("prefix_cache", [False, True])
def test_a_forward_that_breaks_down_within_a_prompt(count: int, prefix_cache: bool,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    """Some layers of a chunk have their K and V by then, the later ones do not."""
    model = model_with(2, threshold="0.05")
    expected = generate(LLM(model), [GOLDEN * 5], FREE)
    kv = KVConfig(64, sequences=3, prefix_cache=prefix_cache, prefix_block=2)
    llm = LLM(model, max_num_seqs=3, prefill_tokens=4, clock=FakeClock(), kv=kv)
    engine = llm.engine
    sequence = engine.submit(engine.intake.live(GOLDEN * 5, FREE, arrival=0))
    with monkeypatch.context() as patched:
        patched.setattr(runner, "attend_chunk", failing_at(count, runner.attend_chunk))
        engine.run()
    engine.check()
    assert sequence.finished == "error" and engine.runner.memory.pool.blocks_in_use == 0
    assert generate(llm, [GOLDEN * 5], FREE) == expected


@pytest.mark.parametrize("policy", ["threshold", "no-exit"])
def test_a_sampler_that_fails_on_one_request_costs_only_that_one(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(2, threshold="0.05")
    healthy = generate(LLM(model, policy=policy), PROMPTS, FREE)
    llm = LLM(model, policy=policy, max_num_seqs=4, clock=FakeClock())
    engine = llm.engine
    sequences = [engine.submit(engine.intake.live(prompt, FREE, arrival=0)) for prompt in PROMPTS]
    choose = engine.runner.sampler.choose

    def picky(logits: Any, rows: Any) -> Any:
        if sequences[2].emitted == 3 and sequences[2].row in rows:
            raise ValueError("bad logits")
        return choose(logits, rows)

    monkeypatch.setattr(engine.runner.sampler, "choose", picky)
    while engine.has_work:
        engine.step()
        engine.check()
    assert (sequences[2].finished, sequences[2].error) == ("error", "ValueError: bad logits")
    assert len(sequences[2].output_ids) == 3 and engine.statistics.failed_requests == 1
    for at in (0, 1, 3):
        assert (tuple(sequences[at].output_ids), tuple(sequences[at].depths)) == healthy[at]


@pytest.mark.parametrize("hook", ["launched", "consulted", "skipped", "finished"])
def test_an_observer_that_fails_costs_nobody_anything(hook: str) -> None:
    """Metrics and recordings look on; the texts are those of a run without them."""
    model, policy = model_with(2, threshold="0.05"), "no-exit" if hook == "skipped" else "threshold"
    expected = generate(LLM(model, policy=policy), PROMPTS, FREE)
    llm = LLM(model, policy=policy, clock=FakeClock())
    careless, failures = Observer(), []

    def fails(*_: Any) -> None:
        failures.append(hook)
        raise OSError("disk full")

    setattr(careless, hook, fails)
    llm.engine.observers.append(careless)
    assert generate(llm, PROMPTS, FREE) == expected
    assert failures and not llm.engine.statistics.failed_requests


def test_books_that_do_not_add_up_after_a_fault_end_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = LLM(model_with(1), max_num_seqs=2, clock=FakeClock())
    engine = llm.engine
    for prompt in PROMPTS:
        engine.submit(engine.intake.live(prompt, FREE, arrival=0))
    engine.step()
    monkeypatch.setattr(engine.runner.memory.tables, "release", lambda row: None)
    monkeypatch.setattr(engine.runner, "segment", failing_at(1, engine.runner.segment))
    with pytest.raises(EngineError, match="fault in call 1"):
        engine.run()
