"""The engine `builtin` gives the answers of the engine `hf`, whatever the model and the prompts."""

import contextlib

import pytest
from tests import tiny

FIELDS = ("prompt", "output", "extracted", "correct", "num_output_tokens", "hit_token_limit")


def _answers(outcome):
    return [tuple(getattr(sample, field) for field in FIELDS) for sample in outcome.samples]


@pytest.mark.parametrize("num_fewshot", [0, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_answers_are_those_of_hf_for_any_number_of_rows_at_a_time(
    ask, taught_model, num_fewshot, batch_size
):
    chosen = {"num_fewshot": num_fewshot, "max_new_tokens": 24}
    expected = ask(taught_model, **chosen)
    found = ask(taught_model, engine="builtin", batch_size=batch_size, **chosen)
    assert _answers(found) == _answers(expected)
    assert found.score("strict-match") == expected.score("strict-match")
    assert found.result.effective["generation"] == "continuous batching without padding"
    assert found.warnings == expected.warnings


def test_what_all_prompts_begin_with_is_read_once(ask, taught_model, tmp_path, monkeypatch):
    from bakeoff.worker.reading import Reader

    read = []
    usual = Reader.read_prefix
    monkeypatch.setattr(
        Reader, "read_prefix", lambda self, ids: (read.append(ids), usual(self, ids))
    )
    chosen = {"prompt": _with_preface("Answer each of the following questions in few words. ")}
    expected = ask(taught_model, **chosen)
    found = ask(taught_model, engine="builtin", **chosen)
    assert _answers(found) == _answers(expected)
    assert len(read) == 1
    assert len(read[0]) > 16


def _with_preface(text):
    from bakeoff.schema.recipe_subject import PromptSpec

    return PromptSpec(text=text + "Question: {{prompt}}\nAnswer:")


@pytest.fixture(scope="module")
def harness_models(taught_model, tiny_model, tmp_path_factory):
    """``make(engine, model)``: the class that the harness asks, over a model in memory."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from bakeoff.worker.events import Events
    from bakeoff.worker.lm_answers import AnsweringLM
    from bakeoff.worker.lm_batches import BatchedLM
    from bakeoff.worker.lm_kept import Keeping

    taught = AutoModelForCausalLM.from_pretrained(taught_model).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    with contextlib.closing(Events(tmp_path_factory.mktemp("events") / "events.jsonl")) as events:

        def make(engine, model=taught, batch_size=3):
            kind = {"hf": BatchedLM, "builtin": AnsweringLM}[engine]
            return kind(model, tokenizer, batch_size=batch_size, keeping=Keeping(events))

        yield make


def _choices():
    contexts = ["Question: Tom has 3 apples.\nAnswer:", "Question: 小明有4个苹果。\nAnswer:", "A"]
    endings = [" 7", " 7 apples, so #### 7", "", " no"]
    return [(context, ending) for context in contexts for ending in endings if ending]


def _request(number, *arguments):
    from lm_eval.api.instance import Instance

    return Instance("generate_until", {}, arguments, 0, metadata=("task", number, 1))


def test_choices_get_the_log_probabilities_of_hf(harness_models):
    requests = [_request(number, *pair) for number, pair in enumerate(_choices())]
    expected = harness_models("hf").loglikelihood(requests)
    found = harness_models("builtin").loglikelihood(requests)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert [value for value, _ in found] == pytest.approx([v for v, _ in expected], abs=1e-4)


def test_text_as_a_whole_gets_the_log_probability_of_hf(harness_models):
    requests = [_request(0, "Tom has 3 apples and buys 4 more."), _request(1, "小明有4个苹果。")]
    expected = harness_models("hf").loglikelihood_rolling(requests)
    found = harness_models("builtin").loglikelihood_rolling(requests)
    assert found == pytest.approx(expected, abs=1e-3)


def _questions(number=5, **settings):
    asked = {"until": ["Question:"], "max_gen_toks": 12, **settings}
    texts = [f"Question: {row['question']}\nAnswer:" for row in tiny.rows(number, start=100)]
    return [_request(number, text, asked) for number, text in enumerate(texts)]


def _both(harness_models, requests, **options):
    told = []
    for engine in ("hf", "builtin"):
        lm = harness_models(engine, **options)
        told.append((lm.generate_until(requests), lm.endings))
    return (*told, lm.generation)


def test_settings_of_a_model_that_change_a_greedy_answer_are_followed_or_left_to_hf(
    harness_models, taught_model
):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(taught_model).eval()
    plain, _, _ = _both(harness_models, _questions(), model=model)
    model.generation_config.repetition_penalty = 30.0
    expected, found, generation = _both(harness_models, _questions(), model=model)
    assert found == expected
    assert found != plain
    assert generation == "continuous batching without padding"
    model.generation_config.no_repeat_ngram_size = 2
    expected, found, generation = _both(harness_models, _questions(), model=model)
    assert found == expected
    assert "`no_repeat_ngram_size`" in generation


def test_requests_with_settings_of_their_own_are_answered_by_them(harness_models):
    requests = [*_questions(3), *_questions(3, max_gen_toks=3), *_questions(2, until=["+"])]
    for number, request in enumerate(requests):
        request.doc_id = number
    expected, found, _ = _both(harness_models, requests)
    assert found == expected


def test_memory_that_runs_out_halves_the_rows_and_keeps_the_answers(harness_models, monkeypatch):
    from bakeoff.worker.answering import Answering

    lm = harness_models("builtin", batch_size=4)
    expected = lm.generate_until(_questions(7))
    usual, calls = Answering._go_on, []

    def runs_out(self):
        calls.append(len(self._rows))
        if len(calls) > 2 and len(self._rows) == 4:
            raise MemoryError
        return usual(self)

    monkeypatch.setattr(Answering, "_go_on", runs_out)
    lm = harness_models("builtin", batch_size=4)
    assert lm.generate_until(_questions(7)) == expected
    assert lm.batch_size_per_gpu == 2


_SIZES = {
    "vocab_size": 400, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "others", "is_fast"),
    [
        ("Llama", {}, True),
        ("Qwen2", {}, True),
        ("Qwen3", {"head_dim": 16}, True),
        ("Mistral", {"sliding_window": None}, True),
        ("Mistral", {"sliding_window": 6}, False),
        ("Phi3", {}, True),
        ("Gemma", {"head_dim": 8}, True),
        ("Gemma2", {"head_dim": 8, "sliding_window": 64}, False),
        ("Gemma3Text", {"head_dim": 8, "sliding_window": 64}, True),
        ("GPTNeoX", {}, True),
    ],
)
def test_every_architecture_gives_the_answers_of_hf(harness_models, kind, others, is_fast):
    import torch
    import transformers

    config = getattr(transformers, f"{kind}Config")(**_SIZES, **others)
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    expected, found, generation = _both(harness_models, _questions(), model=model)
    assert found == expected
    assert ("continuous" in generation) is is_fast, generation


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
def test_a_model_under_an_adapter_is_answered_by_this_engine_too(ask, tiny_model, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    get_peft_model(model, config).save_pretrained(tmp_path / "adapter")
    expected = ask(tmp_path / "adapter", max_new_tokens=12)
    found = ask(tmp_path / "adapter", engine="builtin", max_new_tokens=12)
    assert found.result.effective["generation"] == "continuous batching without padding"
    assert _answers(found) == _answers(expected)
    assert _answers(found) != _answers(ask(engine="builtin", max_new_tokens=12))
