"""The worker's own copies of what a recipe holds."""

import dataclasses
from pathlib import Path

import pytest
import torch
import transformers
from tests.worker.training import job

from bakeoff.schema.recipe_train import LoraSpec, TrainSpec
from bakeoff.worker.optimizer import (
    build_optimizer,
    clip_gradients,
    moments_dtype,
    optimizer_name,
)
from bakeoff.worker.schedule import count_warmup_steps, rate_factor
from bakeoff.worker.settings import LoraSettings, TrainSettings, read_job

_BEFORE = "065e88a2064a428107a5e00954df7fff6f31c6675355713ff12f97aa75030736"
"""Of a usual job, as version 0.1.0 had it in November 2026."""


@pytest.mark.parametrize(("ours", "recipe"), [(TrainSettings, TrainSpec), (LoraSettings, LoraSpec)])
def test_the_worker_knows_every_setting_of_the_recipe(ours, recipe):
    told = {name for name, field in recipe.model_fields.items() if not field.exclude}
    assert {field.name for field in dataclasses.fields(ours)} == told


def test_a_key_that_the_worker_does_not_know_is_named():
    raw = job(Path("model"), Path("data"))
    raw["train"]["learning_rat"] = 1
    with pytest.raises(TypeError, match="learning_rat"):
        read_job(raw)


def test_equal_jobs_in_other_folders_have_equal_digests():
    here, there = read_job(job(Path("a"), Path("b"))), read_job(job(Path("c"), Path("d")))
    assert here.digest == there.digest
    assert here.digest != read_job(job(Path("a"), Path("b"), seed=1)).digest


def test_checkpoints_from_before_there_were_other_optimisers_are_used():
    raw = job(Path("a"), Path("b"))
    assert read_job(raw).digest == _BEFORE
    raw["train"]["optimizer"] = "adamw-8bit"
    assert read_job(raw).digest != _BEFORE


def test_checkpoints_are_used_by_a_job_that_saves_them_more_often():
    often, rarely = (read_job(job(Path("a"), Path("b"), save_every=n)) for n in (5, 50))
    assert often.digest == rarely.digest


@pytest.mark.parametrize("scheduler", ["cosine", "linear", "constant"])
@pytest.mark.parametrize(("num_steps", "warmup_ratio"), [(10, 0.25), (7, 0.0), (1, 0.03)])
def test_learning_rates_are_those_of_transformers(scheduler, num_steps, warmup_ratio):
    num_warmup_steps = count_warmup_steps(num_steps, warmup_ratio)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    name = "constant_with_warmup" if scheduler == "constant" else scheduler
    theirs = transformers.get_scheduler(name, optimizer, num_warmup_steps, num_steps)
    for step in range(num_steps):
        expected = theirs.get_last_lr()[0]
        ours = rate_factor(
            step, scheduler=scheduler, num_steps=num_steps, num_warmup_steps=num_warmup_steps
        )
        assert ours == pytest.approx(expected, abs=1e-12)
        optimizer.step()
        theirs.step()


def test_only_matrices_decay():
    matrix, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
    settings = read_job(job(Path("a"), Path("b"), weight_decay=0.5, learning_rate=0.1)).train
    optimizer = build_optimizer({"matrix": matrix, "bias": bias}, settings)
    for parameter in (matrix, bias):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert matrix.tolist() == [[pytest.approx(0.95)] * 2] * 2
    assert bias.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("max_norm", "expected"), [(1.0, [0.6, 0.8]), (10.0, [3.0, 4.0]), (0.0, [3.0, 4.0])]
)
def test_gradients_are_scaled_down_to_the_allowed_norm(max_norm, expected):
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    assert float(clip_gradients([parameter], max_norm)) == 5.0
    assert parameter.grad.tolist() == pytest.approx(expected, rel=1e-5)


def test_moments_are_in_8_bits_but_for_embeddings_and_small_tensors():
    settings = read_job(job(Path("a"), Path("b"), optimizer="adamw-8bit")).train
    sizes = {"embedding": 64, "matrix": 64, "small": 32}
    made = {name: torch.nn.Parameter(torch.ones(size, 64)) for name, size in sizes.items()}
    optimizer = build_optimizer(made, settings, embeddings=[made["embedding"]])
    for parameter in made.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    kinds = {name: optimizer.state[value]["state2"].dtype for name, value in made.items()}
    assert kinds == {"embedding": torch.float32, "matrix": torch.uint8, "small": torch.float32}
    assert optimizer_name(optimizer) == "bitsandbytes.optim.AdamW (8 bits)"
    assert moments_dtype(optimizer) == "float32"  # of most numbers here
