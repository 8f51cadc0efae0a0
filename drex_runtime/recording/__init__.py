"""Recording what an engine did: a workload for the analyzer (`Recorder`), a picture in time (`TimelineObserver`)."""

from drex_runtime.recording.recorder import Recorder
from drex_runtime.recording.timeline import TimelineObserver

__all__ = ["Recorder", "TimelineObserver"]
