"""What a command is doing, on stderr: a live line on a terminal, else a plain line every now and then (logs)."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0
Tell = Callable[[str], None]


@contextmanager
def progress(title: str) -> Iterator[Tell]:
    """Show `title`, then whatever the block tells, until the block ends."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(Text(title)) as status:
            yield lambda text: status.update(Text(text))
        return
    last = time.monotonic()

    def tell(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            print(text, file=sys.stderr, flush=True)
            last = time.monotonic()

    yield tell
