"""One server for the tests that do not change it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.drex_runtime.server.running import Running, running


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found
