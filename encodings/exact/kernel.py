"""`kernel`: numba compilation with one set of options and with the function's type kept for the type checker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

# An integer inside kernels: np.int64 when compiled, int or np.int64 when called from Python. Type checkers know no
# common type of the two that allows arithmetic.
Scalar = Any

# What a resumable kernel returns: finished, portion used up, or what it needs more of before it can go on (row sets of
# a pool, steps of a state, entries of the memo, stored states, levels of the stack).
DONE, PAUSED, WIDE, STEPS_FULL, MEMO_FULL, STATES_FULL, STACK_FULL = 0, 1, 2, 3, 4, 5, 6

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile in nopython mode, single-threaded, cached on disk beside the source."""
    return cast(Function, numba.njit(cache=True)(function))


def inner(function: Function) -> Function:
    """As `kernel`, for functions that only other kernels call: nothing to call them from Python is compiled."""
    options: dict[str, Any] = {"cache": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return cast(Function, numba.njit(**options)(function))


@inner
def bits(rows: Scalar) -> Scalar:
    """Number of rows in a set."""
    count = 0
    while rows:
        rows &= rows - 1
        count += 1
    return count
