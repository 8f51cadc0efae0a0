"""A fixed pace for streamed tokens.

A token that leaves at an early layer is ready sooner than one that does not, so that the times between the tokens of
a stream show, to whoever watches the network, how sure the model was of each. On a beat that is longer than a full pass
they show nothing: tokens leave on multiples of it only, at most one of an output each.
"""

from __future__ import annotations

import asyncio
import math
import time

LATE = 0.1  # beats that a token may come after one and still belong to it: the outputs of a stream leave one by one


class Pace:
    """The beat of one stream, begun by its first token; `milliseconds` 0: none."""

    def __init__(self, milliseconds: float) -> None:
        self.seconds = milliseconds / 1000
        self._begun = 0.0
        self._latest: dict[int, int] = {}  # beat of the latest token, by output

    async def wait(self, output: int) -> None:
        """Return on the next beat that this output has not used."""
        if not self.seconds:
            return
        now = time.monotonic()
        if not self._latest:
            self._begun = now
        passed = (now - self._begun) / self.seconds
        beat = max(self._latest.get(output, -1) + 1, math.ceil(passed - LATE))
        self._latest[output] = beat
        await asyncio.sleep(max(0.0, self._begun + beat * self.seconds - now))
