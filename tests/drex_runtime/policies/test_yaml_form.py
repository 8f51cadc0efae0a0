"""The YAML form loses nothing, evaluates nothing, and names what it does not accept."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from drex_runtime.errors import DrexError, InputError, PolicyError
from drex_runtime.policies import SHIPPED
from drex_runtime.policies.generate import generate_policy
from drex_runtime.policies.load import load_policy
from drex_runtime.policies.yaml_form import parse_policy, policy_to_yaml, read_policy
from tests.scale import scaled

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "policies"
GOOD = """schema: drex-policy/1
name: mine
parameters:
  batch_limit: {default: batch_max, low: 1, integer: true}
  share: {default: 0.58, low: 0, high: 1}
launch:
- {rule: prefill, action: PREFILL}
- {rule: decode, action: RUN(1)}
- {rule: drain, action: RUN(s), when: buffered >= 1}
consult: always
ramp:
- {rule: split, action: SPLIT, when: exits > share*batch}
- {rule: stay, action: CONTINUE}
join: never
"""


def refused(text: str, *parts: str) -> None:
    with pytest.raises(DrexError) as raised:
        parse_policy(text, "mine.yaml")
    message = str(raised.value)
    assert message.startswith("mine.yaml") and "\n" not in message and len(message) < 1000, message
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_policies_read_back_equal(name: str) -> None:
    assert parse_policy(policy_to_yaml(SHIPPED[name]), "test") == SHIPPED[name]


def test_generated_policies_read_back_equal() -> None:
    random = Random(45)
    for _ in range(scaled(25, 500)):
        policy = generate_policy(random, voluntary=False, num_segments=3)
        assert parse_policy(policy_to_yaml(policy), "test") == policy


def test_decimals_are_exact() -> None:
    share = parse_policy(GOOD, "test").parameter("share")
    assert share is not None and (share.default.p, share.default.q) == (29, 50)


@pytest.mark.parametrize(("old", "new", "parts"), [
    ("schema: drex-policy/1\n", "", ["schema", "nothing"]),
    ("drex-policy/1", "drex-policy/2", ["schema", "drex-policy/1"]),
    ("name: mine", "nome: mine", ["nome", "unknown field", "one of schema, name"]),
    ("name: mine", "name: [1]", ["name", "a text"]),
    ("name: mine", "name: a b", ["policy name 'a b'"]),
    ("low: 1,", "lower: 1,", ["parameters.batch_limit.lower", "one of default, low"]),
    ("low: 1,", "low: one,", ["parameters.batch_limit.low", "'one'"]),
    ("low: 1,", "low: .nan,", ["parameters.batch_limit.low", ".nan"]),
    ("low: 1,", "low: 1e999,", ["parameters.batch_limit.low", "1e999"]),
    ("low: 1,", "low: 99999999999999999999,", ["parameters.batch_limit.low", "2^53"]),
    ("low: 1,", f"low: {'9' * 5000},", ["parameters.batch_limit.low"]),
    ("integer: true", "integer: 1", ["parameters.batch_limit.integer", "true or false"]),
    ("integer: true", "integer: yes", ["parameters.batch_limit.integer", "true or false"]),
    ("low: 0, high: 1", "low: 1, high: 0", ["share", "range 1 to 0 is empty"]),
    ("default: 0.58", "default: shares", ["parameter share, default", "unknown name 'shares'"]),
    ("batch_limit: {", "rows: {", ["needs an integer parameter batch_limit"]),
    ("share: {", "ready: {", ["parameter ready", "not a variable"]),
    ("{rule: prefill, action: PREFILL}", "prefill", ["launch.0", "a mapping"]),
    ("action: PREFILL", "action: PREFIL", ["rule prefill", "'PREFIL'"]),
    ("action: PREFILL", "action: RUN(0)", ["rule prefill", "RUN(0)"]),
    ("action: SPLIT", "action: split", ["ramp.0.action", "SPLIT, CONTINUE"]),
    ("rule: drain", "rule: decode", ["rule decode", "a new lower-case rule name"]),
    ("when: buffered >= 1", "if: buffered >= 1", ["launch.2.if", "one of rule, action, when"]),
    ("when: buffered >= 1", "when: bufferd >= 1", ["rule drain", "unknown name 'bufferd'", "known here"]),
    ("when: buffered >= 1", "when: exits >= 1", ["unknown name 'exits'"]),
    ("when: buffered >= 1", "when: [buffered, 1]", ["launch.2.when", "text form"]),
    ("when: buffered >= 1", "when:", ["launch.2.when", "nothing"]),
    ("when: buffered >= 1", "when: buffered/ready >= 1", ["launch.2.when", "BinOp"]),
    ("when: buffered >= 1", "when: buffered*ready*age >= 1", ["multiplies more than two"]),
    ("when: buffered >= 1", "when: buffered ** 3 >= 1", ["launch.2.when", "BinOp"]),
    ("when: buffered >= 1", "when: buffered", ["launch.2.when", "where a condition is needed"]),
    ("when: buffered >= 1", "when: __import__('os').system('true')", ["launch.2.when", "Call"]),
    ("when: buffered >= 1", "when: (lambda:0)() >= 1", ["launch.2.when"]),
    ("when: buffered >= 1", "when: 'buffered >= 1 if ready else age > 1'", ["IfExp"]),
    ("when: buffered >= 1", "when: 'min(" + "buffered, " * 300 + "1) > 0'", ["min/max over 301 arguments"]),
    ("when: buffered >= 1", "when: '" + "(" * 60 + "buffered" + ")" * 60 + " >= 1" + "+-" * 50 + "1'", ["nesting"]),
    ("when: buffered >= 1", "when: '" + "(" * 900 + "'", ["not an expression"]),
    ("when: buffered >= 1", "when: '" + "buffered + " * 1000 + "1 > 0'", ["at most 4000"]),
    ("when: exits > share*batch", "when: exits > share*batch", []),
    ("- {rule: stay, action: CONTINUE}\n", "", ["last ramp rule must hold always"]),
    ("consult: always\n", "", ["consult", "nothing"]),
    ("join: never", "join: 1", ["join", "Constant where a condition is needed"]),
    ("launch:\n", "launch: []\nx:\n", ["x", "unknown field"]),
    ("join: never\n", "join: never\njoin: always\n", ["line 15", "'join' again"]),
    ("join: never\n", "join: never\n---\nname: two\n", ["2 documents"]),
    ("join: never\n", "join: never\n? [a]\n: b\n", ["a key that is not text"]),
    ("join: never\n", "join: never\n\tx: 1\n", ["valid YAML"]),
    ("join: never\n", 'join: "\\ud800"\n', ["mine.yaml"]),
    ("join: never\n", "join: \x07\n", ["mine.yaml"]),
])
def test_what_is_not_accepted_is_named(old: str, new: str, parts: list[str]) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new, 1)
    if parts:
        refused(text, *parts)
    else:
        parse_policy(text, "mine.yaml")


@pytest.mark.parametrize(("text", "part"), [
    ("!!python/object/apply:os.system ['true']", "tag"),
    ("name: !!python/name:os.system", "tag"),
    ("a: !!binary aGk=", "tag"),
    ("a: &x [1]\nb: *x", "anchor"),
    ("a: *x", "alias"),
    ("a: &a ['x']\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(40)), "anchor"),
    ("a: {<<: *x}", "alias"),
    ("a: " + "[" * 100_000, "nesting too deep"),
    ("a:\n" + "".join(" " * i + "- \n" for i in range(1, 40)) + " " * 40 + "- x", "mine.yaml"),
    ("[1, 2]", "one YAML mapping"),
    ("", "0 documents"),
    ("just text", "one YAML mapping"),
    ("a: b: c", "valid YAML"),
    ("'", "valid YAML"),
    ("a: " + "x" * 300_000, "size"),
    ("schema: drex-policy/1\nname: x\nparameters:\n" + "".join(f"  p{i}: {{default: 1}}\n" for i in range(100)),
     "at most 64"),
])
def test_hostile_yaml_is_refused_quickly(text: str, part: str) -> None:
    refused(text, part)


def test_files_are_read_with_a_size_limit_and_utf8(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_policy(path) == parse_policy(GOOD, "test")
    path.write_bytes(b"name: \xff")
    with pytest.raises(InputError, match=r"mine\.yaml: byte 6.*UTF-8"):
        read_policy(path)
    path.write_bytes(b"#" * 300_000)
    with pytest.raises(InputError, match="size"):
        read_policy(path)


def test_load_policy_knows_names_yaml_files_and_python_files(tmp_path: Path) -> None:
    assert load_policy("drex") is SHIPPED["drex"]
    assert load_policy(str(EXAMPLES / "drex.yaml")) == SHIPPED["drex"]
    assert load_policy(str(EXAMPLES / "in_python.py") + ":ladder").name == "ladder"
    for subject in ("nope", "nope.py", "drex:x", ""):
        with pytest.raises(InputError, match="one of drex"):
            load_policy(subject)
    with pytest.raises(InputError, match=r"absent\.yaml"):
        load_policy(str(tmp_path / "absent.yaml"))


@pytest.mark.parametrize(("code", "parts"), [
    ("def mine(:", ["SyntaxError"]), ("import absent_module", ["line 1", "ModuleNotFoundError"]),
    ("\nx = 1 / 0", ["line 2", "ZeroDivisionError"]), ("other = 1", ["mine", "AttributeError"]), ("mine = 3", ["int"]),
    ("from drex_runtime.policies.expressions import parse_condition\nparse_condition('f(x)', 'w')", ["Call"]),
])
def test_a_python_file_that_fails_is_named(tmp_path: Path, code: str, parts: list[str]) -> None:
    path = tmp_path / "policy.py"
    path.write_text(code)
    with pytest.raises(DrexError) as raised:
        load_policy(f"{path}:mine")
    for part in ("policy.py", *parts):
        assert part in str(raised.value)


def test_a_policy_beyond_the_text_form_is_refused_when_written() -> None:
    from fractions import Fraction

    from drex_runtime.policies import Parameter, Policy
    from drex_runtime.policies.expressions import rational
    policy = SHIPPED["no-exit"]
    huge = Parameter("huge", rational(Fraction(2**60)))
    with pytest.raises(PolicyError, match="huge"):
        policy_to_yaml(Policy(policy.name, (*policy.parameters, huge), policy.launch, policy.consult, policy.ramp,
                              policy.join))
