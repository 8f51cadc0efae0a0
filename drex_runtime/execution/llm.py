"""LLM: offline generation. `LLM("folder").generate(["text"], SamplingParams(max_tokens=20))`."""

from __future__ import annotations

from collections.abc import Sequence as Items
from pathlib import Path

import torch

from drex_runtime.engine import Engine
from drex_runtime.errors import InputError
from drex_runtime.execution.attention import DecodeAttention
from drex_runtime.execution.clock import Clock
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.nominal import nominal_profile
from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import RequestOutput, Sequence
from drex_runtime.execution.text_output import TextOutput, whole_text
from drex_runtime.model import EarlyExitLlama, Tokenizer, load_model
from drex_runtime.policies import Policy, bind, shipped_policy
from drex_runtime.policies.bind import Settings
from drex_runtime.records import CostProfile, ServerConfig
from drex_runtime.records.ticks import TICKS_PER_SECOND
from drex_runtime.simulator.events import LaunchRecord

Prompt = str | Items[int]


class LLM:
    """A model, a policy and an engine.

    `model`: a folder (its tokenizer.json is used if there is one) or a loaded model. `policy`: a table or a shipped
    name, `settings` its parameters. `profile`: measured costs for policies that ask for them (ART, due dates);
    without one, `nominal_profile`. Resources as in `ServerConfig`. `seed`: with a request's number, the seed of those
    that bring none. Raises DrexError subclasses at construction.
    """

    def __init__(self, model: EarlyExitLlama | Path | str, *, policy: Policy | str = "drex",
                 settings: Settings | None = None, profile: CostProfile | None = None, max_num_seqs: int = 16,
                 batch_max: int | None = None, prefill_tokens: int | None = 512, max_model_len: int | None = None,
                 kv: KVConfig | None = None, tokenizer: Tokenizer | None = None, dtype: torch.dtype = torch.float32,
                 clock: Clock | None = None, attention: DecodeAttention | None = None,
                 launches: list[LaunchRecord] | None = None, stay: str = "commit", seed: int = 0) -> None:
        if isinstance(model, (str, Path)):
            folder = Path(model)
            model = load_model(folder, dtype)
            if tokenizer is None and (folder / "tokenizer.json").is_file():
                tokenizer = Tokenizer.load(folder)
        self.model, self.tokenizer = model, tokenizer
        config = ServerConfig(batch_max or max_num_seqs, max_num_seqs, prefill_tokens)
        table = shipped_policy(policy) if isinstance(policy, str) else policy
        self.policy = bind(table, profile or nominal_profile(model.config, config.batch_max), config, settings)
        self.engine = Engine(model, self.policy, clock=clock, kv=kv, max_model_len=max_model_len,
                             attention=attention, launches=launches, stay=stay, seed=seed)

    def generate(self, prompts: Items[Prompt], params: SamplingParams | Items[SamplingParams] | None = None,
                 ) -> list[RequestOutput]:
        """Outputs in the order of `prompts` (texts or token ids); an empty prompt starts from the start token.

        Texts are the caller's own: those of special tokens in them become these tokens (the server reads its clients'
        texts otherwise).
        With n > 1 a prompt's n outputs follow each other. Raises InputError, before anything runs, if a prompt does
        not fit or a text comes without a tokenizer.
        """
        each = [params or SamplingParams()] * len(prompts) if not isinstance(params, Items) else list(params)
        if len(each) != len(prompts):
            raise InputError("generate", "params", f"{len(each)} of them", f"one, or one per prompt ({len(prompts)})")
        sequences = [sequence for prompt, chosen in zip(prompts, each, strict=True)
                     for sequence in self.sequences(prompt, chosen)]
        texts = {sequence: TextOutput(self.tokenizer, sequence.params)
                 for sequence in sequences if sequence.params.stop}
        for sequence in sequences:
            self.engine.submit(sequence)
        while any(sequence.finished is None for sequence in sequences):
            for sequence in self.engine.step():
                text = texts.get(sequence)
                if text is None or sequence.finished == "stop":
                    continue
                text.push(sequence.output_ids[-1])
                if text.stopped is None:
                    continue
                if sequence.finished is None:
                    self.engine.abort(sequence, "stop")
                sequence.finished = "stop"
        return [self.output(sequence) for sequence in sequences]

    def sequences(self, prompt: Prompt, params: SamplingParams) -> list[Sequence]:
        """The n sequences of a request that arrives now, checked but not submitted. Raises InputError."""
        if params.stop and self.tokenizer is None:
            raise InputError("sampling", "stop", params.stop, "stop_token_ids, as the model has no tokenizer.json")
        ids, arrival = self._ids(prompt), self.engine.clock.now()
        due, ttft, tpot = params.due_dates(arrival, TICKS_PER_SECOND[self.engine.profile.tick])
        return [self.engine.intake.live(ids, params.choice(index), arrival=arrival, due=due, ttft=ttft, tpot=tpot)
                for index in range(params.n)]

    def output(self, sequence: Sequence) -> RequestOutput:
        """The record of a finished request."""
        if sequence.finished is None:
            raise InputError(f"request {sequence.spec.id}", "finished", None, "a finished request")
        bounds = (*self.model.config.ramps, self.model.config.num_layers)
        text = whole_text(self.tokenizer, sequence.params, sequence.output_ids, sequence.finished, sequence.stop_ids)
        return RequestOutput(sequence.spec.id, sequence.prompt_ids, tuple(sequence.output_ids), text,
                             sequence.finished, tuple(sequence.depths), tuple(bounds[d - 1] for d in sequence.depths),
                             sequence.spec.arrival, tuple(sequence.times), tuple(sequence.logprobs),
                             sequence.cached or 0)

    def _ids(self, prompt: Prompt) -> Items[int]:
        if not isinstance(prompt, str):
            return prompt
        if self.tokenizer is None:
            raise InputError("generate", "prompt", prompt, "token ids, as the model has no tokenizer.json")
        return self.tokenizer.encode(prompt, special=True, control=True)
