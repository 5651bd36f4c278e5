import pytest
from tests.compare.factory import (
    FLEXIBLE,
    STRICT,
    StudyOnDisk,
    make_eval,
    make_provenance,
    make_samples,
    make_scores,
    make_train,
    standard_study,
)

from bakeoff.base.errors import UserError
from bakeoff.compare.losses import loss_rows, smoothed
from bakeoff.compare.names import name_runs
from bakeoff.compare.pairs import trained_pairs
from bakeoff.compare.seeds import num_seeds, seed_groups
from bakeoff.compare.stats import paired_difference
from bakeoff.compare.tables import (
    format_shares,
    load_all_samples,
    num_tests,
    study_rows,
)
from bakeoff.schema.figures import headline, peak_memory
from bakeoff.schema.record import LossPoint, Measurement


def _rows(study):
    return study_rows(study.records, load_all_samples(study.records, study.runs_dir))


def test_a_row_for_each_model_and_filter_the_base_model_first(tmp_path):
    study = standard_study(tmp_path)
    rows = _rows(study)
    assert [(row.name, row.filter) for row in rows] == [
        ("base model", STRICT),
        ("base model", FLEXIBLE),
        ("LoRA", STRICT),
        ("LoRA", FLEXIBLE),
        ("full fine-tuning", STRICT),
        ("full fine-tuning", FLEXIBLE),
    ]
    base, lora = rows[0], rows[2]
    assert (base.difference, base.train_seconds, base.p_adjusted) == (None, None, None)
    assert lora.difference.difference == pytest.approx(lora.accuracy - base.accuracy)
    assert lora.baseline_run_id == "eval-base-d-0shot"
    assert (lora.train_seconds, lora.tokens_per_second) == (98.2, 725.4)
    assert (lora.peak_bytes, lora.peak_counter) == (1_540_000_000, "host, PSS")
    assert lora.num_trained_parameters == 4_884_480
    assert lora.accuracy_interval.method == "wilson"


def test_holm_corrects_the_headline_and_the_other_filters_apart(tmp_path):
    rows = _rows(standard_study(tmp_path))
    assert (num_tests(rows, is_headline=True), num_tests(rows, is_headline=False)) == (2, 2)
    tested = [row for row in rows if row.is_headline and row.difference]
    low, high = sorted(tested, key=lambda row: row.difference.p_value)
    assert low.p_adjusted == pytest.approx(2 * low.difference.p_value)
    assert high.p_adjusted == pytest.approx(max(high.difference.p_value, low.p_adjusted))


def test_strict_match_is_the_headline_and_the_first_score_elsewhere():
    scores = make_scores(make_samples([True]))
    assert headline(scores[::-1]).filter == STRICT
    plain = [
        score.model_copy(update={"filter": "none", "metric": m})
        for score, m in zip(scores, ("acc", "acc_norm"), strict=True)
    ]
    assert headline(plain).metric == "acc"


def test_the_part_of_a_gain_that_is_form_only(tmp_path):
    study = StudyOnDisk(tmp_path)
    # Of ten: base 1 right in form, 4 by content; LoRA 8 right both ways.
    base = make_samples([True] + [False] * 9, flexible=[True] * 4 + [False] * 6)
    study.add(make_eval("base", base), base)
    training = study.add(make_train("t"))
    tuned = make_samples([True] * 8 + [False] * 2)
    study.add(make_eval("tuned", tuned, parent=training), tuned)
    (share,) = format_shares(_rows(study))
    assert (share.strict_gain, share.flexible_gain) == pytest.approx((0.7, 0.4))
    assert share.text == (
        "LoRA gains +70.0 points when the answer must have the expected form, +40.0 when any last "
        "number counts: 30.0 points of the gain are form only, at most 40.0 are better answers."
    )


def test_without_a_base_evaluation_rows_say_why_there_is_no_difference(tmp_path):
    study = StudyOnDisk(tmp_path)
    training = study.add(make_train("t"))
    study.add_model("e", 0.4, parent=training)
    (row, _) = _rows(study)
    assert row.difference is None
    assert row.notes == ("The base model was not evaluated on this task in this way.",)


def test_a_model_is_held_against_its_own_base_and_few_shot_count(tmp_path):
    study = StudyOnDisk(tmp_path)
    study.add_model("base0", 0.1)
    study.add_model("base5", 0.2, num_fewshot=5)
    other = make_samples([False] * 120)
    elsewhere = make_provenance(model_source="Qwen/Qwen2.5-1.5B", model_digest="1f3870be")
    study.add(make_eval("qwen", other, provenance=elsewhere), other)
    training = study.add(make_train("t"))
    study.add_model("e5", 0.4, parent=training, num_fewshot=5)
    rows = {(row.run_id, row.filter): row for row in _rows(study)}
    assert rows["e5", STRICT].baseline_run_id == "base5"
    assert rows["qwen", STRICT].name == "base model Qwen/Qwen2.5-1.5B"


def _model(study, name, share, *, parent=None, provenance=None, **effective):
    """An evaluation with settings or a model of its own."""
    samples = make_samples([i < 120 * share for i in range(120)])
    record = make_eval(name, samples, parent=parent, provenance=provenance or make_provenance())
    changed = {**record.effective, **effective}
    return study.add(record.model_copy(update={"effective": changed}), samples)


def test_two_revisions_of_one_model_are_held_each_against_its_own_base(tmp_path):
    study = StudyOnDisk(tmp_path)
    old, new = (
        make_provenance(model_source="Qwen/Q", model_revision=name, model_digest=name * 40)
        for name in "ab"
    )
    for found, share in ((old, 0.1), (new, 0.2)):
        name = found.model_revision
        _model(study, f"base-{name}", share, provenance=found)
        training = study.add(make_train(f"t-{name}", provenance=found))
        _model(study, f"tuned-{name}", 0.4, parent=training, provenance=found)
    rows = {row.run_id: row for row in _rows(study)}
    assert rows["tuned-a"].baseline_run_id == "base-a"
    assert rows["tuned-b"].baseline_run_id == "base-b"
    assert rows["base-a"].name == "base model revision a"
    assert rows["base-b"].name == "base model revision b"


def test_a_copy_of_a_model_elsewhere_is_the_same_base(tmp_path):
    study = StudyOnDisk(tmp_path)
    _model(study, "base", 0.1)
    copied = make_provenance(model_source="/mnt/copy")
    training = study.add(make_train("t", provenance=copied))
    _model(study, "tuned", 0.4, parent=training, provenance=copied)
    rows = {row.run_id: row for row in _rows(study)}
    assert rows["tuned"].baseline_run_id == "base"
    assert rows["base"].name == "base model"


def test_without_a_digest_the_source_tells_which_base_it_is(tmp_path):
    study = StudyOnDisk(tmp_path)
    _model(study, "other", 0.2, provenance=make_provenance(model_source="o", model_digest="0"))
    _model(study, "base", 0.1, provenance=make_provenance(model_digest=None))
    _model(study, "tuned", 0.4, parent=study.add(make_train("t")))
    assert {row.run_id: row for row in _rows(study)}["tuned"].baseline_run_id == "base"


def test_a_folder_whose_model_was_changed_is_two_models():
    bases = [
        make_eval(name, make_samples([True]), provenance=make_provenance(model_digest=name * 64))
        for name in "ab"
    ]
    assert list(name_runs(bases).values()) == [
        "base model digest aaaaaaaa",
        "base model digest bbbbbbbb",
    ]


def test_evaluations_of_one_model_are_told_apart_by_the_setting_that_differs(tmp_path):
    study = StudyOnDisk(tmp_path)
    training = study.add(make_train("t"))
    for limit in (4, 5):
        _model(study, f"base-{limit}", 0.1, max_new_tokens=limit)
        _model(study, f"tuned-{limit}", 0.4, parent=training, max_new_tokens=limit)
    study.add_model("base-5shot", 0.1, num_fewshot=5)
    rows = [row for row in _rows(study) if row.is_headline]
    assert [(row.name, row.baseline_run_id) for row in rows] == [
        ("base model, max_new_tokens 4", None),
        ("base model, max_new_tokens 5", None),
        ("base model", None),
        ("LoRA, max_new_tokens 4", "base-4"),
        ("LoRA, max_new_tokens 5", "base-5"),
    ]
    assert name_runs(study.records)["t"] == "LoRA"


def test_of_two_base_evaluations_the_one_with_the_same_batch_size_answers(tmp_path):
    study = StudyOnDisk(tmp_path)
    training = study.add(make_train("t"))
    for size in (1, 8):
        _model(study, f"base-{size}", 0.1, batch_size=size)
        _model(study, f"tuned-{size}", 0.4, parent=training, batch_size=size)
    rows = {row.run_id: row for row in _rows(study)}
    assert rows["tuned-1"].baseline_run_id == "base-1"
    assert rows["tuned-8"].baseline_run_id == "base-8"
    assert rows["tuned-8"].name == "LoRA, batch_size 8"


def test_names_of_evaluations_hold_as_few_settings_as_tell_them_apart():
    effective = [
        {"limit": 8, "precision": "bf16", "batch_size": 1},
        {"limit": None, "precision": "bf16", "batch_size": 2},
        # Of a run that did not finish, what was asked is all there is.
        {"asked": {"limit": 8, "precision": "fp32", "batch_size": 3}},
    ]
    evals = [
        make_eval(f"e{i}", make_samples([True]), scores=(), effective=e)
        for i, e in enumerate(effective)
    ]
    assert list(name_runs(evals).values()) == [
        "base model, precision bf16, limit 8",
        "base model, precision bf16, no limit",
        "base model, precision fp32, limit 8",
    ]


def test_evaluations_that_no_setting_tells_apart_are_named_by_their_ids():
    evals = [make_eval(f"eval-base-{name * 6}", make_samples([True])) for name in "ab"]
    assert list(name_runs(evals).values()) == ["base model (aaaaaa)", "base model (bbbbbb)"]


def test_a_base_with_other_items_is_no_baseline(tmp_path):
    study = StudyOnDisk(tmp_path)
    few = make_samples([True] * 50)
    study.add(make_eval("base", few), few)
    training = study.add(make_train("t"))
    study.add_model("e", 0.4, parent=training)
    row = next(row for row in _rows(study) if not row.is_base)
    assert row.difference is None
    assert "50 in common" in row.notes[0]


def test_failed_runs_make_no_rows(tmp_path):
    study = StudyOnDisk(tmp_path)
    study.add(make_train("t", status="failed", error="died", measurement=None))
    assert _rows(study) == []


def test_missing_answers_are_a_clear_mistake(tmp_path):
    study = standard_study(tmp_path)
    (tmp_path / "eval-lora-d-0shot" / "samples.jsonl").unlink()
    with pytest.raises(UserError, match=r"run eval-lora-d-0shot has no samples\.jsonl"):
        _rows(study)


def test_names_hold_what_varies_and_nothing_else():
    lora, full = make_train("a"), make_train("b", method="full")
    assert name_runs([lora, full]) == {"a": "LoRA", "b": "full fine-tuning"}
    seeds = [make_train(f"s{seed}", seed=seed) for seed in (0, 1)]
    assert list(name_runs(seeds).values()) == ["LoRA, seed 0", "LoRA, seed 1"]
    swift = make_train("c")
    swift = swift.model_copy(
        update={"cell": {**swift.cell, "backend": "swift", "train.learning_rate": 0.001}}
    )
    assert name_runs([lora, swift])["c"] == "LoRA, ms-swift, learning_rate 0.001"


def test_equal_cells_of_two_trainings_are_told_apart():
    names = name_runs([make_train("train-aaaaaa"), make_train("train-bbbbbb")])
    assert names == {"train-aaaaaa": "LoRA (aaaaaa)", "train-bbbbbb": "LoRA (bbbbbb)"}


def test_seeds_are_grouped_with_their_spread(tmp_path):
    study = StudyOnDisk(tmp_path)
    study.add_model("base", 0.1)
    for seed, share in enumerate((0.3, 0.4, 0.5)):
        training = study.add(make_train(f"t{seed}", seed=seed))
        study.add_model(f"e{seed}", share, parent=training)
    rows, samples = _rows(study), load_all_samples(study.records, study.runs_dir)
    (group,) = seed_groups(rows, samples)
    accuracies = [row.accuracy for row in rows if row.is_headline and not row.is_base]
    assert (group.name, group.seeds) == ("LoRA", (0, 1, 2))
    assert group.mean_accuracy == pytest.approx(sum(accuracies) / 3)
    assert group.spread > 0.05
    assert group.interval.method == "hierarchical"
    assert group.interval.low < group.mean_difference < group.interval.high
    assert num_seeds(rows, rows[2]) == 3


def test_one_seed_makes_no_group(tmp_path):
    study = standard_study(tmp_path)
    assert seed_groups(_rows(study), load_all_samples(study.records, study.runs_dir)) == []


def test_trained_models_are_held_against_each_other(tmp_path):
    study = standard_study(tmp_path)
    samples = load_all_samples(study.records, study.runs_dir)
    (pair,) = trained_pairs(study.records, samples)
    assert (pair.name, pair.other_name) == ("LoRA", "full fine-tuning")
    lora, full = (
        [s.correct[f"exact_match,{STRICT}"] for s in samples[f"eval-{method}-d-0shot"]]
        for method in ("lora", "full")
    )
    assert pair.difference == paired_difference(lora, full)


def test_peak_memory_is_the_devices_where_it_has_some():
    host = {"wall_seconds": 1.0, "peak_host_bytes": 5, "host_memory_counter": "rss"}
    assert peak_memory(Measurement(**host)) == (5, "host, RSS")
    assert peak_memory(Measurement(**host, peak_device_reserved_bytes=7)) == (7, "device, reserved")
    assert peak_memory(Measurement(**host, peak_device_process_bytes=0))[0] == 5
    assert peak_memory(None) == (None, None)


def test_loss_curves_keep_their_ends_and_leave_out_what_was_not_a_number():
    record = make_train("t", num_steps=4)
    losses = (LossPoint(step=5, loss=None), *record.losses)
    rows = loss_rows([record.model_copy(update={"losses": losses})])
    assert [row.step for row in rows if row.split == "train"] == [1, 2, 3, 4]
    assert [row.step for row in rows if row.split == "validation"] == [0, 1, 2, 3, 4]
    assert all(row.smoothed is None for row in rows if row.split == "validation")


def test_long_loss_curves_are_thinned_without_moving_their_mean():
    rows = [row for row in loss_rows([make_train("t", num_steps=1500)]) if row.split == "train"]
    assert len(rows) == 300
    assert rows[0].step == 3


def test_smoothing_does_not_lag():
    line = [float(i) for i in range(100)]
    assert smoothed(line) == pytest.approx(line)
