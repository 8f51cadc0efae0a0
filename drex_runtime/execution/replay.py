"""Replay: K and V of what a preempted request had processed, token by token and raggedly.

Each input runs to the depth at which its token left the first time and shares its exit layer's entries from there on
(with recompute: to full depth, so that nothing is owed afterwards).
Rows are computed one by one whatever the launch (see `attention`), so entries and texts are those of the first time.
The prompt before it is processed in chunks as any prompt.
"""

from __future__ import annotations

from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.runner import Runner


def replay(runner: Runner, sequence: Sequence, count: int) -> None:
    """Process the next `count` of the `sequence.lost` inputs again; its row then stands before the one after them."""
    # With a prompt its last token chose output 0, so that the first lost input is output 0; without one it is the seed.
    first = 1 if sequence.spec.prompt_tokens else 0
    done = sequence.past_inputs - sequence.lost
    if not done and first:
        stand_before(runner, sequence, 0)
    for output in range(first + done, first + done + count):
        index = runner.index([sequence.row])
        depth = sequence.depths[output] if runner.debts is None else runner.num_segments
        for segment in range(1, depth + 1):
            runner.segment(segment, index, [False])
        if depth < runner.num_segments:
            runner.share(depth, [sequence.row])
        stand_before(runner, sequence, output)
    sequence.lost -= count
    runner.statistics.inputs_replayed += count


def stand_before(runner: Runner, sequence: Sequence, output: int) -> None:
    """Output number `output` is the row's next input. (The sampler counts what is out: it was told on admission.)"""
    runner.tokens[sequence.row] = sequence.output_ids[output]
    runner.positions[sequence.row] = max(sequence.spec.prompt_tokens, 1) + output
