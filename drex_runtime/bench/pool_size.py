"""How large a KV pool a comparison is asked to use: bytes, or a share of what N requests of full length need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from drex_runtime.errors import InputError
from drex_runtime.execution.memory import TOKENS_PER_BLOCK, KVConfig
from drex_runtime.kv.pool import blocks_needed
from drex_runtime.model import EarlyExitLlama
from drex_runtime.policies.expressions import parse_fraction

OPTION = "--kv-bytes"
UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
EXPECTED = "a number of bytes such as 512K, 8M or 1G, or a share such as 25% of what N requests need at full depth"


@dataclass(frozen=True, slots=True)
class PoolSize:
    """A pool of `sequences` requests of `tokens` tokens each at full depth, in superblocks of `block_cells` cells."""

    sequences: int
    tokens: int
    block_cells: int
    bytes_per_sequence: int

    @property
    def bytes(self) -> int:
        """K and V of all cells (the scratch cell apart)."""
        return self.sequences * self.bytes_per_sequence

    def config(self, fill: str) -> KVConfig:
        """The pool under this fill. InputError for an unknown one."""
        return KVConfig(self.tokens, block_cells=self.block_cells, sequences=self.sequences,
                        fill=fill)  # type: ignore[arg-type]  # checked there, by name


def pool_size(text: str, model: EarlyExitLlama, max_num_seqs: int, tokens: int,
              block_tokens: int = TOKENS_PER_BLOCK) -> PoolSize:
    """The largest whole number of requests of `tokens` tokens that `text` has room for. `block_tokens`: of the longest
    segment, per superblock; a request holds whole ones of each segment, so coarse ones hide what sharing saves.

    InputError if that is none, or more than `max_num_seqs`: then memory limits nobody and there is nothing to compare.
    """
    layers = [model.config.kv_layers(segment) for segment in range(1, model.config.num_segments + 1)]
    cells = block_tokens * max(layers)
    per_cell = 2 * model.config.num_kv_heads * model.config.head_dim * model.head_weight.element_size()
    each = blocks_needed(tokens, layers, cells) * cells * per_cell
    asked = _asked(text, max_num_seqs * each)
    if not each <= asked <= max_num_seqs * each:
        raise InputError("drex bench", OPTION, f"{text} ({asked} bytes)", f"{each} bytes (one request of {tokens} "
                         f"tokens at full depth) to {max_num_seqs * each} (N = {max_num_seqs} of them)")
    return PoolSize(asked // each, tokens, cells, each)


def _asked(text: str, full: int) -> int:
    """Bytes that `text` names, where N requests need `full`."""
    stripped = text.strip()
    if stripped.endswith("%"):
        share: Fraction = parse_fraction(stripped[:-1].strip(), OPTION)
        return int(share * full / 100)
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)", stripped)
    if match is None:
        raise InputError("drex bench", OPTION, text, EXPECTED)
    return int(match[1]) * UNITS[match[2]]
