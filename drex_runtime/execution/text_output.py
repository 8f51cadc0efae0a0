"""Text of one growing output: whole characters only, stop strings never shown, nothing shown ever changes."""

from __future__ import annotations

from collections.abc import Sequence as Items

from drex_runtime.execution.params import SamplingParams
from drex_runtime.execution.requests import FinishReason
from drex_runtime.model import Tokenizer


class TextOutput:
    """Feeds tokens through a `TextStream` and looks for stop strings.

    Text that could be the beginning of a stop string is held back until it is certain. Without a tokenizer there
    is no text, and stop strings are refused earlier (`LLM.sequences`).
    """

    def __init__(self, tokenizer: Tokenizer | None, params: SamplingParams) -> None:
        self._stream = tokenizer.stream() if tokenizer is not None else None
        self._params = params
        self._longest = max(map(len, params.stop), default=0)
        self._held = ""
        self._tokens = 0
        self.stopped: str | None = None
        """The stop string that was found."""

    def push(self, token: int) -> str:
        """Text that became certain with this token; after a stop string was found, nothing more comes."""
        self._tokens += 1
        if self._stream is None or self.stopped is not None:
            return ""
        return self._certain(self._stream.push(token), searching=self._tokens > self._params.min_tokens)

    def finish(self) -> str:
        """What was held back when the output ends: it cannot become a stop string any more."""
        if self._stream is None or self.stopped is not None:
            return ""
        piece = self._certain(self._stream.finish(), searching=self._tokens > self._params.min_tokens)
        if self.stopped is None:
            piece, self._held = piece + self._held, ""
        return piece

    def _certain(self, piece: str, *, searching: bool) -> str:
        if not self._longest or not searching:
            return piece
        self._held += piece
        found = [(at, -len(stop), stop) for stop in self._params.stop if (at := self._held.find(stop)) >= 0]
        if found:
            at, _, self.stopped = min(found)
            shown = self._held[:at + len(self.stopped) * self._params.include_stop_str_in_output]
            self._held = ""
            return shown
        safe = self._safe_length()
        shown, self._held = self._held[:safe], self._held[safe:]
        return shown

    def _safe_length(self) -> int:
        """Where the earliest tail begins that a stop string could begin with."""
        for at in range(max(0, len(self._held) - self._longest + 1), len(self._held)):
            tail = self._held[at:]
            if any(stop.startswith(tail) for stop in self._params.stop):
                return at
        return len(self._held)


def whole_text(tokenizer: Tokenizer | None, params: SamplingParams, tokens: Items[int],
               reason: FinishReason | None, stop_ids: frozenset[int]) -> str:
    """The text of a finished output, as `TextOutput` shows it piece by piece."""
    output = TextOutput(tokenizer, params)
    hidden = hides_last(params, tokens, reason, stop_ids)
    return "".join([*(output.push(token) for token in tokens[:len(tokens) - hidden]), output.finish()])


def hides_last(params: SamplingParams, tokens: Items[int], reason: FinishReason | None,
               stop_ids: frozenset[int]) -> bool:
    """Whether the last token is a stop token, whose text is not shown."""
    return (reason == "stop" and bool(tokens) and tokens[-1] in stop_ids
            and not params.include_stop_str_in_output)
