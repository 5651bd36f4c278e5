"""The worker on real models: what it asks, what it keeps, how it ends an answer."""

import json
from pathlib import Path

import pytest
from tests import tiny
from tests.evals.conftest import STOPPED_BY_WORDS, canonical, read_outcome
from tests.worker.custom_code import keep_code_copies_in, make_custom_code_model

from bakeoff.schema.results import RunEnvironment
from bakeoff.worker import evaluate
from bakeoff.worker.failures import JobError


def _answers(outcome):
    return [(sample.output, sample.correct) for sample in outcome.samples]


def test_a_full_model_is_asked_in_place_of_the_base(ask, taught_model):
    base, taught = ask(), ask(taught_model)
    assert base.score("strict-match") == 0.0
    assert taught.score("strict-match") == 6 / 8
    assert [sample.item_digest for sample in base.samples] == [
        sample.item_digest for sample in taught.samples
    ]
    assert [sample.prompt_digest for sample in base.samples] == [
        sample.prompt_digest for sample in taught.samples
    ]


@pytest.fixture
def save_adapter(tiny_model, tmp_path):
    """A LoRA adapter of the tiny model; untrained, it changes nothing."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def save(*, trained: bool) -> Path:
        torch.manual_seed(1)
        config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=not trained)
        model = AutoModelForCausalLM.from_pretrained(tiny_model)
        folder = tmp_path / f"adapter-{trained}"
        get_peft_model(model, config).save_pretrained(folder)
        return folder

    return save


_PEFT_WARNING = "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"


@pytest.mark.filterwarnings(_PEFT_WARNING)
def test_an_adapter_is_laid_over_the_base(ask, save_adapter):
    base = ask()
    assert _answers(ask(save_adapter(trained=False))) == _answers(base)
    assert _answers(ask(save_adapter(trained=True))) != _answers(base)


@pytest.mark.filterwarnings(_PEFT_WARNING)
def test_a_merged_adapter_answers_as_the_two_apart_and_the_record_tells_how_near(ask, save_adapter):
    adapter = save_adapter(trained=True)
    apart, merged = ask(adapter), ask(adapter, merged=True)
    assert _answers(merged) == _answers(apart)
    for outcome in (apart, merged):
        found = outcome.result.effective["merged_logits"]
        assert 0 < found["relative_difference"] < 1e-3
        assert found["share_of_equal_choices"] == 1.0
        assert not any("Merging" in text for text in outcome.warnings)
    assert (apart.result.effective["merged"], merged.result.effective["merged"]) == (False, True)
    assert "merged_logits" not in ask().result.effective


@pytest.mark.filterwarnings(_PEFT_WARNING)
def test_a_merge_that_changes_the_model_is_reported(ask, save_adapter, monkeypatch):
    from peft.tuners.lora import Linear

    # As when a base in few bits, or another PEFT, folds in something else than it computes with.
    usual = Linear.get_delta_weight
    monkeypatch.setattr(Linear, "get_delta_weight", lambda self, name: 3 * usual(self, name))
    outcome = ask(save_adapter(trained=True))
    assert any("a merged export is not the model that was scored" in w for w in outcome.warnings)


def test_every_item_is_kept_once_with_what_each_filter_found(ask, taught_model):
    outcome = ask(taught_model)
    assert [sample.index for sample in outcome.samples] == list(range(8))
    first = outcome.samples[0]
    assert first.prompt == f"Question: {tiny.rows(1, start=100)[0]['question']}\nAnswer:"
    assert first.output == " 100 + 101 = 201\n#### 201"
    assert first.target == "100 + 101 = 201\n#### 201"
    assert first.extracted == {"strict-match": "201", "flexible-extract": "201"}
    assert first.correct == {"exact_match,strict-match": 1.0, "exact_match,flexible-extract": 1.0}
    for score in outcome.result.scores:
        key = f"{score.metric},{score.filter}"
        assert score.value == sum(sample.correct[key] for sample in outcome.samples) / 8
        assert score.num_samples == 8
        assert score.task == "data"


def test_where_nothing_can_be_extracted_the_sample_and_a_warning_say_so(ask):
    outcome = ask()
    assert outcome.result.effective["share_without_answer"]["strict-match"] == 1.0
    assert {sample.extracted["strict-match"] for sample in outcome.samples} == {None}
    assert any("`strict-match` found no answer in 100%" in text for text in outcome.warnings)


def test_an_answer_ends_at_the_end_token_or_at_a_stop_string(ask, taught_model, tiny_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    by_token, by_words = (
        ask(taught_model, max_new_tokens=64).samples[index] for index in (0, STOPPED_BY_WORDS)
    )
    # The end-of-sequence token counts, and so do the tokens of the stop string.
    assert by_token.num_output_tokens == len(tokenizer(by_token.output)["input_ids"]) + 1
    assert not by_token.hit_token_limit
    assert by_words.output == f" {by_words.target}\n\n"
    whole = f"{by_words.output}Question:"
    assert by_words.num_output_tokens == len(tokenizer(whole)["input_ids"])
    assert not by_words.hit_token_limit


def test_a_batch_ends_when_each_row_has_met_its_own_stop(ask, taught_model, monkeypatch):
    from transformers import LlamaForCausalLM

    steps = []
    forward = LlamaForCausalLM.forward
    monkeypatch.setattr(
        LlamaForCausalLM, "forward", lambda *a, **k: steps.append(1) or forward(*a, **k)
    )
    # Row 4 ends by token and row 5 by words: the harness alone would go on to the limit.
    outcome = ask(taught_model, limit=6, batch_size=6, max_new_tokens=200)
    assert len(steps) == max(sample.num_output_tokens for sample in outcome.samples) < 60


def test_an_answer_cut_by_the_limit_is_marked(ask, taught_model):
    outcome = ask(taught_model, max_new_tokens=5, limit=6)
    assert [sample.hit_token_limit for sample in outcome.samples] == [True] * 6
    assert [sample.num_output_tokens for sample in outcome.samples] == [5] * 6
    assert outcome.result.num_generated_tokens == 30
    assert outcome.result.effective["share_at_token_limit"] == 1.0
    assert any("100% of the answers were cut at 5 tokens" in text for text in outcome.warnings)


def test_out_of_memory_halves_the_batch_and_loses_nothing(ask, taught_model, monkeypatch):
    import torch
    from transformers import LlamaForCausalLM

    expected = _answers(ask(taught_model, batch_size=2))
    generate = LlamaForCausalLM.generate
    sizes = []

    def generate_little(self, input_ids, **settings):
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(self, input_ids=input_ids, **settings)

    monkeypatch.setattr(LlamaForCausalLM, "generate", generate_little)
    outcome = ask(taught_model, batch_size=8)
    assert sizes == [8, 4, 2, 2, 2, 2]
    assert _answers(outcome) == expected
    assert outcome.result.effective["batch_size"] == 8
    assert outcome.result.effective["batch_size_at_end"] == 2
    assert sum("Memory ran out" in text for text in outcome.warnings) == 2


def test_one_question_that_does_not_fit_ends_the_run(ask, monkeypatch):
    import torch
    from transformers import LlamaForCausalLM

    def fail(self, **settings):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(LlamaForCausalLM, "generate", fail)
    with pytest.raises(torch.OutOfMemoryError):
        ask(batch_size=1)


def test_progress_counts_the_questions_batch_by_batch(ask):
    progress = [event for event in ask().events if event.kind == "progress"]
    assert [(event.done, event.total, event.unit) for event in progress] == [
        (0, 8, "questions"),
        (4, 8, "questions"),
        (8, 8, "questions"),
    ]


def test_the_result_tells_every_setting_that_was_used(ask):
    effective = ask(num_fewshot=1, limit=3).result.effective
    assert effective["stop_strings"] == ["Question:", "</s>", "<|im_end|>", "<|end|>"]
    assert effective["task_config"]["generation_kwargs"]["max_gen_toks"] == 32
    assert effective["num_fewshot"] == 1
    assert effective["fewshot_seed"] == 1234
    assert effective["limit"] == 3
    assert effective["device"] == "cpu"
    # The longest of three prompts and its answer, far below the model's 512.
    assert effective["max_length"] < 150


def test_worked_examples_come_from_the_training_rows_by_seed(ask):
    first, again, other = (ask(num_fewshot=2, seed=seed) for seed in (1, 1, 2))
    prompts = [[sample.prompt for sample in outcome.samples] for outcome in (first, again, other)]
    assert prompts[0] == prompts[1]
    assert prompts[0] != prompts[2]
    train = {f"Question: {row['question']}\nAnswer: {row['answer']}" for row in tiny.rows(40)}
    for prompt in prompts[0] + prompts[2]:
        assert set(prompt.split("\n\n")[:-1]) <= train


def test_a_training_row_that_asks_a_test_question_is_never_an_example(ask, tmp_path):
    shared = tiny.rows(4, start=100)
    (tmp_path / "train.jsonl").write_text(canonical(tiny.rows(2) + shared), encoding="utf-8")
    (tmp_path / "test.jsonl").write_text(canonical(shared), encoding="utf-8")
    outcome = ask(data_dir=tmp_path, num_fewshot=2)
    assert any("4 rows of the few-shot split" in text for text in outcome.warnings)
    for sample in outcome.samples:
        examples = sample.prompt.split("\n\n")[:-1]
        assert not any(row["question"] in example for row in shared for example in examples)
    with pytest.raises(JobError, match="only 2 of 6 rows"):
        ask(data_dir=tmp_path, num_fewshot=3)


def test_validation_rows_are_a_split_of_their_own_which_is_not_scored(ask, rows_dir, tmp_path):
    from bakeoff.evals.task_file import render_task_file
    from bakeoff.schema.recipe_subject import PromptSpec
    from bakeoff.worker.lm_task import load_tasks

    for split, start in (("train", 0), ("validation", 20), ("test", 30)):
        rows = canonical(tiny.rows(3, start=start))
        (tmp_path / f"{split}.jsonl").write_text(rows, encoding="utf-8")
    text = render_task_file(
        data_dir=tmp_path,
        prompt=PromptSpec(),
        num_fewshot=0,
        generation={"max_gen_toks": 8},
        has_validation=True,
    )
    (tmp_path / "bakeoff_data.yaml").write_text(text, encoding="utf-8")
    task = load_tasks("bakeoff_data", task_dir=tmp_path).tasks["bakeoff_data"]
    held_out = [doc["prompt"] for doc in task.validation_docs()]
    assert held_out == [row["question"] for row in tiny.rows(3, start=20)]
    assert not set(held_out) & {doc["prompt"] for doc in task.eval_docs}


def test_a_task_that_draws_examples_from_the_scored_split_is_refused(rows_dir, tmp_path):
    from bakeoff.evals.task_file import render_task_file
    from bakeoff.schema.recipe_subject import PromptSpec
    from bakeoff.worker.lm_task import keep_test_out_of_examples, load_tasks

    text = render_task_file(
        data_dir=rows_dir, prompt=PromptSpec(), num_fewshot=1, generation={"max_gen_toks": 8}
    ).replace("fewshot_split: train", "fewshot_split: test")
    (tmp_path / "bakeoff_data.yaml").write_text(text, encoding="utf-8")
    task = load_tasks("bakeoff_data", task_dir=tmp_path).tasks["bakeoff_data"]
    with pytest.raises(JobError, match="the split that it scores"):
        keep_test_out_of_examples(task, 1)
    assert keep_test_out_of_examples(task, 0) == 0


def test_prompts_longer_than_the_model_reads_are_warned_about(ask):
    outcome = ask(num_fewshot=20, limit=2)
    assert any("2 of 2 prompts are cut at their beginning" in text for text in outcome.warnings)
    assert outcome.result.effective["max_length"] == 512


def test_the_limit_of_the_model_itself_does_not_replace_that_of_the_task(ask, tiny_model, tmp_path):
    import shutil

    talkative = shutil.copytree(tiny_model, tmp_path / "talkative")
    (talkative / "generation_config.json").write_text(
        json.dumps({"max_new_tokens": 200, "eos_token_id": None}), encoding="utf-8"
    )
    import torch

    from bakeoff.worker.lm_model import load_model

    model = load_model(
        talkative,
        None,
        precision="fp32",
        device=torch.device("cpu"),
        trust_remote_code=False,
    )
    assert model.generation_config.max_new_tokens is None


def _ask_again(outcome):
    """In the folder where it was asked, which is the current one."""
    evaluate.main(json.loads((outcome.run_dir / "job.json").read_text(encoding="utf-8")))
    return read_outcome(outcome.run_dir)


def test_a_finished_evaluation_is_left_as_it_is(ask):
    outcome = ask(limit=2)
    files = [outcome.run_dir / name for name in ("events.jsonl", "samples.jsonl", "result.json")]
    before = [(file.read_bytes(), file.stat().st_mtime_ns) for file in files]
    assert _ask_again(outcome) == outcome
    assert [(file.read_bytes(), file.stat().st_mtime_ns) for file in files] == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("samples.jsonl", lambda path: path.unlink()),
        ("samples.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-20])),
        ("samples.jsonl", lambda path: path.write_bytes(path.read_bytes().splitlines(True)[0])),
        ("result.json", lambda path: path.write_bytes(b"")),
    ],
)
def test_an_evaluation_whose_files_are_torn_is_done_again(name, damage, ask):
    outcome = ask(limit=2)
    damage(outcome.run_dir / name)
    again = _ask_again(outcome)
    assert again.result == outcome.result
    assert _answers(again) == _answers(outcome)


def test_an_evaluation_that_fails_leaves_packages_and_hardware(ask, tmp_path):
    import lm_eval

    with pytest.raises(JobError):
        ask(num_fewshot=1000)
    environment = RunEnvironment.model_validate_json(
        (tmp_path / "run 1" / "environment.json").read_text(encoding="utf-8")
    )
    assert environment.packages["lm-eval"] == lm_eval.__version__
    assert environment.hardware["num_cpu_cores"] >= 1


def test_code_that_came_with_the_model_runs_only_if_it_is_trusted(
    ask, tiny_model, tmp_path, monkeypatch
):
    keep_code_copies_in(tmp_path / "copies", monkeypatch)
    custom = make_custom_code_model(tiny_model, tmp_path / "模型 custom")
    trusted = ask(model_dir=custom, trust_remote_code=True, limit=2)
    assert _answers(trusted) == _answers(ask(limit=2))
    with pytest.raises(ValueError, match="trust_remote_code"):
        ask(model_dir=custom, limit=2)


def test_a_full_training_of_a_model_with_its_own_code_can_be_asked(
    ask, tiny_model, tmp_path, monkeypatch
):
    from transformers import AutoModelForCausalLM

    keep_code_copies_in(tmp_path / "copies", monkeypatch)
    custom = make_custom_code_model(tiny_model, tmp_path / "模型 custom")
    model = AutoModelForCausalLM.from_pretrained(custom, trust_remote_code=True)
    model.save_pretrained(tmp_path / "artefact")
    outcome = ask(tmp_path / "artefact", model_dir=custom, trust_remote_code=True, limit=2)
    assert _answers(outcome) == _answers(ask(limit=2))
