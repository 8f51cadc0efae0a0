"""Runner: executes segments, ramps, heads and prefills over row numbers. Decides nothing.

Every request in flight has one row of `hidden[rows, d]`; a launch is an index vector. A segment reads its rows by
index and writes them back in place, so that splitting, parking, joining and flushing move no hidden state.
"""

from __future__ import annotations

from collections.abc import Sequence as Items

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.attention import DecodeAttention, attend_chunk, decode_attention
from drex_runtime.execution.debt import Debts
from drex_runtime.execution.launch_index import LEAST_ROWS, Index, LaunchIndex, launch_index, token_index
from drex_runtime.execution.memory import MOST_OWED, KVConfig, KVMemory
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.sampling import Sampler
from drex_runtime.execution.statistics import Statistics
from drex_runtime.kv.pool import SCRATCH
from drex_runtime.model import EarlyExitLlama, ModelConfig
from drex_runtime.model.llama import AttentionHalf

PromptChunk = tuple[int, Items[int], int]  # row, token ids, position of the first


def seed_token(config: ModelConfig) -> int:
    """First input of a request without a prompt: the start token, else an end token, else token 0."""
    return config.bos_id if config.bos_id is not None else next(iter(config.eos_ids), 0)


class Runner:
    """Model, hidden states by row, next input token and position by row, KV cache."""

    def __init__(self, model: EarlyExitLlama, num_rows: int, kv: KVConfig, statistics: Statistics,
                 attention: DecodeAttention | None = None) -> None:
        config, weight = model.config, model.head_weight
        self.model, self.statistics = model, statistics
        self.scratch_row = num_rows
        self.hidden = torch.zeros(num_rows + 1, config.hidden_size, dtype=weight.dtype)
        self.tokens = np.zeros(num_rows + 1, dtype=np.int64)
        self.positions = np.zeros(num_rows + 1, dtype=np.int64)
        self.memory = KVMemory(config, kv, num_rows + 1, weight.dtype)
        self.sampler = Sampler(num_rows + 1)
        self.seed_token = seed_token(config)
        self.attention = attention or decode_attention(weight.dtype)
        self._layers = [model.layer(index) for index in range(config.num_layers)]
        self._segments = [model.segment_layers(segment) for segment in range(1, config.num_segments + 1)]
        # A ramp's layer with K and V of its own keeps them in its segment's slots, before those of the segment's
        # layers: the last cell of a slot stays that of the exit layer, which deeper layers share.
        self._ramp_layers = [model.ramp_attention(ramp) for ramp in range(1, config.num_segments)] + [None]
        self._kv_layers = [config.kv_layers(segment) for segment in range(1, config.num_segments + 1)]
        self._state = torch.empty(0)  # output of the latest segment, rows as in its launch, padding included
        self._ramp_qkv: tuple[Tensor, Tensor, Tensor] | None = None  # the same of its ramp's layer, if it has one
        self.debts = Debts(self, num_rows, kv.max_debt or MOST_OWED) if kv.fill == "recompute" else None

    @property
    def num_segments(self) -> int:
        """K + 1."""
        return len(self._segments)

    # ---- decoding -----------------------------------------------------------------------------------------
    def index(self, rows: list[int]) -> LaunchIndex:
        """The index vector of a launch over these rows."""
        return launch_index(rows, self.positions, self.scratch_row)

    def segment(self, segment: int, launch: LaunchIndex, latched: list[bool]) -> None:
        """Run one segment for the launch's rows. Latched rows write no K, V: they share their exit layer's.

        With recompute they do write them, as nothing else stands for the K and V of full depth.
        """
        tables = self.memory.tables
        tables.reserve(launch.longest)
        self._open_slots(segment, launch, np.array(latched))
        if segment == 1:
            state = self.model.embed(torch.from_numpy(self.tokens[launch.rows]))
        else:
            state = self.hidden.index_select(0, launch.tensor)
            self.statistics.hidden_rows_read += launch.count
        for offset, index in enumerate(self._segments[segment - 1], start=self._first_offset(segment)):
            layer = self._layers[index]
            query, key, value = layer.qkv(state, launch.position_tensor)
            state = layer.finish(state, self.attention(tables, launch, segment, offset, query, key, value))
        if (ramp_layer := self._ramp_layers[segment - 1]) is not None:
            # Whether the ramp is asked is decided later; its entries are written in any case.
            self._ramp_qkv = query, key, value = ramp_layer.qkv(state, launch.position_tensor)
            cells = torch.from_numpy(launch.write_base)
            self.memory.pool.keys[cells], self.memory.pool.values[cells] = key, value
        if segment < self.num_segments:
            self.hidden.index_copy_(0, launch.tensor[:launch.count], state[:launch.count])
            self.statistics.hidden_rows_written += launch.count
        self._state = state
        self.statistics.segment_runs += 1
        self.statistics.rows_computed += launch.count
        self.statistics.rows_padded += len(launch.rows) - launch.count

    def _open_slots(self, segment: int, launch: LaunchIndex, latched: NDArray[np.bool_]) -> None:
        tables, live, at = self.memory.tables, launch.live, launch.positions[:launch.count]
        base, stride = np.full(len(launch.rows), SCRATCH), np.zeros(len(launch.rows), dtype=np.int64)
        own = ~latched if self.debts is None else np.ones_like(latched)
        if own.any():
            owned = np.flatnonzero(own)
            base[owned] = tables.own(segment, live[owned], at[owned])
            stride[owned] = self.memory.pool.strides[segment - 1]
            self.statistics.cells_owned += len(owned) * self._kv_layers[segment - 1]
        launch.write_base, launch.write_stride = base, stride

    def logits(self, launch: LaunchIndex, ramp: int | None = None) -> Tensor:
        """Logits `[rows, V]` of a ramp or (None) the LM head on what the latest segment computed, for its launch."""
        state = self._state
        if ramp is not None and self._ramp_qkv is not None and (layer := self._ramp_layers[ramp - 1]) is not None:
            state = layer.finish(state, self.attention(self.memory.tables, launch, ramp, 0, *self._ramp_qkv))
        logits = self.model.head_logits(state, ramp)[:launch.count]
        return self.sampler.mask(logits, launch.rows[:launch.count].tolist())

    def _first_offset(self, segment: int) -> int:
        """Where in a slot the segment's first layer is: behind the ramp's layer, if that keeps K and V."""
        return self._kv_layers[segment - 1] - len(self._segments[segment - 1])

    def share(self, segment: int, rows: list[int], *, latched: bool = False) -> None:
        """The running tokens of these rows left after `segment`: deeper layers keep what `KVConfig.fill` says.

        `latched`: the rows run on all the same, for their neighbours' sake; with recompute that is what they owe.
        """
        if self.debts is not None:
            if not latched:
                self.debts.owe(segment, rows)
            return
        if self.memory.fill == "propagate":
            self._propagate(segment, rows)
            return
        index = np.array(rows, dtype=np.int64)
        self.memory.tables.share(segment, index, self.positions[index])
        self.statistics.cells_shared += len(rows) * sum(self._kv_layers[segment:])

    def _propagate(self, left: int, rows: list[int]) -> None:
        """K and V of the rows' exit states in all deeper layers (and ramps' layers), in slots of their own.

        A row that was ready at an earlier ramp and had to stay has them from there, and keeps them: from a deeper state
        its text would change with the schedule, and its slots would be owned twice.
        """
        index, pool = np.array(rows, dtype=np.int64), self.memory.pool
        unfilled = index[self.memory.tables.stride[left, index, self.positions[index]] == 0]
        if not unfilled.size:
            return
        launch = self.index(unfilled.tolist())
        live, at = launch.live, launch.positions[:launch.count]
        state = self.hidden.index_select(0, launch.tensor)
        for segment in range(left + 1, self.num_segments + 1):
            base = self.memory.tables.own(segment, live, at)
            layers: list[AttentionHalf] = [self._layers[index] for index in self._segments[segment - 1]]
            places = list(enumerate(layers, start=self._first_offset(segment)))
            if (ramp_layer := self._ramp_layers[segment - 1]) is not None:
                places.append((0, ramp_layer))
            for offset, layer in places:
                _, key, value = layer.qkv(state, launch.position_tensor)
                self._write(base + offset * pool.strides[segment - 1], key, value)
            self.statistics.cells_owned += launch.count * self._kv_layers[segment - 1]

    def extend(self, segment: int, rows: Index, positions: Index, bases: Index, state: Tensor) -> Tensor:
        """Run past tokens, at `positions[n]` of `rows[n]`, through a segment: `state[n, d]` -> `[n, d]`.

        A row's tokens stand together in ascending order, those before them have run through the segment, and `bases`
        are their slots in it. Attention is that of decoding: K and V are, bit by bit, those of tokens that never left.
        """
        tokens = token_index(rows, positions, self.scratch_row)
        count, stride, padding = tokens.count, self.memory.pool.strides[segment - 1], len(tokens.rows) - tokens.count
        tokens.write_base = np.pad(bases, (0, padding), constant_values=SCRATCH)
        tokens.write_stride = np.where(tokens.write_base == SCRATCH, 0, stride)
        state = torch.nn.functional.pad(state, (0, 0, 0, padding))
        for offset, index in enumerate(self._segments[segment - 1], start=self._first_offset(segment)):
            query, key, value = self._layers[index].qkv(state, tokens.position_tensor)
            # All before any attends: tokens of one row see each other, and attention may go over them in any order.
            self._write(bases + offset * stride, key, value)
            attended = self.attention(self.memory.tables, tokens, segment, offset, query, key, value)
            state = self._layers[index].finish(state, attended)
        if (ramp_layer := self._ramp_layers[segment - 1]) is not None:
            _, key, value = ramp_layer.qkv(state, tokens.position_tensor)
            self._write(bases, key, value)
        self.statistics.cells_owned += count * self._kv_layers[segment - 1]
        return state[:count]

    def _write(self, cells: Index, key: Tensor, value: Tensor) -> None:
        """K and V (of the first tokens; the rest is padding) into these cells."""
        at = torch.from_numpy(cells)
        self.memory.pool.keys[at], self.memory.pool.values[at] = key[:len(cells)], value[:len(cells)]

    # ---- prompts ------------------------------------------------------------------------------------------
    def prefill(self, chunks: Items[PromptChunk]) -> Tensor:
        """Run prompt chunks at full depth, owning their cells in all segments.

        Returns the final state `[chunks, d]` of each chunk's last token (padded to 4 rows for the head).
        """
        parts = _parts(chunks)
        positions = np.concatenate([np.arange(start, start + len(ids)) for _, ids, start in chunks])
        count = len(positions)
        padding = (0, max(LEAST_ROWS - count, 0))
        state = self.model.embed(torch.from_numpy(np.pad(np.concatenate([ids for _, ids, _ in chunks]), padding)))
        place = torch.from_numpy(np.pad(positions, padding))
        self.memory.tables.reserve(int(positions.max()) + 1)
        for segment, layers in enumerate(self._segments, start=1):
            runs = [self.memory.tables.own_run(segment, row, start, len(ids)) for row, ids, start in chunks]
            base = np.concatenate(runs)
            self.statistics.cells_owned += count * self._kv_layers[segment - 1]
            for offset, index in enumerate(layers, start=self._first_offset(segment)):
                query, key, value = self._layers[index].qkv(state, place)
                self._write(base + offset * self.memory.pool.strides[segment - 1], key, value)
                attended = torch.zeros(len(state), query.shape[1] * query.shape[2], dtype=state.dtype)
                for (row, _, start), part in zip(chunks, parts, strict=True):
                    keys, values = self._past(segment, offset, row, start, key[part], value[part])
                    attended[part] = attend_chunk(query[part], keys, values, start)
                state = self._layers[index].finish(state, attended)
            if (ramp_layer := self._ramp_layers[segment - 1]) is not None:
                _, key, value = ramp_layer.qkv(state, place)
                self._write(base, key, value)
        last = [part.stop - 1 for part in parts]
        return state[torch.tensor(last + [0] * (LEAST_ROWS - len(last)))]

    def _past(self, segment: int, offset: int, row: int, start: int, key: Tensor,
              value: Tensor) -> tuple[Tensor, Tensor]:
        """K and V of a row up to the end of its chunk; earlier chunks are gathered (and counted)."""
        if not start:
            return key, value
        cells = torch.from_numpy(self.memory.tables.cells(segment, row, start, offset))
        self.statistics.prompt_cells_gathered += start
        pool = self.memory.pool
        return torch.cat((pool.keys[cells], key)), torch.cat((pool.values[cells], value))

    def prompt_logits(self, state: Tensor, which: list[int]) -> Tensor:
        """Logits of the chunks (by position) whose prompt is complete, from what `prefill` returned."""
        return self.model.head_logits(state)[torch.tensor(which, dtype=torch.int64)]

    # ---- places -------------------------------------------------------------------------------------------
    def can_hold(self, sequences: Items[Sequence]) -> bool:
        """See `Places`."""
        return self.memory.can_hold(sequences)

    def cached_tokens(self, sequence: Sequence) -> int:
        """See `Places`."""
        return self.memory.cached(sequence)

    def occupy(self, sequence: Sequence) -> None:
        """See `Places`. A request without a prompt starts from the model's seed token at position 0."""
        sequence.prefilled = self.memory.promise(sequence)
        if self.memory.prefixes is not None and sequence.cached is None:
            # Once per request: who comes back from a preemption finds what it computed itself, which is no hit.
            sequence.cached = sequence.prefilled
            self.statistics.prefix_cache_queries += sequence.spec.prompt_tokens
            self.statistics.prefix_cache_hits += sequence.cached
        seed = sequence.params.seed
        self.sampler.admit(sequence.row, sequence.params, sequence.spec.id if seed is None else seed,
                           prompt_ids=sequence.prompt_ids, output_ids=sequence.output_ids, stop_ids=sequence.stop_ids)
        self.tokens[sequence.row], self.positions[sequence.row] = self.seed_token, 0

    def vacate(self, sequence: Sequence) -> None:
        """See `Places`."""
        self.memory.release(sequence)

    def advance(self, row: int, token: int, position: int) -> None:
        """The row's next input; the noise of its next output is new."""
        self.tokens[row], self.positions[row] = token, position
        self.sampler.advance(row, token)


def _parts(chunks: Items[PromptChunk]) -> list[slice]:
    ends = np.cumsum([len(ids) for _, ids, _ in chunks]).tolist()
    return [slice(end - len(ids), end) for end, (_, ids, _) in zip(ends, chunks, strict=True)]
