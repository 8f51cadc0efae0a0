"""z3 with a time limit that holds: its own is not looked at in every phase, so it runs in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection

from xplain.encodings.terms.smt import SmtModel

GRACE = 2.0  # seconds after z3's own limit


@dataclass(frozen=True)
class Answer:
    """z3's answer (sat, unsat, unknown), the variables if sat, the reason if unknown."""

    answer: str
    values: dict[str, int]
    reason: str = ""


def check(model: SmtModel, seconds: float) -> Answer:
    """Is what `model` requires satisfiable? Unknown after `seconds`, whatever z3 is doing."""
    context = get_context("fork")  # the query lies in z3's memory: written to a file it would be twenty times as large
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_solve, args=(model, seconds, sender), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(seconds + GRACE):
            return Answer("unknown", {}, "time limit, z3 ended from outside")
        found = receiver.recv()
    except EOFError:
        process.join()
        return Answer("unknown", {}, f"z3's process died with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        receiver.close()
    return Answer(*found)


def _solve(model: SmtModel, seconds: float, sender: Connection) -> None:
    """In the child."""
    solver = model.solver
    solver.set("timeout", max(1, int(1000 * seconds)))
    answer = str(solver.check())
    if answer == "sat":
        sender.send((answer, model.values(solver.model()), ""))
    else:
        sender.send((answer, {}, solver.reason_unknown() if answer == "unknown" else ""))
    sender.close()
