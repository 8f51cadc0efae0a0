"""Sampling: the right distribution, cut where asked, noise that depends on (seed, output index) alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch

from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.errors import InputError, RecordError
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.sampling import Sampler, uniforms
from drex_runtime.execution.text_output import TextOutput

LOGITS = torch.tensor([0.3, 2.0, -1.0, 1.5, 0.0])
DRAWS = 20_000


def frequencies(params: SamplingParams) -> torch.Tensor:
    """How often each token is drawn from LOGITS over many output indices."""
    sampler = Sampler(DRAWS)
    for row in range(DRAWS):
        sampler.admit(row, params, seed=9)
    sampler.counter[:] = np.arange(DRAWS)
    tokens = [choice.token for choice in sampler.choose(LOGITS.expand(DRAWS, -1), range(DRAWS))]
    return torch.bincount(torch.tensor(tokens), minlength=5) / DRAWS


def test_temperature_gives_the_softmax() -> None:
    for temperature in (0.5, 1.0, 2.0):
        found = frequencies(SamplingParams(temperature=temperature))
        torch.testing.assert_close(found, (LOGITS / temperature).softmax(0), atol=0.012, rtol=0)


def test_top_k_and_top_p_cut() -> None:
    full = LOGITS.softmax(0)
    kept = torch.tensor([0, 1, 0, 1, 0]) * full
    for params in (SamplingParams(temperature=1, top_k=2), SamplingParams(temperature=1, top_p=float(full[1]) + 0.01)):
        torch.testing.assert_close(frequencies(params), kept / kept.sum(), atol=0.012, rtol=0)
    only = frequencies(SamplingParams(temperature=1, top_p=float(full[1]) - 0.01))
    assert only[1] == 1
    assert frequencies(SamplingParams(temperature=1, top_k=1))[1] == 1


def test_noise_is_counter_based_and_uniform() -> None:
    seeds = np.arange(4, dtype=np.uint64)[:, None]
    numbers = uniforms(np.broadcast_to(seeds, (4, 5000)), np.broadcast_to(np.arange(5000, dtype=np.uint64), (4, 5000)))
    assert np.array_equal(numbers[2:3, 7:8], uniforms(np.array([[2]], np.uint64), np.array([[7]], np.uint64)))
    assert np.unique(numbers).size == numbers.size
    assert np.abs(np.histogram(numbers, 10, (0, 1))[0] - 2000).max() < 200
    correlation = np.corrcoef(numbers)
    assert np.abs(correlation - np.eye(4)).max() < 0.05


def test_rows_are_chosen_by_their_own_parameters() -> None:
    sampler = Sampler(3)
    sampler.admit(0, SamplingParams(), seed=1)
    sampler.admit(1, SamplingParams(temperature=1.0, logprobs=2), seed=1)
    sampler.admit(2, SamplingParams(temperature=50.0), seed=3)
    mixed = sampler.choose(LOGITS.expand(3, -1), [2, 0, 1])
    assert mixed[1].token == 1 and mixed[1].logprob is None
    assert [mixed[2]] == sampler.choose(LOGITS[None], [1])
    logprob = mixed[2].logprob
    assert logprob is not None and [token for token, _ in logprob.best] == [1, 3]
    assert abs(logprob.value - float(LOGITS.log_softmax(0)[mixed[2].token])) < 1e-6


def test_min_p_cuts_below_a_share_of_the_best() -> None:
    probability = LOGITS.softmax(0)
    kept = torch.tensor([0, 1, 0, 1, 0]) * probability
    share = float(probability[3] / probability[1]) - 0.01
    found = frequencies(SamplingParams(temperature=1, min_p=share))
    torch.testing.assert_close(found, kept / kept.sum(), atol=0.012, rtol=0)
    assert frequencies(SamplingParams(temperature=1, min_p=1.0))[1] == 1


def chosen(params: SamplingParams, *, prompt: tuple[int, ...] = (), output: tuple[int, ...] = (),
           stop: frozenset[int] = frozenset()) -> int:
    """The greedy token beside a row without wishes, whose token must not change."""
    sampler = Sampler(2)
    sampler.admit(0, SamplingParams(), seed=0)
    sampler.admit(1, params, 0, prompt_ids=prompt, output_ids=output[:1], stop_ids=stop)
    for token in output[1:]:
        sampler.advance(1, token)
    before = LOGITS.clone()
    plain, mine = (choice.token for choice in sampler.choose(LOGITS.expand(2, -1), [0, 1]))
    assert plain == 1 and torch.equal(before, LOGITS)
    return mine


def test_masks_bias_and_penalties_by_hand() -> None:
    assert chosen(SamplingParams(banned_token_ids=(1,))) == 3
    assert chosen(SamplingParams(allowed_token_ids=(0, 2, 4))) == 0
    assert chosen(SamplingParams(allowed_token_ids=(2, 4), logit_bias=((2, 1.5),))) == 2
    assert chosen(SamplingParams(logit_bias=((1, -0.6),))) == 3
    assert chosen(SamplingParams(presence_penalty=0.6), prompt=(1,)) == 1  # the prompt does not count
    assert chosen(SamplingParams(presence_penalty=0.6), output=(1,)) == 3
    assert chosen(SamplingParams(frequency_penalty=0.3), output=(1,)) == 1
    assert chosen(SamplingParams(frequency_penalty=0.3), output=(1, 1)) == 3
    assert chosen(SamplingParams(repetition_penalty=1.4), prompt=(1,)) == 3
    assert chosen(SamplingParams(repetition_penalty=1.4), prompt=(3,), output=(1,)) == 1  # 1.43 against 1.07
    assert chosen(SamplingParams(min_tokens=2), output=(0,), stop=frozenset({1})) == 3
    assert chosen(SamplingParams(min_tokens=2), output=(0, 0), stop=frozenset({1})) == 1


@pytest.mark.parametrize("wrong", [
    {"temperature": nan}, {"temperature": inf}, {"temperature": "1"}, {"temperature": True}, {"top_p": 0.0},
    {"top_p": 1.1}, {"top_p": nan}, {"top_k": -2}, {"top_k": 1.5}, {"min_p": nan}, {"min_p": -0.1},
    {"presence_penalty": nan}, {"frequency_penalty": 1e308}, {"repetition_penalty": 0.0}, {"repetition_penalty": inf},
    {"n": 10**9}, {"n": 0}, {"max_tokens": 2**63}, {"max_tokens": 4, "min_tokens": 5}, {"logprobs": 10**6},
    {"logit_bias": ((1, nan),)}, {"logit_bias": ((1, 101.0),)}, {"logit_bias": ((1, 0.5), (1, 0.5))},
    {"stop": ("",)}, {"stop": ("x" * 10**5,)}, {"stop": ("x",) * 100}, {"exit_threshold": nan},
    {"exit_threshold": -0.1}, {"exit_threshold": 1.1}, {"deadline_ms": 0}, {"deadline_ms": -5.0}, {"ttft_ms": nan},
    {"tpot_ms": 1e300}, {"seed": 2**63}, {"seed": -1}, {"stop_token_ids": tuple(range(10**5))},
])
def test_values_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match=list(wrong)[-1]):
        SamplingParams(**wrong)


@pytest.mark.parametrize("wrong", [
    {"stop_token_ids": (5,)}, {"stop_token_ids": (-1,)}, {"allowed_token_ids": (5279552648203111001,)},
    {"allowed_token_ids": ()}, {"banned_token_ids": (0, 1, 2, 3, 4)}, {"logit_bias": ((7, 1.0),)},
    {"allowed_token_ids": (2,), "min_tokens": 1},
])
def test_token_ids_are_checked_against_the_vocabulary(wrong: dict[str, Any]) -> None:
    params = SamplingParams(**wrong)
    with pytest.raises(RecordError, match=r"_ids|logit_bias"):
        params.check_vocabulary(5, {2})


def test_choices_have_seeds_of_their_own() -> None:
    params = SamplingParams(n=4, seed=7)
    seeds = [params.choice(index).seed for index in range(4)]
    assert seeds[0] == 7 and len(set(seeds)) == 4
    assert {SamplingParams(n=2).choice(index).seed for index in range(2)} == {None}


def test_requests_without_a_seed_follow_the_engines() -> None:
    """The same run repeats, another engine's seed gives other texts, and so do two requests of one engine."""
    params = SamplingParams(max_tokens=12, temperature=1.0, ignore_eos=True)
    said = [[out.token_ids for out in LLM(DEMO_FOLDER, seed=seed).generate(["import", "import"], params)]
            for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]
    assert said[0][0] != said[0][1] and said[2][0] != said[2][1]
    own = replace(params, seed=5)
    assert len({out.token_ids for seed in (0, 1)
                for out in LLM(DEMO_FOLDER, seed=seed).generate(["import", "import"], own)}) == 1
    for seed in (-1, 2**63):
        with pytest.raises(InputError, match="seed"):
            LLM(DEMO_FOLDER, seed=seed)


class TestStopStrings:
    """On the demo model: its greedy text is known, every piece of it can be a stop string."""

    @staticmethod
    @cache
    def llm() -> LLM:
        return LLM(DEMO_FOLDER, max_num_seqs=3)

    def text(self, **params: Any) -> tuple[str, str]:
        output = self.llm().generate(["def read(path):"], SamplingParams(max_tokens=24, **params))[0]
        self.llm().engine.check()
        assert not self.llm().engine.has_work
        return output.text, output.finish_reason

    def test_text_ends_before_the_stop_string(self) -> None:
        free, _ = self.text()
        for at in range(2, len(free) - 4, 5):
            stop = free[at:at + 4]
            shown = free[:free.index(stop)]
            assert self.text(stop=("nowhere", stop)) == (shown, "stop")
            assert self.text(stop=(stop,), include_stop_str_in_output=True) == (shown + stop, "stop")
        assert self.text(stop=("\x00",))[0] == free

    def test_pieces_never_show_a_part_of_the_stop_string(self) -> None:
        llm = self.llm()
        free = llm.generate(["def read(path):"], SamplingParams(max_tokens=24))[0]
        for at in range(2, len(free.text) - 4, 3):
            stop = free.text[at:at + 4]
            output = TextOutput(llm.tokenizer, SamplingParams(stop=(stop,)))
            shown = ""
            for token in free.token_ids:
                shown += output.push(token)
                assert free.text[:free.text.index(stop)].startswith(shown)
            assert output.stopped == stop and output.finish() == ""

    def test_n_gives_n_outputs_that_repeat_with_the_seed(self) -> None:
        params = SamplingParams(max_tokens=8, temperature=1.0, n=3, seed=5)
        first, second = (self.llm().generate(["import", "class"], params) for _ in range(2))
        assert [out.token_ids for out in first] == [out.token_ids for out in second]
        assert len(first) == 6 and len({out.token_ids for out in first}) == 6

    def test_exit_threshold_is_the_requests_own(self) -> None:
        one, zero = self.llm().generate(["import", "import"], [
            SamplingParams(12, exit_threshold=1.0, ignore_eos=True),
            SamplingParams(12, exit_threshold=0.0, ignore_eos=True)])
        assert set(one.depths) == {2} and set(zero.depths[1:]) == {1}

    def test_penalties_do_not_change_confidence(self) -> None:
        """A bias that fixes every token: the depths of the first decode step are those without it."""
        plain = self.llm().generate(["import"], SamplingParams(2, ignore_eos=True))[0]
        forced = self.llm().generate(["import"], SamplingParams(2, ignore_eos=True, logit_bias=(
            (plain.token_ids[0], 100.0),)))[0]
        assert forced.token_ids == (plain.token_ids[0],) * 2 and forced.depths == plain.depths
