"""Write the example workloads and the example recording, from a seed.

    python examples/workloads/make.py [FOLDER]

`burst`: everybody at clock 0, one ramp. `steady`: arrivals spread out, two ramps, prompts, due dates. Depths come from
exit models that are named in each file's `source`. `recording.jsonl` is written as the engine writes one, with some
depths unknown.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np

from drex_runtime.records import Workload, save_workload
from drex_runtime.traces import UNKNOWN, ExitModel, RecordedRequest, Trace, to_workload, write_recording

SEED = 7
MILLISECOND = 10**6


def made(name: str, arrivals: list[int], prompts: list[int], outputs: list[int]) -> Trace:
    """Arrivals (ns) and lengths as a trace."""
    columns = (np.array(values, np.int64) for values in (arrivals, prompts, outputs))
    return Trace(name, "made", *columns, rows_read=len(arrivals))


def burst() -> Workload:
    """16 requests at once, half of the tokens exit, neighbours are alike."""
    random = Random(SEED)
    trace = made("burst", [0] * 16, [0] * 16, [random.randint(4, 24) for _ in range(16)])
    return to_workload(trace, ExitModel((Fraction(1, 2),), persistence=Fraction(3, 5)), seed=SEED, name="burst-16")


def steady() -> Workload:
    """24 requests with prompts, about 30 ms apart, two ramps, each with a due date."""
    random, clock, arrivals = Random(SEED), 0, []
    for _ in range(24):
        arrivals.append(clock)
        clock += random.randint(0, 60) * MILLISECOND
    prompts = [random.choice((32, 128, 512)) for _ in arrivals]
    trace = made("steady", arrivals, prompts, [random.randint(8, 32) for _ in arrivals])
    model = ExitModel((Fraction(3, 10), Fraction(1, 5)), persistence=Fraction(2, 5), similarity=Fraction(1, 4))
    workload = to_workload(trace, model, seed=SEED, name="steady-24")
    dated = (replace(request, due=request.arrival + 60 * MILLISECOND * request.output_tokens)
             for request in workload.requests)
    return replace(workload, requests=tuple(dated))


def recording() -> list[RecordedRequest]:
    """Six requests of a model with one ramp; where the ramp was skipped the depth is unknown."""
    random = Random(SEED)
    requests = []
    for identity in range(6):
        confidences = [None, *(None if random.random() < 0.2 else (random.randint(0, 1000) / 1000,)
                               for _ in range(random.randint(3, 9)))]
        depths = [2, *(UNKNOWN if seen is None else 1 if seen[0] > 0.5 else 2 for seen in confidences[1:])]
        requests.append(RecordedRequest(identity, 40_000 * identity, random.randint(5, 50), tuple(depths),
                                        tuple(confidences)))
    return requests


def main() -> None:
    """Write all files."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for workload in (burst(), steady()):
        save_workload(folder / f"{workload.name}.json", workload)
    write_recording(folder / "recording.jsonl", 2, recording(), model="none: an example of the format")


if __name__ == "__main__":
    main()
