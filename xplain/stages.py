"""Stages that are kept as they finish, so that an analysis which was interrupted goes on where it stopped.

They lie in `.NAME.unfinished` beside the run folder NAME until that is complete. A stage is a function of the request:
what is read back is what would be computed, so an analysis bounded by counts is the same with or without interruption.
A stage that was interrupted is done again from its beginning.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from drex_runtime import __version__
from drex_runtime.errors import InputError
from drex_runtime.records.files import write_atomic

Result = TypeVar("Result")
Tell = Callable[[str], None]
KEY, LOCK = "request.sha256", "lock"
UNIMPORTANT = ("command", "jobs")  # of a request: they do not change what a stage finds


def store_of(out: Path) -> Path:
    """Where the stages of an unfinished run folder lie."""
    return out.parent / f".{out.name}.unfinished"


def request_key(*records: object) -> str:
    """SHA-256 of what decides the results: dataclass records or plain JSON, and this version of the program."""
    parts: list[Any] = [__version__]
    for record in records:
        part = TypeAdapter(type(record)).dump_python(record, mode="json")
        parts.append({name: each for name, each in part.items() if name not in UNIMPORTANT}
                     if isinstance(part, dict) else part)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Stages:
    """Results of finished stages in a folder, each as JSON under its number and name."""

    def __init__(self, folder: Path, tell: Tell = lambda _: None) -> None:
        self._folder, self._tell, self._number = folder, tell, 0

    def run(self, name: str, kind: Any, compute: Callable[[], Result]) -> Result:
        """What `compute` gives, or gave before an interruption. `kind`: its type, as pydantic takes it."""
        self._number += 1
        path, adapter = self._folder / f"{self._number:02d}-{name}.json", TypeAdapter[Result](kind)
        if path.exists():
            try:
                found = adapter.validate_python(json.loads(path.read_text("utf-8")))
            except (ValidationError, ValueError):
                self._tell(f"{name}: what was kept of it cannot be read, done again")
            else:
                self._tell(f"{name}: finished before, kept")
                return found
        found = compute()
        write_atomic(path, json.dumps(adapter.dump_python(found, mode="json")))
        return found


@contextmanager
def kept_stages(out: Path, key: str, tell: Tell = lambda _: None) -> Iterator[Stages]:
    """The stages of `out`; those of another request (`key`) are dropped.

    They are removed when the block ends well or with an error, and stay if it is interrupted (Ctrl-C, a kill) after a
    stage was finished. Raises InputError if another process is writing `out`.
    """
    folder = store_of(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    except OSError as error:
        raise InputError(str(out), "folder", error.strerror or str(error), "a writable place with space") from error
    keep = False
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            keep = True
            raise InputError(str(out), "out", "being written by another process",
                             "another --out, or its end") from error
        found = folder / KEY
        if not found.exists() or found.read_text("utf-8") != key:
            _drop(folder, tell)
            write_atomic(found, key)
        yield Stages(folder, tell)
    except Exception:  # an error: nothing is kept, as after a good end
        raise
    except BaseException:  # an interruption
        keep = any(folder.glob("*.json"))
        raise
    finally:
        os.close(handle)
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def _drop(folder: Path, tell: Tell) -> None:
    """Stages of another request."""
    stale = [path for path in folder.iterdir() if path.name != LOCK]
    if stale:
        tell("an unfinished analysis of the same name had another request: its stages are dropped")
    for path in stale:
        path.unlink()
