"""Rows as a framework is given them, and the check of what it makes of them."""

import json

import pytest
import torch
from torch import nn

from bakeoff.worker.batches import Order, digest_order
from bakeoff.worker.framework_checkpoints import FrameworkCheckpoints
from bakeoff.worker.framework_config import complete
from bakeoff.worker.framework_rows import FixedTexts, can_fill, sequence, write_messages
from bakeoff.worker.framework_seen import Seen
from bakeoff.worker.rows import IGNORED, Row, Rows


def rows_of(number: int) -> Rows:
    made = [
        Row(f"row-{i}", [1, 10 + i, 20 + i, 0], [IGNORED, 10 + i, 20 + i, 0]) for i in range(number)
    ]
    return Rows(made, num_dropped=0)


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([("ask", False), (" say", True)], ["<s>ask", " say</s>"]),
        (
            [("a", False), ("b", True), ("c", False), ("d", True)],
            ["<s>a", "b", "c", "d</s>"],
        ),
        ([("plain text", True)], ["<s>", "plain text</s>"]),
        ([("a", False), ("b", True), ("read only", False)], ["<s>a", "b", "read only", "</s>"]),
        ([("b", True), ("c", True)], ["<s>", "b", "", "c</s>"]),
        ([("<s>from a chat template", False), ("b", True)], ["<s>from a chat template", "b</s>"]),
    ],
)
def test_segments_become_turns_that_are_read_and_learned_in_turn(segments, expected, tmp_path):
    raw = {"id": "row-0", "segments": [{"text": text, "loss": loss} for text, loss in segments]}
    kept = sequence(rows_of(1), Order(1, 1, seed=0), 1, num_portions=1)
    fixed = FixedTexts("<s>", "</s>", known="<s>", filler=[])
    write_messages(tmp_path / "rows.jsonl", [raw], kept, fixed)
    (line,) = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    messages = json.loads(line)["messages"]
    assert [message["content"] for message in messages] == expected
    assert [message["role"] for message in messages] == ["user", "assistant"] * (len(expected) // 2)


@pytest.mark.parametrize(
    ("num_rows", "rows_per_step", "num_epochs"), [(12, 4, 3), (12, 5, 1), (12, 5, 2.5), (3, 8, 1)]
)
def test_the_order_is_that_of_the_built_in_trainer(num_rows, rows_per_step, num_epochs):
    rows = rows_of(num_rows)
    order = Order(num_rows, rows_per_step, seed=7)
    num_steps = order.count_steps(num_epochs, None)
    made = sequence(rows, order, num_steps, num_portions=1)
    steps = list(order.steps(0, num_steps))
    for number, indices in enumerate(steps, start=1):
        assert made.of_step(number) == [rows.rows[index] for index in indices]
    assert made.digest() == digest_order(rows.rows, order, num_steps)


def test_a_short_step_in_the_middle_is_filled_with_rows_that_teach_nothing(tmp_path):
    order = Order(3, 2, seed=7)
    made = sequence(rows_of(3), order, order.count_steps(2, None), num_portions=1)
    assert [index is None for index in made.indices] == [False] * 3 + [True] + [False] * 3
    raw = [{"id": f"row-{i}", "segments": [{"text": "x", "loss": True}]} for i in range(3)]
    filler = [{"role": "user", "content": "nothing"}]
    path = tmp_path / "rows.jsonl"
    write_messages(path, raw, made, FixedTexts("", "", known="", filler=filler))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["messages"] == filler for line in lines] == [
        index is None for index in made.indices
    ]


def test_every_forward_pass_of_a_short_step_gets_a_row_that_teaches():
    order = Order(11, 8, seed=7)
    made = sequence(rows_of(11), order, 4, num_portions=2)
    short = [index is None for index in made.indices[8:16]]
    assert short == [False, False, True, True, False, True, True, True]
    assert made.of_step(2) == [made.rows[index] for index in list(order.steps(0, 2))[1]]


def test_where_too_few_rows_are_left_epochs_run_into_each_other():
    order = Order(9, 8, seed=7)
    num_steps = order.count_steps(2, None)
    assert not can_fill(order, num_steps, num_portions=2)
    made = sequence(rows_of(9), order, num_steps, num_portions=2)
    assert [len(made.of_step(step)) for step in range(1, num_steps + 1)] == [8] * 4


class Model(nn.Module):
    def forward(self, **_):
        return None


def feed(seen: Seen, rows: list[Row], *, width: int, divisor: int | None = None) -> None:
    """One step in which a model is given these rows in one padded batch."""
    model = Model().train()
    seen.watch(model)
    pad = [row.token_ids + [9] * (width - len(row.token_ids)) for row in rows]
    labels = [row.labels + [IGNORED] * (width - len(row.labels)) for row in rows]
    mask = [[1] * len(row.token_ids) + [0] * (width - len(row.token_ids)) for row in rows]
    extra = {} if divisor is None else {"num_items_in_batch": torch.tensor(divisor)}
    model(
        input_ids=torch.tensor(pad),
        labels=torch.tensor(labels),
        attention_mask=torch.tensor(mask),
        **extra,
    )


def test_rows_as_prepared_are_counted_and_no_difference_is_seen():
    made = sequence(rows_of(4), Order(4, 2, seed=0), 2, num_portions=1)
    seen = Seen(made)
    feed(seen, made.of_step(1), width=8, divisor=6)
    counts = seen.end_step(1)
    assert (counts.num_tokens, counts.num_label_tokens, counts.divisor) == (8, 6, 6)
    assert seen.difference is None
    assert seen.digest() is None


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (lambda rows: rows[:1], "step 1 took 1 rows, not 2"),
        (lambda rows: rows[::-1], "has other token ids from token 1 on"),
        (
            lambda rows: [Row("", row.token_ids, [IGNORED] * 3 + [0]) for row in rows],
            "has other labels from token 1 on",
        ),
        (
            lambda rows: [Row("", [*row.token_ids, 0], [*row.labels, 0]) for row in rows],
            "has other token ids from token 4 on",
        ),
    ],
)
def test_a_row_that_is_not_as_prepared_is_named(change, difference):
    made = sequence(rows_of(4), Order(4, 2, seed=0), 2, num_portions=1)
    seen = Seen(made)
    feed(seen, change(made.of_step(1)), width=8)
    seen.end_step(1)
    assert difference in str(seen.difference)
    assert seen.digest() is not None


def test_labels_of_some_places_only_are_not_compared_place_by_place():
    """ms-swift's `use_logits_to_keep`: here just as many places are kept as the row has tokens."""
    rows = [Row(str(index), [index, 5, 6, 7], [IGNORED, IGNORED, 6, 7]) for index in range(2)]
    made = sequence(Rows(rows, num_dropped=0), Order(2, 2, seed=0), 1, num_portions=1)
    seen = Seen(made)
    model = Model().train()
    seen.watch(model)
    model(
        input_ids=torch.tensor([[*row.token_ids, 9, 9] for row in made.of_step(1)]),
        labels=torch.tensor([[IGNORED, 6, 7, IGNORED]] * 2),
        attention_mask=torch.tensor([[1, 1, 1, 1, 0, 0]] * 2),
    )
    assert seen.end_step(1).num_label_tokens == 4
    assert seen.difference is None


def test_what_a_model_is_given_while_it_is_evaluated_is_not_counted():
    seen = Seen(sequence(rows_of(2), Order(2, 2, seed=0), 1, num_portions=1))
    model = Model().eval()
    seen.watch(model)
    model(input_ids=torch.ones(1, 3), labels=torch.ones(1, 3))
    assert seen.end_step(1).num_tokens == 0


def test_keys_are_set_added_and_taken_out_and_all_else_stays(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text('# About\nmax_steps: -1\nname: "a\\\\b"\nold: 1\n', encoding="utf-8")
    complete(path, {"max_steps": 7, "old": None, "new": r"C:\用户", "absent": None})
    text = path.read_text(encoding="utf-8")
    assert text.startswith('# About\nmax_steps: 7\nname: "a\\\\b"\n\n')
    assert text.endswith('new: "C:\\\\用户"\n')
    assert "old" not in text
    assert "absent" not in text


def test_only_whole_checkpoints_of_the_same_job_are_found(tmp_path):
    folder = tmp_path / "trainer"
    checkpoints = FrameworkCheckpoints(folder, "this job")
    assert checkpoints.newest() is None
    for step, state in ((5, '{"global_step": 5}'), (10, '{"global_step": 10}'), (15, '{"glob')):
        (folder / f"checkpoint-{step}").mkdir()
        (folder / f"checkpoint-{step}" / "trainer_state.json").write_text(state, encoding="utf-8")
    (folder / "checkpoint-20").mkdir()
    checkpoints.keep(10)
    assert checkpoints.newest() == (folder / "checkpoint-10", 10)
    assert {path.name for path in folder.glob("checkpoint-*")} == {"checkpoint-5", "checkpoint-10"}
    assert FrameworkCheckpoints(folder, "another job").newest() is None
    assert list(folder.glob("checkpoint-*")) == []


def test_a_model_that_was_saved_but_not_handed_back_goes(tmp_path):
    # LLaMA-Factory refuses to start over one; with a checkpoint it goes on from that.
    checkpoints = FrameworkCheckpoints(tmp_path / "trainer", "this job")
    assert checkpoints.newest() is None
    model = tmp_path / "trainer" / "adapter_model.safetensors"
    model.write_bytes(b"")
    assert checkpoints.newest() is None
    assert not model.exists()
