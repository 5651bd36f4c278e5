import io

import pytest
from rich.console import Console
from tests.compare.factory import standard_study

from bakeoff.compare.runs import compare_runs
from bakeoff.compare.tables import load_all_samples, study_rows
from bakeoff.report.terminal import comparison_panel, results_table


def _printed(renderable, width, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    console.print(renderable)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return standard_study(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def rows(study):
    return study_rows(study.records, load_all_samples(study.records, study.runs_dir))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_everything_that_was_asked_for_fits(rows, width):
    text = _printed(results_table(rows), width)
    assert max(map(len, text.splitlines())) <= width
    for wanted in (
        "43.3 ± 4.5 %",
        "+41.7",
        "32.5 to 50.8",
        "< 0.001",
        "1 min 38 s",
        "725",
        "1.43 GiB",
    ):
        assert wanted in text
    assert "…" not in text


def test_a_very_narrow_terminal_keeps_model_and_accuracy(rows):
    text = _printed(results_table(rows), 36)
    assert max(map(len, text.splitlines())) <= 36
    assert "43.3 ± 4.5 %" in text
    assert "1.43 GiB" not in text


def test_without_colour_there_is_not_one_escape(rows, study):
    evals = [record for record in study.records if record.kind == "eval"]
    comparison = compare_runs(evals, runs_dir=study.runs_dir)
    for renderable in (results_table(rows), comparison_panel(comparison)):
        options = {"force_terminal": True, "no_color": True, "color_system": None}
        assert "\x1b" not in _printed(renderable, 100, **options)


@pytest.mark.parametrize("width", [80, 100])
def test_a_comparison_tells_verdicts_counts_and_the_family(study, width):
    evals = [record for record in study.records if record.kind == "eval"]
    text = _printed(comparison_panel(compare_runs(evals, runs_dir=study.runs_dir)), width)
    assert max(map(len, text.splitlines())) <= width
    words = " ".join(text.replace("│", " ").split())
    assert "LoRA answers 43.3 % of 120 questions right" in words
    assert "corrected for 2 tests" in words
    assert "flexible-extract" in words
