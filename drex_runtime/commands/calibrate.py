"""`drex calibrate`: thresholds for a stated agreement, from given text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drex_runtime.model.calibration import Chosen, QualityRow


def calibrate(
    data: Annotated[Path, typer.Option(help='JSON lines: {"text": ...} or {"prompt": ..., "completion": ...}.')],
    model: Annotated[Path | None, typer.Argument(help="Model folder. Default: the shipped demo model.",
                                                 show_default=False)] = None,
    out: Annotated[Path, typer.Option(help="Where to write the thresholds (JSON).")] = Path("thresholds.json"),
    agreement: Annotated[float, typer.Option(help="Share of exited tokens that full depth must confirm.")] = 0.95,
    kv_fill: Annotated[list[str] | None, typer.Option(help="What skipped layers' KV is: share, propagate or recompute; "
                                                      "repeat it for several. Default: share.")] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Tokens of a plain text that count as its prompt.")] = 16,
    most_tokens: Annotated[int, typer.Option(help="Tokens of an example that are read.")] = 512,
) -> None:
    """Measure exit rate, agreement with full depth, perplexity and P95 confidence, and choose a threshold per ramp.

    Thresholds are chosen on every other example and confirmed on the rest; `drex generate --thresholds FILE` loads
    them.
    """
    from drex_runtime.commands.model_options import open_model
    from drex_runtime.errors import InputError
    from drex_runtime.model import calibration
    from drex_runtime.model.sequence import KV_FILLS
    from drex_runtime.progress import progress

    fills = list(dict.fromkeys(kv_fill or ["share"]))
    for fill in fills:
        if fill not in KV_FILLS:
            raise InputError("calibrate", "kv_fill", fill, " or ".join(KV_FILLS))
    if not 0 < agreement < 1:
        raise InputError("calibrate", "agreement", agreement, "a share between 0 and 1, such as 0.95")
    if prompt_tokens < 1 or most_tokens < prompt_tokens + 2:
        raise InputError("calibrate", "prompt_tokens, most_tokens", f"{prompt_tokens}, {most_tokens}",
                         "1 or more, and at least two more than that")
    opened = open_model(model)
    if opened.tokenizer is None:
        raise InputError("calibrate", "model", str(opened.folder), "a folder with tokenizer.json")
    most = min(most_tokens, opened.model.config.max_positions)
    examples = calibration.read_examples(data, opened.tokenizer, prompt_tokens, most)
    chosen = {}
    with progress("calibrating") as tell:
        for fill in fills:
            chosen[fill] = calibration.calibrate(
                opened.model, examples, agreement, fill,
                report=lambda row: tell(f"{row.kv_fill}, thresholds {', '.join(row.thresholds)}"))
    calibration.write_thresholds(out, opened.model.config, agreement, chosen)
    print(f"{len(examples)} examples, half to choose on; agreement wanted: {agreement}")
    for choice in chosen.values():
        _print_choice(choice, agreement)
    print(out)


def _print_choice(choice: Chosen, wanted: float) -> None:
    print(f"kv_fill {choice.held_out.kv_fill}\n  {'thresholds':<20} {'exit rate':>9} {'agreement':>9} "
          f"{'perplexity':>10} {'P95 confidence':>14}")
    for row in choice.table:
        print(_line(row, "  <- chosen" if row.thresholds == choice.thresholds else ""))
    verdict = "confirmed" if choice.confirmed else f"NOT confirmed: below {wanted}"
    print(f"  held out, chosen and full depth:\n{_line(choice.held_out, f'  {verdict}')}\n{_line(choice.full_depth)}")


def _line(row: QualityRow, mark: str = "") -> str:
    sure = "-" if row.p95_confidence is None else f"{row.p95_confidence:.3f}"
    return (f"  {', '.join(row.thresholds):<20} {row.exit_rate:>9.3f} {row.agreement:>9.3f} "
            f"{row.perplexity:>10.2f} {sure:>14}{mark}")
