"""Passes side by side give what passes one after the other give."""

import json

import pytest
import torch
from tests.worker import training
from tests.worker.test_train_packing import PACKED, make_rows, plain_loss, save_model

from bakeoff.worker import lanes, train
from bakeoff.worker.lanes import Lanes, share_out
from bakeoff.worker.modelling import load_trainee
from bakeoff.worker.settings import read_job

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)


def load(folder, rows, **settings):
    raw = training.job(folder, folder, **settings)
    return load_trainee(read_job(raw), rows, pad_token=0, device=torch.device("cpu"))


def test_every_lane_gets_about_as_many_tokens_and_no_pass_too_many_rows():
    rows = make_rows()
    shares = share_out(rows, 2, 2)
    lengths = [[[len(row.token_ids) for row in part] for part in share] for share in shares]
    assert lengths == [[[14], [2]], [[11], [9]]]
    assert share_out(rows[:1], 2, 8) == [[rows[:1]]]


def test_two_lanes_give_the_loss_and_gradients_of_a_padded_batch(tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows, method="full")
    expected_loss, expected = plain_loss(folder, rows)
    trainee.model.train()
    num_targets = sum(row.num_targets for row in rows)
    batches = [[trainee.make_batch(part) for part in share] for share in share_out(rows, 2, 2)]
    two = Lanes(2)
    results = []
    for _ in range(3):
        loss = two.backward(
            batches,
            list(trainee.trained.values()),
            lambda batch: trainee.cross_entropy(batch, num_targets),
        )
        results.append([loss, *(p.grad.clone() for p in trainee.trained.values())])
        trainee.model.zero_grad()
    two.close()
    assert float(loss) == pytest.approx(expected_loss, rel=1e-5)
    for (name, wanted), gradient in zip(expected.items(), results[0][1:], strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-4, msg=name)
    for again in results[1:]:  # whoever is first
        assert all(torch.equal(a, b) for a, b in zip(results[0], again, strict=True))


@pytest.mark.parametrize(
    ("settings", "num_lanes"),
    [
        ({}, 2),
        ({"batch_size": 1}, 1),
        ({"method": "full"}, 2),
        ({"memory": "lean"}, 1),
        ({"lora_dropout": 0.1}, 1),
        ({"trust_remote_code": True}, 1),
        ({"precision": "bf16-mixed"}, 1),
    ],
    ids=str,
)
def test_rows_wait_for_each_other_where_side_by_side_would_change_something(
    settings, num_lanes, tmp_path
):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    assert load(folder, rows, **settings).num_lanes == num_lanes


def test_whole_weights_that_autograd_adds_up_are_trained_in_one_lane(tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "gpt2", PACKED["gpt2"])
    trainee = load(folder, rows, method="full")
    assert trainee.packing is not None
    assert trainee.num_lanes == 1


def test_a_mistake_in_a_lane_ends_the_step():
    two = Lanes(2)
    with pytest.raises(ZeroDivisionError):
        two.backward([[None], [None]], [], lambda _: 1 / 0)
    two.close()


def test_more_cores_do_not_mean_more_lanes_than_are_of_use(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    assert load(folder, rows, batch_size=32).num_lanes == lanes.MAX_LANES
    assert load(folder, rows, batch_size=32, method="full").num_lanes == 2


def test_lanes_are_as_long_as_each_other_where_the_largest_first_would_not_do():
    shares = lanes.spread_out([8, 7, 6, 5, 4], 2, lambda size: size)
    assert sorted(map(sorted, shares)) == [[4, 5, 6], [7, 8]]


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_training_in_lanes_is_repeated_bit_by_bit(method, tiny_model, tmp_path):
    data = training.write_data(tmp_path / "data")
    curves = []
    for name in ("a", "b"):
        run = tmp_path / name
        run.mkdir()
        train.main(training.job(tiny_model, data, method=method, max_steps=4), run)
        assert json.loads((run / "result.json").read_text())["effective"]["num_lanes"] == 2
        curves.append(training.losses(run))
    assert curves[0] == curves[1]
