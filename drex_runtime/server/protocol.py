"""What clients may send, field by field. Values are checked once, where SamplingParams is made.

Unknown fields are refused: a misspelt one would be ignored in silence, and settings of the server cannot be reached
through them. Fields of OpenAI that this server does not implement are accepted only with their neutral value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drex_runtime.execution.params import SamplingParams
from drex_runtime.server.errors import ApiError
from drex_runtime.server.limits import Limits

TokenIds = list[Annotated[int, Field(strict=True)]]


class Fields(BaseModel):
    """Base: strict types, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Fields):
    """Of `stream`: `include_usage` adds a last chunk with the counts."""

    include_usage: bool = False


class SamplingFields(Fields):
    """What completions and chat completions share."""

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    top_k: int | None = Field(None, description="0 or -1: off")
    min_p: float | None = None
    repetition_penalty: float | None = None
    stop_token_ids: TokenIds | None = None
    allowed_token_ids: TokenIds | None = None
    banned_token_ids: TokenIds | None = None
    ignore_eos: bool | None = None
    min_tokens: int | None = None
    include_stop_str_in_output: bool | None = None
    exit_threshold: float | None = Field(None, description="Confidence above which a token exits; 1 = never")
    deadline_ms: float | None = Field(None, description="From arrival to the last token")
    ttft_ms: float | None = Field(None, description="Target of the first token")
    tpot_ms: float | None = Field(None, description="Target of each further token")
    return_exit_layers: bool = Field(False, description="Adds exit_layers to each choice, a layer per token")

    def sampling(self, limits: Limits, room: int, logprobs: int | None, max_tokens: int | None) -> SamplingParams:
        """The checked parameters; `max_tokens` None: `room`, what the context leaves. RecordError, ApiError."""
        if logprobs is not None and logprobs > limits.logprobs:
            raise ApiError(400, f"logprobs = {logprobs}: at most {limits.logprobs} per token", param="logprobs")
        if self.stream_options is not None and not self.stream:
            raise ApiError(400, "stream_options needs stream = true", param="stream_options")
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        given: dict[str, Any] = {
            name: value for name in (
                "top_p", "n", "seed", "presence_penalty", "frequency_penalty", "min_p", "repetition_penalty",
                "ignore_eos", "min_tokens", "include_stop_str_in_output", "exit_threshold", "deadline_ms", "ttft_ms",
                "tpot_ms") if (value := getattr(self, name)) is not None}
        given["temperature"] = 1.0 if self.temperature is None else self.temperature
        given["top_k"] = 0 if self.top_k in (None, -1) else self.top_k
        given["max_tokens"] = max(1, room) if max_tokens is None else max_tokens
        for name in ("stop_token_ids", "banned_token_ids"):
            given[name] = tuple(getattr(self, name) or ())
        if self.allowed_token_ids is not None:
            given["allowed_token_ids"] = tuple(self.allowed_token_ids)
        return SamplingParams(**given, logprobs=logprobs, stop=stop, logit_bias=self._bias())

    def _bias(self) -> tuple[tuple[int, float], ...]:
        found = []
        for key, value in (self.logit_bias or {}).items():
            if not (key.isascii() and key.isdigit() and len(key) < 20):
                raise ApiError(400, "the keys of logit_bias must be token ids", param="logit_bias")
            found.append((int(key), value))
        return tuple(found)


class CompletionRequest(SamplingFields):
    """POST /v1/completions."""

    prompt: str | list[str] | TokenIds | list[TokenIds]
    logprobs: int | None = None
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: Literal[""] | None = None

    def prompts(self, limits: Limits) -> list[str | list[int]]:
        """One prompt each. Raises ApiError for none or too many."""
        if isinstance(self.prompt, str):
            found: list[str | list[int]] = [self.prompt]
        elif self.prompt and isinstance(self.prompt[0], int):
            found = [list(self.prompt)]
        else:
            found = list(self.prompt)  # type: ignore[arg-type]
        if not found or any(len(prompt) == 0 for prompt in found):
            raise ApiError(400, "prompt must not be empty", param="prompt")
        if len(found) > limits.prompts:
            raise ApiError(400, f"{len(found)} prompts: at most {limits.prompts} in one request", param="prompt")
        return found


class TextPart(Fields):
    """A part of a message; only text is accepted."""

    type: Literal["text"]
    text: str


class Message(Fields):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """Role and text, nothing else of the client's."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": self.role, "content": text}


class ChatRequest(SamplingFields):
    """POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None

    def logprob_count(self) -> int | None:
        """n best per token, None for no log probabilities."""
        if not self.logprobs:
            if self.top_logprobs:
                raise ApiError(400, "top_logprobs needs logprobs = true", param="top_logprobs")
            return None
        return self.top_logprobs or 0
