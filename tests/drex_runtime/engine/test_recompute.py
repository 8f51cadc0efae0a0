"""KV fill `recompute`: owed tokens are run to full depth before anybody reads their K and V, and never pile up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch

import drex_runtime
from drex_runtime.errors import InputError
from drex_runtime.execution.attention import GatheredAttention
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.launch_index import LaunchIndex
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.kv import KVPoolError, KVTables
from drex_runtime.model import EarlyExitLlama
from tests.drex_runtime.bench.test_bench import run_drex
from tests.drex_runtime.engine.cases import TokensAndDepths, generate, model_with
from tests.drex_runtime.engine.test_attention import threads
from tests.drex_runtime.engine.test_texts import CONSULTING, PARAMS, naive, prompts_of, settings_of
from tests.drex_runtime.model.configs import small_model
from tests.scale import scaled

BOUNDS = (1, 2, None)


def recomputing(model: EarlyExitLlama, policy: str, max_debt: int | None = None, *, capacity: int = 64,
                sequences: int | None = None, block_cells: int | None = None, **options: Any) -> LLM:
    """An LLM with KV fill recompute; room for all requests in flight unless `sequences` says otherwise."""
    kv = KVConfig(capacity, block_cells, sequences=sequences or options.get("max_num_seqs", 4), fill="recompute",
                  max_debt=max_debt, watermark=0.02 if sequences is None else 0.0)
    return LLM(model, policy=policy, kv=kv, max_model_len=capacity, **options)


def watched(llm: LLM, prompts: list[list[int]], params: SamplingParams = PARAMS,
            preempt: Random | None = None, where: Counter[str] | None = None) -> list[TokensAndDepths]:
    """(tokens, depths) per prompt; after every step books are checked, and debts against their bound.

    `preempt`: after some steps, requests lose their place at random; `where` counts how much they owed.
    """
    engine = llm.engine
    sequences = [engine.submit(engine.intake.live(prompt, params, arrival=0)) for prompt in prompts]
    while engine.has_work:
        engine.step()
        engine.check()
        held = [one for one in engine.scheduler.at_row if one is not None]
        assert engine.runner.debts is not None
        assert all(engine.runner.debts.of(one.row) <= engine.runner.debts.max_debt for one in held)
        if preempt is not None and held and preempt.random() < 0.25:
            victim = preempt.choice(held)
            if where is not None:
                where[standing(llm, victim)] += 1
            engine.scheduler.preempt(victim)
            engine.check()
    memory = engine.runner.memory
    assert memory.pool.blocks_in_use == memory.promised == memory.owed.sum() == 0
    assert engine.statistics.cells_shared == engine.statistics.failed_requests == 0
    return [(tuple(one.output_ids), tuple(one.depths)) for one in sequences]


def standing(llm: LLM, sequence: Sequence) -> str:
    """Where a request waits and whether it owes anything."""
    engine = llm.engine
    assert engine.runner.debts is not None
    parked = any(sequence.row in engine.scheduler.pools.rows(pool) for pool in range(2, llm.policy.num_segments + 1))
    return ("parked" if parked else "ready") + (" in debt" if engine.runner.debts.of(sequence.row) else "")


@pytest.mark.parametrize("ramps", [1, 2])
@pytest.mark.parametrize("policy", CONSULTING)
def test_text_is_that_of_a_naive_decoder_with_the_cache_of_full_depth(policy: str, ramps: int) -> None:
    model = model_with(ramps, threshold="0.1")
    prompts = prompts_of(model.config.vocab_size, scaled(5, 20), longest=10)
    expected = [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    assert all(expected != [naive(model, prompt, PARAMS.max_tokens, fill) for prompt in prompts]
               for fill in ("share", "propagate"))
    random = Random(f"{policy} {ramps}")
    for max_debt in BOUNDS:
        for settings in ({}, {"art_factor": 0, "flush_size": 2}) if policy == "drex" else ({},):
            llm = recomputing(model, policy, max_debt, settings=settings, **settings_of(random))  # type: ignore[arg-type]
            assert watched(llm, prompts) == expected, (max_debt, settings)
            counted = llm.engine.statistics
            assert 0 < counted.tokens_recomputed <= counted.rows_recomputed <= counted.tokens_owed * ramps
            assert not counted.involuntary_exits
            assert (counted.debt_bound_hits > 0) == (max_debt is not None)


@pytest.mark.parametrize("layer", ["full", "attention", "mlp"])
def test_ramps_with_layers_of_their_own_get_their_entries_too(layer: str) -> None:
    block = {"ramps": [2, 4], "layer": layer, "norm": "own", "thresholds": ["0.2", "0.2"]}
    model = small_model(early_exit=block)
    prompts = prompts_of(model.config.vocab_size, scaled(4, 12), longest=8)
    expected = [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    assert {depth for _, depths in expected for depth in depths} == {1, 2, 3}
    for policy, max_debt in (("drex", 2), ("flush-now", None), ("consensus", 1)):
        assert watched(recomputing(model, policy, max_debt, max_num_seqs=3), prompts) == expected, policy


@pytest.mark.parametrize("ramps", [1, 2])
@pytest.mark.parametrize("policy", ["drex", "threshold", "consensus"])
def test_forced_preemption_leaves_every_text_unchanged(ramps: int, policy: str) -> None:
    """Whoever is preempted, in debt or not, ready or parked: debts are dropped, inputs are replayed at full depth."""
    model, where = model_with(ramps, threshold="0.1"), Counter[str]()
    prompts = prompts_of(model.config.vocab_size, 6, longest=10)
    expected = [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    for seed in range(scaled(3, 30, f"runs with forced preemption and recompute, {policy}, K = {ramps}")):
        random = Random(f"{ramps} {policy} {seed}")
        llm = recomputing(model, policy, BOUNDS[seed % 3], max_num_seqs=random.randint(2, 5),
                          prefill_tokens=(3, None, 16)[seed % 3])
        assert watched(llm, prompts, preempt=random, where=where) == expected, seed
    assert where["ready in debt"]


@pytest.mark.parametrize("ramps", [1, 2])
def test_a_pool_far_too_small_for_all_serves_all(ramps: int) -> None:
    """Room for one request: what is owed counts in the worst case of a launch, so that paying never finds it full."""
    model, preempted = model_with(ramps, threshold="0.1"), 0
    prompts = prompts_of(model.config.vocab_size, 8)
    expected = [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    for seed in range(scaled(4, 40, f"runs with recompute in a tiny pool, K = {ramps}")):
        random = Random(f"tiny {ramps} {seed}")
        llm = recomputing(model, random.choice(("drex", "flush-now", "consensus")), random.choice((1, 2, 5, None)),
                          capacity=40, sequences=1, block_cells=random.choice((4, 8, 12)), max_num_seqs=6,
                          prefill_tokens=random.choice((None, 5)))
        assert watched(llm, prompts) == expected, seed
        preempted += llm.engine.statistics.preemptions
    assert preempted


def test_full_reservation_covers_what_is_owed() -> None:
    model = model_with(2, threshold="0.1")
    prompts = prompts_of(model.config.vocab_size, 8)
    kv = KVConfig(40, block_cells=8, sequences=3, admission="full", fill="recompute", max_debt=3)
    llm = LLM(model, policy="drex", kv=kv, max_model_len=40, max_num_seqs=6)
    assert watched(llm, prompts) == [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    assert not llm.engine.statistics.preemptions


def test_debts_grow_to_their_bound_and_no_further() -> None:
    """Every token exits: a request pays nothing until `max_debt` tokens are owed, then all of them at once."""
    model, most, params = model_with(1, threshold="0"), Counter[int](), SamplingParams(max_tokens=24, ignore_eos=True)
    for bound in (1, 3, 7):
        llm = recomputing(model, "flush-now", bound, max_num_seqs=1)
        engine = llm.engine
        sequence = engine.submit(engine.intake.live([5, 6, 7], params, arrival=0))
        while engine.has_work:
            engine.step()
            assert engine.runner.debts is not None
            if sequence.row >= 0:
                most[bound] = max(most[bound], engine.runner.debts.of(sequence.row))
        assert most[bound] == bound
        # Of 24 tokens 23 leave after the ramp; the last leaves its request too.
        counted = engine.statistics
        assert counted.tokens_owed == 23
        assert counted.debt_bound_hits == 22 // bound
        assert counted.tokens_recomputed == counted.rows_recomputed == bound * (22 // bound)


@pytest.mark.parametrize("attention", [None, GatheredAttention()])
def test_the_cache_holds_what_full_depth_would_have_written(attention: GatheredAttention | None) -> None:
    model = model_with(2, threshold="0.1")
    llm = recomputing(model, "flush-now", 2, max_num_seqs=2, attention=attention)
    engine, prompt = llm.engine, [4, 9, 2, 33]
    sequence = engine.submit(engine.intake.live(prompt, SamplingParams(max_tokens=30, ignore_eos=True), arrival=0))
    while sequence.emitted < 25:
        engine.step()
    assert engine.statistics.tokens_recomputed
    plain = LLM(model, policy="no-exit", max_num_seqs=1, kv=KVConfig(64)).engine.runner
    ids = [*prompt, *sequence.output_ids]
    with torch.inference_mode():
        plain.prefill([(0, ids, 0)])
    memory, row = engine.runner.memory, sequence.row
    past = int(engine.runner.positions[row])
    for segment, layers in enumerate(memory.pool.segment_layers, start=1):
        known = past - int(memory.owed[segment - 1, row])
        for offset in range(layers):
            cells = torch.from_numpy(memory.tables.cells(segment, row, known, offset))
            exact = torch.from_numpy(plain.memory.tables.cells(segment, 0, known, offset))
            for got, want in ((memory.pool.keys, plain.memory.pool.keys),
                              (memory.pool.values, plain.memory.pool.values)):
                torch.testing.assert_close(got[cells], want[exact], rtol=1e-4, atol=1e-4)


def test_when_a_debt_is_paid_does_not_show_in_the_bits_of_the_cache() -> None:
    """One token at a time, several at once, or by replay after a preemption: the same K and V."""
    found = []
    for bound, preempted in ((1, False), (5, False), (None, False), (None, True)):
        llm = recomputing(model_with(2, threshold="0.05"), "flush-now", bound, max_num_seqs=3)
        engine = llm.engine
        params = SamplingParams(max_tokens=30, ignore_eos=True)
        sequences = [engine.submit(engine.intake.live(prompt, params, arrival=0)) for prompt in ([4, 9], [2, 33], [7])]
        sequence, lost = sequences[0], not preempted
        while sequence.emitted < 25 or sequence.row < 0 or not sequence.is_prefilled:
            engine.step()
            if not lost and sequence.emitted == 15:
                engine.scheduler.preempt(sequence)
                lost = True
        memory, row, known = engine.runner.memory, sequence.row, 2 + 9
        assert memory.owed[-1, row] <= sequence.positions - 1 - known
        cells = torch.from_numpy(np.stack([memory.tables.cells(segment, row, known, 0) for segment in (1, 2, 3)]))
        found.append((memory.pool.keys[cells], memory.pool.values[cells]))
    for keys, values in found[1:]:
        assert torch.equal(keys, found[0][0]) and torch.equal(values, found[0][1])


def test_rows_that_had_to_stay_may_emit_the_deep_token() -> None:
    model = model_with(1, threshold="0.05")
    prompts = prompts_of(model.config.vocab_size, 6, longest=10)
    expected = [naive(model, prompt, PARAMS.max_tokens, "recompute") for prompt in prompts]
    assert watched(recomputing(model, "flush-now", stay="deep"), prompts) == expected
    deep = recomputing(model, "consensus", stay="deep")
    assert watched(deep, prompts) != expected
    assert deep.engine.statistics.drifted_tokens


def test_sampled_text_does_not_depend_on_the_schedule_or_the_bound() -> None:
    model = model_with(2, threshold="0.1")
    prompts = prompts_of(model.config.vocab_size, 6)
    params = SamplingParams(max_tokens=10, temperature=0.9, top_k=20, seed=11, ignore_eos=True)
    found = [watched(recomputing(model, policy, bound), prompts, params)
             for policy, bound in (("flush-now", 1), ("drex", 2), ("consensus", None), ("threshold", 3))]
    assert all(other == found[0] for other in found)


def test_without_exits_nothing_is_owed() -> None:
    llm, plain = recomputing(model_with(1), "drex"), LLM(model_with(1), policy="drex", max_num_seqs=4)
    prompts = prompts_of(61, 4)
    assert watched(llm, prompts) == generate(plain, prompts, PARAMS)
    assert not llm.engine.statistics.tokens_owed


class Backwards:
    """Decode attention that takes the tokens of a launch one by one, the last first."""

    def __call__(self, tables: KVTables, launch: LaunchIndex, segment: int, offset: int, query: torch.Tensor,
                 key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """See `DecodeAttention`."""
        found = []
        for at in reversed(range(len(launch.rows))):
            one = slice(at, at + 1)
            alone = replace(launch, rows=launch.rows[one], lengths=launch.lengths[one],
                            longest=int(launch.lengths[at]), write_base=launch.write_base[one],
                            write_stride=launch.write_stride[one])
            found.append(GatheredAttention()(tables, alone, segment, offset, query[one], key[one], value[one]))
        return torch.cat(found[::-1])


def test_owed_tokens_of_a_row_may_go_to_several_threads_or_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(2, threshold="0.05")
    prompts = prompts_of(model.config.vocab_size, 5, longest=10)
    whole = watched(recomputing(model, "drex", 6), prompts)
    with threads(3, monkeypatch):
        assert watched(recomputing(model, "drex", 6), prompts) == whole
    assert watched(recomputing(model, "drex", 6, attention=Backwards()), prompts) == whole
    monkeypatch.setattr("drex_runtime.execution.debt.CHUNK", 2)
    assert watched(recomputing(model, "drex", 6), prompts) == whole


def test_a_fault_while_paying_ends_the_requests_of_the_launch_only() -> None:
    model = model_with(1, threshold="0")
    llm = recomputing(model, "flush-now", 3, max_num_seqs=2, batch_max=1)
    engine = llm.engine
    extend, failures = engine.runner.extend, [ValueError("no such luck")]

    def failing(*arguments: Any) -> torch.Tensor:
        if failures:
            raise failures.pop()
        return extend(*arguments)

    engine.runner.extend = failing  # type: ignore[assignment, method-assign]
    sequences = [engine.submit(engine.intake.live([at], PARAMS, arrival=0)) for at in (3, 4)]
    engine.run()
    engine.check()
    assert sorted(str(one.finished) for one in sequences) == ["error", "length"]
    assert engine.runner.memory.pool.blocks_in_use == engine.runner.memory.owed.sum() == 0


def test_books_that_do_not_add_up_are_noticed() -> None:
    llm = recomputing(model_with(1, threshold="0"), "flush-now", 4, max_num_seqs=1)
    engine = llm.engine
    sequence = engine.submit(engine.intake.live([3, 4], PARAMS, arrival=0))
    while sequence.emitted < 4:
        engine.step()
    engine.check()
    owed = engine.runner.memory.owed[:, sequence.row].copy()
    for wrong in (owed - np.array([0, 1]), owed + np.array([0, 1]), owed + np.array([0, 9])):
        engine.runner.memory.owed[:, sequence.row] = wrong
        with pytest.raises(KVPoolError, match="row 0"):
            engine.check()


@pytest.mark.parametrize(("options", "message"), [
    ({"fill": "share", "max_debt": 4}, "max_debt = 4: expected 1 or more with fill"),
    ({"fill": "recompute", "max_debt": 0}, "max_debt = 0: expected 1 or more")])
def test_bounds_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        KVConfig(64, **options)


def test_the_commands_take_it_or_say_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_drex("generate", "def", "--kv-fill", "recompute", "--kv-max-debt", "2", "--exit-threshold", "0",
                    "--max-tokens", "9", "--stats")
    # Eight tokens after the first leave, the last one with its request.
    assert code == 0 and "owed 8, run to full depth since 6, debts at their bound 3" in capsys.readouterr().out
    profile = Path(drex_runtime.__file__).parent / "data" / "profiles" / "demo-cpu.json"
    workload = Path(__file__).resolve().parents[3] / "examples" / "workloads" / "burst-16.json"
    assert run_drex("replay", str(workload), "--profile", str(profile), "--kv-fill", "recompute") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "kv fill = recompute" in error and "Traceback" not in error


def test_a_clock_that_runs_by_a_profile_is_refused() -> None:
    with pytest.raises(InputError, match="none of them has a cost for recomputing"):
        recomputing(model_with(1), "drex", clock=FakeClock())
