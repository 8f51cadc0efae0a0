"""`kernel`: numba compilation with one set of options and with the function's type kept for the type checker.

Compiled code is kept on disk. numba looks at the source file of a kernel, not at those of the kernels it calls, so the
cache of this package is thrown away whenever any of its files has changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

# An integer inside kernels: np.int64 when compiled, int or np.int64 when called from Python. Type checkers know no
# common type of the two that allows arithmetic.
Scalar = Any

# What a resumable kernel returns: finished, portion used up, or what it needs more of before it can go on (row sets of
# a pool, steps of a state, entries of the memo, stored states, levels of the stack).
DONE, PAUSED, WIDE, STEPS_FULL, MEMO_FULL, STATES_FULL, STACK_FULL = 0, 1, 2, 3, 4, 5, 6

Function = TypeVar("Function", bound=Callable[..., Any])
STAMP = "exact-kernels.sha256"


def kernel(function: Function) -> Function:
    """Compile in nopython mode, single-threaded, cached on disk."""
    return _cached(function, {})


def inner(function: Function) -> Function:
    """As `kernel`, for functions that only other kernels call: nothing to call them from Python is compiled."""
    return _cached(function, {"no_cpython_wrapper": True, "no_cfunc_wrapper": True})


def _cached(function: Function, options: dict[str, Any]) -> Function:
    compiled: Any = numba.njit(cache=True, **options)(function)
    forget_stale(Path(compiled.stats.cache_path))
    return cast(Function, compiled)


@cache
def forget_stale(folder: Path) -> None:
    """Delete the compiled kernels in `folder` unless they come from exactly these sources (once per process).

    Processes that start together may delete what another has just written: it is compiled again then.
    """
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    stamp, wanted = folder / STAMP, digest.hexdigest()
    with suppress(FileNotFoundError):
        if stamp.read_text(encoding="ascii") == wanted:
            return
    for index in folder.glob("*.nbi"):
        index.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = stamp.with_name(f"{STAMP}.{os.getpid()}")
    fresh.write_text(wanted, encoding="ascii")
    fresh.replace(stamp)


@inner
def bits(rows: Scalar) -> Scalar:
    """Number of rows in a set."""
    count = 0
    while rows:
        rows &= rows - 1
        count += 1
    return count
