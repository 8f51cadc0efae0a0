"""Intake: the one place where requests are checked and become sequences, and where model, policy and pool must fit."""

from __future__ import annotations

from collections.abc import Sequence as Items

from drex_runtime.errors import InputError
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.params import GOLDEN, MOST_SEEDS, SamplingParams
from drex_runtime.execution.requests import Sequence
from drex_runtime.model import ModelConfig
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.records.workload import Request


class Intake:
    """Limits of one engine. Raises InputError where model and profile do not fit.

    `seed`: with its number, the seed of a request that brings none, so that a run repeats and two requests differ.
    """

    def __init__(self, model: ModelConfig, policy: BoundPolicy, kv: KVConfig | None, max_model_len: int | None,
                 seed: int = 0) -> None:
        if not 0 <= seed < MOST_SEEDS:
            raise InputError("engine", "seed", seed, f"an integer from 0 to {MOST_SEEDS - 1}")
        self.seed = seed
        if policy.num_segments != model.num_segments:
            raise InputError(f"profile {policy.profile.name}", "segments", policy.num_segments,
                             f"{model.num_segments}, as the model has {len(model.ramps)} ramps")
        self.model = model
        self.max_model_len = max_model_len or model.max_positions
        if not 1 <= self.max_model_len <= model.max_positions:
            raise InputError("engine", "max_model_len", max_model_len, f"1 to the model's {model.max_positions}")
        self.kv = kv or KVConfig(self.max_model_len, sequences=policy.config.max_num_seqs)
        self._count = 0

    def live(self, prompt_ids: Items[int], params: SamplingParams, *, arrival: int, request_id: int | None = None,
             due: int | None = None, ttft: int | None = None, tpot: int | None = None) -> Sequence:
        """A request whose depths nobody knows; the scheduler sees max_tokens as its length.

        Raises InputError for unknown token ids and for what could never fit.
        """
        number = self._count if request_id is None else request_id
        self._check_fits(number, len(prompt_ids), params.max_tokens)  # before anything of that length is built
        self._check_ids(number, prompt_ids)
        stops = frozenset(params.stop_token_ids) | (frozenset() if params.ignore_eos else frozenset(self.model.eos_ids))
        params.check_vocabulary(self.model.vocab_size, stops)
        params = params.seeded((self.seed * GOLDEN + number) % MOST_SEEDS)
        depths = (self.model.num_segments,) * params.max_tokens
        spec = Request(number, arrival, len(prompt_ids), depths, due, ttft, tpot)
        return self._sequence(spec, params, tuple(prompt_ids), False, stops)

    def scripted(self, spec: Request, prompt_ids: Items[int], params: SamplingParams) -> Sequence:
        """A request of a workload: its depths replace the thresholds, its length is fixed (no stop tokens)."""
        self._check_ids(spec.id, prompt_ids)
        if len(prompt_ids) != spec.prompt_tokens:
            raise InputError(f"request {spec.id}", "prompt_ids", f"{len(prompt_ids)} ids",
                             f"prompt_tokens = {spec.prompt_tokens} of them")
        if max(spec.depths) > self.model.num_segments:
            raise InputError(f"request {spec.id}", "depths", max(spec.depths), f"1 to {self.model.num_segments}")
        return self._sequence(spec, params, tuple(prompt_ids), True, frozenset())

    def _sequence(self, spec: Request, params: SamplingParams, prompt_ids: tuple[int, ...], scripted: bool,
                  stops: frozenset[int]) -> Sequence:
        sequence = Sequence(self._count, spec, params, prompt_ids, scripted, stops, last=spec.arrival)
        self._check_fits(spec.id, spec.prompt_tokens, spec.output_tokens)
        self._count += 1
        return sequence

    def _check_fits(self, number: int, prompt_tokens: int, output_tokens: int) -> None:
        needed = max(prompt_tokens, 1) + output_tokens - 1
        if needed > self.max_model_len:
            raise InputError(f"request {number}", "prompt and output", f"{needed} positions",
                             f"at most max_model_len = {self.max_model_len}")
        if needed > self.kv.capacity_tokens:
            raise InputError(f"request {number}", "prompt and output", f"{needed} positions",
                             f"at most the KV capacity of {self.kv.capacity_tokens} tokens per request")

    def _check_ids(self, number: int, ids: Items[int]) -> None:
        for at, token in enumerate(ids):
            if not 0 <= token < self.model.vocab_size:
                raise InputError(f"request {number}", f"prompt_ids.{at}", token, f"0 to {self.model.vocab_size - 1}")
