"""Workloads, policies and states as the kernel's arrays, made once and used for thousands of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from drex_runtime.errors import LimitError, RecordError
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.observation import MAX_AGE, MAX_WAITING, WINDOW
from drex_runtime.policies.program import compile_policy
from drex_runtime.records.config import ServerConfig
from drex_runtime.records.profile import CostProfile
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.state import Phase, Place, State, initial_state
from drex_runtime.simulator import memory as at
from drex_runtime.simulator.entries import Packed
from drex_runtime.simulator.interpreter import flat_program
from drex_runtime.simulator.mechanics import check_matching
from drex_runtime.simulator.memory import NONE, Int

MAX_STEP = 2**58  # ticks of one launch step; leaves room in int64 for clock plus a few of them
MAX_CHOICES = 2**33


@dataclass(frozen=True)
class CompiledWorkload:
    """A workload as the array `w` of `memory`, with the sums that bound a launch's cost."""

    workload: Workload
    w: Int
    arrivals: Int
    dues: Int
    outputs: Int
    prompts: Int
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
        bare, prompted = ([row for row, request in enumerate(requests) if bool(request.prompt_tokens) == kind]
                          for kind in (False, True))
        following = {row: later for rows in (bare, prompted)
                     for row, later in zip(rows, [*rows[1:], n], strict=False)}
        table = np.zeros((n, at.REQUEST_WIDTH), np.int64)
        first = at.REQUESTS + at.REQUEST_WIDTH * n
        for row, request in enumerate(requests):
            table[row] = (request.arrival, request.id, request.prompt_tokens, first, len(request.depths),
                          _or_none(request.due), _or_none(request.ttft), _or_none(request.tpot), following[row])
            first += len(request.depths)
        header = np.zeros(at.REQUESTS, np.int64)
        header[at.NUM], header[at.NUM_SEGMENTS] = n, workload.num_segments
        header[at.HAS_DUES] = (table[:, [at.REQUEST_DUE, at.TTFT, at.TPOT]] != NONE).any()
        header[at.FIRST_BARE], header[at.FIRST_PROMPTED] = (*bare, n)[0], (*prompted, n)[0]
        depths = np.concatenate([np.asarray(request.depths, np.int64) for request in requests])
        arrivals, prompts = table[:, at.ARRIVAL].copy(), [request.prompt_tokens for request in requests]
        return cls(workload, np.concatenate([header, table.ravel(), depths]), arrivals, table[:, at.REQUEST_DUE].copy(),
                   table[:, at.OUTPUTS].copy(), table[:, at.PROMPT].copy(),
                   _pack(arrivals, workload.num_segments, [initial_state(n, workload.num_segments)]),
                   max(request.prompt_tokens + len(request.depths) for request in requests), sum(prompts),
                   sum(tokens * tokens for tokens in prompts))

    @property
    def offsets(self) -> Int:
        """Where each request's tokens begin in flat token arrays; one more at the end."""
        return np.concatenate([[0], np.cumsum(self.outputs)])

    def pack(self, states: Sequence[State], config: ServerConfig) -> Packed:
        """Arrays of `states` of this workload. RecordError if one cannot be a state of it."""
        packed = self.pack_own(states)
        _check_states(packed, self, config)
        return packed

    def pack_own(self, states: Sequence[State]) -> Packed:
        """As `pack`, for states that a simulator has made of this workload: only their sizes are checked."""
        return _pack(self.arrivals, self.workload.num_segments, states)

    def unpack(self, packed: Packed, index: int) -> State:
        """State `index` of `packed`."""
        rows, scalars = packed.rows[index].tolist(), packed.scalars[index].tolist()
        recent_at = at.PACKED_SCALARS + self.workload.num_segments
        now, phase, segment, exits, decodes, streak = scalars[:at.PACKED_SCALARS]
        place, emitted, prefilled, entered, latched, stamped, completed, last = map(tuple, rows)
        return State(now, Phase(phase), segment, place, emitted, prefilled, entered, latched, stamped, completed,
                     tuple(scalars[at.PACKED_SCALARS:recent_at]), decodes, streak, last, exits,
                     tuple(scalars[recent_at:]))


def compile_costs(profile: CostProfile, config: ServerConfig) -> Int:
    """Profile and resources as the array `c` of `memory`."""
    buckets, prefill = len(profile.buckets), profile.prefill
    c = np.zeros(at.BUCKETS + buckets * (profile.num_segments + 1), np.int64)
    c[:at.SEGMENT_ROW] = (
        profile.rebatch, profile.kv_fill.fixed, profile.kv_fill.per_row, prefill.fixed, prefill.per_token,
        prefill.per_pair, config.batch_max, config.max_num_seqs, _or_none(config.prefill_tokens),
        _or_none(config.idle_max), MAX_CHOICES, buckets)
    c[at.BUCKETS:at.BUCKETS + buckets] = profile.buckets
    for s, segment in enumerate(profile.segments, start=1):
        c[at.SEGMENT_ROW + s], c[at.SEGMENT_CONTEXT + s] = segment.per_row, segment.per_context
        c[at.BUCKETS + buckets * s:at.BUCKETS + buckets * (s + 1)] = segment.fixed
        c[at.START + s] = profile.start_cost(s)
    for r, ramp in enumerate(profile.ramps, start=1):
        c[at.RAMP_FIXED + r], c[at.RAMP_ROW + r] = ramp.fixed, ramp.per_row
    return c


@dataclass(frozen=True)
class CompiledPolicy:
    """A bound policy as the kernel executes it: program `p` and costs `c` of `memory`."""

    bound: BoundPolicy
    p: Int
    c: Int

    @classmethod
    def of(cls, bound: BoundPolicy) -> CompiledPolicy:
        """PolicyError if a rule could overflow int64."""
        return cls(bound, flat_program(compile_policy(bound)), compile_costs(bound.profile, bound.config))

    def check(self, compiled: CompiledWorkload) -> None:
        """LimitError if profile and workload do not fit together, or 64 bits do not suffice."""
        profile, config = self.bound.profile, self.bound.config
        check_matching(compiled.workload, profile, config)
        rows = min(config.batch_max, len(compiled.workload.requests))
        context, prefill = rows * compiled.max_context, profile.prefill
        dearest = max(
            *(max(segment.fixed) + segment.per_row * rows + segment.per_context * context
              for segment in profile.segments),
            *(cost.fixed + cost.per_row * rows for cost in (*profile.ramps, profile.kv_fill)),
            prefill.fixed + prefill.per_token * compiled.prompt_tokens + prefill.per_pair * compiled.prompt_pairs)
        if dearest > MAX_STEP:
            raise LimitError(f"one launch of workload {compiled.workload.name} could cost {dearest} {profile.tick} by "
                             f"profile {profile.name}, beyond {MAX_STEP}; use a coarser tick")


def compiled_workload(workload: Workload | CompiledWorkload) -> CompiledWorkload:
    """The arrays of `workload`, made now unless they were made before."""
    return workload if isinstance(workload, CompiledWorkload) else CompiledWorkload.of(workload)


def compiled_policy(policy: BoundPolicy | CompiledPolicy) -> CompiledPolicy:
    """The program of `policy`, made now unless it was made before."""
    return policy if isinstance(policy, CompiledPolicy) else CompiledPolicy.of(policy)


def _or_none(value: int | None) -> int:
    return NONE if value is None else value


def _pack(arrivals: Int, num_segments: int, states: Sequence[State]) -> Packed:
    n = len(arrivals)
    rows = np.empty((len(states), at.PACKED_FIELDS, n), np.int64)
    recent = at.RECENT_FIELDS * (num_segments - 1)
    scalars = np.empty((len(states), at.PACKED_SCALARS + num_segments + recent), np.int64)
    for i, state in enumerate(states):
        fields = (state.place, state.emitted, state.prefilled, state.entered, state.latched, state.stamped,
                  state.completed)
        last = state.last or arrivals
        if len(state.recent) not in (0, recent):
            raise RecordError(f"state {i}", "recent", f"{len(state.recent)} numbers", f"none or {recent}")
        if {len(field) for field in (*fields, last)} != {n} or len(state.ages) != num_segments:
            raise RecordError(f"state {i}", "place", f"{len(state.place)} requests, {len(state.ages)} ages",
                              f"{n} requests and {num_segments} ages, as the workload has")
        rows[i, :at.LAST], rows[i, at.LAST] = fields, last
        scalars[i] = (state.now, state.phase, state.segment, state.exits, state.decodes_since_prefill,
                      state.idle_streak, *state.ages, *(state.recent or (0,) * recent))
    return Packed(rows, scalars)


def _check_states(packed: Packed, compiled: CompiledWorkload, config: ServerConfig) -> None:
    """What the kernel relies on, for all states at once; the first violation is reported."""
    num_segments = compiled.workload.num_segments
    place, emitted = packed.rows[:, at.PLACE], packed.rows[:, at.EMITTED]
    now, phase, segment = (packed.scalars[:, field] for field in (at.NOW, at.PHASE, at.SEGMENT))
    outputs, running = compiled.outputs, (place == Place.RUNNING).sum(axis=1)
    held = (place != Place.WAITING) & (place != Place.DONE)
    passing = (phase >= Phase.CONSULT) & (phase <= Phase.JOIN)
    started = place != Place.WAITING
    done, prefilled = place == Place.DONE, packed.rows[:, at.PREFILLED]
    prompts = compiled.prompts
    recent = packed.scalars[:, at.PACKED_SCALARS + num_segments:].reshape(len(now), -1, at.RECENT_FIELDS)
    most_recent = np.array([WINDOW, WINDOW * config.batch_max, WINDOW * config.batch_max, WINDOW, MAX_AGE])
    required = (
        ("now", (now >= 0) & (now <= MAX_TIME), f"a clock from 0 to {MAX_TIME}"),
        ("phase", (phase >= Phase.DECIDE) & (phase <= Phase.END), "a phase"),
        ("phase", (phase == Phase.END) == done.all(axis=1), "END exactly when all requests are done"),
        ("place", ((place >= Place.PREFILLING) & (place <= num_segments)).all(axis=1), "places and pools that exist"),
        ("place", (held.sum(axis=1) <= config.max_num_seqs), f"at most {config.max_num_seqs} requests in flight"),
        ("place", (running <= config.batch_max) & ((running > 0) == passing),
         f"1 to {config.batch_max} running rows in a pass, none outside"),
        ("place", (~started | (compiled.arrivals <= now[:, None])).all(axis=1), "only arrived requests in flight"),
        ("segment", ~passing | ((segment >= 1) & (segment < num_segments)), "the segment of a ramp during a pass"),
        ("emitted", ((emitted >= 0) & np.where(done, emitted == outputs, emitted < outputs)).all(axis=1),
         "fewer tokens than the request has, all of them once it is done"),
        ("prefilled", ((prefilled >= 0) & (prefilled <= prompts - ((place == Place.PREFILLING) | (~started & (
            prompts > 0))))).all(axis=1), "no more than the prompt, less before the prefill ends"),
        ("place", (phase != Phase.JOIN) | (packed_pool_size(place, segment + 1) > 0), "rows to join at JOIN"),
        ("latched", ((packed.rows[:, at.LATCHED] >= 0) & (packed.rows[:, at.LATCHED] < num_segments)).all(axis=1),
         "ramps that exist"),
        ("latched", ((packed.rows[:, at.LATCHED] == 0) | (place == Place.RUNNING)).all(axis=1), "only running rows"),
        ("stamped", ((packed.rows[:, at.STAMPED] == NONE) | (packed.rows[:, at.LATCHED] > 0)).all(axis=1),
         "only latched rows"),
        ("completed", (~done | (packed.rows[:, at.COMPLETED] >= 0)).all(axis=1), "a time for every request done"),
        ("recent", ((recent >= 0) & (recent <= most_recent)).all(axis=(1, 2)), "statistics within their bounds"),
        ("entered", (packed.rows[:, at.ENTERED] <= now[:, None]).all(axis=1), "entry times that have passed"),
    )
    for field, good, expected in required:
        if not good.all():
            raise RecordError(f"state {int(np.flatnonzero(~good)[0])}", field, "inconsistent", expected)


def packed_pool_size(place: Int, pool: Int) -> Int:
    """How many requests of each state are in its pool `pool[i]`."""
    return (place == pool[:, None]).sum(axis=1)  # type: ignore[no-any-return]
