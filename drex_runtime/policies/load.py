"""Find a policy by what a user types: a shipped name, a YAML file, or a Policy object in a Python file."""

from __future__ import annotations

import importlib.util
import traceback
from pathlib import Path

from drex_runtime.errors import InputError, PolicyError
from drex_runtime.policies.shipped import SHIPPED, shipped_policy
from drex_runtime.policies.table import Policy
from drex_runtime.policies.yaml_form import read_policy

YAML_SUFFIXES = (".yaml", ".yml")
# What the top level of somebody's module is likely to raise; anything else keeps its traceback, for its author.
_USER_ERRORS = (SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError, LookupError,
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


def _from_python(path: Path, name: str) -> Policy:
    if not path.is_file():
        raise InputError(str(path), "file", "not a file", "a Python file")
    spec = importlib.util.spec_from_file_location(f"_drex_policy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError(str(path), "file", "not importable", "a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = getattr(module, name)
        policy = found() if callable(found) and not isinstance(found, Policy) else found
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error
    except _USER_ERRORS as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f"line {lines[-1]}" if lines else name
        raise InputError(str(path), where, f"{type(error).__name__}: {error}",
                         f"a module that defines {name}") from error
    if not isinstance(policy, Policy):
        raise InputError(str(path), name, type(policy).__name__,
                         "a drex_runtime.policies.Policy or a function returning one")
    return policy
