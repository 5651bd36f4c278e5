"""Gradients that are added up in place are those that autograd would add up."""

import pytest
import torch
from tests.worker.test_train_packing import (
    PACKED,
    load,
    make_rows,
    make_rows_with_one_start,
    plain_loss,
    save_model,
)

from bakeoff.worker.gradient_sums import GradientSums, sum_of
from bakeoff.worker.loss import linear_cross_entropy
from bakeoff.worker.summing_layers import add_up_in_place

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def gradients_of_passes(trainee, passes):
    """Those of a step that takes several passes, as the loop does."""
    trainee.model.train()
    num_targets = sum(row.num_targets for rows in passes for row in rows)
    for rows in passes:
        with GradientSums(trainee.trained.values(), in_place=True).collecting():
            loss = trainee.cross_entropy(trainee.make_batch(rows), num_targets)
        loss.backward()
    return {name: value.grad for name, value in trainee.trained.items()}


@pytest.mark.parametrize("settings", [{}, {"memory": "lean"}], ids=str)
@pytest.mark.parametrize("kind", PACKED)
def test_two_passes_give_the_gradients_of_one_plain_batch(kind, settings, tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, kind, PACKED[kind])
    found = gradients_of_passes(load(folder, rows, **settings), [rows[:2], rows[2:]])
    _, expected = plain_loss(folder, rows)
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in expected.items():
        assert float((found[name] - gradient).abs().max()) < 1e-4 * scale, name


@pytest.mark.parametrize("tied", [False, True])
def test_an_embedding_gets_the_gradient_of_every_use_of_a_token_but_padding(tied, tmp_path):
    sizes = {**PACKED["llama"], "tie_word_embeddings": tied}
    folder = save_model(tmp_path, "llama", sizes)
    rows = make_rows_with_one_start()
    for row in rows:
        row.token_ids[1] = sizes["pad_token_id"]
    found = gradients_of_passes(load(folder, rows), [rows])
    _, expected = plain_loss(folder, rows)
    name = "model.embed_tokens.weight"
    assert (found[name][sizes["pad_token_id"]].abs().max() > 0) == tied
    torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-4)


def test_no_whole_gradient_is_made_where_there_is_a_sum(tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows)
    assert {"linear layers": 15, "embeddings": 1}.items() <= trainee.fused_parts.items()
    weights = [weight for weight in trainee.trained.values() if weight.dim() == 2]
    sums = GradientSums(weights, in_place=False)
    with sums.collecting():
        loss = trainee.cross_entropy(trainee.make_batch(rows), 8)
    assert torch.autograd.grad(loss, weights, allow_unused=True) == (None,) * len(weights)
    assert all(value is not None for value in sums.values(weights))


def test_layers_that_are_not_trained_and_embeddings_of_a_special_kind_stay_as_they_are():
    frozen = torch.nn.Linear(2, 2).requires_grad_(False)
    special = torch.nn.Embedding(4, 2, max_norm=1.0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), frozen, special)
    assert add_up_in_place(model) == ({"linear layers": 1, "embeddings": 0}, False)
    assert add_up_in_place(model[:2]) == ({"linear layers": 1, "embeddings": 0}, True)


def test_a_thread_that_collects_nothing_leaves_gradients_to_autograd():
    weight = torch.nn.Parameter(torch.ones(3, 2))
    with GradientSums([weight], in_place=True).collecting():
        assert sum_of(weight) is not None
        assert sum_of(torch.ones(3, 2)) is None
    assert sum_of(weight) is None


def test_a_loss_that_is_multiplied_afterwards_is_refused():
    weight = torch.nn.Parameter(torch.ones(3, 2))
    with GradientSums([weight], in_place=True).collecting():
        hidden = torch.ones(1, 2, requires_grad=True)
        loss = linear_cross_entropy(hidden, weight, None, torch.tensor([1]), 1)
    with pytest.raises(AssertionError, match="multiplied"):
        (2 * loss).backward()
