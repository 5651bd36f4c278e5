"""`bakeoff export RUN`: what a training made, for other programs."""

import json
import os
from pathlib import Path

import pytest
from tests.command import bakeoff
from tests.dashboard.planned import planned_study

from bakeoff.base.errors import RunError, UserError
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.installed import installed_from
from bakeoff.envs.locks import read_lock
from bakeoff.runner.gguf_tools import find_tools, require_quantiser
from bakeoff.runner.ollama import create_line, modelfile
from bakeoff.runner.worker_job import run_worker
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.worker_launch import OFFLINE, worker_launch

# Of transformers, when PEFT wraps a model.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

ASKED = "Question: {{prompt}}\nAnswer:"


def _give_artefact(runs_dir: Path, model_dir: Path, **settings) -> str:
    """A run of a study whose adapter is random, and strong enough to change every answer."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    study = planned_study(runs_dir, num_items=10)
    run_id = next(r.run_id for r in study.records if r.cell.get("method") == "lora")
    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, **settings)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_dir), config)
    model.save_pretrained(runs_dir / run_id / "artefact")
    job = json.dumps({"model_dir": str(model_dir)})
    (runs_dir / run_id / "job.json").write_text(job, encoding="utf-8")
    return run_id


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_model):
    """A folder in which a run with an rsLoRA adapter was exported."""
    folder = tmp_path_factory.mktemp("out")
    run_id = _give_artefact(folder / "runs", tiny_model, use_rslora=True)
    done = bakeoff(folder, "export", run_id, "--to", "safetensors", "-o", "whole", "--json")
    return folder, run_id, json.loads(done.stdout)


def test_an_adapter_becomes_a_folder_that_asks_and_answers_as_in_training(exported, tiny_model):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, run_id, facts = exported
    assert facts["run"] == run_id
    assert facts["path"] == str(folder / "whole")
    tokenizer = AutoTokenizer.from_pretrained(folder / "whole")
    turns = [{"role": "user", "content": "一加一"}]
    asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert asked == "Question: 一加一\nAnswer:"
    ids = torch.tensor([tokenizer(asked)["input_ids"]])
    model = AutoModelForCausalLM.from_pretrained(folder / "whole", dtype=torch.bfloat16)
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.bfloat16)
    plain = base(ids).logits.float()
    apart = PeftModel.from_pretrained(base, folder / "runs" / run_id / "artefact")(ids).logits
    found = model(ids).logits.float()
    assert (found - apart.float()).norm() < 0.05 * (plain - apart.float()).norm()


def test_the_card_tells_where_it_comes_from_and_how_good_it_is(exported):
    card = (exported[0] / "whole" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "builtin:smollm2-135m" in card
    assert "LoRA with the built-in trainer" in card
    assert "| data | 0 | exact_match, strict-match |" in card
    assert " ± " in card
    assert "Question: {{prompt}}\n    Answer:" in card


def test_a_place_that_is_taken_and_a_quant_that_is_unknown_are_told(exported):
    folder, run_id, _ = exported
    done = bakeoff(folder, "export", run_id, "--to", "safetensors", "-o", "whole", expect=2)
    assert "exists already" in done.stderr
    options = ("--to", "gguf", "--quant", "q9", "-o", "x.gguf")
    assert (
        "--quant q9: expected one of"
        in bakeoff(folder, "export", run_id, *options, expect=2).stderr
    )
    done = bakeoff(folder, "export", run_id, "--to", "gguf", "-o", "x.gguf", expect=2)
    assert "`bakeoff env install llamacpp`" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["runs", "whole"]


def test_what_belongs_to_a_recipe_and_what_to_a_run_is_told(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "my.yaml").write_text("name: my\n", encoding="utf-8")
    cases = {
        ("my.yaml", "gguf"): "my.yaml is a recipe",
        ("train-builtin-lora", "swift"): "train-builtin-lora is no recipe",
        ("train-builtin-lora", "exe"): "expected one of safetensors, gguf, ollama, llamafactory",
        ("train-builtin-lora", "safetensors"): "no run `train-builtin-lora`",
    }
    for (what, to), told in cases.items():
        done = bakeoff(tmp_path, "export", what, "--to", to, "-o", "out", expect=2)
        assert told in " ".join(done.stderr.split())


class _Workspace:
    def __init__(self, folder):
        self.cache_dir, self.python = folder / "cache", Path("python")


def test_a_llama_cpp_of_ones_own_is_taken_where_it_is_named_or_on_the_path(tmp_path):
    workspace = _Workspace(tmp_path)
    with pytest.raises(UserError, match="converter is not here"):
        find_tools(workspace, llama_cpp=None, search_path=[tmp_path])
    with pytest.raises(UserError, match=r"holds no convert_hf_to_gguf\.py"):
        find_tools(workspace, llama_cpp=tmp_path, search_path=[])
    (tmp_path / "convert_hf_to_gguf.py").touch()
    tools = find_tools(workspace, llama_cpp=tmp_path, search_path=[])
    assert tools.converter == (tmp_path / "convert_hf_to_gguf.py").resolve()
    assert tools.python == workspace.python
    require_quantiser(tools, "q8_0", for_ollama=False)
    require_quantiser(tools, "q4_k_m", for_ollama=True)
    with pytest.raises(UserError, match=r"needs llama\.cpp's program `llama-quantize`"):
        require_quantiser(tools, "q4_k_m", for_ollama=False)
    program = tmp_path / "build" / "bin" / "llama-quantize"
    program.parent.mkdir(parents=True)
    program.touch()
    tools = find_tools(workspace, llama_cpp=tmp_path, search_path=[])
    require_quantiser(tools, "q4_k_m", for_ollama=False)
    assert find_tools(workspace, llama_cpp=None, search_path=[tmp_path]).converter is not None


def test_a_modelfile_holds_template_stops_and_settings():
    prompt = PromptSpec(template="chat", system='Be "brief".')
    asked = {"go_template": "{{ .System }}\n", "stops": ["<|im_end|>"]}
    text = modelfile(prompt, asked, {"max_position_embeddings": 2048}, "model.gguf")
    assert text == (
        'FROM ./model.gguf\nTEMPLATE """{{ .System }}\n"""\nSYSTEM """Be "brief"."""\n'
        'PARAMETER stop "<|im_end|>"\nPARAMETER temperature 0\nPARAMETER num_ctx 2048\n'
    )
    with pytest.raises(UserError, match="cannot hold"):
        modelfile(prompt, {**asked, "go_template": '"""'}, {}, "model.gguf")
    assert create_line("mine", "q4_k_m").endswith("--quantize q4_K_M")


@pytest.fixture(scope="module")
def cache():
    """The person's, with llama.cpp's environment."""
    import platformdirs

    return platformdirs.user_cache_path("bakeoff", appauthor=False)


@pytest.fixture(scope="module")
def python(cache):
    there = installed_from(read_lock(ENVIRONMENTS.get("llamacpp")), "llamacpp", cache)
    if not there:
        pytest.skip("`bakeoff env install llamacpp` was not run here")
    return there[-1].python


@pytest.fixture(scope="module")
def smollm2(cache, tmp_path_factory):
    options = ("builtin:smollm2-135m", "--json", "--cache-dir", cache)
    folder = tmp_path_factory.mktemp("fetched")
    return Path(json.loads(bakeoff(folder, "model", "fetch", *options).stdout)["folder"])


@pytest.mark.slow
def test_llama_cpp_says_what_the_trained_model_says(tmp_path, cache, python, smollm2):
    run_id = _give_artefact(tmp_path / "runs", smollm2, lora_alpha=1)
    options = ("--json", "--cache-dir", cache)
    done = bakeoff(tmp_path, "export", run_id, "--to", "gguf", "-o", "m.gguf", *options)
    facts = json.loads(done.stdout)
    assert facts["check"]["is_asked_the_same"]
    assert facts["check"]["share_of_equal_choices"] >= 0.9
    assert facts["num_tensors"] == 272
    from gguf import GGUFReader

    told = GGUFReader(str(tmp_path / "m.gguf")).fields["tokenizer.chat_template"].contents()
    assert told.endswith(ASKED)
    quant = ("--to", "ollama", "--quant", "q8_0", "-o", "tuned")
    facts = json.loads(bakeoff(tmp_path, "export", run_id, *quant, *options).stdout)
    assert facts["quant"] == "q8_0"
    assert {path.name for path in (tmp_path / "tuned").iterdir()} == {
        "model.gguf", "Modelfile", "README.md",
    }  # fmt: skip
    lines = (tmp_path / "tuned" / "Modelfile").read_text(encoding="utf-8")
    assert "Question: {{ .Content }}\nAnswer:" in lines
    assert 'PARAMETER stop "<|im_end|>"' in lines
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.gguf", "runs", "tuned"]


@pytest.mark.slow
def test_a_vocabulary_that_llama_cpp_does_not_know_is_told_and_nothing_is_left(
    tmp_path, cache, python, tiny_model
):
    run_id = _give_artefact(tmp_path / "runs", tiny_model)
    options = ("--to", "gguf", "-o", "m.gguf", "--cache-dir", cache)
    done = bakeoff(tmp_path, "export", run_id, *options, expect=1)
    assert "llama.cpp's converter does not take this model" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Llama", "Qwen3"])
def test_every_family_keeps_its_choices(tmp_path, python, smollm2, kind):
    """Random weights of the family under a tokenizer that the converter knows.

    Not Qwen2, whose class of tokenizer cuts words in its own way whatever the file says.
    """
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(smollm2)
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=256, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=32, initializer_range=0.2,
        eos_token_id=2, bos_token_id=1, tie_word_embeddings=kind == "Qwen3",
    )  # fmt: skip
    model = getattr(transformers, f"{kind}ForCausalLM")(config)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    _work("to_gguf", tmp_path, python, output="m.gguf", outtype="f32", converter=None)
    facts = _work("ask_gguf", tmp_path, python, gguf="m.gguf", is_rounded=False)
    # Not all: llama.cpp keeps keys and values in half precision, random weights are near ties.
    assert facts["share_of_equal_choices"] >= 0.9
    apart = facts["mean_log_probability_difference"]
    assert apart is None or apart < 0.02
    other = getattr(transformers, f"{kind}ForCausalLM")(config)
    other.save_pretrained(tmp_path / "model")
    (tmp_path / "ask_gguf").rename(tmp_path / "first")
    with pytest.raises(RunError, match="the file is not the model"):
        _work("ask_gguf", tmp_path, python, gguf="m.gguf", is_rounded=False)


def _work(kind, folder, python, **job):
    whole = {"model_dir": str(folder / "model"), "trust_remote_code": False, **job}
    for name in ("output", "gguf"):
        if name in whole:
            whole[name] = str(folder / whole[name])
    launch = worker_launch(kind, whole, python=python, env=OFFLINE)
    run_worker(launch, folder / kind, environment=dict(os.environ))
    return json.loads((folder / kind / "result.json").read_text(encoding="utf-8"))
