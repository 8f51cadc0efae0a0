"""Write the H200 estimate of Llama-2-13B's cost profile, from model shapes and data-sheet numbers alone.

    python examples/profiles/estimate.py [FOLDER]

Nothing here is measured. A decode step is bound by the larger of two times: reading the weights once, and the
matrix products of the bucket's rows (a roofline per bucket); reading the KV entries of the context comes on top,
and so does the traffic of each row's activations. What a second pass costs before its first kernel runs (`start`)
is not known before an engine is built, and it decides whether splitting pays; so there are three files, for 0, 60
and 500 us, and none of them is the default.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from math import ceil
from pathlib import Path

from drex_runtime.records import CostProfile, LinearCost, PrefillCost, SegmentCost, save_profile
from drex_runtime.records.profile import ProfileMeta

STARTS_US = (0, 60, 500)
BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# Llama-2-13B in bf16; the ramp after layer 20 of 40 uses the final norm and the LM head (LayerSkip).
LAYERS, RAMP_LAYER, HIDDEN, FFN, VOCABULARY, BYTES = 40, 20, 5120, 13824, 32000, 2
LAYER_WEIGHTS = 4 * HIDDEN * HIDDEN + 3 * HIDDEN * FFN
HEAD_WEIGHTS = HIDDEN * VOCABULARY
KV_ENTRIES = 2 * HIDDEN  # K and V per token and layer: 40 KV heads of 128
# Hidden state, q, k, v, attention output, gate, up, their product and residuals, each written once and read once.
ACTIVATIONS = 2 * (8 * HIDDEN + 3 * FFN)
ATTENTION_FLOPS = 4 * HIDDEN  # per pair of query and key, per layer

# H200 SXM data sheet, and the shares of it that good kernels reach.
BANDWIDTH = Fraction(4800) * Fraction(8, 10)  # bytes per ns: 4.8 TB/s at 80 %
FLOPS = Fraction(989_000) * Fraction(6, 10)  # per ns: 989 TFLOP/s dense bf16 at 60 %
HOST_SYNC_NS = 30_000  # launch gap and device-to-host copy of a ramp's decision
REBATCH_NS = 100_000  # host time to park rows: index vector, bookkeeping
PREFILL_HOST_NS = 100_000

METHOD = ("roofline from shapes: max(weights / bandwidth, row flops / compute) per bucket + KV bytes per context token "
          "+ activation bytes per row; bandwidth 4.8 TB/s at 80 %, 989 TFLOP/s at 60 %")
NOTE = ("Estimate, nothing measured. start = {start} us is an assumption: compare the files for 0, 60 and 500 us. "
        "rebatch 100 us, ramp host sync 30 us are assumptions too. kv_fill 0: entries are shared. prefill charges "
        "the weights on top of the products: too much for short prompts.")


def read_ns(amount: int) -> int:
    """Time to move `amount` bytes, rounded up."""
    return ceil(amount / BANDWIDTH)


def compute_ns(flops: int) -> int:
    """Time for `flops` operations, rounded up."""
    return ceil(flops / FLOPS)


def segment(layers: int, head: bool) -> SegmentCost:
    """Layers of one segment, with the LM head if it is the last one."""
    weights = layers * LAYER_WEIGHTS + (HEAD_WEIGHTS if head else 0)
    fixed = tuple(max(read_ns(BYTES * weights), compute_ns(2 * weights * rows)) for rows in BUCKETS)
    per_row = read_ns(BYTES * (layers * ACTIVATIONS + (2 * VOCABULARY if head else 0)))
    return SegmentCost(fixed, per_row, read_ns(BYTES * layers * KV_ENTRIES))


def estimate(start_us: int) -> CostProfile:
    """The profile with an assumed start of the deep pass."""
    ramp = LinearCost(read_ns(BYTES * HEAD_WEIGHTS) + HOST_SYNC_NS, read_ns(2 * BYTES * VOCABULARY))
    weights = LAYERS * LAYER_WEIGHTS
    prefill = PrefillCost(read_ns(BYTES * (weights + HEAD_WEIGHTS)) + PREFILL_HOST_NS, compute_ns(2 * weights),
                          compute_ns(LAYERS * ATTENTION_FLOPS))
    meta = ProfileMeta(
        origin="estimate", device="NVIDIA H200 (data sheet)", model="Llama-2-13B, ramp after layer 20 of 40",
        dtype="bfloat16", method=METHOD, note=NOTE.format(start=start_us), reference_context=1000, max_context=4096)
    return CostProfile(
        name=file_name(start_us).removesuffix(".json"), buckets=BUCKETS,
        segments=(segment(RAMP_LAYER, head=False), segment(LAYERS - RAMP_LAYER, head=True)),
        ramps=(ramp,), starts=(1000 * start_us,), rebatch=REBATCH_NS, prefill=prefill, tick="ns", meta=meta)


def file_name(start_us: int) -> str:
    """Name of the variant's file."""
    return f"h200-llama2-13b-estimate-start-{start_us}us.json"


def main() -> None:
    """Write all variants."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for start_us in STARTS_US:
        save_profile(folder / file_name(start_us), estimate(start_us))
        print(folder / file_name(start_us))


if __name__ == "__main__":
    main()
