"""`batch_size: auto`: as many questions at a time as memory allows, and fewer when it runs out."""

import pytest

from bakeoff.worker.lm_batch_size import rows_that_fit


@pytest.fixture(scope="module")
def model(tiny_model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model)


def _fit(model, free_bytes, **changes):
    chosen = {"num_tokens": 500, "num_rows": 1000, "free_bytes": free_bytes, **changes}
    return rows_that_fit(model, **chosen)


def test_more_memory_takes_more_rows_up_to_a_bound(model):
    sizes = [_fit(model, 2**power) for power in range(16, 40)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (1, 64)
    assert all(size & (size - 1) == 0 for size in sizes)


def test_longer_questions_and_logits_everywhere_take_fewer_rows(model):
    free = 2**27
    assert _fit(model, free, num_tokens=4000) < _fit(model, free, num_tokens=100)
    assert _fit(model, free, all_logits=True) < _fit(model, free)
    assert _fit(model, 2**39, num_rows=5) == 4


@pytest.mark.parametrize("engine", ["hf", "builtin"])
def test_an_evaluation_chooses_its_batch_size_and_halves_it(ask, taught_model, engine, monkeypatch):
    from bakeoff.worker import lm_batches

    expected = ask(taught_model, engine=engine)
    found = ask(taught_model, engine=engine, batch_size="auto")
    assert [s.output for s in found.samples] == [s.output for s in expected.samples]
    assert found.result.effective["batch_size"] == "auto"
    assert found.result.effective["batch_size_at_end"] == 8
    monkeypatch.setattr(lm_batches, "free_bytes", lambda device: 1)
    small = ask(taught_model, engine=engine, batch_size="auto")
    assert small.result.effective["batch_size_at_end"] == 1
