"""Immutable, versioned records that flow through engine, simulator and analyzer."""

from drex_runtime.records.config import ServerConfig
from drex_runtime.records.profile import (
    CostProfile,
    LinearCost,
    PrefillCost,
    ProfileMeta,
    SegmentCost,
    load_profile,
    save_profile,
)
from drex_runtime.records.workload import Request, Workload, load_workload, save_workload

__all__ = [
    "CostProfile",
    "LinearCost",
    "PrefillCost",
    "ProfileMeta",
    "Request",
    "SegmentCost",
    "ServerConfig",
    "Workload",
    "load_profile",
    "load_workload",
    "save_profile",
    "save_workload",
]
