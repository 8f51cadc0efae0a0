"""A family by what a user types: a shipped name, or one in a Python file."""

from __future__ import annotations

import importlib.util
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from drex_runtime.errors import DrexError, InputError
from drex_runtime.policies.load import load_policy
from xplain.generalise.families.demand_pinning import DemandPinningFamily
from xplain.generalise.families.ee_scheduling import EESchedulingFamily
from xplain.generalise.families.first_fit import FirstFitFamily
from xplain.generalise.family import InstanceFamily

NAMES = ("demand-pinning", "first-fit", "first-fit-decreasing", "ee-scheduling")
METHODS = ("draw", "features", "respond", "describe", "name", "noun", "response")
# What the top level of somebody's module is likely to raise; anything else keeps its traceback, for its author.
_USER_ERRORS = (SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError,
                ArithmeticError, OSError)


def load_family(subject: str, *, policy: str = "drex", effort: int | None = None) -> InstanceFamily[Any]:
    """The family `subject`: one of NAMES, or `file.py:NAME` (this executes the file), NAME being a family or a function
    without arguments that returns one. `policy`: of ee-scheduling. `effort`: inputs per instance. Raises InputError."""
    shipped: DemandPinningFamily | FirstFitFamily | EESchedulingFamily | None = None
    if subject == "demand-pinning":
        shipped = DemandPinningFamily()
    elif subject in ("first-fit", "first-fit-decreasing"):
        shipped = FirstFitFamily(decreasing=subject != "first-fit")
    elif subject == "ee-scheduling":
        shipped = EESchedulingFamily(policy, table=load_policy(policy))
    if shipped is not None:
        return shipped if effort is None else replace(shipped, effort=effort)
    path, _, name = subject.rpartition(":")
    if path.endswith(".py") and name:
        if effort is not None:
            raise InputError("xplain generalise", "--effort", effort, f"nothing: {subject} decides that itself")
        return _from_python(Path(path), name)
    raise InputError("xplain generalise", "problem", subject, f"one of {', '.join(NAMES)}, or file.py:NAME")


def _from_python(path: Path, name: str) -> InstanceFamily[Any]:
    if not path.is_file():
        raise InputError(str(path), "file", "not a file", "a Python file")
    spec = importlib.util.spec_from_file_location(f"_xplain_family_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(str(path), "file", "not importable", "a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = getattr(module, name)
        family: InstanceFamily[Any] = found() if callable(found) else found
    except DrexError:
        raise
    except _USER_ERRORS as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        raise InputError(str(path), f"line {lines[-1]}" if lines else name, f"{type(error).__name__}: {error}",
                         f"a module that defines {name}") from error
    missing = [method for method in METHODS if not hasattr(family, method)]
    if missing:
        raise InputError(str(path), name, f"without {', '.join(missing)}", "an InstanceFamily (xplain.generalise)")
    return family
