"""A stand-in for a measured profile: costs in proportion to layers, a second pass free."""

from __future__ import annotations

from drex_runtime.model import ModelConfig
from drex_runtime.records.profile import CostProfile, LinearCost, PrefillCost, ProfileMeta, SegmentCost

LAYER, ROW_LAYER, RAMP = 20_000, 2_000, 20_000  # ns; orders of magnitude of a small model on a CPU


def nominal_profile(model: ModelConfig, max_rows: int) -> CostProfile:
    """For generation without `drex profile`: policies then split whenever it saves layers (start = rebatch = 0).

    Marked `estimate`; not meant for analysis.
    """
    layers = [len(model.segment_layers(segment)) for segment in range(1, model.num_segments + 1)]
    ramps = len(model.ramps)
    return CostProfile(
        name="nominal", buckets=(max_rows,),
        segments=tuple(SegmentCost((LAYER * count,), ROW_LAYER * count) for count in layers),
        ramps=(LinearCost(RAMP, ROW_LAYER),) * ramps, starts=(0,) * ramps,
        prefill=PrefillCost(LAYER * sum(layers), ROW_LAYER * sum(layers)),
        meta=ProfileMeta(origin="estimate", method="proportional to layers; not measured"))
