"""The `drex` command line: answers, and one line with exit code 2 for what a user can get wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import drex_runtime
from drex_runtime import cli, command_line
from drex_runtime.errors import InputError, PolicyError
from drex_runtime.policies import SHIPPED
from drex_runtime.policies.yaml_form import parse_policy

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def drex(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `drex`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["drex", *arguments])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_policies_lists_what_ships(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = drex(monkeypatch, capsys, "policies")
    assert (code, err) == (0, "")
    for name in SHIPPED:
        assert f"\n{name} " in out


@pytest.mark.parametrize("subject", [*SHIPPED, str(EXAMPLES / "policies" / "timeout.yaml"),
                                     str(EXAMPLES / "policies" / "per_ramp.yaml"),
                                     f"{EXAMPLES / 'policies' / 'in_python.py'}:ladder"])
def test_one_policy_is_shown_with_every_rule_and_parameter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subject: str
) -> None:
    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.text import condition_text
    code, out, err = drex(monkeypatch, capsys, "policies", subject)
    assert (code, err) == (0, "")
    policy = load_policy(subject)
    for word in (policy.name, *(item.name for item in policy.parameters), *(rule.name for rule in policy.launch),
                 *(rule.name for rule in policy.ramp), *(condition_text(rule.when) for rule in policy.launch)):
        assert word in out


def test_the_table_of_drex_reads_like_its_definition(monkeypatch: pytest.MonkeyPatch,
                                                     capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = drex(monkeypatch, capsys, "policies", "drex")
    rows = [" ".join(line.split()) for line in out.splitlines()]
    assert "RUN(s), deepest buffer first flush_full buffered*(1 + alpha*age) >= batch_limit" in rows
    assert "SPLIT split exits > art_factor*batch" in rows
    assert "consult - consult_ramp >= 1" in rows


def test_the_yaml_form_is_printed_to_be_edited(monkeypatch: pytest.MonkeyPatch,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = drex(monkeypatch, capsys, "policies", "drex", "--yaml")
    assert parse_policy(out, "stdout") == SHIPPED["drex"]
    _, out, _ = drex(monkeypatch, capsys, "policies", "--yaml")
    assert [parse_policy(part, "stdout").name for part in out.split("---\n")] == list(SHIPPED)


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert drex(monkeypatch, capsys, "--version") == (0, f"{drex_runtime.__version__}\n", "")


@pytest.mark.parametrize("command", ["", *(info.name or "" for info in cli.app.registered_commands)])
def test_every_command_explains_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                       command: str) -> None:
    code, out, _ = drex(monkeypatch, capsys, *filter(None, (command, "--help")))
    assert code == 0 and "Usage: drex" in out


@pytest.mark.parametrize(("subject", "part"), [
    ("nope", "expected one of drex"), ("no/such.yaml", "No such file"), ("no_such.py:x", "a Python file")])
def test_a_users_error_is_one_line_and_exit_code_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
                                                   subject: str, part: str) -> None:
    code, out, err = drex(monkeypatch, capsys, "policies", subject)
    assert (code, out) == (2, "")
    assert err.startswith("drex: ") and err.count("\n") == 1 and part in err


@pytest.mark.parametrize("arguments", [["nonsense"], ["policies", "a", "b"], ["--nonsense"]])
def test_wrong_usage_is_exit_code_2_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, _, err = drex(monkeypatch, capsys, *arguments)
    assert code == 2 and "Usage" in err and "Traceback" not in err


@pytest.mark.parametrize(("raised", "code", "line"), [
    (InputError("a.json", "x", "1\n2", "y"), 2, "drex: a.json: x = 1\\n2: expected y\n"),
    (PolicyError("two\nlines"), 2, "drex: two\\nlines\n")])
def test_the_boundary_keeps_errors_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], raised: Exception, code: int, line: str
) -> None:
    def fail(**_: object) -> None:
        raise raised

    with pytest.raises(SystemExit) as ended:
        command_line.run(fail, "drex")  # type: ignore[arg-type]
    assert (ended.value.code, capsys.readouterr().err) == (code, line)


def test_our_own_defects_keep_their_traceback() -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        command_line.run(fail, "drex")  # type: ignore[arg-type]


def test_ctrl_c_ends_with_130() -> None:
    code = ("import sys, time, typer; from drex_runtime import command_line; app = typer.Typer()\n"
            "@app.command()\ndef wait() -> None:\n    print('ready', flush=True); time.sleep(60)\n"
            "sys.argv = ['drex']; command_line.run(app, 'drex')")
    running = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if running.stdout is None or running.stdout.readline() != "ready\n":
        pytest.fail("the command did not start")
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130 and "Traceback" not in err


def test_policies_and_help_do_not_import_torch() -> None:
    code = ("import sys; from drex_runtime import cli; from drex_runtime.policies import load, show\n"
            "show.policy_view(load.load_policy('drex')); print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
