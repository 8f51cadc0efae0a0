"""The mechanics of the scheduling model: what each choice does to clock, pools and requests.

Policy-free: simulators, replay of schedules and attribution drive the same `Machine`. Written to be read beside
scheduling-model section Decisions, one method per choice. Source: that section.
"""

from __future__ import annotations

from drex_runtime.cost_model.model import Part
from drex_runtime.cost_model.online import OnlineArt
from drex_runtime.errors import LimitError, PolicyError
from drex_runtime.policies.table import PoolOrder
from drex_runtime.records.config import ServerConfig
from drex_runtime.records.profile import CostProfile
from drex_runtime.records.ticks import MAX_TIME
from drex_runtime.records.workload import Workload
from drex_runtime.scheduling.pools import Census, Dates, Pools, least_slack, ramp_view, token_dates
from drex_runtime.scheduling.recent import Recent
from drex_runtime.scheduling.state import Phase, Place, State, initial_state
from drex_runtime.simulator.events import Event, EventKind, LaunchRecord, Log, Run

NO_TIME = -1
OBSERVED: dict[EventKind, Part] = {EventKind.SEGMENT: "segment", EventKind.RAMP: "ramp", EventKind.START: "start",
                                   EventKind.REBATCH: "rebatch"}


def check_matching(workload: Workload, profile: CostProfile, config: ServerConfig) -> None:
    """Refuse combinations that would silently mean something else."""
    if workload.num_segments != profile.num_segments:
        raise LimitError(f"workload {workload.name} has {workload.num_segments} segments, profile {profile.name} "
                         f"has {profile.num_segments}")
    if workload.tick != profile.tick:
        raise LimitError(f"workload {workload.name} counts in {workload.tick}, profile {profile.name} in "
                         f"{profile.tick}; convert the workload first (Workload.in_tick)")
    if config.batch_max > profile.max_rows:
        raise LimitError(f"batch_max = {config.batch_max}: profile {profile.name} covers 1 to {profile.max_rows} rows")


class Machine:
    """The scheduling state in motion. Choices are methods; each leaves the machine at the next choice point."""

    def __init__(self, workload: Workload, profile: CostProfile, config: ServerConfig, *, order: PoolOrder = "fcfs",
                 start: State | None = None, log: Log | None = None, estimator: OnlineArt | None = None) -> None:
        check_matching(workload, profile, config)
        self.workload, self.profile, self.config = workload, profile, config
        self.requests, self.log, self.estimator = workload.requests, log, estimator
        state = start or initial_state(len(self.requests), profile.num_segments)
        self.now, self.phase, self.segment = state.now, state.phase, state.segment
        self.place, self.emitted, self.prefilled = list(state.place), list(state.emitted), list(state.prefilled)
        self.latched, self.stamped, self.completed = list(state.latched), list(state.stamped), list(state.completed)
        self.last = list(state.last or (request.arrival for request in self.requests))
        self.decodes_since_prefill, self.idle_streak = state.decodes_since_prefill, state.idle_streak
        self.exits, self.recent = state.exits, Recent(profile.num_segments - 1, state.recent)
        self.pools = Pools(profile.num_segments, order)
        for row, place in enumerate(self.place):
            if place >= 1:
                self._enter(place, row, state.entered[row])
        self.pools.ages = list(state.ages)
        self.batch = tuple(row for row, place in enumerate(self.place) if place == Place.RUNNING)
        self.token_times: list[list[int]] = [[NO_TIME] * count for count in self.emitted]
        self.token_depths: list[list[int]] = [[0] * count for count in self.emitted]
        self.launches = self.splits = self.involuntary_exits = self.involuntary_stays = self.busy = 0

    # ---- what a choice sees -------------------------------------------------------------------------------
    @property
    def num_segments(self) -> int:
        """K + 1."""
        return self.profile.num_segments

    @property
    def in_flight(self) -> int:
        """Requests that hold a place."""
        return sum(place not in (Place.WAITING, Place.DONE) for place in self.place)

    def arrived_waiting(self) -> list[int]:
        """Rows that have arrived and hold no place, in (arrival, id) order."""
        return [row for row, place in enumerate(self.place)
                if place == Place.WAITING and self.requests[row].arrival <= self.now]

    def prefill_plan(self) -> list[tuple[int, int]]:
        """The chunks (row, tokens) a PREFILL would process now; empty if none is possible."""
        budget = self.config.prefill_tokens
        free = self.config.max_num_seqs - self.in_flight
        chunks: list[tuple[int, int]] = []
        for row, request in enumerate(self.requests):
            place = self.place[row]
            if place not in (Place.WAITING, Place.PREFILLING) or not request.prompt_tokens:
                continue
            if request.arrival > self.now or (budget is not None and budget <= 0):
                break
            if place == Place.WAITING:
                if free <= 0:
                    break
                free -= 1
            left = request.prompt_tokens - self.prefilled[row]
            chunk = left if budget is None else min(left, budget)
            budget = None if budget is None else budget - chunk
            chunks.append((row, chunk))
        return chunks

    def next_arrival(self) -> int | None:
        """The earliest arrival after now, or None."""
        return min((request.arrival for request in self.requests if request.arrival > self.now), default=None)

    def launch_view(self) -> tuple[int, ...]:
        """The observation of a decision (after admissions, ages counted)."""
        in_flight = self.in_flight
        census = Census(len(self.arrived_waiting()), in_flight, self.config.batch_max, self.config.max_num_seqs,
                        self.decodes_since_prefill)
        return self.pools.launch_view(self.now, census)

    def ramp_view(self) -> tuple[int, ...]:
        """The observation at the current ramp."""
        known = self.ready_rows() if self.phase == Phase.RAMP else tuple(row for row in self.batch if self.latched[row])
        slack = least_slack((self._dates(row) for row in self.batch if row not in known), self.now)
        return ramp_view(self.segment, len(self.batch), self.exits, self.pools.size(self.segment + 1),
                         self.config.batch_max, slack, self.recent.view(self.segment))

    def ready_rows(self) -> tuple[int, ...]:
        """X: rows of the pass that may exit at the current ramp."""
        return tuple(row for row in self.batch if self.latched[row] or self._depth(row) <= self.segment)

    def snapshot(self) -> State:
        """The full state at this choice point."""
        entered = [0] * len(self.place)
        for pool in self.pools.entries:
            for entry in pool:
                entered[entry.row] = entry.entered
        return State(self.now, self.phase, self.segment, tuple(self.place), tuple(self.emitted), tuple(self.prefilled),
                     tuple(entered), tuple(self.latched), tuple(self.stamped), tuple(self.completed),
                     tuple(self.pools.ages), self.decodes_since_prefill, self.idle_streak, tuple(self.last),
                     self.exits, self.recent.flat())

    # ---- choices at DECIDE --------------------------------------------------------------------------------
    def admit(self) -> None:
        """Zero-prompt requests that have arrived enter pool 1 while places are free."""
        free = self.config.max_num_seqs - self.in_flight
        for row in self.arrived_waiting():
            if self.requests[row].prompt_tokens:
                continue
            if free <= 0:
                return
            free -= 1
            self._enter(1, row, self.now)
            self._note(EventKind.ADMIT, rows=(row,))

    def prefill(self, rule: str = "") -> None:
        """PREFILL: process arrived prompt tokens; finished prompts emit token 1 at the end."""
        chunks = self.prefill_plan()
        if not chunks:
            raise PolicyError("PREFILL chosen although nothing can be prefilled")
        self._launched("PREFILL", 0, tuple(row for row, _ in chunks), rule)
        self.decodes_since_prefill = 0
        tokens = sum(chunk for _, chunk in chunks)
        pairs = sum(chunk * self.prefilled[row] for row, chunk in chunks)
        for row, chunk in chunks:
            self.place[row] = Place.PREFILLING
            self.prefilled[row] += chunk
        self._spend(EventKind.PREFILL, self.profile.prefill_cost(tokens, pairs), tuple(row for row, _ in chunks))
        done = tuple(row for row, _ in chunks if self.prefilled[row] == self.requests[row].prompt_tokens)
        self._emit(done, self.num_segments)
        self._rest()

    def run(self, pool: int, rows: tuple[int, ...], rule: str = "") -> None:
        """RUN(s) with these rows of pool s."""
        if not rows or len(rows) > self.config.batch_max:
            raise PolicyError(f"RUN({pool}) of {len(rows)} rows: expected 1 to batch_max = {self.config.batch_max}")
        self._launched("RUN", pool, tuple(rows), rule)
        if pool == 1:
            self.decodes_since_prefill += 1
        self.pools.remove(pool, rows)
        self.pools.ran(pool)
        self.batch, self.segment, self.exits = tuple(sorted(rows)), pool, 0
        for row in rows:
            self.place[row] = Place.RUNNING
        if pool >= 2:
            self._spend(EventKind.START, self.profile.start_cost(pool), self.batch)
        self._run_segment()

    def idle(self, rule: str = "") -> None:
        """IDLE until the next arrival, at most idle_max. PolicyError if that leads nowhere."""
        coming, longest = self.next_arrival(), self.config.idle_max
        if coming is None:
            runnable = len(self.pools) > 0 or bool(self.prefill_plan())
            self.idle_streak += int(runnable)
            if longest is None or self.idle_streak >= 2:
                raise PolicyError(f"policy idles for ever at clock {self.now} (rule {rule or 'none holds'}): nothing "
                                  f"is to come, {len(self.pools)} rows wait: {self._pool_sizes()}")
            until = self.now + longest
        else:
            self.idle_streak = 0
            until = coming if longest is None else min(coming, self.now + longest)
        self._note(EventKind.IDLE, ticks=until - self.now)
        self._advance_clock(until - self.now)

    # ---- choices in a pass --------------------------------------------------------------------------------
    def consult(self) -> None:
        """Consult the ramp: pay it, learn who is ready. Leaves at RAMP (even if nobody would stay)."""
        self._spend(EventKind.RAMP, self.profile.ramp_cost(self.segment, len(self.batch)), self.batch)
        self.exits = len(self.ready_rows())
        self.recent.consulted(self.segment, len(self.batch), self.exits)
        self.phase = Phase.RAMP

    def skip(self) -> None:
        """Do not consult: nobody exits here."""
        self.exits = 0
        self.recent.passed(self.segment)
        self._before_join()

    def split(self) -> None:
        """Ready rows leave, the others (if any) are parked before the next segment."""
        ready = self.ready_rows()
        parked = tuple(row for row in self.batch if row not in ready)
        self._fill(ready)
        self._emit(ready, self.segment)
        if parked:
            self.splits += 1
            self._note(EventKind.PARK, rows=parked)
            for row in parked:
                self._enter(self.segment + 1, row, self.now)
            self._spend(EventKind.REBATCH, self.profile.rebatch, parked)
        self._rest()

    def continue_(self) -> None:
        """Everybody goes on; ready rows are latched (involuntary stays)."""
        ready = self.ready_rows()
        self.involuntary_stays += len(ready)
        for row in ready:
            self.latched[row] = self.latched[row] or self.segment
        if ready:
            self._note(EventKind.STAY, rows=ready)
        self._before_join()

    def exit_all(self) -> None:
        """Baseline: everybody leaves, ready or not (involuntary exits)."""
        self.involuntary_exits += len(self.batch) - len(self.ready_rows())
        self._fill(self.batch)
        self._emit(self.batch, self.segment)
        self._rest()

    def release(self) -> None:
        """Baseline: ready tokens are stamped now, their rows and places run on."""
        for row in self.ready_rows():
            self.latched[row] = self.latched[row] or self.segment
            if self.stamped[row] == NO_TIME:
                self.stamped[row] = self.now
        self._before_join()

    def join(self, rows: tuple[int, ...]) -> None:
        """These rows of the next pool fill up the batch (none: stay apart)."""
        if len(rows) + len(self.batch) > self.config.batch_max:
            raise PolicyError(f"join of {len(rows)} rows exceeds batch_max = {self.config.batch_max}")
        if rows:
            self.pools.remove(self.segment + 1, rows)
            for row in rows:
                self.place[row] = Place.RUNNING
            self.batch = tuple(sorted((*self.batch, *rows)))
            self._note(EventKind.JOIN, rows=tuple(rows))
        self._next_segment()

    # ---- forced moves -------------------------------------------------------------------------------------
    def _run_segment(self) -> None:
        context = sum(self.requests[row].prompt_tokens + self.emitted[row] for row in self.batch)
        self._spend(EventKind.SEGMENT, self.profile.segment_cost(self.segment, len(self.batch), context), self.batch)
        if self.segment < self.num_segments:
            self.phase = Phase.CONSULT
            return
        self._fill(tuple(row for row in self.batch if self.latched[row]))
        self._emit(self.batch, self.segment)
        self._rest()

    def _before_join(self) -> None:
        if self.pools.size(self.segment + 1) and len(self.batch) < self.config.batch_max:
            self.phase = Phase.JOIN
        else:
            self._next_segment()

    def _next_segment(self) -> None:
        self.segment += 1
        self.exits = 0
        self._run_segment()

    def _fill(self, rows: tuple[int, ...]) -> None:
        if rows:
            self._spend(EventKind.FILL, self.profile.fill_cost(len(rows)), rows)

    def _emit(self, rows: tuple[int, ...], segment: int) -> None:
        """The running token of each row is out (emitted by a latched row's own ramp)."""
        for row in rows:
            at = self.stamped[row] if self.stamped[row] != NO_TIME else self.now
            self.token_times[row].append(at)
            self.token_depths[row].append(self.latched[row] or segment)
            self.emitted[row] += 1
            self.last[row] = at
            self.latched[row], self.stamped[row] = 0, NO_TIME
            if self.emitted[row] == self.requests[row].output_tokens:
                self.place[row], self.completed[row] = Place.DONE, at
            else:
                self._enter(1, row, self.now)
        if rows:
            finished = tuple(row for row in rows if self.place[row] == Place.DONE)
            self._note(EventKind.EXIT, rows=tuple(rows), segment=segment)
            if finished:
                self._note(EventKind.COMPLETE, rows=finished)

    def _rest(self) -> None:
        self.batch, self.segment, self.exits = (), 0, 0
        self.phase = Phase.END if all(place == Place.DONE for place in self.place) else Phase.DECIDE

    def _enter(self, pool: int, row: int, now: int) -> None:
        self.place[row] = pool
        self.pools.add(pool, row, now=now, request_id=self.requests[row].id, dates=self._dates(row))

    def _launched(self, kind: str, pool: int, rows: tuple[int, ...], rule: str) -> None:
        self.launches += 1
        self.idle_streak = 0
        if self.log is not None:
            self.log.launches.append(LaunchRecord(self.now, kind, pool, rows, rule))

    def _spend(self, kind: EventKind, ticks: int, rows: tuple[int, ...]) -> None:
        self._note(kind, rows=rows, ticks=ticks)
        self.busy += ticks
        self._advance_clock(ticks)
        if self.estimator is not None and kind in OBSERVED:
            self.estimator.observe(OBSERVED[kind], self.segment, len(rows), ticks)

    def _advance_clock(self, ticks: int) -> None:
        self.now += ticks
        if self.now > MAX_TIME:
            raise LimitError(f"the clock passed {MAX_TIME} {self.profile.tick}; use a coarser tick")

    def _note(self, kind: EventKind, *, rows: tuple[int, ...] = (), ticks: int = 0, segment: int | None = None) -> None:
        if self.log is not None:
            self.log.events.append(Event(self.now, kind, self.segment if segment is None else segment, rows, ticks))

    def _dates(self, row: int) -> Dates:
        return token_dates(self.requests[row], self.emitted[row], self.last[row])

    def _depth(self, row: int) -> int:
        return self.requests[row].depths[self.emitted[row]]

    def _pool_sizes(self) -> str:
        sizes = [f"pool {pool}: {self.pools.size(pool)}" for pool in range(1, self.num_segments + 1)]
        return ", ".join(sizes)

    def result(self) -> Run:
        """The finished run (from a start state: times before it are -1)."""
        return Run(tuple(self.completed), tuple(request.arrival for request in self.requests),
                   tuple(request.due for request in self.requests),
                   tuple(tuple(times) for times in self.token_times),
                   tuple(tuple(depths) for depths in self.token_depths), self.launches, self.splits,
                   self.involuntary_exits, self.involuntary_stays, self.busy, self.log)
