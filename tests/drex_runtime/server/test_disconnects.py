"""A client leaves at an exact moment of its request's life (25): the engine is stopped there until the server knows.

Its neighbours' texts and a golden request afterwards are unchanged, and no row or cell is leaked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from drex_runtime.execution.observer import Observer
from drex_runtime.execution.requests import Sequence
from drex_runtime.execution.scheduler import Launch, Scheduler
from tests.drex_runtime.server.running import MODEL, Running, running, until

PLACES = 4
VICTIM = [104, 105, 106, 107, 108]
NEIGHBOUR = {"model": MODEL, "max_tokens": 60, "ignore_eos": True, "temperature": 0, "return_exit_layers": True}
MOMENTS = ("queued", "in its prompt", "ready", "parked", "about to be parked", "mid-exit", "in the step it finishes")


class Stop(Observer):
    """Calls `leave` once, in the engine's thread, when the victim is at `moment`; no launch before `begun`."""

    def __init__(self, moment: str, scheduler: Scheduler, leave: Callable[[], None]) -> None:
        self.moment, self.scheduler, self.leave = moment, scheduler, leave
        self.begun, self.reached = threading.Event(), False

    def launched(self, launch: Launch, now: int) -> None:
        self.begun.wait(10)
        victim = self._victim([*self.scheduler.waiting, *filter(None, self.scheduler.at_row)])
        if victim is None:
            return
        pools = [pool for pool in (1, 2) if victim.row in self.scheduler.pools.rows(pool)]
        self._at("queued" if victim.row < 0 and not any(one is victim for one, _ in launch.chunks) else
                 "in its prompt" if any(one is victim for one, _ in launch.chunks) else
                 "parked" if pools == [2] and victim not in launch.batch else
                 "ready" if pools == [1] and victim.emitted else "")

    def consulted(self, ramp: int, batch: Any, logits: Tensor, ready: NDArray[np.bool_]) -> None:
        victim = self._victim(batch)
        if victim is not None:
            leaves = bool(ready[list(batch).index(victim)])
            self._at("mid-exit" if leaves else "about to be parked" if ready.any() else "")

    def finished(self, sequence: Sequence) -> None:
        if self._victim([sequence]) and sequence.finished == "length":
            self._at("in the step it finishes")

    def _victim(self, sequences: Any) -> Sequence | None:
        return next((each for each in sequences if list(each.prompt_ids) == VICTIM), None)

    def _at(self, moment: str) -> None:
        if moment == self.moment and not self.reached:
            self.reached = True
            self.leave()


@pytest.fixture(scope="module")
def parking() -> Iterator[Running]:
    """A server whose rows wait at the ramp until four do, if they must."""
    with running(max_num_seqs=PLACES, policy="threshold", settings={"flush_size": PLACES}) as server:
        yield server


@pytest.fixture(scope="module")
def golden(parking: Running) -> tuple[str, list[int]]:
    return parking.golden()


@pytest.fixture(scope="module")
def expected(parking: Running) -> list[Any]:
    """What the neighbours say when nobody leaves."""
    return [said(parking, at) for at in range(PLACES)]


def said(server: Running, at: int) -> Any:
    """Text and depths of a neighbour."""
    choice = server.http.post("/v1/completions", json={**NEIGHBOUR, "prompt": f"def f{at}("}).json()["choices"][0]
    return choice["text"], choice["exit_layers"]


def aborts(server: Running, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set as soon as the server has dropped the victim's request."""
    dropped, abort = threading.Event(), server.service.engine.abort

    def noted(stream: Any) -> None:
        abort(stream)
        if list(stream.sequences[0].prompt_ids) == VICTIM:
            dropped.set()

    monkeypatch.setattr(server.service.engine, "abort", noted)
    return dropped


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_client_leaves_at_this_moment(parking: Running, golden: tuple[str, list[int]], expected: list[Any],
                                        moment: str, stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dropped, wires = aborts(parking, monkeypatch), []

    def leave() -> None:
        wires[0].close()
        dropped.wait(10)

    stop = Stop(moment, parking.engine.scheduler, leave)
    parking.engine.observers.append(stop)
    fields = {**NEIGHBOUR, "prompt": VICTIM, "stream": stream, "max_tokens": 8 if "finishes" in moment else 500}
    try:
        with ThreadPoolExecutor() as pool:
            neighbours = PLACES if moment == "queued" else PLACES - 1
            others = [pool.submit(said, parking, at) for at in range(neighbours)]
            until(lambda: parking.service.engine.unfinished == neighbours, "the neighbours come first")
            wires.append(parking.send("/v1/completions", fields))
            until(lambda: parking.service.engine.unfinished == neighbours + 1, "then the victim")
            stop.begun.set()
            found = [other.result() for other in others]
        assert stop.reached, "the moment never came"
        assert dropped.wait(10), "the server did not notice"
    finally:
        parking.engine.observers.remove(stop)
        for wire in wires:
            wire.close()
    assert found == expected[:neighbours]
    parking.wait_until_idle()
    assert not parking.service.metrics._last
    assert parking.golden() == golden


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_leaves_while_its_request_is_still_checked(parking: Running, golden: tuple[str, list[int]],
                                                            stream: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the engine has heard of it: the request is dropped as soon as it has."""
    llm, dropped, reached, gone = parking.service.engine.llm, aborts(parking, monkeypatch), threading.Event(), []
    sequences = llm.sequences

    def waits(prompt: Any, params: Any) -> Any:
        if list(prompt) == VICTIM:
            reached.set()
            until(lambda: gone, "the client has left")
        return sequences(prompt, params)

    with monkeypatch.context() as patched:
        patched.setattr(llm, "sequences", waits)
        before = set(parking.connections)
        wire = parking.send("/v1/completions", {**NEIGHBOUR, "prompt": VICTIM, "stream": stream, "max_tokens": 500})
        assert reached.wait(10)
        (mine,) = set(parking.connections) - before
        wire.close()
        until(lambda: mine not in parking.connections, "the server sees it leave")
        gone.append(True)
        assert dropped.wait(10)
    parking.wait_until_idle()
    assert parking.golden() == golden
