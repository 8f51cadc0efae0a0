"""The engine: `step()` = schedule, launch, post-process. Everything else is a room off this corridor.

Decisions come from the engine's own pools (`execution.scheduler`) after real forwards (`execution.runner`); the
mechanics are those of the scheduling model, so that engine and simulator take the same decisions.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from drex_runtime.errors import EngineError, InputError
from drex_runtime.execution.attention import DecodeAttention
from drex_runtime.execution.choosing import choose
from drex_runtime.execution.clock import Clock, RealClock
from drex_runtime.execution.debt import refuse_profile_clock
from drex_runtime.execution.endings import Endings
from drex_runtime.execution.exits import ExitRule
from drex_runtime.execution.intake import Intake
from drex_runtime.execution.launch_index import LaunchIndex
from drex_runtime.execution.memory import KVConfig
from drex_runtime.execution.observer import Observer, tell
from drex_runtime.execution.replay import replay, stand_before
from drex_runtime.execution.requests import FinishReason, Sequence
from drex_runtime.execution.room import Room
from drex_runtime.execution.runner import Runner
from drex_runtime.execution.scheduler import Batch, Launch, Scheduler
from drex_runtime.execution.statistics import Statistics, Stopwatch
from drex_runtime.kv.integrity import check_integrity
from drex_runtime.kv.pool import KVPoolError
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.simulator.events import LaunchRecord

logger = logging.getLogger("drex_runtime.engine")


class Engine:
    """Continuous batching of early-exit decoding under any policy table. Not thread-safe: one caller at a time.

    `clock` None: the real one. `launches`: where launch records go (None: not kept). `stopwatch.enabled` turns
    timing of parts on. `stay`: what a row emits that was ready at a ramp and had to stay: the ramp's token, sharing its
    entries as if it had left ("commit": texts do not depend on the schedule), or whatever it says further on ("deep",
    as the original does; the tokens that differ are counted). `seed`: see `Intake`. Raises InputError where model,
    profile and resources do not fit each other.
    """

    def __init__(self, model: EarlyExitLlama, policy: BoundPolicy, *, clock: Clock | None = None,
                 kv: KVConfig | None = None, max_model_len: int | None = None,
                 attention: DecodeAttention | None = None, launches: list[LaunchRecord] | None = None,
                 stay: str = "commit", seed: int = 0) -> None:
        if stay not in ("commit", "deep"):
            raise InputError("engine", "stay", stay, '"commit" or "deep"')
        self.stay = stay
        self.intake = Intake(model.config, policy, kv, max_model_len, seed)
        self.profile, self.launches = policy.profile, launches
        self.clock = clock or RealClock(policy.profile.tick)
        refuse_profile_clock(self.intake.kv, self.clock)
        self.statistics, self.stopwatch = Statistics(), Stopwatch()
        self.runner = Runner(model, policy.config.max_num_seqs, self.intake.kv, self.statistics, attention)
        self.scheduler = Scheduler(policy, self.runner)
        self.room = Room(self.scheduler, self.runner.memory, self.statistics)
        self.exits = ExitRule(model.config.confidence, model.config.thresholds)
        self.observers: list[Observer] = []
        self.endings = Endings(self.scheduler, self.statistics, self.observers)

    def submit(self, sequence: Sequence) -> Sequence:
        """Queue a request made by `intake`."""
        self.scheduler.submit(sequence)
        return sequence

    def abort(self, sequence: Sequence, reason: FinishReason = "abort") -> None:
        """End a request between steps ("stop": a stop string is out); row and memory are free at once.

        Nothing happens to one that is finished already; one that was never submitted is only marked.
        """
        if sequence.finished is not None:
            return
        self.scheduler.withdraw(sequence)
        sequence.finished = reason
        self.endings.tell(sequence)

    @property
    def has_work(self) -> bool:
        """Whether any request is unfinished."""
        return self.scheduler.has_work

    @torch.inference_mode()
    def step(self) -> Batch:
        """One decision and what follows from it. Returns the sequences that got a token."""
        now = self.clock.now()
        with self.stopwatch.time("decision", self.statistics.launches + 1):
            launch = self.scheduler.decide(now)
        if launch.kind == "IDLE":
            self.clock.wait_until(self.scheduler.idle_until(now, launch.rule))
            return []
        fitting = self.room.make(launch)
        if fitting is None:
            return []
        self._note(fitting)
        try:
            return self._prefill(fitting) if fitting.kind == "PREFILL" else self._run(fitting)
        except Exception as error:  # a forward, a sampler: whatever it was, only this launch's requests pay
            logger.exception("launch %d failed", self.statistics.launches)
            self.endings.with_launch(fitting, error)
            self._audit(error)
            return []

    def _audit(self, error: Exception) -> None:
        """After a fault: EngineError if the books do not add up without the requests that ended."""
        try:
            self.check()
        except KVPoolError as broken:
            raise EngineError(f"after {type(error).__name__}: {error}: {broken}") from error

    # ---- launches -----------------------------------------------------------------------------------------
    def _prefill(self, launch: Launch) -> Batch:
        self.statistics.prefills += 1
        self.scheduler.begin(launch)
        prompts = [(sequence, min(count, sequence.spec.prompt_tokens - sequence.prefilled))
                   for sequence, count in launch.chunks if sequence.prefilled < sequence.spec.prompt_tokens]
        chunks = [(sequence.row, sequence.prompt_ids[sequence.prefilled:sequence.prefilled + count], sequence.prefilled)
                  for sequence, count in prompts]
        tokens = sum(count for _, count in launch.chunks)
        pairs = sum(count * sequence.prefilled for sequence, count in prompts)
        with self.stopwatch.time("prefill", self.statistics.launches, rows=tokens, context=pairs):
            state = self.runner.prefill(chunks) if chunks else None
            for sequence, count in prompts:
                sequence.prefilled += count
                self.runner.memory.computed(sequence)
            new = [sequence for sequence, _ in prompts if sequence.is_prefilled and not sequence.emitted]
            if new and state is not None:
                at = [at for at, (sequence, _) in enumerate(prompts) if sequence in new]
                choose(self.runner.sampler, new, self.runner.prompt_logits(state, at))
            self._replay(launch, dict(prompts))
        self.clock.spend(self.profile.prefill_cost(tokens, pairs))
        now = self.clock.now()
        for sequence, _ in launch.chunks:
            if sequence.is_prefilled:
                self.scheduler.prefilled(sequence)
                if sequence.emitted:  # it comes back from a preemption
                    stand_before(self.runner, sequence, sequence.emitted - 1)
                    self.scheduler.enter(1, sequence, now)
        return self._emit(new, self.runner.num_segments)

    def _replay(self, launch: Launch, prompts: dict[Sequence, int]) -> None:
        """What is left of each chunk after its prompt part are inputs that a preemption took."""
        for sequence, count in launch.chunks:
            if past := count - prompts.get(sequence, 0):
                replay(self.runner, sequence, past)

    def _run(self, launch: Launch) -> Batch:
        """A pass: from `launch.pool` to the first ramp that ends it, or to the LM head."""
        begun = self.clock.now()
        with self.stopwatch.time("start", self.statistics.launches, launch.pool, len(launch.batch)):
            batch, segment = self.scheduler.begin(launch), launch.pool
            index = self.runner.index([sequence.row for sequence in batch])
        self.clock.spend(self.profile.start_cost(segment))
        if segment > 1:
            self.scheduler.took("start", segment, len(batch), self.clock.now() - begun)
        while True:
            self._segment(segment, index, batch)
            if segment == self.runner.num_segments:
                self._fill(sum(sequence.latched > 0 for sequence in batch))
                return self._emit(batch, segment)
            exits = 0
            if self.scheduler.consults(segment, batch, self.clock.now()):
                ready, logits = self._consult(segment, index, batch)
                exits = len(ready)
                self.scheduler.consulted(segment, batch, exits)
                if exits == len(batch):
                    return self._leave(segment, batch)
                action = self.scheduler.ramp_rule(segment, batch, exits, self.clock.now()).action
                if action == "SPLIT":
                    return self._split(segment, ready, [sequence for sequence in batch if sequence.pending is None])
                if action == "EXIT_ALL":
                    self.statistics.involuntary_exits += len(batch) - exits
                    choose(self.runner.sampler, batch, logits)
                    return self._leave(segment, batch)
                self._latch(segment, ready, released=action == "RELEASE")
            else:
                self._pass_by(segment, index, batch)
            if joined := self.scheduler.joining(segment, batch, exits, self.clock.now()):
                self.statistics.rows_joined += len(joined)
                batch += joined
                index = self.runner.index([sequence.row for sequence in batch])
            segment += 1

    # ---- parts of a pass ----------------------------------------------------------------------------------
    def _segment(self, segment: int, index: LaunchIndex, batch: Batch) -> None:
        debts = self.runner.debts
        if debts is not None and (due := debts.due(segment, index.live)).size:
            with self.stopwatch.time("recompute", self.statistics.launches, segment, len(due)):
                debts.pay(segment, due)
        context, begun = sum(sequence.spec.prompt_tokens + sequence.emitted for sequence in batch), self.clock.now()
        with self.stopwatch.time("segment", self.statistics.launches, segment, len(batch), context):
            self.runner.segment(segment, index, [sequence.latched > 0 for sequence in batch])
            if segment == self.runner.num_segments:
                choose(self.runner.sampler, batch, self.runner.logits(index))
        self.clock.spend(self.profile.segment_cost(segment, len(batch), context))
        self.scheduler.took("segment", segment, len(batch), self.clock.now() - begun)

    def _consult(self, ramp: int, index: LaunchIndex, batch: Batch) -> tuple[Batch, Tensor]:
        """Pay the ramp, learn who is ready; what ready rows would emit here becomes their pending token."""
        begun = self.clock.now()
        with self.stopwatch.time("ramp", self.statistics.launches, ramp, len(batch)):
            logits = self.runner.logits(index, ramp)
            mask = self.exits.ready(ramp, logits, batch)
            tell(self.observers, lambda observer: observer.consulted(ramp, batch, logits, mask))
            ready = [sequence for sequence, leaves in zip(batch, mask, strict=True) if leaves]
            choose(self.runner.sampler, ready, logits[torch.from_numpy(mask)] if len(ready) < len(batch) else logits)
        self.clock.spend(self.profile.ramp_cost(ramp, len(batch)))
        self.scheduler.took("ramp", ramp, len(batch), self.clock.now() - begun)
        return ready, logits

    def _pass_by(self, ramp: int, index: LaunchIndex, batch: Batch) -> None:
        tell(self.observers,
             lambda observer: observer.skipped(ramp, batch, lambda: self.runner.logits(index, ramp)))

    def _split(self, ramp: int, ready: Batch, staying: Batch) -> Batch:
        self.statistics.splits += 1
        self.statistics.rows_parked += len(staying)
        out = self._leave(ramp, ready)
        with self.stopwatch.time("rebatch", self.statistics.launches, ramp, len(staying)):
            now = self.clock.now()
            for sequence in staying:
                self.scheduler.enter(ramp + 1, sequence, now)
        self.clock.spend(self.profile.rebatch)
        self.scheduler.took("rebatch", ramp, len(staying), self.clock.now() - now)
        return out

    def _leave(self, ramp: int, batch: Batch) -> Batch:
        """These rows emit here; they own nothing deeper."""
        self._fill(len(batch))
        return self._emit(batch, ramp, shared=True)

    def _latch(self, ramp: int, ready: Batch, *, released: bool) -> None:
        """Ready rows stay: see `stay`; with RELEASE (`released`) they emit this ramp's token in any case."""
        if self.stay == "deep" and not released:
            self.statistics.involuntary_stays += len(ready)
            for sequence in ready:
                if sequence.pending is not None:
                    sequence.offered, sequence.pending = sequence.pending.token, None
            return
        new = [sequence for sequence in ready if not sequence.latched]
        if new:
            self.runner.share(ramp, [sequence.row for sequence in new], latched=True)
        for sequence in new:
            sequence.latched = ramp
        if not released:
            self.statistics.involuntary_stays += len(ready)
            return
        now = self.clock.now()
        for sequence in ready:
            sequence.stamped = now if sequence.stamped < 0 else sequence.stamped

    def _fill(self, rows: int) -> None:
        self.clock.spend(self.profile.fill_cost(rows))

    def _emit(self, batch: Batch, segment: int, *, shared: bool = False) -> Batch:
        """The pending tokens are out: requests end, or wait in pool 1 for their next pass."""
        with self.stopwatch.time("emit", self.statistics.launches, segment, len(batch)):
            if shared and batch:
                self.runner.share(segment, [sequence.row for sequence in batch])
            now = self.clock.now()
            for sequence in batch:
                if sequence.error is not None:
                    self.scheduler.leave(sequence)
                    self.endings.with_error(sequence)
                    continue
                depth = sequence.latched or segment
                self.statistics.early_tokens += depth < self.runner.num_segments
                token = sequence.emit(depth, now)
                if sequence.offered is not None:
                    self.statistics.stayed_tokens += 1
                    self.statistics.drifted_tokens += token != sequence.offered
                    sequence.offered = None
                if sequence.finished:
                    self.scheduler.leave(sequence)
                    self.endings.tell(sequence)
                else:
                    self.runner.advance(sequence.row, token, sequence.positions - 1)
                    self.scheduler.enter(1, sequence, now)
            self.statistics.tokens += sum(sequence.error is None for sequence in batch)
        return batch

    def _note(self, launch: Launch) -> None:
        self.statistics.launches += 1
        tell(self.observers, lambda observer: observer.launched(launch, self.clock.now()))
        if self.launches is not None:
            rows = launch.batch or tuple(sequence for sequence, _ in launch.chunks)
            self.launches.append(LaunchRecord(self.clock.now(), launch.kind, launch.pool,
                                              tuple(sequence.index for sequence in rows), launch.rule))

    # ---- all the way --------------------------------------------------------------------------------------
    def run(self) -> None:
        """Step until every submitted request is finished."""
        while self.has_work:
            self.step()

    def check(self) -> None:
        """Check that the KV cache leaks nothing and owns nothing twice. KVPoolError otherwise."""
        held = [sequence for sequence in self.scheduler.at_row if sequence is not None]
        memory = self.runner.memory
        check_integrity(memory.tables, {sequence.row: sequence.positions for sequence in held},
                        None if memory.prefixes is None else memory.prefixes.cache)
        if self.runner.debts is not None:
            self.runner.debts.check([sequence.row for sequence in held])
