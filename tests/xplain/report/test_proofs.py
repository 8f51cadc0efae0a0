"""What an exact method proved is said with its arithmetic, its means and its limits, and never more than that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.xplain.report.example import example, worst_cases
from xplain.conclude import worst_case_finding
from xplain.records import Evidence, SearchTrace, WorstCase
from xplain.report.methods import method_rows
from xplain.report.page import render_report
from xplain.report.proofs import gap_text, label, proof_views

PROVED, FLOATING, BOUNDED = worst_cases()


@pytest.mark.parametrize(("case", "said"), [
    (PROVED, "proved, exact integers, enumeration of 3,876 workloads"),
    (FLOATING, "proved, in floating point, lattice MILP by HiGHS 1.11"),
    (replace(FLOATING, method="steps", solver="CP-SAT 9.14", proof="exact"),
     "proved, exact integers, time-stepped MILP by CP-SAT 9.14"),
    (replace(FLOATING, method="smt", solver="", proof="exact"), "proved, exact integers, SMT"),
    (BOUNDED, "bound only, in floating point: HiGHS 1.11 stopped at its time limit"),
    (replace(BOUNDED, proof="exact", solver="cpsat"), "bound only: CP-SAT stopped at its time limit"),
    (replace(PROVED, stopped="time-limit", upper=None, proof=None), "no bound: enumeration stopped at its time limit"),
    (replace(BOUNDED, stopped="failed", upper=None, proof=None), "no bound: HiGHS 1.11 failed")])
def test_label(case: WorstCase, said: str) -> None:
    assert label(case) == said


def test_gaps_are_values_if_proved_and_intervals_if_not() -> None:
    def text(case: WorstCase) -> str:
        return gap_text(case, "us").replace("\N{NO-BREAK SPACE}", " ")

    assert text(PROVED) == "104 ms (+52 %)"
    assert text(BOUNDED) == "104 ms to 170 ms"
    assert text(replace(BOUNDED, lower=None)) == "at most 170 ms"
    assert text(replace(BOUNDED, upper=None)) == "at least 104 ms"
    assert text(replace(BOUNDED, lower=None, upper=None)) == "unknown"
    assert text(replace(PROVED, lower=0, upper=0)) == "0 s (0 %)"


def test_only_what_integers_prove_carries_the_mark_of_a_proof() -> None:
    assert [view.evidence for view in proof_views(worst_cases(), "us")] == [Evidence.PROVED, None, None]


def test_the_finding_speaks_of_the_largest_space_that_integers_prove() -> None:
    finding = worst_case_finding("drex", worst_cases(), 0.05, "runs/demo", "us")
    assert finding is not None and finding.evidence is Evidence.PROVED and finding.severity == "loss"
    assert finding.where == PROVED.space and "+52%" in finding.cost and "enumeration" in finding.why
    harmless = worst_case_finding("drex", [replace(PROVED, lower=0, upper=0)], 0.05, "runs/demo", "us")
    assert harmless is not None and harmless.severity == "none" and "optimal" in harmless.title
    assert worst_case_finding("drex", [FLOATING, BOUNDED], 0.05, "runs/demo", "us") is None
    assert worst_case_finding("drex", [], 0.05, "runs/demo", "us") is None


def test_the_worst_case_section_shows_all_of_them() -> None:
    analysis, samples = example()
    html = render_report(analysis, samples)
    for case in worst_cases():
        assert case.space in html and label(case) in html
    assert "Over all workloads of a size" not in render_report(replace(analysis, worst_cases=()), samples)


def test_a_method_is_credited_with_what_it_added_to_the_best_known() -> None:
    traces = (SearchTrace("random", "exact", 10, 1.0, 0.3, ((0.1, 1, 0.1), (0.9, 9, 0.3))),
              SearchTrace("annealing", "exact", 10, 1.0, 0.5, ((1.0, 10, 0.3), (1.5, 15, 0.5))),
              SearchTrace("tpe", "exact", 10, 1.0, 0.4, ((1.0, 10, 0.3), (1.9, 19, 0.4))))
    assert [(row.method, row.advances) for row in method_rows(traces)] == [("random", 2), ("annealing", 1), ("tpe", 0)]
