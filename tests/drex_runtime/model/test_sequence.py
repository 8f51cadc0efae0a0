"""Whole-sequence and step-by-step forward compute the same early-exit model, sharing included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from drex_runtime.model import confidence
from drex_runtime.model.sequence import ExitRule, forward_sequence
from drex_runtime.model.stepwise import DenseDecoder
from tests.drex_runtime.model.configs import small_model
from tests.drex_runtime.model.naive import NaiveDecoder, scripted
from tests.scale import scaled


def random_tokens(batch: int, length: int, seed: int) -> Tensor:
    return torch.randint(0, 61, (batch, length), generator=torch.Generator().manual_seed(seed))


def at_depths(depths: Tensor) -> ExitRule:
    return lambda ramp, logits: depths == ramp


def test_an_exit_rule_that_never_fires_changes_nothing() -> None:
    model, tokens = small_model(), random_tokens(3, 20, 0)
    plain = forward_sequence(model, tokens)
    ruled = forward_sequence(model, tokens, lambda ramp, logits: torch.zeros(3, 20, dtype=torch.bool))
    assert plain.ramp_logits == () and len(ruled.ramp_logits) == 2
    assert (ruled.depths == 3).all()
    torch.testing.assert_close(ruled.deep_logits, plain.deep_logits, atol=1e-5, rtol=1e-5)


def test_ramps_read_the_state_after_their_layers() -> None:
    model, tokens = small_model(), random_tokens(2, 12, 1)
    ramps = forward_sequence(model, tokens, lambda ramp, logits: torch.zeros(2, 12, dtype=torch.bool)).ramp_logits
    for logits, layers in zip(ramps, model.config.ramps, strict=True):
        short = small_model(num_hidden_layers=layers, early_exit=None)
        short.load_state_dict({k: v for k, v in model.state_dict().items() if k in short.state_dict()})
        torch.testing.assert_close(logits, forward_sequence(short, tokens).deep_logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ramps", [[3], [2, 4], [1, 2, 5]])
def test_sharing_equals_the_naive_decoder(ramps: list[int]) -> None:
    model = small_model(early_exit={"ramps": ramps})
    for seed in range(scaled(4, 40)):
        tokens = random_tokens(1, 14, seed)
        generator = torch.Generator().manual_seed(seed)
        depths = torch.randint(1, len(ramps) + 2, (1, 14), generator=generator)
        output = forward_sequence(model, tokens, at_depths(depths))
        assert torch.equal(output.depths, depths)
        naive = NaiveDecoder(model)
        for position, token in enumerate(tokens[0].tolist()):
            depth, emitted, deep = naive.feed(token, scripted(depths[0].tolist()))
            assert depth == depths[0, position]
            row = (*output.ramp_logits, output.deep_logits)[depth - 1][0, position]
            torch.testing.assert_close(row, emitted, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(output.deep_logits[0, position], deep, atol=1e-4, rtol=1e-4)


def test_exits_change_what_later_positions_see() -> None:
    model, tokens = small_model(), random_tokens(1, 10, 3)
    one = torch.zeros(1, 10, dtype=torch.bool)
    one[0, 4] = True
    plain = forward_sequence(model, tokens).deep_logits
    shared = forward_sequence(model, tokens, lambda ramp, logits: one).deep_logits
    torch.testing.assert_close(shared[0, :5], plain[0, :5], atol=1e-5, rtol=1e-5)
    assert (shared[0, 5:] - plain[0, 5:]).abs().max() > 1e-2


def test_stepwise_decoding_equals_teacher_forcing_of_its_own_text() -> None:
    model = small_model()
    thresholds = [float(t) for t in model.config.thresholds]
    prompts = random_tokens(5, 6, 4)
    decoder = DenseDecoder(model, 5, 40)
    tokens = [prompts, decoder.prefill(prompts).argmax(dim=-1, keepdim=True)]
    steps = []
    for _ in range(30):
        steps.append(decoder.step(tokens[-1][:, 0], thresholds))
        tokens.append(steps[-1].logits.argmax(dim=-1, keepdim=True))
    text = torch.cat(tokens, dim=1)[:, :-1]

    def leaves(ramp: int, logits: Tensor) -> Tensor:
        return (confidence(logits) > thresholds[ramp - 1]) & (torch.arange(text.shape[1]) >= 6)

    output = forward_sequence(model, text, leaves)
    depths = torch.stack([step.depths for step in steps], dim=1)
    assert torch.equal(output.depths[:, 6:], depths)
    assert set(depths.unique().tolist()) == {1, 2, 3}
    torch.testing.assert_close(
        output.deep_logits[:, 6:], torch.stack([s.deep_logits for s in steps], dim=1), atol=1e-4, rtol=1e-4
    )
    for step, ramps in zip(steps, torch.stack(output.ramp_logits, dim=2)[:, 6:].unbind(1), strict=True):
        torch.testing.assert_close(step.ramp_confidences, confidence(ramps), atol=1e-4, rtol=1e-4)


def test_gradients_reach_the_exit_layer_through_shared_entries() -> None:
    model = small_model(early_exit={"ramps": [3]}).requires_grad_(True)
    tokens = random_tokens(1, 8, 5)
    all_but_last = torch.arange(8).view(1, 8) < 7
    loss = forward_sequence(model, tokens, lambda ramp, logits: all_but_last).deep_logits[0, -1].logsumexp(0)
    loss.backward()
    keys_of_exit_layer = model.layer(2).qkv_proj.weight.grad
    assert keys_of_exit_layer is not None and keys_of_exit_layer.abs().max() > 0


def test_ramps_that_do_not_exist_are_refused() -> None:
    model = small_model()
    for ramp in (0, 3):
        with pytest.raises(IndexError, match=r"is not one of 1\.\.2"):
            model.head_logits(torch.zeros(4, 32), ramp)
