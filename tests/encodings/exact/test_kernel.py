"""Compiled kernels on disk are never older than the sources they come from."""

from __future__ import annotations

from pathlib import Path

from xplain.encodings.exact.kernel import STAMP, forget_stale


def test_kernels_of_other_sources_are_thrown_away_and_those_of_these_kept(tmp_path: Path) -> None:
    kernel, other = tmp_path / "bounds.lower_bound-10.py311.nbi", tmp_path / "notes.txt"
    kernel.write_text("compiled from an earlier bounds.py")
    other.write_text("not ours")
    forget_stale(tmp_path)
    assert not kernel.exists() and other.exists() and (tmp_path / STAMP).exists()
    kernel.write_text("compiled from these sources")
    forget_stale.cache_clear()
    forget_stale(tmp_path)
    assert kernel.exists()
    (tmp_path / STAMP).write_text("of other sources")
    forget_stale.cache_clear()
    forget_stale(tmp_path)
    assert not kernel.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [STAMP, "notes.txt"]
