"""A second simulation of policies, written from the scheduling model's text alone.

Its only purpose is to disagree with the product's simulators if one of us misread the text, so it shares no code
with them: rules are plain callables over plain dicts, a run is one long `while`, everything is logged.

Where the text leaves room, this is how it is read here:
 - ages are counted after the admissions of a decision, so a pool filled by them is 1 old;
 - `decodes_since_prefill` counts RUN(1) launches ("decode" is the name of that rule), from 0 at the clock's start;
 - `waiting` counts arrived requests that hold no place, prompted ones whose first chunk is still to come included;
 - RELEASE leaves rows exactly like CONTINUE (latched, fill at the end), but the token carries the time of its stamp
   and so does not count as an involuntary stay: a request whose last token is stamped completes then, its place
   is held to the end of the pass; released rows leave early only if everybody becomes ready;
 - EXIT_ALL charges the fill for all rows of the batch, and the rows that were not ready are the involuntary exits;
 - a first fruitless IDLE (runnable work, nothing to come, idle_max set) is allowed, the second in a row is not;
   an IDLE that ends at an arrival, or has one ahead, starts the count anew;
 - targets make a timetable: token t is due at arrival + ttft + (t - 1) * tpot, token 1 alone needs no tpot, and a
   missing ttft is one more tpot. A request with either target has no other due dates (with a ttft only, none after
   token 1); a date in the past is missed and left out of slack. Without targets the request's due is spread over
   what is left since the last token's time (before the first: the arrival): last + (due - last) // remaining tokens;
   a token that is late has slack 0 as long as the request's due is ahead, then the request is missed and left out.
   edf puts requests without a due date last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from drex_runtime.records import CostProfile, Request, ServerConfig, Workload

View = dict[str, int]
NO_SLACK = 2**52


class DeadEndError(Exception):
    """The policy idles although there is work and nothing will ever arrive."""


@dataclass(frozen=True)
class Rules:
    """A policy. `launch` yields (rule name, "PREFILL" | "IDLE" | "RUN", pool) for the rules that hold, in order.

    `at_ramp` returns (rule name, "SPLIT" | "CONTINUE" | "EXIT_ALL" | "RELEASE").
    """

    launch: Callable[[View], Iterable[tuple[str, str, int]]]
    consult: Callable[[View], bool]
    at_ramp: Callable[[View], tuple[str, str]]
    join: Callable[[View], bool]
    batch_limit: int
    edf: bool = False


@dataclass
class Live:
    """What a request is doing. `pool` is 0 while it is in none."""

    request: Request
    holds_place: bool = False
    pool: int = 0
    entered: int = 0
    emitted: int = 0
    last: int = 0
    prefilled: int = 0
    latched_at: int = 0
    stamp: int | None = None
    completed: int | None = None

    @property
    def id(self) -> int:
        return self.request.id

    @property
    def context(self) -> int:
        return self.request.prompt_tokens + self.emitted

    @property
    def depth(self) -> int:
        return self.request.depths[self.emitted]


@dataclass(frozen=True)
class Choice:
    """A question asked inside a pass, and the answer. `rows`: ids that joined."""

    question: str
    view: View
    rule: str
    answer: str
    rows: tuple[int, ...] = ()


@dataclass
class Step:
    """A decision and what followed: `rows` in launch order, `chunks` = (id, tokens) of a PREFILL."""

    start: int
    view: View
    rule: str
    action: str
    pool: int = 0
    rows: tuple[int, ...] = ()
    chunks: tuple[tuple[int, int], ...] = ()
    choices: list[Choice] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True)
class Token:
    """An emitted token: request id, 1-based number, time, segment whose head emitted it."""

    id: int
    number: int
    time: int
    segment: int


@dataclass
class Outcome:
    """All steps, all tokens, completion times by request id, and the counters."""

    steps: list[Step] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    completed: dict[int, int] = field(default_factory=dict)
    stays: Counter[tuple[int, int]] = field(default_factory=Counter)  # (request id, ramp)
    involuntary_exits: int = 0


class Simulation:
    """One run of `rules`."""

    def __init__(self, workload: Workload, profile: CostProfile, config: ServerConfig, rules: Rules) -> None:
        self.profile, self.config, self.rules = profile, config, rules
        self.last = workload.num_segments
        self.live = [Live(request, last=request.arrival) for request in workload.requests]
        self.now = 0
        self.ages = dict.fromkeys(range(1, self.last + 1), 0)
        self.decodes = 0
        self.fruitless = 0
        names = ("recent_consults", "recent_rows", "recent_exits", "recent_emptied", "passes_unseen")
        self.recent = {s: dict.fromkeys(names, 0) for s in range(1, self.last)}
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Simulate to the end. Raises DeadEndError."""
        while any(one.completed is None for one in self.live):
            self.admit()
            for s in self.ages:
                self.ages[s] = self.ages[s] + 1 if self.pool(s) else 0
            view = self.launch_view()
            rule, action, pool = self.next_launch(view)
            step = Step(self.now, view, rule, action, pool)
            self.outcome.steps.append(step)
            if action == "IDLE":
                self.idle(rule)
            else:
                self.fruitless = 0
                if action == "PREFILL":
                    self.prefill(step)
                else:
                    self.ages[pool] = 0
                    self.decodes += pool == 1
                    self.run_pass(step, pool)
            step.end = self.now
        return self.outcome

    # -- pools and places ---------------------------------------------------------------------------------------

    def pool(self, s: int) -> list[Live]:
        """Pool s, first row first."""
        rows = [one for one in self.live if one.pool == s]
        if self.rules.edf:
            far = 2**62
            return sorted(rows, key=lambda one: (far if (due := self.due(one)) is None else due,
                                                 one.entered, one.id))
        return sorted(rows, key=lambda one: (one.entered, one.id))

    def in_flight(self) -> int:
        return sum(one.holds_place for one in self.live)

    def arrived_without_place(self) -> list[Live]:
        return [one for one in self.live
                if one.completed is None and not one.holds_place and one.request.arrival <= self.now]

    def next_arrival(self) -> int | None:
        return min((one.request.arrival for one in self.live if one.request.arrival > self.now), default=None)

    def admit(self) -> None:
        for one in self.arrived_without_place():
            if one.request.prompt_tokens == 0 and self.in_flight() < self.config.max_num_seqs:
                one.holds_place, one.pool, one.entered = True, 1, self.now

    def due(self, one: Live) -> int | None:
        """Due date of the next token."""
        request, number = one.request, one.emitted + 1
        if number == 1 and request.ttft is not None:
            return request.arrival + request.ttft
        if request.tpot is not None:
            first = request.tpot if request.ttft is None else request.ttft
            return request.arrival + first + (number - 1) * request.tpot
        if request.due is not None and request.ttft is None:
            return one.last + (request.due - one.last) // (request.output_tokens - one.emitted)
        return None

    def can_be_met(self, one: Live, due: int) -> bool:
        """Whether a request still has a date to meet; `due` is that of its next token."""
        request = one.request
        if request.ttft is not None or request.tpot is not None or request.due is None:
            return due >= self.now
        return request.due >= self.now

    # -- decisions ----------------------------------------------------------------------------------------------

    def launch_view(self) -> View:
        view = {
            "waiting": len(self.arrived_without_place()), "in_flight": self.in_flight(),
            "free_places": self.config.max_num_seqs - self.in_flight(), "ready": len(self.pool(1)),
            "decodes_since_prefill": self.decodes, "batch_max": self.config.batch_max,
            "n_max": self.config.max_num_seqs,
        }
        for s, age in self.ages.items():
            rows = self.pool(s)
            dues = [max(0, due - self.now) for one in rows
                    if (due := self.due(one)) is not None and self.can_be_met(one, due)]
            view |= {f"buffered_{s}": len(rows), f"age_{s}": age,
                     f"oldest_{s}": max((self.now - one.entered for one in rows), default=0),
                     f"slack_{s}": min([*dues, NO_SLACK])}
        return view

    def next_launch(self, view: View) -> tuple[str, str, int]:
        for rule, action, pool in self.rules.launch(view):
            if action == "IDLE" or (action == "PREFILL" and self.chunks()) or (action == "RUN" and self.pool(pool)):
                return rule, action, pool
        return "", "IDLE", 0

    def idle(self, rule: str) -> None:
        arrival = self.next_arrival()
        if arrival is None and self.config.idle_max is None:
            raise DeadEndError(rule)
        if arrival is None:
            self.fruitless += 1
            if self.fruitless == 2:
                raise DeadEndError(rule)
        else:
            self.fruitless = 0
        ends = [] if arrival is None else [arrival]
        if self.config.idle_max is not None:
            ends.append(self.now + self.config.idle_max)
        self.now = min(ends)

    # -- prefill ------------------------------------------------------------------------------------------------

    def chunks(self) -> list[tuple[Live, int]]:
        budget = self.config.prefill_tokens
        places = self.config.max_num_seqs - self.in_flight()
        found: list[tuple[Live, int]] = []
        for one in self.live:  # workload order is (arrival, id)
            rest = one.request.prompt_tokens - one.prefilled
            if one.request.arrival > self.now or rest == 0:
                continue
            if budget == 0:
                break
            if not one.holds_place:
                if places == 0:
                    break
                places -= 1
            chunk = rest if budget is None else min(rest, budget)
            budget = None if budget is None else budget - chunk
            found.append((one, chunk))
        return found

    def prefill(self, step: Step) -> None:
        chunks = self.chunks()
        step.chunks = tuple((one.id, chunk) for one, chunk in chunks)
        self.now += self.profile.prefill_cost(sum(chunk for _, chunk in chunks),
                                              sum(chunk * one.prefilled for one, chunk in chunks))
        for one, chunk in chunks:
            one.holds_place = True
            one.prefilled += chunk
            if one.prefilled == one.request.prompt_tokens:
                self.emit(one, self.last)
        self.decodes = 0

    # -- a pass -------------------------------------------------------------------------------------------------

    def run_pass(self, step: Step, s: int) -> None:
        limit = min(self.rules.batch_limit, self.config.batch_max)
        batch = self.pool(s)[:limit]
        step.rows = tuple(one.id for one in batch)
        for one in batch:
            one.pool = 0
        if s >= 2:
            self.now += self.profile.start_cost(s)
        while True:
            self.now += self.profile.segment_cost(s, len(batch), sum(one.context for one in batch))
            if s == self.last:
                self.leave(batch, s, sum(one.latched_at > 0 for one in batch))
                return
            view = {"segment": s, "batch": len(batch), "exits": 0, "buffered_next": len(self.pool(s + 1)),
                    "batch_max": self.config.batch_max, **self.recent[s]}
            consulted = self.rules.consult(view)
            step.choices.append(Choice("consult", view, "", str(consulted)))
            if consulted:
                self.now += self.profile.ramp_cost(s, len(batch))
                ready = [one for one in batch if one.latched_at or one.depth <= s]
                others = [one for one in batch if one not in ready]
                self.remember(s, len(batch), len(ready))
                if not others:
                    self.leave(ready, s, len(ready))
                    return
                view = view | {"exits": len(ready), **self.recent[s]}
                rule, action = self.rules.at_ramp(view)
                step.choices.append(Choice("at_ramp", view, rule, action))
                if action == "EXIT_ALL":
                    self.outcome.involuntary_exits += len(others)
                    self.leave(batch, s, len(batch))
                    return
                if action == "SPLIT":
                    self.leave(ready, s, len(ready))
                    for one in others:
                        one.pool, one.entered = s + 1, self.now
                    self.now += self.profile.rebatch
                    return
                for one in ready:
                    one.latched_at = one.latched_at or s
                    if action == "CONTINUE":
                        self.outcome.stays[one.id, s] += 1
                    elif one.stamp is None:
                        one.stamp = self.now
            else:
                self.recent[s]["passes_unseen"] += 1
                view = view | self.recent[s]
            room = self.config.batch_max - len(batch)
            if self.pool(s + 1) and room > 0:
                joins = self.rules.join(view)
                joining = self.pool(s + 1)[:room] if joins else []
                step.choices.append(Choice("join", view, "", str(joins), tuple(one.id for one in joining)))
                for one in joining:
                    one.pool = 0
                batch = batch + joining
            s += 1

    def remember(self, s: int, rows: int, exits: int) -> None:
        """A consult of ramp s, counted; sixteen of them count as eight."""
        seen = {"recent_consults": 1, "recent_rows": rows, "recent_exits": exits,
                "recent_emptied": int(exits == rows)}
        seen = {name: self.recent[s][name] + more for name, more in seen.items()}
        if seen["recent_consults"] == 16:
            seen = {name: value // 2 for name, value in seen.items()}
        self.recent[s] = seen | {"passes_unseen": 0}

    def leave(self, rows: list[Live], s: int, early: int) -> None:
        """The tokens of `rows` are out after segment s; the fill is paid for `early` of them."""
        self.now += self.profile.fill_cost(early)
        for one in rows:
            self.emit(one, one.latched_at or s)

    def emit(self, one: Live, segment: int) -> None:
        """The next token of a request is out, now or at its stamp."""
        time = self.now if one.stamp is None else one.stamp
        one.emitted += 1
        one.last = time
        one.latched_at, one.stamp = 0, None
        self.outcome.tokens.append(Token(one.id, one.emitted, time, segment))
        if one.emitted == one.request.output_tokens:
            one.completed, one.pool, one.holds_place = time, 0, False
            self.outcome.completed[one.id] = time
        else:
            one.pool, one.entered = 1, self.now
