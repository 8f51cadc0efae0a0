"""Find a problem by what a user types: a shipped name, or a class, instance or factory in a Python file."""

from __future__ import annotations

import hashlib
import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from drex_runtime.errors import InputError
from drex_runtime.policies import Policy
from drex_runtime.policies.load import python_object
from xplain.space import Space
from xplain.studies.case import Case
from xplain.studies.demand_pinning import DemandPinning
from xplain.studies.first_fit import FirstFit
from xplain.studies.guarded import Guarded

SHIPPED: Mapping[str, type[Case]] = {"demand-pinning": DemandPinning, "first-fit": FirstFit}
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def is_problem(subject: str) -> bool:
    """Whether `subject` names a case study rather than a policy. A Python file is executed to see."""
    if subject in SHIPPED:
        return True
    path, _, name = subject.rpartition(":")
    if not path.endswith(".py") or not name:
        return False
    found = python_object(Path(path), name)
    if isinstance(found, type):
        return not issubclass(found, Policy)
    return not isinstance(found, Policy | types.FunctionType)


def open_problem(subject: str, settings: Mapping[str, str], space: Space | None = None, space_source: str = "--space",
                 ) -> Guarded:
    """The problem of a subject for which `is_problem` holds, with its options set. Raises InputError."""
    if subject in SHIPPED:
        made: Any = made_with(SHIPPED[subject], settings, subject)
        source = subject
    else:
        path, _, name = subject.rpartition(":")
        source = subject
        made = python_object(Path(path), name, lambda found: made_with(found, settings, subject))
    if space is not None:
        if not isinstance(made, Case):
            raise InputError(space_source, "space", subject, "no space: only a Case can search another one")
        made.use_space(space, space_source)
    return Guarded(made, source, foreign=subject not in SHIPPED)


def made_with(found: Any, settings: Mapping[str, str], source: str) -> Any:
    """An instance of a class with keyword arguments from `settings`; an instance as it is, it has no options."""
    if not isinstance(found, type):
        if settings:
            raise InputError(source, "--set", next(iter(settings)), "no options: this is an instance; name its class")
        return found
    return found(**arguments(found, settings, source))


def options_of(kind: type) -> dict[str, inspect.Parameter]:
    """What may be set: named arguments of the constructor that have a default."""
    parameters = list(inspect.signature(kind).parameters.values())
    return {each.name: each for each in parameters if each.default is not inspect.Parameter.empty}


def arguments(kind: type, settings: Mapping[str, str], source: str) -> dict[str, Any]:
    """`settings` as the types that the constructor states. Raises InputError with what can be set."""
    known = options_of(kind)
    hints = get_type_hints(kind.__init__) if settings else {}  # type: ignore[misc]
    made = {}
    for name, text in settings.items():
        if name not in known:
            raise InputError(source, "--set", name, f"one of {', '.join(known) or 'none, it has no options'}")
        made[name] = _parsed(text, _kind(hints.get(name), known[name].default), f"{source} --set", name)
    return made


def _kind(hint: object, default: object) -> type:
    """The type to read a value as: bool, int, float or str."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    kinds: tuple[type, ...] = (bool, int, float, str)
    return next((kind for kind in kinds if kind in options), type(default) if type(default) in kinds else str)


def _parsed(text: str, kind: type, source: str, name: str) -> bool | int | float | str:
    if kind is bool:
        if text.lower() in (*TRUE, *FALSE):
            return text.lower() in TRUE
        raise InputError(source, name, text, "true or false")
    if kind in (int, float):
        read: Callable[[str], int | float] = kind
        try:
            return read(text)
        except ValueError as error:
            raise InputError(source, name, text, "a whole number" if kind is int else "a number") from error
    return text


def fingerprints(subject: str, settings: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of every file that decides what the problem is: its own, and those that options name."""
    named = [subject.rpartition(":")[0], *settings.values()]
    files = [Path(name) for name in named if name and len(name) < 4096 and Path(name).is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
