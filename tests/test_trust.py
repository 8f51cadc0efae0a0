"""Files and requests are data, never code (35, 37), and no check vanishes under `python -O` (36).

Read from the syntax tree of every product file, so that a new file cannot forget it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted(path for folder in ("drex_runtime", "xplain", "encodings", "examples")
                 for path in (ROOT / folder).rglob("*.py") if not (ROOT / folder / "encodings").is_symlink()
                 or not path.is_relative_to(ROOT / "xplain" / "encodings"))
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
LOADS_OBJECTS = {("torch", "load"), ("torch", "jit"), ("torch", "hub"), ("torch", "package"), ("joblib", "load"),
                 ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("pandas", "read_pickle")}
REMOTE = {"from_pretrained", "hf_hub_download", "snapshot_download", "urlopen", "urlretrieve"}
LOCAL = {"local_files_only": "True", "trust_remote_code": "False"}  # with both said, a folder of our own may be read
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}

Found = Iterator[tuple[int, str]]


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def unpickling(tree: ast.Module) -> Found:
    """Pickle and its relatives. (Its error class may be named: `torch.load` raises it.)"""
    names = {node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute)
             and node.attr != "UnpicklingError" and isinstance(node.value, ast.Name) and node.value.id in UNPICKLERS}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLERS:
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Name) and node.id in names:
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).split(".")
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if (called[0], called[1] if called[1:] else "") in LOADS_OBJECTS and given.get("weights_only") != "True":
                yield node.lineno, ast.unparse(node)
            if given.get("allow_pickle", "False") != "False":
                yield node.lineno, ast.unparse(node)


def asserting(tree: ast.Module) -> Found:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, ast.unparse(node)


def running_text(tree: ast.Module) -> Found:
    """Code from text or from elsewhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            given = {word.arg: ast.unparse(word.value) for word in node.keywords}
            runs = isinstance(node.func, ast.Name) and name in RUNS_TEXT
            trusts = given.get("trust_remote_code", "False") != "False"
            if runs or trusts or (name in REMOTE and not given.items() >= LOCAL.items()):
                yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.Constant) and node.value == "trust_remote_code":
            yield node.lineno, repr(node.value)


RULES = {"pickle": unpickling, "assert": asserting, "remote code": running_text}


@pytest.mark.parametrize("rule", RULES)
def test_no_product_file_breaks_the_rule(rule: str) -> None:
    assert len(SOURCES) > 150
    found = [f"{path.relative_to(ROOT)}:{line}: {text}" for path in SOURCES
             for line, text in RULES[rule](tree_of(path))]
    assert not found


@pytest.mark.parametrize(("rule", "text"), [
    ("pickle", "from pickle import loads"), ("pickle", "import pickle\npickle.load(f)"),
    ("pickle", "torch.load(path)"), ("pickle", "torch.load(path, weights_only=False)"),
    ("pickle", "np.load(path, allow_pickle=True)"), ("pickle", "yaml.load(text)"), ("pickle", "joblib.load(path)"),
    ("assert", "def f(x):\n    assert x"), ("remote code", "eval(text)"), ("remote code", "exec(text)"),
    ("remote code", "M.from_pretrained(name)"), ("remote code", "f(trust_remote_code=True)")])
def test_the_rules_see_what_they_forbid(rule: str, text: str) -> None:
    assert list(RULES[rule](ast.parse(text)))


def test_the_rules_let_pass_what_is_safe() -> None:
    safe = ("import pickle\ntry:\n    torch.load(p, weights_only=True)\nexcept pickle.UnpicklingError:\n    pass\n"
            "np.load(p)\nre.compile('x')\nyaml.safe_load(t)\nmodel.eval()")
    tree = ast.parse(safe)
    assert not [hit for rule in RULES.values() for hit in rule(tree)]
