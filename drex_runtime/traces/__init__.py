"""Traces of real arrivals, the engine's own recordings, and the exit depths public traces lack."""

from drex_runtime.traces.exits import ExitModel
from drex_runtime.traces.load import load_trace
from drex_runtime.traces.record import Trace
from drex_runtime.traces.recorded import UNKNOWN, RecordedRequest, write_recording
from drex_runtime.traces.workload import to_workload

__all__ = ["UNKNOWN", "ExitModel", "RecordedRequest", "Trace", "load_trace", "to_workload", "write_recording"]
