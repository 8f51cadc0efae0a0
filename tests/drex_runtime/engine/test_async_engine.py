"""AsyncEngine: streams that end, are closed twice, are not read; numbers that come again; an engine that dies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from drex_runtime.errors import DrexError, EngineError, LimitError
from drex_runtime.execution.async_engine import AsyncEngine, ClosingError, RequestStream
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams
from tests.drex_runtime.engine.cases import generate, model_with

FREE = SamplingParams(max_tokens=9, ignore_eos=True)
LONG = SamplingParams(max_tokens=60, ignore_eos=True)
GOLDEN = [7, 8]


def serving(test: Callable[[AsyncEngine], Awaitable[None]], **options: Any) -> LLM:
    """Run `test` against an engine that is started and, if it is still alive, must be clean at the end."""
    llm = LLM(model_with(1, threshold="0.05"), policy="threshold", max_num_seqs=2)

    async def run() -> None:
        engine = AsyncEngine(llm, **options)
        engine.start()
        await test(engine)
        await engine.drain(1)

    asyncio.run(run())
    return llm


async def tokens_of(stream: RequestStream) -> list[int]:
    return [delta.token async for delta in stream if delta.token is not None]


async def golden(engine: AsyncEngine) -> list[int]:
    return await tokens_of(await engine.generate([GOLDEN], FREE))


def expected() -> list[int]:
    return list(generate(LLM(model_with(1, threshold="0.05"), policy="threshold"), [GOLDEN], FREE)[0][0])


def test_closing_a_stream_twice_or_when_it_is_over_harms_nobody() -> None:
    async def test(engine: AsyncEngine) -> None:
        over = await engine.generate([[5]], FREE)
        assert len(await tokens_of(over)) == 9
        running = await engine.generate([[3], [4]], LONG)
        neighbour = asyncio.ensure_future(golden(engine))
        async for _ in running:
            break
        for stream in (over, running, running, over):
            stream.close()
        assert await tokens_of(running) == [] or not running.open
        assert await neighbour == expected()
        engine.abort(over)  # unknown by now
        assert await golden(engine) == expected()

    llm = serving(test)
    llm.engine.check()
    assert llm.engine.runner.memory.pool.blocks_in_use == 0


def test_a_number_that_comes_again_is_another_request() -> None:
    """Request numbers may repeat (recordings, workloads): ending one leaves the other alone, alive or after it."""
    llm = LLM(model_with(1, threshold="0.05"), policy="threshold", max_num_seqs=3)
    engine = llm.engine
    first, second = (engine.submit(engine.intake.live(GOLDEN, FREE, arrival=0, request_id=4)) for _ in range(2))
    engine.step()
    engine.abort(first)
    third = engine.submit(engine.intake.live(GOLDEN, FREE, arrival=0, request_id=4))
    engine.abort(first)
    engine.run()
    engine.check()
    assert (first.finished, second.finished, third.finished) == ("abort", "length", "length")
    assert second.output_ids == third.output_ids == expected()
    assert engine.runner.memory.pool.blocks_in_use == 0


def test_a_client_that_does_not_read_loses_its_request_alone() -> None:
    async def test(engine: AsyncEngine) -> None:
        unread = await engine.generate([[5]], LONG)
        assert await golden(engine) == expected()
        while unread.open:
            await asyncio.sleep(0.005)
        assert unread.unread <= 6
        with pytest.raises(LimitError, match="unread"):
            await tokens_of(unread)

    serving(test, max_unread=5)


@pytest.mark.parametrize("error", [RuntimeError("on purpose"), SystemExit(3), EngineError("books")])
def test_whatever_ends_the_loop_every_client_is_told(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(engine: AsyncEngine) -> None:
        streams = [await engine.generate([[token]], LONG) for token in range(3)]  # two run, one waits

        def fails(now: int) -> Any:
            raise error

        async for _ in streams[0]:
            monkeypatch.setattr(engine.llm.engine.scheduler, "decide", fails)
            break
        for stream in streams[1:]:
            with pytest.raises(EngineError, match="engine has stopped"):
                await tokens_of(stream)
        assert not engine.is_alive and engine.failure is not None
        with pytest.raises(EngineError, match="engine has stopped"):
            await engine.generate([GOLDEN], FREE)

    serving(test)


def test_a_drain_tells_those_it_cannot_wait_for() -> None:
    async def test(engine: AsyncEngine) -> None:
        streams = [await engine.generate([[token]], LONG) for token in range(3)]
        draining = asyncio.ensure_future(engine.drain(0))
        told: list[DrexError] = []
        for stream in streams:
            try:
                await tokens_of(stream)
            except ClosingError as error:
                told.append(error)
        assert told
        await draining
        with pytest.raises(DrexError):
            await engine.generate([GOLDEN], FREE)

    llm = serving(test)
    llm.engine.check()
    assert not llm.engine.has_work


def test_an_observer_of_tokens_that_fails_costs_nobody_anything() -> None:
    def fails(*_: object) -> None:
        raise OSError("disk full")

    async def test(engine: AsyncEngine) -> None:
        assert await golden(engine) == expected()

    serving(test, on_delta=fails)
