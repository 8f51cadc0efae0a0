"""OR-Tools CP-SAT in a process of its own: it and highspy cannot be imported in one, and a process can be ended.

The model goes there as an MPS file; incumbents and bounds come back as JSON lines (see `cpsat_worker`), so that what
was found is kept when the process is killed at its limit. CP-SAT reasons in integers: its proofs are exact.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from xplain.encodings.solvers.linear import Linear
from xplain.encodings.solvers.result import Ended, Order, Proof, Seen, Stopped
from xplain.encodings.solvers.stream import stream

WORKER = Path(__file__).with_name("cpsat_worker.py")  # run as a file: it needs ortools only, and starts faster
GRACE = 3.0  # seconds after its limit at which the process is killed
SHOWN = 300  # characters of what a dying process said
ENDINGS: dict[str, Stopped] = {"OPTIMAL": "optimal", "INFEASIBLE": "infeasible", "FEASIBLE": "time-limit",
                               "UNKNOWN": "time-limit"}


class CpSatBackEnd:
    """Clause learning over integers (developers.google.com/optimization)."""

    name = "CP-SAT"
    proof: Proof = "exact"

    def missing(self) -> str | None:
        """`ortools` is a dependency of this package."""
        return None if find_spec("ortools") else "ortools is not installed: pip install ortools"

    def version(self) -> str:
        """Of the package; it is not imported here."""
        try:
            return version("ortools")
        except PackageNotFoundError:
            return "of unknown version"

    def run(self, linear: Linear, order: Order) -> Generator[Seen | Ended, None, None]:
        """Solve in a process that is killed when it outlives its limit or the reader goes away."""
        with TemporaryDirectory(prefix="cpsat-") as folder:
            model, errors = Path(folder) / "model.mps", Path(folder) / "stderr"
            linear.write_mps(model)
            command = [sys.executable, "-P", str(WORKER), str(model), "--seed", str(order.seed)]
            for option, value in (("--seconds", order.seconds), ("--threads", order.threads), ("--log", order.log)):
                command += [] if value is None else [option, str(value)]
            command += ["--tight"] if order.tight else []
            with errors.open("wb") as said, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                                             stderr=said, encoding="utf-8") as process:
                try:
                    yield from _followed(linear, order, process, errors)
                finally:
                    process.kill()


def _followed(linear: Linear, order: Order, process: subprocess.Popen[str],
              errors: Path) -> Generator[Seen | Ended, None, None]:
    def work(put: Callable[[dict[str, Any]], None]) -> None:
        for line in process.stdout or ():
            if line.endswith("\n"):  # the last one may be cut off by a kill
                put(json.loads(line))

    limit = None if order.seconds is None else order.seconds + GRACE
    killed: list[bool] = []

    def kill() -> None:
        killed.append(True)
        process.kill()

    for said in stream(work, kill, limit):
        if said["kind"] == "incumbent":
            yield Seen(point={linear.names[int(column)]: value for column, value in said["values"].items()})
        elif said["kind"] == "bound":
            yield Seen(bound=_bound(linear, said["bound"]))
        elif said["kind"] == "end":
            yield _ended(linear, said)
            return
    if killed:
        yield Ended("time-limit", None, f"CP-SAT did not end {GRACE:g} s after its limit and was killed")
        return
    text = errors.read_text("utf-8", "replace").strip()[-SHOWN:]
    yield Ended("failed", None, f"the CP-SAT process ended with {process.wait()} without an answer: "
                                f"{' '.join(text.split()) or 'it said nothing'}")


def _ended(linear: Linear, said: dict[str, Any]) -> Ended:
    ending = ENDINGS.get(said["status"], "failed")
    details = {"time-limit": "time limit", "failed": f"CP-SAT: {said['status']} {said['why']}"}
    return Ended(ending, None if said["bound"] is None else _bound(linear, said["bound"]), details.get(ending, ""))


def _bound(linear: Linear, bound: int) -> int:
    """The worker minimises, without the offset."""
    return linear.offset + (-bound if linear.maximize else bound)
