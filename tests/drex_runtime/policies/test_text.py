"""Conditions print as a person would write them, and a false one says why."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from drex_runtime.errors import PolicyError
from drex_runtime.policies import SHIPPED
from drex_runtime.policies.expressions import false_atoms, parse_condition, parse_scalar
from drex_runtime.policies.text import atom_text, condition_text, scalar_text
from drex_runtime.records.numbers import number_text


@pytest.mark.parametrize("text", [
    "buffered*(1 + alpha*age) >= batch_limit", "buffered >= flush_size", "slack <= deep_time + margin",
    "decodes_since_prefill >= decodes_between_prefills or ready == 0", "exits > art_factor*batch", "2*exits > batch",
    "always", "never", "ready != 0", "buffered - 2*ready > -3", "0.58*exits <= 1/3*batch",
    "max(buffered, ready) < min(batch_max, 4)", "not (age > 3 and ready < 2)", "ready > 1 and (age > 3 or age == 1)",
    "buffered*buffered >= 2*ready", "batch - 1/3 > exits", "-(1/3*exits) - batch < 0",
])
def test_text_comes_back_as_it_was_written(text: str) -> None:
    assert condition_text(parse_condition(text, "test")) == text


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_condition_reads_back_equal(name: str) -> None:
    policy = SHIPPED[name]
    for rule in (*policy.launch, *policy.ramp):
        assert parse_condition(condition_text(rule.when), "test") == rule.when


@pytest.mark.parametrize(("text", "values", "expected"), [
    ("buffered >= flush_size", {"buffered": 3, "flush_size": 8}, "buffered = 3 < flush_size = 8"),
    ("ready == 0", {"ready": 2}, "ready = 2 != 0"),
    ("ready != 0", {"ready": 0}, "ready = 0 == 0"),
    ("age > 5", {"age": 5}, "age = 5 <= 5"),
    ("buffered*(1 + alpha*age) >= batch_limit", {"buffered": 3, "alpha": Fraction("0.1"), "age": 2, "batch_limit": 8},
     "buffered*(1 + alpha*age) = 3.6 < batch_limit = 8 (age = 2, buffered = 3, alpha = 0.1)"),
    ("exits > art_factor*batch", {"exits": 3, "art_factor": Fraction(1, 3), "batch": 9},
     "exits = 3 <= art_factor*batch = 3 (batch = 9, art_factor = 1/3)"),
    ("exits > art_factor*batch", {"exits": 3, "art_factor": Fraction(19400, 42830), "batch": 8},
     "exits = 3 <= art_factor*batch = ~3.62 (batch = 8, art_factor = 1940/4283)"),
    ("never", {}, "never"),
])
def test_a_false_atom_says_why(text: str, values: dict[str, Fraction | int], expected: str) -> None:
    (atom,) = false_atoms(parse_condition(text, "test"), values)
    assert atom_text(atom, values) == expected


def test_atoms_that_are_no_comparison_and_missing_values() -> None:
    negation = parse_condition("not (age > 3 and ready < 2)", "test")
    expected = "not (age > 3 and ready < 2) does not hold (age = 4, ready = 1)"
    assert atom_text(negation, {"age": 4, "ready": 1}) == expected
    with pytest.raises(PolicyError, match="no value for 'flush_size'"):
        atom_text(parse_condition("buffered >= flush_size", "test"), {"buffered": 3})


@pytest.mark.parametrize(("value", "text"), [
    (Fraction(29, 50), "0.58"), (Fraction(-1, 8), "-0.125"), (Fraction(1, 3), "1/3"), (Fraction(7), "7"),
    (Fraction(-12, 10), "-1.2"), (Fraction(1, 2**19), "1/524288"), (Fraction(0), "0")])
def test_numbers_are_exact(value: Fraction, text: str) -> None:
    assert number_text(value) == text
    assert Fraction(text) == value


def test_scalars_and_unknown_nodes() -> None:
    assert scalar_text(parse_scalar("max(1, batch_max - 1)", "test")) == "max(batch_max - 1, 1)"
    assert scalar_text(parse_scalar("-0.5", "test")) == "-0.5"
    assert condition_text(sympy.true) == "always"
