"""A tiny analysis that several tests read: made once, copied by those that change it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.xplain.tiny import analyse_tiny


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run folder; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "tiny"
    analyse_tiny(out)
    return out
