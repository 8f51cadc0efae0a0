"""ServerConfig: the resources at which policies are compared.

Source: scheduling model, section Objects. *batch_max* rows per launch, *max_num_seqs* N requests in flight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from drex_runtime.errors import RecordError
from drex_runtime.records.ticks import MAX_TIME


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Resources of a server; policies are compared at equal `batch_max` and equal `max_num_seqs`.

    `prefill_tokens`: prompt tokens per PREFILL launch, None = unlimited (always so in the exact methods).
    `idle_max`: longest IDLE in ticks, None = until the next arrival.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    batch_max: int
    max_num_seqs: int
    prefill_tokens: int | None = None
    idle_max: int | None = None

    def __post_init__(self) -> None:
        for field, value, high in (("batch_max", self.batch_max, 2**20),
                                   ("max_num_seqs", self.max_num_seqs, 2**20),
                                   ("prefill_tokens", self.prefill_tokens, 2**31),
                                   ("idle_max", self.idle_max, MAX_TIME)):
            if value is not None and not 1 <= value <= high:
                raise RecordError("server config", field, value, f"an integer from 1 to {high}")
