"""Find a policy by what a user types: a shipped name, a YAML file, or a Policy object in a Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drex_runtime.errors import InputError, PolicyError
from drex_runtime.policies.shipped import SHIPPED, shipped_policy
from drex_runtime.policies.table import Policy
from drex_runtime.policies.yaml_form import read_policy

YAML_SUFFIXES = (".yaml", ".yml")
# What the top level of somebody's module is likely to raise; anything else keeps its traceback, for its author.
USER_ERRORS = (SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError,
                ArithmeticError, OSError)


def load_policy(subject: str) -> Policy:
    """The policy `subject`: a shipped name, `path.yaml`, or `file.py:NAME` (this executes the file).

    NAME is a `Policy` or a function without arguments that returns one. Raises InputError or PolicyError.
    """
    if subject in SHIPPED:
        return shipped_policy(subject)
    if subject.endswith(YAML_SUFFIXES):
        return read_policy(Path(subject))
    path, _, name = subject.rpartition(":")
    if path.endswith(".py") and name:
        return _from_python(Path(path), name)
    raise InputError("policy", "name", subject,
                     f"one of {', '.join(SHIPPED)}, a file ending in {' or '.join(YAML_SUFFIXES)}, or file.py:NAME")


def python_object(path: Path, name: str, use: Callable[[Any], Any] = lambda found: found) -> Any:
    """What `name` is in a Python file (this executes the file), handed through `use`.

    What either of them raises is an InputError with the line; a PolicyError keeps its words.
    """
    if not path.is_file():
        raise InputError(str(path), "file", "not a file", "a Python file")
    spec = importlib.util.spec_from_file_location(f"_drex_policy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(str(path), "file", "not importable", "a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses and type hints look their module up
    try:
        spec.loader.exec_module(module)
        return use(getattr(module, name))
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error
    except USER_ERRORS as error:
        raise user_error(error, str(path), f"a module that defines {name}") from error


def user_error(error: BaseException, path: str, expected: str) -> InputError:
    """An error of somebody's module as one line that says where in `path` it arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    return InputError(path, f"line {lines[-1]}" if lines else "module", f"{type(error).__name__}: {error}", expected)


def _from_python(path: Path, name: str) -> Policy:
    policy = python_object(path, name, lambda found: found() if callable(found) and not isinstance(found, Policy)
                           else found)
    if not isinstance(policy, Policy):
        raise InputError(str(path), name, type(policy).__name__,
                         "a drex_runtime.policies.Policy or a function returning one")
    return policy
