"""Split, park, join and flush move no hidden state and no K or V: every tensor operation is watched."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from drex_runtime.engine import Engine
from drex_runtime.execution.attention import GatheredAttention
from drex_runtime.execution.clock import FakeClock
from drex_runtime.execution.scripted import submit_workload
from drex_runtime.policies import SHIPPED, bind
from drex_runtime.records import CostProfile, LinearCost, Request, SegmentCost, ServerConfig, Workload
from tests.drex_runtime.engine.cases import model_with


class Watch(TorchDispatchMode):
    """Notes every operation that touches the storage of hidden states, keys or values, and all allocations."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        pool = engine.runner.memory.pool
        self.owned = {tensor.untyped_storage().data_ptr(): name for name, tensor in
                      (("hidden", engine.runner.hidden), ("keys", pool.keys), ("values", pool.values))}
        self.touched: list[tuple[str, str]] = []
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        for argument in args:
            if isinstance(argument, torch.Tensor):
                name = self.owned.get(argument.untyped_storage().data_ptr())
                if name is not None:
                    self.touched.append((name, func.overloadpacket.__name__))
        return func(*args, **(kwargs or {}))


def test_rebatching_moves_nothing() -> None:
    """Between the segments of launches, no operation at all runs on a tensor of hidden states, K or V."""
    profile = CostProfile("flat", (8,), (SegmentCost((3,), 1),) * 3, (LinearCost(1),) * 2, (0, 0), rebatch=1)
    depths = [(1, 2, 3, 1), (3, 1, 2, 2), (2, 2, 1, 3), (3, 3, 1, 1), (1, 3, 2, 3)]
    workload = Workload.of(3, [Request(i, 0, 0, depth * 4) for i, depth in enumerate(depths)])
    policy = bind(SHIPPED["drex"], profile, ServerConfig(4, 5), {"art_factor": 0, "flush_size": 3})
    engine = Engine(model_with(2), policy, clock=FakeClock(), attention=GatheredAttention())
    submit_workload(engine, workload)
    pointers = {name: tensor.data_ptr() for name, tensor in tensors(engine).items()}
    watch = Watch(engine)
    outside = Outside(engine, watch)
    with watch:
        engine.run()
    counted = engine.statistics
    assert counted.splits > 3 and counted.rows_joined > 0 and counted.rows_parked > 3
    assert any(record for record in outside.launched_deeper), "no buffer was flushed"
    assert outside.touched == []
    # Inside: one read (but for segment 1) and one write (but for the last) of hidden states per segment run.
    reads = sum(operation == "index_select" for name, operation in watch.touched if name == "hidden")
    writes = sum(operation == "index_copy_" for name, operation in watch.touched if name == "hidden")
    assert reads == outside.runs[2] + outside.runs[3] and writes == outside.runs[1] + outside.runs[2]
    assert len([name for name, _ in watch.touched if name == "hidden"]) == reads + writes
    assert counted.hidden_rows_read == outside.rows[2] + outside.rows[3]
    assert counted.hidden_rows_written == outside.rows[1] + outside.rows[2]
    # K and V are only indexed: read by attention and written once per row and layer.
    assert {operation for name, operation in watch.touched if name != "hidden"} <= {"index", "index_put_"}
    assert pointers == {name: tensor.data_ptr() for name, tensor in tensors(engine).items()}


def tensors(engine: Engine) -> dict[str, torch.Tensor]:
    pool = engine.runner.memory.pool
    return {"hidden": engine.runner.hidden, "keys": pool.keys, "values": pool.values}


class Outside:
    """Notes what `Watch` saw while no segment, ramp or prefill was running."""

    def __init__(self, engine: Engine, watch: Watch) -> None:
        self.watch, self.touched = watch, list[tuple[str, str]]()
        self.runs, self.rows = {1: 0, 2: 0, 3: 0}, {1: 0, 2: 0, 3: 0}
        self.launched_deeper: list[bool] = []
        self._seen = 0
        inner = engine.runner.segment
        begin = engine.scheduler.begin

        def segment(number: int, launch: Any, latched: list[bool]) -> None:
            self.touched += watch.touched[self._seen:]
            self.runs[number] += 1
            self.rows[number] += launch.count
            inner(number, launch, latched)
            self._seen = len(watch.touched)

        def begun(launch: Any) -> Any:
            self.launched_deeper.append(launch.pool >= 2)
            return begin(launch)

        engine.runner.segment = segment  # type: ignore[method-assign]
        engine.scheduler.begin = begun  # type: ignore[method-assign]

