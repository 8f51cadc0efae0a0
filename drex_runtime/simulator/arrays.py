"""Workloads, policies and states as the kernel's arrays, made once and used for thousands of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.observation import MAX_WAITING
from drex_runtime.policies.program import Program, compile_policy
from drex_runtime.records.config import ServerConfig
from drex_runtime.records.profile import CostProfile
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Phase, Place, State, initial_state
from drex_runtime.simulator.entries import Packed
from drex_runtime.simulator.mechanics import check_matching
from drex_runtime.simulator.memory import (
    COMPLETED,
    EMITTED,
    ENTERED,
    LAST,
    LATCHED,
    NONE,
    NOW,
    PACKED_FIELDS,
    PACKED_SCALARS,
    PHASE,
    PLACE,
    PREFILLED,
    SEGMENT,
    STAMPED,
    Costs,
    Int,
    Server,
    Work,
)

MAX_STEP = 2**58  # ticks of one launch step; leaves room in int64 for clock plus a few of them
MAX_CHOICES = 2**33


@dataclass(frozen=True)
class CompiledWorkload:
    """A workload as arrays, with the sums that bound a launch's cost."""

    workload: Workload
    work: Work
    initial: Packed
    max_context: int
    prompt_tokens: int
    prompt_pairs: int

    @classmethod
    def of(cls, workload: Workload) -> CompiledWorkload:
        """LimitError if it has more requests than a view can count."""
        requests, n = workload.requests, len(workload.requests)
        if n >= MAX_WAITING:
            raise LimitError(f"workload {workload.name}: {n} requests; the simulator counts up to {MAX_WAITING - 1}")
        prompt = _ints(request.prompt_tokens for request in requests)
        due, ttft, tpot = (_ints(NONE if value is None else value for value in values) for values in (
            [request.due for request in requests], [request.ttft for request in requests],
            [request.tpot for request in requests]))
        work = Work(
            _ints(request.arrival for request in requests), _ints(request.id for request in requests), prompt,
            np.concatenate([[0], np.cumsum([len(request.depths) for request in requests])]).astype(np.int64),
            np.concatenate([np.asarray(request.depths, np.int64) for request in requests]), due, ttft, tpot,
            np.flatnonzero(prompt == 0).astype(np.int64), np.flatnonzero(prompt).astype(np.int64),
            bool((due != NONE).any() or (ttft != NONE).any() or (tpot != NONE).any()))
        prompts = [request.prompt_tokens for request in requests]
        return cls(workload, work, _pack(work, workload.num_segments, [initial_state(n, workload.num_segments)]),
                   max(request.prompt_tokens + len(request.depths) for request in requests), sum(prompts),
                   sum(tokens * tokens for tokens in prompts))

    def pack(self, states: Sequence[State], config: ServerConfig) -> Packed:
        """Arrays of `states` of this workload. RecordError if one cannot be a state of it."""
        packed = _pack(self.work, self.workload.num_segments, states)
        _check_states(packed, self.work, self.workload.num_segments, config)
        return packed

    def unpack(self, packed: Packed, index: int) -> State:
        """State `index` of `packed`."""
        rows, scalars = packed.rows[index].tolist(), packed.scalars[index].tolist()
        now, phase, segment, exits, decodes, streak = scalars[:PACKED_SCALARS]
        place, emitted, prefilled, entered, latched, stamped, completed, last = map(tuple, rows)
        return State(now, Phase(phase), segment, place, emitted, prefilled, entered, latched, stamped, completed,
                     tuple(scalars[PACKED_SCALARS:]), decodes, streak, last, exits)


@dataclass(frozen=True)
class CompiledProfile:
    """A profile as arrays."""

    profile: CostProfile
    costs: Costs

    @classmethod
    def of(cls, profile: CostProfile) -> CompiledProfile:
        """Costs of every segment, ramp and start."""
        segments, ramps, prefill = profile.segments, profile.ramps, profile.prefill
        return cls(profile, Costs(
            _ints(profile.buckets), np.array([segment.fixed for segment in segments], np.int64),
            _ints(segment.per_row for segment in segments), _ints(segment.per_context for segment in segments),
            _ints(ramp.fixed for ramp in ramps), _ints(ramp.per_row for ramp in ramps), _ints((0, *profile.starts)),
            profile.rebatch, profile.kv_fill.fixed, profile.kv_fill.per_row, prefill.fixed, prefill.per_token,
            prefill.per_pair))


@dataclass(frozen=True)
class CompiledPolicy:
    """A bound policy as the kernel executes it: integer program, costs, resources."""

    bound: BoundPolicy
    program: Program
    profile: CompiledProfile
    server: Server

    @classmethod
    def of(cls, bound: BoundPolicy, profile: CompiledProfile | None = None) -> CompiledPolicy:
        """`profile`: that of `bound`, already compiled. PolicyError if a rule could overflow int64."""
        config = bound.config
        shared = CompiledProfile.of(bound.profile) if profile is None else profile
        return cls(bound, compile_policy(bound), shared, Server(
            config.batch_max, config.max_num_seqs, _or_none(config.prefill_tokens), _or_none(config.idle_max),
            MAX_CHOICES))

    def check(self, compiled: CompiledWorkload) -> None:
        """LimitError if profile and workload do not fit together, or 64 bits do not suffice."""
        profile, config = self.bound.profile, self.bound.config
        check_matching(compiled.workload, profile, config)
        rows = min(config.batch_max, len(compiled.workload.requests))
        context, costs = rows * compiled.max_context, self.profile.costs
        dearest = max(
            max(int(costs.fixed.max()) + int(costs.per_row.max()) * rows + int(costs.per_context.max()) * context,
                costs.fill_fixed + costs.fill_row * rows),
            int(costs.ramp_fixed.max(initial=0)) + int(costs.ramp_row.max(initial=0)) * rows,
            costs.prefill_fixed + costs.prefill_token * compiled.prompt_tokens
            + costs.prefill_pair * compiled.prompt_pairs)
        if dearest > MAX_STEP:
            raise LimitError(f"one launch of workload {compiled.workload.name} could cost {dearest} {profile.tick} by "
                             f"profile {profile.name}, beyond {MAX_STEP}; use a coarser tick")


def compiled_workload(workload: Workload | CompiledWorkload) -> CompiledWorkload:
    """The arrays of `workload`, made now unless they were made before."""
    return workload if isinstance(workload, CompiledWorkload) else CompiledWorkload.of(workload)


def compiled_policy(policy: BoundPolicy | CompiledPolicy) -> CompiledPolicy:
    """The program of `policy`, made now unless it was made before."""
    return policy if isinstance(policy, CompiledPolicy) else CompiledPolicy.of(policy)


def _ints(values: object) -> Int:
    return np.array(list(values), np.int64)  # type: ignore[call-overload, no-any-return]


def _or_none(value: int | None) -> int:
    return NONE if value is None else value


def _pack(work: Work, num_segments: int, states: Sequence[State]) -> Packed:
    n = len(work.arrival)
    rows = np.empty((len(states), PACKED_FIELDS, n), np.int64)
    scalars = np.empty((len(states), PACKED_SCALARS + num_segments), np.int64)
    for i, state in enumerate(states):
        fields = (state.place, state.emitted, state.prefilled, state.entered, state.latched, state.stamped,
                  state.completed)
        last = state.last or work.arrival
        if {len(field) for field in (*fields, last)} != {n} or len(state.ages) != num_segments:
            raise RecordError(f"state {i}", "place", f"{len(state.place)} requests, {len(state.ages)} ages",
                              f"{n} requests and {num_segments} ages, as the workload has")
        rows[i, :LAST], rows[i, LAST] = fields, last
        scalars[i] = (state.now, state.phase, state.segment, state.exits, state.decodes_since_prefill,
                      state.idle_streak, *state.ages)
    return Packed(rows, scalars)


def _check_states(packed: Packed, work: Work, num_segments: int, config: ServerConfig) -> None:
    """What the kernel relies on, for all states at once; the first violation is reported."""
    place, emitted = packed.rows[:, PLACE], packed.rows[:, EMITTED]
    now, phase, segment = (packed.scalars[:, field] for field in (NOW, PHASE, SEGMENT))
    outputs, running = np.diff(work.offset), (place == Place.RUNNING).sum(axis=1)
    held = (place != Place.WAITING) & (place != Place.DONE)
    passing = (phase >= Phase.CONSULT) & (phase <= Phase.JOIN)
    started = place != Place.WAITING
    done, prefilled = place == Place.DONE, packed.rows[:, PREFILLED]
    required = (
        ("now", (now >= 0) & (now <= MAX_TIME), f"a clock from 0 to {MAX_TIME}"),
        ("phase", (phase >= Phase.DECIDE) & (phase <= Phase.END), "a phase"),
        ("phase", (phase == Phase.END) == done.all(axis=1), "END exactly when all requests are done"),
        ("place", ((place >= Place.PREFILLING) & (place <= num_segments)).all(axis=1), "places and pools that exist"),
        ("place", (held.sum(axis=1) <= config.max_num_seqs), f"at most {config.max_num_seqs} requests in flight"),
        ("place", (running <= config.batch_max) & ((running > 0) == passing),
         f"1 to {config.batch_max} running rows in a pass, none outside"),
        ("place", (~started | (work.arrival <= now[:, None])).all(axis=1), "only arrived requests in flight"),
        ("segment", ~passing | ((segment >= 1) & (segment < num_segments)), "the segment of a ramp during a pass"),
        ("emitted", ((emitted >= 0) & np.where(done, emitted == outputs, emitted < outputs)).all(axis=1),
         "fewer tokens than the request has, all of them once it is done"),
        ("prefilled", ((prefilled >= 0) & np.where((place == Place.PREFILLING) | ~started, prefilled < work.prompt
                       + (work.prompt == 0), prefilled <= work.prompt)).all(axis=1), "no more than the prompt"),
        ("place", ((place != Place.PREFILLING) | (work.prompt > 0)).all(axis=1), "PREFILLING only with a prompt"),
        ("place", (phase != Phase.JOIN) | (packed_pool_size(place, segment + 1) > 0), "rows to join at JOIN"),
        ("latched", ((packed.rows[:, LATCHED] >= 0) & (packed.rows[:, LATCHED] < num_segments)).all(axis=1),
         "ramps that exist"),
        ("latched", ((packed.rows[:, LATCHED] == 0) | (place == Place.RUNNING)).all(axis=1), "only running rows"),
        ("stamped", ((packed.rows[:, STAMPED] == NONE) | (packed.rows[:, LATCHED] > 0)).all(axis=1),
         "only latched rows"),
        ("completed", (~done | (packed.rows[:, COMPLETED] >= 0)).all(axis=1), "a time for every request done"),
        ("entered", (packed.rows[:, ENTERED] <= now[:, None]).all(axis=1), "entry times that have passed"),
    )
    for field, good, expected in required:
        if not good.all():
            raise RecordError(f"state {int(np.flatnonzero(~good)[0])}", field, "inconsistent", expected)


def packed_pool_size(place: Int, pool: Int) -> Int:
    """How many requests of each state are in its pool `pool[i]`."""
    return (place == pool[:, None]).sum(axis=1)  # type: ignore[no-any-return]
