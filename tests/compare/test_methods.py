"""Methods over all of their seeds, not single checkpoints."""

import numpy as np
import pytest
from tests.compare.factory import StudyOnDisk, make_eval, make_samples, make_train

from bakeoff.compare.runs import compare_runs
from bakeoff.compare.stats import hierarchical_interval


def _study(tmp_path, *, seeds=3, spread=0.02, gain=0.15, num_items=300):
    study = StudyOnDisk(tmp_path)
    rng = np.random.default_rng(0)
    hardness = rng.random(num_items)
    for method, share in (("lora", 0.5), ("full", 0.5 + gain)):
        for seed in range(seeds):
            cell = {"backend": "builtin", "method": method, "seed": seed}
            training = study.add(make_train(f"train-{method}-{seed}", method=method, cell=cell))
            noise = rng.normal(0, 0.05, num_items)
            right = hardness + noise < share + rng.normal(0, spread)
            samples = make_samples(right.tolist())
            study.add(make_eval(f"eval-{method}-{seed}", samples, parent=training), samples)
    return study


def _find(study, name):
    return next(record for record in study.records if record.run_id == name)


def _compare(study, *names):
    records = [_find(study, name) for name in names]
    return compare_runs(records, runs_dir=study.runs_dir, known=study.records)


def test_two_methods_with_several_seeds_are_held_together_over_all_of_them(tmp_path):
    study = _study(tmp_path)
    found = _compare(study, "eval-lora-1", "eval-full-0")
    (over,) = found.across_seeds
    assert (over.seeds, over.baseline_seeds) == ((0, 1, 2), (1, 0, 2))
    accuracies = {r.run_id: r.scores[0].value for r in study.records if r.kind == "eval"}
    means = [
        np.mean([accuracies[f"eval-{method}-{seed}"] for seed in range(3)])
        for method in ("full", "lora")
    ]
    assert over.mean_difference == pytest.approx(means[0] - means[1])
    assert over.interval.method == "hierarchical"
    assert over.interval.low > 0
    assert "Over 3 seeds of full fine-tuning and 3 seeds of LoRA" in over.verdict
    assert over.verdict.endswith("the method is better, not only this checkpoint.")
    assert "this is one of 3 seeds" in found.compared[0].verdict


def test_one_seed_is_two_checkpoints_and_says_so(tmp_path):
    found = _compare(_study(tmp_path, seeds=1), "eval-lora-0", "eval-full-0")
    assert found.across_seeds == ()
    assert "with one seed this compares two checkpoints, not two methods" in (
        found.compared[0].verdict
    )


def test_seeds_that_differ_more_than_the_methods_leave_it_open(tmp_path):
    found = _compare(_study(tmp_path, spread=0.25, gain=0.02), "eval-lora-0", "eval-full-0")
    (over,) = found.across_seeds
    assert over.interval.low < 0 < over.interval.high
    assert over.verdict.endswith("which may be chance.")


def test_the_hierarchical_interval_of_two_methods_has_the_width_that_theory_says():
    rng = np.random.default_rng(5)
    seeds, items = 12, 400
    ours = rng.normal(0, 0.3, (seeds, 1)) + rng.normal(0, 1, (1, items))
    theirs = rng.normal(0, 0.3, (seeds, 1)) + np.zeros((1, items))
    found = hierarchical_interval(ours.tolist(), theirs.tolist())
    per_seed = ours.mean(1).var() / seeds + theirs.mean(1).var() / seeds
    per_item = (ours.mean(0) - theirs.mean(0)).var() / items
    expected = 2 * 1.96 * np.sqrt(per_seed + per_item)
    assert found.high - found.low == pytest.approx(expected, rel=0.05)
