"""Limits of the server, the same at every entry point, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from drex_runtime.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost before it is looked at.

    `header_seconds`: for a request's head to arrive · `body_bytes`: of the body, before it is parsed · `body_seconds`:
    for the body to arrive · `write_seconds`: for a client to take any byte that is due to it · `json_depth`: nesting ·
    `prompts` per request · `sequences`: prompts times n · `messages` of a chat · `logprobs` per token ·
    `waiting`: sequences beyond those that run (then 429) · `drain_seconds`: for open requests after SIGTERM ·
    `pace_ms`: beat on which streamed tokens of an output leave, at most one each (0: as they come).
    """

    header_seconds: float = 30.0
    body_bytes: int = 4 * 2**20
    body_seconds: float = 30.0
    write_seconds: float = 60.0
    json_depth: int = 32
    prompts: int = 64
    sequences: int = 128
    messages: int = 1024
    logprobs: int = 20
    waiting: int = 256
    drain_seconds: float = 30.0
    pace_ms: float = 0.0

    def __post_init__(self) -> None:
        for name in ("body_bytes", "json_depth", "prompts", "sequences", "messages", "header_seconds", "body_seconds",
                     "write_seconds"):
            if not getattr(self, name) > 0:
                raise InputError("serve", name, getattr(self, name), "above 0")
        for name in ("logprobs", "waiting", "drain_seconds", "pace_ms"):
            if not 0 <= getattr(self, name) < 2**31:
                raise InputError("serve", name, getattr(self, name), "0 or more")
