"""What of a state a policy's future depends on: the key under which its states are merged.

A policy that looks at no times (`oldest`, slacks, due dates) does not see the clock once everybody has arrived: states
that differ in it only are one state. Counters it never reads (ages, decodes since the last prefill, a ramp's
statistics) are set to 0. Entry times are kept in their order only, unless it reads waiting times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from drex_runtime.policies import program
from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.observation import RAMP_NAMES, LaunchSpace
from drex_runtime.policies.program import compile_policy
from drex_runtime.scheduling.state import Place, State
from xplain.encodings.steps.inputs import InputSpace


@dataclass(frozen=True)
class Memory:
    """What is kept of a state. `clock`: the time itself; `waits`: entry times themselves; `dates`: times of tokens."""

    clock: bool
    waits: bool
    dates: bool
    ages: tuple[bool, ...]
    decodes: bool
    recent: bool

    @classmethod
    def of(cls, policy: BoundPolicy, space: InputSpace) -> Memory:
        """Read from the policy's compiled conditions."""
        compiled = compile_policy(policy)
        launch = LaunchSpace(policy.num_segments).names
        asked: set[str] = set()
        for spans, names in ((compiled.launch_span, launch), (compiled.consult_span, RAMP_NAMES),
                             (compiled.join_span, RAMP_NAMES), (compiled.ramp_span.reshape(-1, 2), RAMP_NAMES)):
            for begin, end in spans.tolist():
                asked |= {names[argument] for operation, argument in compiled.code[begin:end].tolist()
                          if operation == program.VAR}
        dates = compiled.uses_slack or compiled.edf
        return cls(clock=dates or compiled.uses_oldest or any(max(each.arrivals) for each in space.requests),
                   waits=compiled.uses_oldest, dates=dates,
                   ages=tuple(f"age_{s}" in asked for s in range(1, policy.num_segments + 1)),
                   decodes="decodes_since_prefill" in asked,
                   recent=any(name.startswith("recent_") or name == "passes_unseen" for name in asked))

    def kept(self, state: State) -> State:
        """The state that stands for all those the policy cannot tell from it (times relative to its own clock)."""
        now = state.now if self.clock else 0
        entered = state.entered
        if not self.waits:
            entered = _in_order(state, now)
        done = [place == Place.DONE for place in state.place]
        return replace(
            state, now=now, entered=entered, completed=tuple(0 if over else -1 for over in done),
            ages=tuple(age if used else 0 for age, used in zip(state.ages, self.ages, strict=True)),
            decodes_since_prefill=state.decodes_since_prefill if self.decodes else 0,
            last=state.last if self.dates else (0,) * len(done),
            recent=state.recent if self.recent else (0,) * len(state.recent))


def _in_order(state: State, now: int) -> tuple[int, ...]:
    """Entry times in the same order, as close to `now` as they can be; those at the clock stay there."""
    pooled = [at for at, place in zip(state.entered, state.place, strict=True) if place >= 1]
    rank = {at: place for place, at in enumerate(sorted({*pooled, state.now}, reverse=True))}
    return tuple(now - rank[at] if place >= 1 else 0 for at, place in zip(state.entered, state.place, strict=True))
