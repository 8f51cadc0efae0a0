"""The README is true: its commands run, its policy loads, its links and paths exist.

Convention (stated at the end of the README): console blocks hold commands (`$ ...`) with sample output and are
run here in order, with the budgets of `SMALL`; yaml blocks are files, named in their first line; sh blocks take long
or install something, so only their make targets, files and options are checked.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from drex_runtime import cli as drex_cli
from xplain import cli as xplain_cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAINS = {"drex": drex_cli.main, "xplain": xplain_cli.main}
SMALL = {"--evaluations": "10", "--trials": "4", "--max-tokens": "4"}  # instead of the README's values
EXTRA = {("drex", "profile"): ["--rounds", "1", "--seconds", "1", "--max-batch-rows", "16"],
         ("xplain", "analyze"): ["--requests", "3", "--tokens", "2", "--max-num-seqs", "4", "--jobs", "1"],
         ("xplain", "tune"): ["--jobs", "1"]}
STUDIES = ("first-fit", "demand-pinning")  # refuse what is said of policies only
PAGES = ["README.md", "docs/one-request.md", "docs/bring-your-own-policy.md", "docs/models.md", "docs/bad-inputs.md",
         "docs/prefix-cache.md", "docs/measuring.md", "docs/encodings.md", "docs/certificates.md",
         "docs/own-heuristic.md", "examples/README.md"]


def blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The `$` lines of all console blocks as words."""
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    return [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]


def is_study(words: list[str]) -> bool:
    """Whether a command analyses something other than a policy."""
    return len(words) > 2 and (words[2] in STUDIES or words[2].startswith("examples/heuristics/"))


def made_small(words: list[str]) -> list[str]:
    """The command with test-sized budgets."""
    pairs = zip(["", *words], words, strict=False)
    extra = [] if is_study(words) else EXTRA.get((words[0], words[1]), [])
    return [SMALL.get(before, word) for before, word in pairs] + extra


@pytest.mark.slow
@pytest.mark.timeout(1800)  # under a minute of one core; shared machines can be many times slower
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                            capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    for block in blocks(README, "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    found = commands(README)
    assert len(found) >= 10
    for words in found:
        monkeypatch.setattr(sys, "argv", made_small(words))
        with pytest.raises(SystemExit) as ended:
            MAINS[words[0]]()
        out, err = capsys.readouterr()
        assert ended.value.code == 0, f"{shlex.join(words)}: {err}"
        assert out.strip(), shlex.join(words)
        if words[:2] == ["xplain", "analyze"]:
            run = Path(words[words.index("--out") + 1])
            assert out.splitlines()[-1] == str(run / "report.html")
            kept = {path.name for path in run.iterdir()}
            assert {"report.html", "analysis.json", "findings.json", "samples.parquet"} <= kept
            assert is_study(words) or "tuned.yaml" in kept


def test_long_commands_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.split("#")[0].split() for block in blocks(README, "sh") for line in block.splitlines()]
    assert lines
    for program, what, *options in filter(None, lines):
        if program == "drex":
            assert what in {command.name for command in drex_cli.app.registered_commands}
            for option in options:
                assert not option.startswith("--") or f"{option[2:].replace('-', '_')}: Annotated" in (
                    ROOT / "drex_runtime/commands" / f"{what}.py").read_text(encoding="utf-8"), option
            continue
        if program == "xplain":
            names = {command.name or getattr(command.callback, "__name__", "")
                     for command in xplain_cli.app.registered_commands}
            assert what in names
            continue
        if program == "make":
            assert what in targets
            continue
        source = (ROOT / what).read_text(encoding="utf-8")
        for option in options:
            assert not option.startswith("--") or f'"{option}"' in source, f"{what} {option}"


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str) -> None:
    path = ROOT / page
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (path.parent / target).exists(), target
    for target in re.findall(r"`((?:drex_runtime|xplain|encodings|tests|examples|docs)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), target


def test_the_picture_is_small() -> None:
    assert 20_000 < (ROOT / "docs" / "report.png").stat().st_size < 300_000


def test_every_command_line_option_named_exists() -> None:
    """Options of the console blocks are run above; those of the prose are looked up in the sources."""
    folders = ("drex_runtime/commands", "xplain", "examples/benchmarks")
    sources = "".join(path.read_text(encoding="utf-8") for folder in folders for path in (ROOT / folder).glob("*.py"))
    for option in set(re.findall(r"`(--[a-z-]+)`", README)) - {"--help"}:
        assert f'"{option}"' in sources or re.search(rf"\b{option[2:].replace('-', '_')}: Annotated", sources), option


def test_shell_prompts_stand_only_in_console_blocks() -> None:
    """A command that the test would not run must not look like one that it does."""
    assert len(re.findall(r"^\$ ", README, re.MULTILINE)) == len(commands(README))
