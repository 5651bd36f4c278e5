"""Which rows a step takes, and how they become tensors."""

import hashlib
from itertools import chain

import pytest
import torch

from bakeoff.worker.batches import Order, check_supervision, digest_order, micro_batches, pack, pad
from bakeoff.worker.failures import JobError
from bakeoff.worker.rows import IGNORED, Row

END = 2
ROWS = [Row("a", [5, 6, END], [IGNORED, 6, END]), Row("b", [7, END], [IGNORED, END])]


def test_packed_rows_follow_each_other_and_positions_start_anew():
    batch = pack(ROWS)
    assert batch.token_ids.tolist() == [[5, 6, END, 7, END]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 0, 1]]
    assert batch.attention_mask is None
    assert batch.kept_columns.tolist() == [0, 1, 3]
    assert batch.targets.tolist() == [6, END, END]


def shared_rows(*labels):
    start = list(range(10, 20))
    return [Row(str(n), [*start, n, END], [*own, n, END]) for n, own in enumerate(labels, 3)]


def test_what_all_rows_begin_with_may_stand_once_at_the_start_of_the_line():
    rows = shared_rows([IGNORED] * 10, [IGNORED] * 10)
    batch = pack(rows, share=True)
    # The tenth token predicts the first label, another in each row.
    assert batch.layout.num_shared == 9
    assert batch.token_ids.tolist() == [[*range(10, 20), 3, END, 19, 4, END]]
    assert batch.position_ids.tolist() == [[*range(12), 9, 10, 11]]
    assert batch.kept_columns.tolist() == [9, 10, 12, 13]
    assert batch.targets.tolist() == [3, END, 4, END]
    assert batch.rows() == ([row.token_ids for row in rows], [row.labels for row in rows])
    check_supervision(batch, END)


def test_tokens_that_are_learned_or_few_stand_in_every_row():
    learned = [IGNORED, *range(11, 20)]
    for rows in (
        shared_rows([IGNORED] * 10, learned),
        shared_rows([IGNORED] * 10),
        [Row("a", [5, 6, 7, END], [IGNORED] * 3 + [END])] * 2,
    ):
        assert pack(rows, share=True).layout.num_shared == 0


def test_padded_rows_have_a_line_each():
    batch = pad(ROWS, pad_token=0)
    assert batch.token_ids.tolist() == [[5, 6, END], [7, END, 0]]
    assert batch.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.target_lines.tolist() == [0, 0, 1]
    assert batch.kept_columns[batch.target_places].tolist() == [0, 1, 0]
    assert batch.targets.tolist() == [6, END, END]


def test_every_epoch_takes_each_row_once_and_keeps_the_smaller_last_step():
    order = Order(num_rows=10, rows_per_step=4, seed=0)
    steps = list(order.steps(0, 6))
    assert [len(step) for step in steps] == [4, 4, 2, 4, 4, 2]
    first, second = (list(chain(*part)) for part in (steps[:3], steps[3:]))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second


def test_the_order_depends_on_the_seed_and_can_be_entered_anywhere():
    order = Order(num_rows=10, rows_per_step=4, seed=0)
    assert list(order.steps(4, 6)) == list(order.steps(0, 6))[4:]
    assert list(order.steps(0, 3)) != list(Order(10, 4, seed=1).steps(0, 3))


@pytest.mark.parametrize(
    ("num_epochs", "max_steps", "expected"),
    [(1.0, None, 3), (2.0, None, 6), (0.5, None, 2), (0.01, None, 1), (1.0, 2, 2), (1.0, 5, 5)],
)
def test_steps_of_fractional_epochs_are_rounded_up(num_epochs, max_steps, expected):
    order = Order(num_rows=10, rows_per_step=4, seed=0)
    assert order.count_steps(num_epochs, max_steps) == expected


def test_the_digest_is_that_of_tokens_and_labels_in_the_order_of_training():
    order = Order(num_rows=2, rows_per_step=1, seed=0)
    indices = [index for step in order.steps(0, 3) for index in step]
    expected = hashlib.sha256()
    for index in indices:
        for numbers in (ROWS[index].token_ids, ROWS[index].labels):
            for number in numbers:
                expected.update(number.to_bytes(8, "little", signed=True))
    assert digest_order(ROWS, order, num_steps=3) == expected.hexdigest()


def test_portions_keep_the_order_unless_they_are_to_be_alike_in_length():
    rows = [Row(str(length), [0] * length, [0] * length) for length in (3, 1, 4, 2)]

    def lengths(*, by_length):
        portions = micro_batches(rows, 3, by_length=by_length)
        return [[len(row.token_ids) for row in portion] for portion in portions]

    assert lengths(by_length=False) == [[3, 1, 4], [2]]
    assert lengths(by_length=True) == [[1, 2, 3], [4]]


@pytest.mark.parametrize("make", [pack, lambda rows: pad(rows, pad_token=0)])
def test_a_batch_whose_row_does_not_end_with_a_learned_end_token_is_refused(make):
    check_supervision(make(ROWS), END)
    unlearned = Row("c", [5, 6, END], [IGNORED, 6, IGNORED])
    other_end = Row("d", [5, 6, 7], [IGNORED, 6, 7])
    for bad in (unlearned, other_end):
        with pytest.raises(JobError, match="Row 1 of the first batch"):
            check_supervision(make([ROWS[0], bad, ROWS[1]]), END)


def test_tensors_of_a_batch_move_together():
    batch = pack(ROWS).to(torch.device("meta"))
    assert batch.token_ids.device.type == batch.targets.device.type == "meta"
    assert batch.attention_mask is None
