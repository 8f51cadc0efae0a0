"""The `drex` command line. One file per command in `drex_runtime.commands`; adding one takes two lines here.

Command modules import at their top only what is light (typer, paths); torch and the engine are imported
inside the function, so that `drex --help` and `drex policies` answer at once.
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from drex_runtime import command_line
from drex_runtime.commands import (
    bench,
    calibrate,
    convert_ee_llm,
    generate,
    policies,
    profile,
    replay,
    serve,
    train_demo,
    workload,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
                  context_settings={"help_option_names": ["-h", "--help"]})
app.command("generate")(generate.generate)
app.command("serve")(serve.serve)
app.command("bench")(bench.bench)
app.command("profile")(profile.profile)
app.command("replay")(replay.replay)
app.command("policies")(policies.policies)
app.command("workload")(workload.workload)
app.command("train-demo")(train_demo.train_demo)
app.command("calibrate")(calibrate.calibrate)
app.command("convert-ee-llm")(convert_ee_llm.convert_ee_llm)


@app.callback()
def drex(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True,
                                               callback=command_line.print_version)] = False) -> None:
    """DREX: dynamic rebatching for early-exit language models."""


def main() -> NoReturn:
    """Entry point of `drex`."""
    command_line.run(app, "drex")


if __name__ == "__main__":
    main()
