"""Simulators of the scheduling model: a reference in plain Python and a compiled one with the same integers."""

from drex_runtime.simulator.events import Event, EventKind, LaunchRecord, Log, Run, Step
from drex_runtime.simulator.mechanics import Machine
from drex_runtime.simulator.reference import replay_schedule, simulate

__all__ = ["Event", "EventKind", "LaunchRecord", "Log", "Machine", "Run", "Step", "replay_schedule", "simulate"]
