"""`drex generate` offers what the API offers, under the same names."""

from __future__ import annotations

import inspect
import sys

import pytest

from drex_runtime import cli
from drex_runtime.commands import generate, serve
from drex_runtime.demo import DEMO_FOLDER
from drex_runtime.execution.llm import LLM
from drex_runtime.execution.params import SamplingParams

PROMPT = "def read(path):"


def drex(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["drex", "generate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_every_sampling_option_reaches_the_engine(monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    params = SamplingParams(
        max_tokens=12, temperature=0.8, top_k=50, top_p=0.95, min_p=0.01, seed=3, n=2, presence_penalty=0.5,
        frequency_penalty=0.25, repetition_penalty=1.1, logit_bias=((5, 1.5), (7, -2.0)), stop=("nowhere", "("),
        stop_token_ids=(9,), include_stop_str_in_output=True, min_tokens=2, ignore_eos=True)
    expected = LLM(DEMO_FOLDER).generate([PROMPT, "import"], params)
    code, out, err = drex(
        monkeypatch, capsys, PROMPT, "import", "--max-tokens", "12", "--temperature", "0.8", "--top-k", "50", "--top-p",
        "0.95", "--min-p", "0.01", "--seed", "3", "--n", "2", "--presence-penalty", "0.5", "--frequency-penalty",
        "0.25", "--repetition-penalty", "1.1", "--logit-bias", "5:1.5", "--logit-bias", "7:-2", "--stop", "nowhere",
        "--stop", "(", "--stop-token-ids", "9", "--include-stop-str-in-output", "--min-tokens", "2", "--ignore-eos")
    assert (code, err) == (0, "")
    assert out == "".join(f"{prompt}{output.text}\n\n" for prompt, output in
                          zip([PROMPT, PROMPT, "import", "import"], expected, strict=True))


def test_log_probabilities_are_printed_by_token(monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    (expected,) = LLM(DEMO_FOLDER).generate([PROMPT], SamplingParams(max_tokens=5, logprobs=2))
    code, out, _ = drex(monkeypatch, capsys, PROMPT, "--max-tokens", "5", "--logprobs", "2")
    lines = [line for line in out.splitlines() if " layer " in line]
    assert code == 0 and len(lines) == 5
    for line, layer, logprob in zip(lines, expected.exit_layers, expected.logprobs, strict=True):
        assert f"layer {layer} " in line and f"{logprob.value:.3f}" in line
        assert all(f"{value:.3f}" in line for _, value in logprob.best)


@pytest.mark.parametrize(("options", "word"), [
    (("--logit-bias", "5"), "ID:BIAS"), (("--logit-bias", "x:1"), "ID:BIAS"), (("--logit-bias", "5:nan"), "logit_bias"),
    (("--n", "0"), "n = 0"), (("--min-p", "2"), "min_p"), (("--stop", ""), "stop"), (("--seed", "-1"), "seed"),
    (("--stop-token-ids", "5000"), "stop_token_ids"), (("--admission", "some"), "admission"),
    (("--kv-seqs", "0"), "sequences"), (("--watermark", "1"), "watermark")])
def test_values_out_of_range_are_one_line(options: tuple[str, ...], word: str, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = drex(monkeypatch, capsys, PROMPT, *options)
    assert (code, out) == (2, "") and err.count("\n") == 1 and word in err


def test_memory_options_change_no_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = (PROMPT, "import", "class A", "--max-tokens", "12")
    plain = drex(monkeypatch, capsys, *arguments)
    for options in (("--kv-seqs", "1", "--watermark", "0"), ("--kv-seqs", "1", "--admission", "full")):
        assert drex(monkeypatch, capsys, *arguments, *options) == plain


def test_what_a_request_may_ask_for_can_be_asked_for_here() -> None:
    """Fields that only make sense for a server's clients or as token ids of a program are left out."""
    options = set(inspect.signature(generate.generate).parameters)
    fields = set(SamplingParams.__slots__)
    assert fields - options == {"allowed_token_ids", "banned_token_ids", "deadline_ms", "ttft_ms", "tpot_ms"}
    assert {"seed", "admission", "watermark", "kv_seqs", "pace_ms"} <= set(inspect.signature(serve.serve).parameters)
