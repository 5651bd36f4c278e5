"""Rows of published tables become trainings; the rows here are made up."""

from bakeoff.predict.published import case_of
from bakeoff.predict.scores import score_published, summarise

ROW = {
    "source": "somebody's notes (A100)",
    "model": "Qwen2.5-7B-Instruct",
    "method": "lora",
    "rank": "8",
    "precision": "bf16",
    "batch": "2",
    "seq": "<=1024",
    "grad_ckpt": "yes",
    "strategy": "single",
    "gpus": "1",
    "peak_gb": "25.0",
    "notes": "all-linear",
    "counter": "max_memory_reserved",
    "grade": "B",
}


def test_a_row_says_what_was_trained():
    case = case_of(ROW)
    assert (case.work.rows, case.work.tokens, case.work.rank) == (2, 1024, 8)
    assert case.work.targets is None
    assert case.work.checkpointing
    assert (case.counter, case.measured_bytes) == ("reserved", 25 * 10**9)


def test_the_counter_that_the_row_names_is_the_one_that_is_scored():
    words = ("max_memory_reserved", "max CUDA memory allocated", "nvidia-smi")
    assert [case_of({**ROW, "counter": word}).counter for word in words] == [
        "reserved",
        "allocated",
        "process",
    ]


def test_what_cannot_be_said_is_left_out_and_counted():
    rows = [ROW, {**ROW, "seq": ""}, {**ROW, "counter": "not stated"}, {**ROW, "method": "galore"}]
    scored, left_out = score_published(rows, source="made up")
    assert len(scored) == 1
    assert sum(left_out.values()) == 3
    found = summarise(scored, left_out)
    assert found.sources[0].num_cases == 1
    assert found.cases[0].relative_error == round(found.cases[0].predicted_bytes / 25e9 - 1, 4)


def test_four_bits_need_less_and_eager_attention_more():
    def predicted(**changes):
        scored, _ = score_published([{**ROW, **changes}], source="made up")
        return scored[0].predicted_bytes

    assert predicted(precision="nf4") < predicted() < predicted(grad_ckpt="no")
