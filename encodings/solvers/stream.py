"""Work in a thread whose reports come out as an iterator: the reader stays in charge, and what it raises ends the work.

Solvers report from callbacks deep in foreign code, where an exception of ours has no way out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from time import perf_counter
from typing import TypeVar

Report = TypeVar("Report")
LOOK_EVERY = 0.2  # seconds between two looks at the clock


def stream(work: Callable[[Callable[[Report], None]], None], stop: Callable[[], None],
           seconds: float | None = None) -> Generator[Report, None, None]:
    """Yield what `work` puts until it returns; raise what it raises.

    `stop` is called from the reader's thread after `seconds` and when the reader goes away; `work` must return soon
    after it.
    """
    queue = SimpleQueue[Report | None]()
    ends = None if seconds is None else perf_counter() + seconds
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, queue.put)
        future.add_done_callback(lambda _: queue.put(None))
        try:
            while True:
                if ends is not None and perf_counter() >= ends:
                    stop()
                    ends = None
                try:
                    got = queue.get(timeout=LOOK_EVERY)
                except Empty:
                    continue
                if got is None:
                    future.result()
                    return
                yield got
        finally:
            if not future.done():
                stop()
