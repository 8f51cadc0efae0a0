"""The choices of a compiled run as arrays, and the values of a reference policy along them."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.policies.bind import BoundPolicy
from drex_runtime.policies.observation import RAMP_NAMES
from drex_runtime.scheduling.state import Kind, Phase
from drex_runtime.simulator.entries import TRACE_COLUMNS, Trace
from drex_runtime.simulator.events import LaunchRecord
from drex_runtime.simulator.memory import Int


@dataclass(frozen=True)
class Trajectory:
    """Every choice of a run, numbered from 0, and every launch. Columns are int64 arrays over the choices."""

    policy: BoundPolicy
    trace: Trace

    def __len__(self) -> int:
        return len(self.trace.choices)

    def column(self, name: str) -> Int:
        """now, phase, segment, kind, pool, rule (index, -1: none held) or rows (of the running batch)."""
        return self.trace.choices[:, TRACE_COLUMNS.index(name)]

    def kind(self, step: int) -> Kind:
        """What was chosen."""
        return Kind(int(self.trace.choices[step, TRACE_COLUMNS.index("kind")]))

    def phase(self, step: int) -> Phase:
        """At which choice point."""
        return Phase(int(self.trace.choices[step, TRACE_COLUMNS.index("phase")]))

    def rule(self, step: int) -> str:
        """Label of the rule that decided, as the reference simulator names it."""
        phase = self.phase(step)
        if phase == Phase.CONSULT:
            return "consult"
        if phase == Phase.JOIN:
            return "join"
        index = int(self.trace.choices[step, TRACE_COLUMNS.index("rule")])
        if phase == Phase.DECIDE:
            return self.policy.rules.launch[index].label if index >= 0 else ""
        segment = int(self.trace.choices[step, TRACE_COLUMNS.index("segment")])
        return self.policy.rules.ramp[segment - 1][index].name

    def view(self, step: int) -> tuple[int, ...]:
        """The observation, in the order of `LaunchSpace.names` or `RAMP_NAMES`."""
        whole = tuple(self.trace.views[step].tolist())
        return whole if self.phase(step) == Phase.DECIDE else whole[:len(RAMP_NAMES)]

    def launches(self) -> list[LaunchRecord]:
        """The launches, as the reference simulator's log lists them."""
        offsets = self.trace.launch_offset.tolist()
        return [LaunchRecord(start, Kind(kind).name, pool, tuple(self.trace.launch_rows[begin:end].tolist()),
                             self.policy.rules.launch[rule].label)
                for (start, kind, pool, rule), begin, end in zip(self.trace.launches.tolist(), offsets, offsets[1:],
                                                                 strict=False)]


@dataclass(frozen=True)
class Values:
    """At choice points `steps` of a trajectory (the last one is its end): the objective a reference policy would
    reach from there (`values`), and the clock (`times`). `runs`: how many runs of the reference policy that took.
    """

    steps: Int
    values: Int
    times: Int
    runs: int
    trajectory: Trajectory
