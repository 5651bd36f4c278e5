import io
import re

import pytest
from rich.console import Console
from tests.compare.frameworks_study import frameworks_study, make_training

from bakeoff.compare.frameworks import side_by_side
from bakeoff.compare.tables import load_all_samples
from bakeoff.report.document import write_report
from bakeoff.report.framework_words import same_work, summary
from bakeoff.report.frameworks import frameworks_parts
from bakeoff.report.terminal import frameworks_lines


def _sides(study):
    return side_by_side(study.records, load_all_samples(study.records, study.runs_dir))


def _lines(part):
    return {row[0].text: [cell.text for cell in row[1:]] for row in part.table.rows}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return frameworks_study(tmp_path_factory.mktemp("runs"))


def test_a_column_a_trainer_with_its_costs_scores_and_versions(study):
    (part,) = frameworks_parts(_sides(study))
    headers = [column.header for column in part.table.columns]
    assert headers == ["", "built-in trainer", "LLaMA-Factory", "ms-swift"]
    lines = _lines(part)
    assert lines["Training"] == ["1 min 38 s", "2 min 27 s, × 1.50", "2 min 03 s, × 1.25"]  # noqa: RUF001
    assert lines["Peak memory (host, PSS)"][1] == "2.10 GiB, × 1.50"  # noqa: RUF001
    assert lines["Token ids and labels"] == ["reference", "the same", "the same"]
    assert lines["Version"] == ["bakeoff 0.1.0", "0.9.5", "4.6.0"]
    assert lines["transformers"] == ["5.23.0", "5.6.0", "5.10.0"]
    assert "peft" not in lines
    assert len(lines["Accuracy, difference in points"]) == 3
    settings = [[cell.text for cell in row] for row in part.settings.rows]
    assert settings == [["attention", "builtin", "llamafactory", "swift"]]


def test_a_ratio_of_single_runs_says_that_its_spread_is_not_known(study):
    (side,) = _sides(study)
    work, costs, accuracy = summary(side)
    assert work == "All three trained on the same token ids and labels, in the same order."
    assert costs == (
        "In multiples of the built-in trainer's, training time: LLaMA-Factory 1.50, ms-swift 1.25; "
        "peak memory: LLaMA-Factory 1.50, ms-swift 1.25 (one run each, so how far a repetition "
        "would differ is not known)."
    )
    assert re.match(r"Accuracy, in points to the built-in trainer: LLaMA-Factory .*p = ", accuracy)


def test_with_several_seeds_ratios_have_a_range_and_figures_a_deviation(tmp_path):
    (side,) = sides = _sides(frameworks_study(tmp_path, seeds=(0, 1, 2)))
    assert "ms-swift 1.38 (1.25 to 1.50)" in summary(side)[1]
    assert "median of 3 pairs of runs with the same seed" in summary(side)[1]
    lines = _lines(frameworks_parts(sides)[0])
    assert lines["Training"][2] == "2 min 15 s ± 12 s, × 1.38 (1.25 to 1.50)"  # noqa: RUF001
    assert ", SD " in lines["Accuracy"][0]
    assert (
        "right on average over 3 seeds, the model from the built-in trainer"
        in frameworks_parts(sides)[0].sentences[-1]
    )


def test_other_batches_are_said_before_anything_else():
    other = make_training("swift", effective={"batch_digest": "another"})
    (side,) = side_by_side([make_training("builtin"), other], {})
    assert same_work(side) == (
        "ms-swift did not train on the token ids and labels of the built-in trainer: what follows "
        "compares different work."
    )
    assert _lines(frameworks_parts([side])[0])["Token ids and labels"] == ["reference", "others"]


def test_a_trainer_that_ran_out_of_memory_keeps_its_column():
    died = make_training("swift", status="out_of_memory", measurement=None, losses=())
    (part,) = frameworks_parts(side_by_side([make_training("builtin"), died], {}))
    assert _lines(part)["Outcome"] == ["finished", "out of memory"]
    assert _lines(part)["Training"] == ["1 min 38 s", "–"]  # noqa: RUF001
    assert part.sentences == []


@pytest.mark.parametrize("end", ["start", "end"])
def test_times_of_a_busy_machine_are_called_rough(end):
    busy = make_training("swift")
    measurement = busy.measurement.model_copy(update={"noise": {f"load_average_1m_at_{end}": 4.2}})
    busy = busy.model_copy(update={"measurement": measurement})
    (side,) = side_by_side([make_training("builtin"), busy], {})
    assert "(a load of 4.2), so these times are rough" in summary(side)[1]


def test_memory_read_in_two_places_is_not_divided():
    other = make_training("swift")
    measurement = other.measurement.model_copy(update={"host_memory_counter": "rss"})
    other = other.model_copy(update={"measurement": measurement})
    (side,) = sides = side_by_side([make_training("builtin"), other], {})
    assert "peak memory" not in summary(side)[1]
    assert _lines(frameworks_parts(sides)[0])["Peak memory"] == ["1.40 GiB", "1.75 GiB"]


def test_both_twins_of_the_report_and_the_terminal_show_the_section(study, tmp_path):
    paths = write_report("s", study.records, study.runs_dir, tmp_path)
    html = paths.html.read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")
    markdown = paths.markdown.read_text(encoding="utf-8")
    for text in (html, markdown):
        assert "Frameworks side by side" in text
        assert "All three trained on the same token ids and labels, in the same order." in text
        assert "LoRA, LLaMA-Factory" in text
    assert 'href="#frameworks"' in html
    console = Console(file=io.StringIO(), width=100)
    console.print(frameworks_lines(_sides(study)))
    assert "- In multiples of the built-in trainer's" in console.file.getvalue()


def test_several_cells_have_a_heading_each(tmp_path):
    study = frameworks_study(tmp_path / "runs", methods=("lora", "full"))
    paths = write_report("s", study.records, study.runs_dir, tmp_path / "out")
    markdown = paths.markdown.read_text(encoding="utf-8")
    section = markdown.split("## Frameworks side by side")[1].split("\n## ")[0]
    assert re.findall(r"^### (.*)$", section, re.MULTILINE) == ["LoRA", "Full fine-tuning"]
