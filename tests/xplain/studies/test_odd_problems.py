"""Whatever a problem is like: sensible words, no crash. Each goes through the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.xplain.studies.cli import analysed, refused, written

PLANE = "dimensions = (Dimension('x', 0, 1), Dimension('y', 0, 1))"


def plane(heuristic: str, more: str = "") -> str:
    return f"""
class Mine(Case):
    {PLANE}
    {more}
    def heuristic(self, point):
        {heuristic}
    def benchmark(self, point):
        return 1
"""


def test_no_input_is_bad(tmp_path: Path) -> None:
    found, page = analysed(tmp_path, written(tmp_path, plane("return 1")))
    assert found["regions"] == [] and found["bad_share"]["value"] == 0
    assert [each["severity"] for each in found["findings"]] == ["none"]
    assert "no region found" in found["verdict"] and "no input with any gap was found" in found["verdict"]
    assert "No input with a gap was found." in page and "No region passed the test" in page


def test_a_gap_everywhere(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, plane("return 2")))
    assert found["bad_share"]["value"] == 1
    assert "everywhere" in found["verdict"]
    assert all(each["severity"] == "loss" for each in found["findings"])
    assert "no input without the gap" in str(found["findings"]) or "no part of the space" in str(found["findings"])


def test_the_heuristic_wins_everywhere(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, plane("return 0.5")))
    assert [each["severity"] for each in found["findings"]] == ["none"]
    assert found["witnesses"] == []


def test_infeasible_everywhere(tmp_path: Path) -> None:
    found, page = analysed(tmp_path, written(tmp_path, plane("raise InfeasibleError", "infeasible = 'it never fits'")))
    assert found["infeasible_share"]["value"] == 1 and found["bad_share"]["of"] == 0
    assert [each["severity"] for each in found["findings"]] == ["unknown"]
    assert "cannot tell" in found["verdict"] and "none of" in found["verdict"]
    assert "it never fits" in str(found["findings"]) and "No feasible input was found." in page


def test_infeasible_inputs_count_for_nothing_else(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, plane(
        "if point['x'] > 0.5: raise InfeasibleError\n        return 1.5 if point['x'] > 0.25 else 1")))
    assert 0.4 < found["infeasible_share"]["value"] < 0.6
    assert 0.4 < found["bad_share"]["value"] < 0.6 and found["bad_share"]["of"] == 1000
    assert found["regions"][0]["precision"]["value"] > 0.95
    assert any(each.startswith("infeasible: ") for each in found["limits"])
    assert all(witness["point"]["x"] <= 0.5 for witness in found["witnesses"])


def test_one_dimension(tmp_path: Path) -> None:
    found, page = analysed(tmp_path, written(tmp_path, """
        class Mine(Case):
            dimensions = (Dimension("x", 0, 1, meaning="the only one"),)
            def heuristic(self, point):
                return 2 if point["x"] > 0.7 else 1
            def benchmark(self, point):
                return 1
        """))
    assert found["regions"][0]["coverage"]["value"] > 0.9
    assert "the only one" in found["verdict"] and "Scatter plot" not in page
    witness, = found["witnesses"]
    assert witness["point"] == {"x": 1.0}
    assert 0.65 < witness["contrast"][0]["after"] <= 0.7


def test_constant_dimensions(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, """
        class Mine(Case):
            dimensions = (Dimension("x", 3, 3), Dimension("y", 5, 5, integer=True))
            def heuristic(self, point):
                return 2
            def benchmark(self, point):
                return 1
        """))
    assert found["bad_share"]["value"] == 1 and "everywhere" in found["verdict"]


def test_features_that_are_no_numbers_are_left_out_and_named(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, plane(
        "return 1 + (point['x'] > 0.5)",
        "derived = lambda self, point: {'ratio': nan if point['x'] > .9 else 1., 'huge': inf,"
        " 'sum': sum(point.values())}")))
    assert {each for each in found["limits"] if each.startswith("feature")} == \
        {each for each in found["limits"] if "no finite number" in each}
    assert sum("ratio" in each or "huge" in each for each in found["limits"]) == 2
    assert {p["feature"] for region in found["regions"] for p in region["predicates"]} <= {"x", "y", "sum"}
    assert found["regions"]


def test_a_benchmark_of_zero_and_gaps_in_units(tmp_path: Path) -> None:
    text = plane(
        "return 3 if point['x'] > 0.5 else 0",
        "gap_unit, threshold = 'crates', 2\n    benchmark = lambda self, point: 0")
    own = "    def benchmark(self, point):\n        return 1\n"
    found, page = analysed(tmp_path, written(tmp_path, text.replace(own, "")))
    assert "loses 3\N{NO-BREAK SPACE}crates on average" in found["verdict"]
    assert "gap at least 2" in page and "300" not in found["verdict"]


def test_an_interval_for_the_benchmark_is_used_at_its_upper_end(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, f"""
        class Mine(Case):
            {PLANE}
            def heuristic(self, point):
                return 2
            def benchmark(self, point):
                return (1.0, 1.9)
        """))
    assert found["bad_share"]["value"] == 0
    assert any("interval" in each for each in found["limits"])


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    _, page = analysed(tmp_path, written(tmp_path, plane(
        "return 1 + (point['x'] > 0.5)", f"name = heuristic_name = infeasible = {hostile!r}\n"
        f"    meanings = {{'x': ({hostile!r}, {hostile!r})}}")))
    assert hostile not in page and "&lt;script&gt;" in page


def test_any_problem_will_do_not_only_a_case(tmp_path: Path) -> None:
    found, _ = analysed(tmp_path, written(tmp_path, """
        from xplain.records import Sample
        from xplain.space import Space
        class Mine:
            scale, threshold, dimensions = "exact", 0.1, (Dimension("x", 0, 1), Dimension("y", 1, 9, integer=True))
            def draw(self, rng):
                return Space("s", self.dimensions).draw(rng)
            def neighbour(self, point, rng, width):
                return Space("s", self.dimensions).moved(point, rng, width)
            def evaluate(self, point, index, origin):
                return Sample(index, "exact", origin, dict(point), dict(point), 100 + 30 * (point["x"] > .6), 100, 100)
            def describe(self, feature):
                return feature, ""
        """))
    assert found["regions"][0]["predicates"][0]["feature"] == "x"
    assert found["subject"]["name"] == "Mine"


@pytest.mark.parametrize(("text", "said"), [
    ("Mine = 3", "it lacks"),
    ("class Mine: pass", "it lacks"),
    ("class Mine(Case):\n    def heuristic(self, point): return 1", "abstract"),
    ("class Mine(Case):\n    def heuristic(self, point): return 1\n    def benchmark(self, point): return 1",
     "at least one Dimension"),
    (plane("return 1").replace("0, 1)", "1, 0)"), "low <= high"),
    (plane("return 1").replace("'y'", "'x'"), "each name once"),
    (plane("return nan"), "a finite number at x ="),
    (plane("return 'a lot'"), "a finite number at x ="),
    (plane("return 1 / 0"), "ZeroDivisionError"),
    (plane("return point['z']"), "KeyError"),
    (plane("import random; return random.random()"), "the same answer for the same input"),
    (plane("return 1", "threshold = nan"), "threshold"),
    (plane("return 1", "resolution = 0"), "resolution"),
    ("import nosuchmodule", "nosuchmodule"),
    ("Mein = 1", "Mine"),
    ("class Mine(Case", "SyntaxError"),
], ids=range(16))
def test_mistakes_are_one_line(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in refused(capsys, tmp_path, written(tmp_path, text))


def test_an_error_names_the_line_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, tmp_path, written(tmp_path, plane("return 1 / 0")))
    assert "mine.py" in line and "line 8" in line


def test_an_interval_upside_down_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = plane("return 3").replace("return 1\n", "return (2, 1)\n")
    assert "low <= high" in refused(capsys, tmp_path, written(tmp_path, text))
