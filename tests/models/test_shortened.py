"""A copy of a model with fewer of its layers."""

import json
import shutil

import pytest

from bakeoff import models
from bakeoff.base.errors import UserError
from bakeoff.models.shortened import kept_layers
from bakeoff.schema.recipe_subject import ModelSpec

NUM_LAYERS = 5
SHAPE = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2,
         "num_key_value_heads": 2, "num_hidden_layers": NUM_LAYERS}  # fmt: skip


@pytest.fixture(scope="module")
def five_layers(tmp_path_factory, tiny_model):
    """A Qwen2 of five layers with random weights, in several files, and its configuration."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.Qwen2Config(**SHAPE, tie_word_embeddings=True)
    folder = tmp_path_factory.mktemp("five") / "five"
    model = transformers.AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="20KB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(tiny_model / name, folder / name)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    return folder


def _changed(folder, copy, **config):
    shutil.copytree(folder, copy)
    path = copy / "config.json"
    told = {**json.loads(path.read_text(encoding="utf-8")), **config}
    path.write_text(json.dumps({k: v for k, v in told.items() if v is not None}), encoding="utf-8")
    return copy


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [(1, [0]), (2, [0, 29]), (5, [0, 1, 2, 28, 29]), (30, list(range(30)))],
)
def test_a_block_in_the_middle_is_left_out(wanted, kept):
    assert kept_layers(wanted, 30) == kept


def test_the_copy_says_what_the_model_says_without_its_other_layers(fetch, five_layers):
    import torch
    import transformers

    folder, manifest = fetch(five_layers, num_hidden_layers=3)
    assert manifest.source == f"{five_layers} (3 of 5 layers)"
    names = {path.name for path in folder.iterdir()}
    assert names >= {"model.safetensors", "config.json", "tokenizer.json", "README.md"}
    assert not [name for name in names if "-of-" in name or name.endswith("index.json")]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert (config["num_hidden_layers"], len(config["layer_types"])) == (3, 3)

    def load(path):
        return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()

    whole, copy = load(five_layers), load(folder)
    whole.model.layers = torch.nn.ModuleList(whole.model.layers[index] for index in (0, 1, 4))
    whole.config.num_hidden_layers = 3
    ids = torch.arange(12)[None]
    with torch.no_grad():
        expected = whole(ids, use_cache=False).logits
        assert torch.equal(copy(ids, use_cache=False).logits, expected)


def test_a_copy_is_made_once_and_found_by_the_content_of_the_model(fetch, five_layers, tmp_path):
    places = {"base_dir": tmp_path, "cache_dir": tmp_path / "cache"}
    spec = ModelSpec(source=str(five_layers), num_hidden_layers=2)
    assert models.locate(spec, **places) is None
    assert models.locate_whole(spec, **places) == five_layers
    folder, manifest = fetch(five_layers, num_hidden_layers=2)
    made_at = (folder / "model.safetensors").stat().st_mtime_ns
    assert fetch(five_layers, num_hidden_layers=2) == (folder, manifest)
    assert (folder / "model.safetensors").stat().st_mtime_ns == made_at
    assert models.locate(spec, **places) == folder

    other = _changed(five_layers, tmp_path / "five", rms_norm_eps=0.5)
    assert fetch(other, num_hidden_layers=2)[0] != folder


def test_all_layers_are_the_model_itself(fetch, five_layers):
    assert fetch(five_layers, num_hidden_layers=NUM_LAYERS)[0] == five_layers


def test_the_identity_of_a_model_is_that_of_before_unless_layers_are_left_out(
    five_layers, tmp_path
):
    def identity(**spec):
        return models.fingerprint(
            ModelSpec(source=str(five_layers), **spec), base_dir=tmp_path, cache_dir=tmp_path
        )

    assert identity() == identity(num_hidden_layers=None)
    assert len({identity(), identity(num_hidden_layers=2), identity(num_hidden_layers=3)}) == 3


def test_more_layers_than_there_are_is_a_mistake_before_anything_is_done(five_layers, tmp_path):
    spec = ModelSpec(source=str(five_layers), num_hidden_layers=6)
    with pytest.raises(UserError, match=r"asks for 6 layers of .*, which has 5"):
        models.fingerprint(spec, base_dir=tmp_path, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "no single stack of decoder layers"),
        ({"num_hidden_layers": 4}, "4 numbered layers were looked for, found: none"),
        ({"layer_types": None, "model_type": "gemma2"}, "every `gemma2`"),
        ({"layer_types": None, "sliding_window_pattern": 4}, "`sliding_window_pattern`"),
        ({"layer_types": None, "use_sliding_window": True}, "`max_window_layers`"),
    ],
)
def test_a_model_of_which_no_smaller_copy_can_be_made_says_why(
    fetch, five_layers, tmp_path, config, reason
):
    with pytest.raises(UserError, match=reason):
        fetch(_changed(five_layers, tmp_path / "other", **config), num_hidden_layers=2)
    left = [p.name for p in (tmp_path / "cache" / "models").iterdir() if p.suffix != ".lock"]
    assert left == []
