"""The one error boundary of the command lines: what a user can cause is one line on stderr, exit code 2.

Commands raise; nobody else prints errors or ends the process. An exception that is not a `DrexError` is a
defect of ours and keeps its traceback.
"""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer

from drex_runtime.errors import DrexError, one_line

INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def run(app: typer.Typer, name: str) -> NoReturn:
    """Run `app` on sys.argv and exit: 0, 2 (a user's error, also in the arguments), 130 (Ctrl-C)."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as in background jobs
        signal.signal(signal.SIGINT, _interrupt)
    try:
        app(prog_name=name)
    except DrexError as error:
        print(f"{name}: {one_line(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(0)


def _interrupt(*_: object) -> NoReturn:
    """Objects that an interrupt catches half built (llvmlite's among them) would complain when they are freed."""
    sys.unraisablehook = lambda _: None
    raise KeyboardInterrupt


def print_version(wanted: bool) -> None:
    """Callback of `--version`."""
    if wanted:
        from drex_runtime import __version__

        print(__version__)
        raise typer.Exit
