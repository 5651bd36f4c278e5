"""Models in folders: what is accepted, and why the rest is refused."""

import json

import pytest
from tests.models.made import GOOD_FILES, safetensors

from bakeoff import models
from bakeoff.base.errors import UserError
from bakeoff.schema.recipe_subject import ModelSpec


def without(*names):
    return {name: content for name, content in GOOD_FILES.items() if name not in names}


def test_a_real_checkpoint_is_used_where_it_lies_and_not_written_to(fetch, tiny_model):
    before = sorted(path.name for path in tiny_model.iterdir())
    folder, manifest = fetch(tiny_model)
    assert folder == tiny_model
    assert (manifest.source, manifest.revision) == (str(tiny_model), None)
    assert manifest.num_bytes >= (tiny_model / "model.safetensors").stat().st_size
    assert sorted(path.name for path in tiny_model.iterdir()) == before


def test_the_digest_and_the_fingerprint_follow_the_content(fetch, write_model, tmp_path):
    def identity(name):
        spec = ModelSpec(source=name)
        remembered = models.fingerprint(spec, base_dir=tmp_path, cache_dir=tmp_path / "cache")
        assert models.fingerprint(spec, base_dir=tmp_path) == remembered
        return fetch(name)[1].digest, remembered

    write_model(GOOD_FILES, "a")
    write_model({**GOOD_FILES, "README.md": b"hello", "log.txt": b"x"}, "b")
    write_model({**GOOD_FILES, "model.safetensors": safetensors(size=65)}, "c")
    assert identity("a") == identity("b") != identity("c")
    write_model({**GOOD_FILES, "config.json": b'{"model_type": "llamo"}'}, "a")
    assert identity("a") != identity("b")


def test_an_unchanged_file_is_read_once_only(write_model, tmp_path, monkeypatch):
    write_model(GOOD_FILES)
    spec = ModelSpec(source="model")
    first = models.fingerprint(spec, base_dir=tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr("bakeoff.models.files.digest_file", lambda path: pytest.fail("read again"))
    assert models.fingerprint(spec, base_dir=tmp_path, cache_dir=tmp_path / "cache") == first


def test_locate_gives_the_folder(write_model, tmp_path):
    folder = write_model(GOOD_FILES, "my models/m")
    spec = ModelSpec(source=r"my models\m")
    assert models.locate(spec, base_dir=tmp_path, cache_dir=tmp_path / "cache") == folder


def test_weights_in_parts_are_accepted(fetch, write_model):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors",
                            "b": "model-00002-of-00002.safetensors"}}  # fmt: skip
    parts = {name: safetensors() for name in index["weight_map"].values()}
    files = {**without("model.safetensors"), **parts}
    files["model.safetensors.index.json"] = json.dumps(index).encode()
    whole = fetch(write_model(files))[1]
    assert whole.num_bytes == sum(len(content) for content in files.values())
    del files["model-00002-of-00002.safetensors"]
    with pytest.raises(UserError, match="lacks 1 of 2 files of weights, `model-00002-of-00002"):
        fetch(write_model(files))


BAD_FOLDERS = {
    "empty": ({"notes.txt": b""}, "there is no `config.json`; it holds `notes.txt`", "config.json"),
    "adapter": ({"adapter_config.json": b"{}", "adapter_model.safetensors": safetensors()},
                "is a LoRA adapter, not a whole model", "the model that it was trained on"),
    "gguf": ({"model.gguf": b"GGUF"}, "holds a GGUF file", "safetensors"),
    "pickled": ({**without("model.safetensors"), "pytorch_model.bin": b"x"},
                "only pickled weights (`pytorch_model.bin`), which can run any code",
                "`model.trust_remote_code: true`"),
    "no weights": (without("model.safetensors"), "has no weights", "large files included"),
    "no tokenizer": (without("tokenizer.json"), "has no tokenizer", "beside its weights"),
    "code": ({**GOOD_FILES, "config.json": b'{"auto_map": {"AutoModel": "m.M"}}'},
             "comes with Python code of its own", "`model.trust_remote_code: true`"),
    "bad config": ({**GOOD_FILES, "config.json": b"{"}, "config.json is not valid JSON",
                   "download it again"),
    "torn": ({**GOOD_FILES, "model.safetensors": safetensors(torn=3)},
             "model.safetensors is not whole: expected", "download it again"),
    "pointer": ({**GOOD_FILES, "model.safetensors": b"version https://git-lfs.github.com/spec/v1"},
                "model.safetensors is not a safetensors file", "Git LFS pointer"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_FOLDERS)
def test_a_folder_that_cannot_be_trained_from_is_refused_with_the_reason(fetch, write_model, kind):
    files, cause, hint = BAD_FOLDERS[kind]
    folder = write_model(files)
    with pytest.raises(UserError) as raised:
        fetch("model")
    assert str(folder) in str(raised.value)
    assert cause in str(raised.value)
    assert hint in raised.value.hint


def test_pickled_weights_and_code_are_taken_when_the_recipe_says_so(fetch, write_model):
    files = {
        **without("model.safetensors"),
        "config.json": b'{"auto_map": {"AutoModel": "m.M"}}',
        "pytorch_model.bin": b"x" * 10,
        "m.py": b"class M: ...",
    }
    _, manifest = fetch(write_model(files), trust_remote_code=True)
    assert manifest.num_bytes == sum(len(content) for content in files.values())


WRONG_SOURCES = {
    "missing": ("./modle", "`model.source: ./modle` names no file", "did you mean `model`"),
    "file": ("model/config.json", "is a file; a folder was expected", "the folder that holds"),
    "builtin": ("builtin:smollm2", "unknown model: `builtin:smollm2`",
                "did you mean `builtin:smollm2-135m`?"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG_SOURCES)
def test_a_source_that_is_no_model_is_named_with_its_key(fetch, write_model, tmp_path, kind):
    source, cause, hint = WRONG_SOURCES[kind]
    write_model(GOOD_FILES)
    for attempt in (
        lambda: fetch(source),
        lambda: models.fingerprint(ModelSpec(source=source), base_dir=tmp_path),
    ):
        with pytest.raises(UserError) as raised:
            attempt()
        assert cause in str(raised.value)
        assert hint in raised.value.hint
